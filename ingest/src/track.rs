//! `/api/v1/track`: what our tag reports from a page, made safe as a webhook is, and the pixels that its browser is
//! to fire.
//!
//! It is the one path on which ingest looks into the store: read-only, for a moment, and going on without. What was
//! told to the browser goes along in the intake, so that the worker writes it down and decides it no second time.

mod cors;
mod history;
mod preview;

pub use history::{History, Readable};

use crate::app::App;
use crate::body;
use crate::custody::Safe;
use crate::index::Index;
use crate::metrics::UNKNOWN;
use crate::problem::{Kind, Problem};
use crate::receive::{self, Received, Refused, Told, answer};
use crate::visitor;
use crate::webhook::judge;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use carom_common::id::EventId;
use carom_common::intake::{self, Intake, Verified};
use carom_common::source::{self, Source};
use carom_common::track::{MOST_BYTES, Request as Report, Says};
use cors::Page;
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use jiff::Timestamp;
use preview::Fired;
use serde_json::json;
use std::sync::Arc;

/// Answers a request of a page.
pub async fn handle(app: Arc<App>, request: Request<Body>) -> Response {
    let index = app.index.borrow().clone();
    let (head, body) = request.into_parts();
    let (source, page) = match whose(&index, &head) {
        Ok(found) => found,
        Err(problem) => {
            app.metrics.intake(UNKNOWN, receive::outcome(&problem));
            body::discard_unasked(body, &head.headers, app.limits.body_timeout.0);
            return cors::of_nobody(problem.into_response());
        }
    };
    if head.method == Method::OPTIONS {
        return page.preflight();
    }
    let told = Told::new(&app, &source);
    let (outcome, response) = match take(&app, index, &source, &head, body).await {
        Ok(taken) => taken.answered(),
        Err(refused) => refused.answered(),
    };
    told.ended(outcome);
    page.may_read(response)
}

/// Which source a page's site key names, where the page is of one of its origins. Neither is a secret: they keep
/// other sites' pages out, and whoever is no browser at all can say what they like.
fn whose(index: &Index, head: &Parts) -> Result<(Arc<Source>, Page), Problem> {
    index.in_use()?;
    let query = head.uri.query().unwrap_or_default();
    let key = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "key");
    let Some(source) = key.and_then(|(_, key)| index.source_of_site_key(&key)) else {
        let detail = "Use the site_key of one of this relay's sources of kind \"tag\": ?key=….";
        return Err(Problem::new(Kind::SiteKeyUnknown, detail));
    };
    match Page::allowed(&head.headers, source) {
        Some(page) => Ok((source.clone(), page)),
        None => {
            let detail = "If this is your page: name its origin in the source's allowed_origins.";
            Err(Problem::new(Kind::OriginNotAllowed, detail))
        }
    }
}

/// What came of a request that was not refused.
struct Taken {
    id: EventId,
    how: Safe,
    fired: Vec<Fired>,
}

impl Taken {
    fn answered(self) -> (&'static str, Response) {
        let outcome = match self.how {
            Safe::Confirmed => "accepted",
            Safe::Spooled => "spooled",
        };
        let words = json!({"id": self.id.to_string(), "pixels": self.fired});
        (outcome, answer(StatusCode::ACCEPTED, &words))
    }
}

async fn take(
    app: &Arc<App>,
    index: Arc<Index>,
    source: &Arc<Source>,
    head: &Parts,
    body: Body,
) -> Result<Taken, Refused> {
    let most = app.limits.max_body_bytes.min(MOST_BYTES);
    let content_type = receive::content_type(&head.headers);
    if !content_type.as_deref().is_none_or(is_of_tag) {
        body::discard_unasked(body, &head.headers, app.limits.body_timeout.0);
        return Err(Problem::new(Kind::ContentType, "Send JSON, as text/plain or application/json.").into());
    }
    let mut received = receive::receive(app, source, head, body, most).await?;
    judge(source::Kind::Tag, "", None, &received.bytes)?;
    let Ok(report) = Report::read(&received.bytes) else {
        // Judging has read it.
        return Err(Problem::new(Kind::NotOfTag, "Send what the tag of this version sends.").into());
    };
    app.metrics.track.said(source, &report.says);
    let intake = Intake {
        id: EventId::new(),
        source: source.id.clone(),
        verified: Verified::Origin,
        received_at: Timestamp::now(),
        query: String::new(),
        content_type,
        body: intake::Body(std::mem::take(&mut received.bytes)),
        visitor: visitor_of(&head.headers, &report),
        parked: None,
        key: None,
        told: None,
    };
    let opted_out = visitor::opts_out(&head.headers);
    let work = finish(app.clone(), index, source.clone(), report, intake, received, opted_out);
    // Whoever reports a purchase may be leaving the page: what was read to its end is kept, whether or not anybody
    // still waits for the answer.
    tokio::spawn(work).await.unwrap_or_else(|_| Err(body::busy().into()))
}

/// Tags send text, because a page can do so without asking first; JSON is as well.
fn is_of_tag(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    ["text/plain", "application/json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// The page's own id of the visitor, unless the browser asks that nobody be followed.
fn visitor_of(headers: &HeaderMap, report: &Report) -> Option<carom_common::id::VisitorId> {
    report.visitor.filter(|_| !visitor::opts_out(headers))
}

/// Decides which pixels are fired, and makes the intake safe with that.
async fn finish(
    app: Arc<App>,
    index: Arc<Index>,
    source: Arc<Source>,
    report: Report,
    mut intake: Intake,
    received: Received,
    opted_out: bool,
) -> Result<Taken, Refused> {
    let mut fired = Vec::new();
    if let Says::Event { .. } = report.says
        && index.has_pixels(&source.advertiser)
    {
        let told = match opted_out {
            true => preview::none_for_who_opted_out(),
            false => preview::preview(&app, &index, &source, &report, &intake).await,
        };
        fired = told.fired;
        intake.told = told.told.map(Box::new);
    }
    let id = intake.id;
    let how = receive::make_safe(&app, intake, received).await?;
    Ok(Taken { id, how, fired })
}
