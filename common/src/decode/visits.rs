//! Visits: what ClickFunnels recorded on its own pages, or our tag on an advertiser's, about how somebody came.
//! They are touches.

use super::envelope::{self, View};
use super::{Parameters, bounded, person, printable};
use crate::click_id_matching::AD_CLICK_IDS;
use crate::event::Visit;
use crate::redact;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Which visits of a contact, an order or an invoice are told, the most telling first.
const VISITS: [&str; 3] = ["last_visit_with_utm", "last_visit", "first_visit"];

/// How many parameters of a visit are kept. Names are kept to 64 bytes, values to 500 characters.
const MOST: usize = 64;

/// The visits that a body lists, each once, the most telling first. One visit may be listed on the contact
/// and on the order, and the pages of the two differ.
pub(super) fn of(view: &View) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    for visit in places(view).filter_map(visit) {
        let Some(known) = visits.iter_mut().find(|known| known.id == visit.id) else {
            visits.push(visit);
            continue;
        };
        for (name, value) in visit.parameters {
            let new = known.parameters.iter().all(|(other, _)| *other != name);
            if new && known.parameters.len() < MOST {
                known.parameters.push((name, value));
            }
        }
    }
    visits
}

/// The addresses that the contact landed on, in the order in which they are asked for a click id.
pub(super) fn landing_pages(view: &View) -> impl Iterator<Item = &str> {
    places(view).filter_map(|visit| visit.get("landing_page")?.as_str())
}

/// The query of a page's address.
pub(super) fn query_of(page: &str) -> Option<Parameters> {
    let (_, query) = page.split_once('?')?;
    Some(Parameters::of_query(query.split('#').next().unwrap_or(query)))
}

fn places(view: &View) -> impl Iterator<Item = &Value> {
    let subjects = person::CONTACTS.into_iter().chain(["/data/order", "/data"]);
    subjects.flat_map(move |subject| {
        VISITS.into_iter().filter_map(move |name| view.at(&format!("{subject}/visits/{name}")))
    })
}

fn visit(value: &Value) -> Option<Visit> {
    let text = |name: &str| value.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty());
    let at = text("started_at").or_else(|| text("created_at")).and_then(envelope::time)?;
    let page = text("landing_page");
    let mut parameters = Gathered::default();
    // Of a visit's own fields, those that stood in a query. The others are what the funnel knows itself.
    for (name, value) in value.as_object()? {
        if let Some(value) = value.as_str().filter(|_| is_of_campaign(name)) {
            parameters.add(name, value);
        }
    }
    parameters.of_page(page.unwrap_or_default());
    // A page's query may say who somebody is, and ids outlive what they are the ids of.
    let hashed = || hex::encode(Sha256::digest(format!("{at} {}", page.unwrap_or_default())));
    let id = text("uuid").map_or_else(hashed, str::to_owned);
    Some(Visit {
        id: bounded(id),
        at,
        parameters: parameters.0,
        landing_page: page.map(without_query),
        referrer: text("referrer").map(|referrer| printable(referrer, 1000)),
        device: text("device_type").map(|device| printable(device, 64).to_lowercase()),
    })
}

/// A visit as our tag tells it: the page that it began on, and where the visitor came from.
pub(super) fn of_page(id: String, at: Timestamp, page: &str, referrer: &str) -> Visit {
    let mut parameters = Gathered::default();
    parameters.of_page(page);
    let referrer = referrer.trim();
    Visit {
        id,
        at,
        parameters: parameters.0,
        landing_page: (!page.is_empty()).then(|| without_query(page)),
        referrer: (!referrer.is_empty()).then(|| printable(referrer, 1000)),
        device: None,
    }
}

/// A page's address without its query.
pub fn without_query(page: &str) -> String {
    printable(page.split(['?', '#']).next().unwrap_or(page), 500)
}

/// Whether a parameter says which campaign or ad somebody came by.
pub(super) fn is_of_campaign(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("utm_")
        || AD_CLICK_IDS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The parameters of a visit, the first value of each name, in lower case and bounded.
#[derive(Default)]
struct Gathered(Vec<(String, String)>);

impl Gathered {
    fn add(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        let known = self.0.iter().any(|(known, _)| *known == name);
        if !known && !value.trim().is_empty() && name.len() <= 64 && self.0.len() < MOST {
            self.0.push((name, printable(value, 500)));
        }
    }

    /// Any parameter of a page's may be what a connector finds its click id by. Who somebody is stays out.
    fn of_page(&mut self, page: &str) {
        for (name, value) in query_of(page).iter().flat_map(Parameters::pairs) {
            if let Some(value) = value.as_str().filter(|value| !redact::is_personal(name, value)) {
                self.add(name, value);
            }
        }
    }
}
