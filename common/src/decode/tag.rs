//! What our tag reports: an event is read as a plain source's parameters are, with the page that it happened on.
//!
//! Whoever has seen a page can send what its tag sends. So a tag says that something happened, and never takes
//! back what another source has said: it knows no refund, and no status but `pending`.

use super::{Decoded, Parameters, Undecodable, plain, visits};
use crate::attribution::{self, FoundBy, Named};
use crate::event::{Kind, Visit};
use crate::intake::Intake;
use crate::source::Source;
use crate::track::{Page, Request, Says};
use jiff::Timestamp;
use serde_json::Map;
use sha2::{Digest, Sha256};

/// The type under which a visit is read. It is recorded as a touch, and as no event.
const VISIT: &str = "visit";

/// How far apart the same page's address is that of another visit. The reports of one visit tell its beginning to
/// the millisecond; a tag that has forgotten it does not.
const SESSION_MILLIS: i64 = 30 * 60 * 1_000;

pub(super) fn decode(intake: &Intake, source: &Source) -> Result<Decoded, Undecodable> {
    let request = Request::read(&intake.body.0)?;
    let visits = visits(&request, intake, source);
    let (name, data, kind) = match request.says {
        Says::Event { ref name, ref data } => {
            let kind = Some(plain::kind(name)).filter(|kind| *kind != Kind::Refund).unwrap_or(Kind::Event);
            (name.clone(), data.clone(), kind)
        }
        Says::Visit => (VISIT.to_owned(), Map::new(), Kind::Ignored),
        // Whoever decodes events has taken the reports out.
        Says::Reports(_) => return Err(Undecodable::NotOfTag("reports are no event".to_owned())),
    };
    let parameters = Parameters::of_object(data);
    let (click, found_by) = click(&parameters, &request, source);
    let status = parameters.first(&["status"]).filter(|status| status.eq_ignore_ascii_case("pending"));
    let status = status.or_else(|| source.pending.then(|| "pending".to_owned()));
    let said = plain::Said {
        name,
        kind,
        one_click: found_by == FoundBy::Query || source.foreign_click_ids,
        click,
        found_by,
        id: Some(request.id.to_string()),
        status,
        at: request.happened(intake.received_at),
        visits,
        trl_test: request.test,
        parameters,
    };
    let is_visit = matches!(request.says, Says::Visit);
    Ok(Decoded { is_visit, ..plain::event(said, intake, source) })
}

/// The click id: what the page says in the event's data, else what stands in its address, else in that of the page
/// that the visit began on. What is still a placeholder counts only where nothing better is.
fn click(parameters: &Parameters, request: &Request, source: &Source) -> (Option<String>, FoundBy) {
    let keys: Vec<_> = source.click_id_keys.iter().map(String::as_str).collect();
    let pages = [&request.page, &request.landing].into_iter().flatten();
    let of_pages = pages.filter_map(|page| visits::query_of(&page.url)).flat_map(|query| {
        keys.iter()
            .filter_map(|key| query.first(&[key]))
            .map(|id| (id, FoundBy::LandingPage))
            .collect::<Vec<_>>()
    });
    let given = keys.iter().filter_map(|key| parameters.first(&[key])).map(|id| (id, FoundBy::Query));
    let mut unresolved = (None, FoundBy::None);
    for (id, found_by) in given.chain(of_pages) {
        match attribution::named(&id) {
            Named::Nothing => {}
            Named::Placeholder(_) if unresolved.0.is_some() => {}
            Named::Placeholder(_) => unresolved = (Some(id), found_by),
            // What a script writes where it has no value is no id of anybody's.
            Named::Foreign(text) if ["null", "undefined"].contains(&text.to_ascii_lowercase().as_str()) => {}
            _ => return (Some(id), found_by),
        }
    }
    unresolved
}

/// The touches that a request tells of: the page that the visit began on, and the page itself where its address
/// says that somebody came by another campaign since.
fn visits(request: &Request, intake: &Intake, source: &Source) -> Vec<Visit> {
    let received = intake.received_at;
    let landed = request.landing.as_ref().map(|page| (page, request.landed(page, received)));
    let own = |name: &str| source.click_id_keys.iter().any(|key| key.eq_ignore_ascii_case(name));
    let came_anew = |page: &&Page| {
        let query = visits::query_of(&page.url);
        landed.is_none()
            || query
                .iter()
                .flat_map(Parameters::pairs)
                .any(|(name, _)| visits::is_of_campaign(name) || own(name))
    };
    let here = request.page.as_ref().filter(came_anew).map(|page| (page, request.landed(page, received)));
    let visit = |(page, at): (&Page, Timestamp)| {
        visits::of_page(id(page, request, intake), at, &page.url, &page.referrer)
    };
    here.into_iter().chain(landed).map(visit).collect()
}

/// The id of a touch: the same in every report of the visit.
fn id(page: &Page, request: &Request, intake: &Intake) -> String {
    // Of somebody who is not followed, nothing is the same visit.
    let who = intake.visitor.map_or_else(|| intake.id.to_string(), |visitor| visitor.to_string());
    let began = page.at.or(request.at.map(Timestamp::as_millisecond)).unwrap_or_default();
    let session = began.div_euclid(SESSION_MILLIS);
    let digest = Sha256::digest(format!("{}\n{who}\n{session}\n{}", intake.source, page.url));
    format!("tag:{}", hex::encode(&digest[..16]))
}
