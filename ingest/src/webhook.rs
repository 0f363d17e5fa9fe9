//! `/api/v1/events`: from a request to an intake that is safe.
//!
//! What is refused is refused by who sent it and by its bounds, never for what it means: that is the
//! worker's to say, and a funnel that is answered errors switches its endpoint off.

use crate::app::App;
use crate::body;
use crate::custody::Safe;
use crate::index::Index;
use crate::problem::{Kind, Problem};
use crate::receive::{self, Refused, Told, answer};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use carom_common::id::EventId;
use carom_common::intake::{self, Intake, Verified};
use carom_common::source::{self, Source};
use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

mod verify;
mod judge;

pub use judge::judge;
use verify::verify;

/// How a request says whose it is.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// By the token in its path.
    Token(&'a str),
    /// By the host that it was sent to.
    Host,
}

/// Answers a request to one of the events endpoints.
pub async fn handle(app: Arc<App>, caller: Caller<'_>, request: Request<Body>) -> Response {
    let index = app.index.borrow().clone();
    let (head, body) = request.into_parts();
    let (source, verified) = match whose(&index, caller, &head) {
        Ok(found) => found,
        Err(problem) => {
            app.metrics.intake(crate::metrics::UNKNOWN, receive::outcome(&problem));
            body::discard_unasked(body, &head.headers, app.limits.body_timeout.0);
            return problem.into_response();
        }
    };
    let told = Told::new(&app, &source);
    let answered = take(&app, &index, &source, verified, &head, body).await;
    let (outcome, response) = match answered {
        Ok(Taken::Ping) => ("ping", answer(StatusCode::OK, &json!({"status": "ready"}))),
        Ok(Taken::Safe { id, how, warning }) => {
            let outcome = match (how, &warning) {
                (Safe::Spooled, _) => "spooled",
                (Safe::Confirmed, None) => "accepted",
                (Safe::Confirmed, Some(_)) => "accepted_with_warning",
            };
            let words = match warning {
                None => json!({"id": id.to_string()}),
                Some(warning) => json!({"id": id.to_string(), "warning": warning}),
            };
            (outcome, answer(StatusCode::ACCEPTED, &words))
        }
        Err(refused) => refused.answered(),
    };
    told.ended(outcome);
    response
}

/// What came of a request that was not refused.
enum Taken {
    /// There was nothing in it: somebody asks whether we are here.
    Ping,
    /// It is safe.
    Safe { id: EventId, how: Safe, warning: Option<String> },
}

/// Whose request it is, and how we know, or will know as soon as its signature is verified. A source that
/// has a signature is never open, whatever else it says.
fn whose(index: &Index, caller: Caller<'_>, head: &Parts) -> Result<(Arc<Source>, Verified), Problem> {
    index.in_use()?;
    let scheme = |source: &Source| source.signature.as_ref().map(|signature| signature.scheme);
    match caller {
        Caller::Token(token) => match index.source_of_token(token) {
            Some(source) => {
                let verified = scheme(source).map_or(Verified::Token, Verified::TokenAndSignature);
                Ok((source.clone(), verified))
            }
            None => Err(Problem::new(
                Kind::TokenUnknown,
                "Use the URL that was set up for this source, its token included: /api/v1/events/{token}.",
            )),
        },
        Caller::Host => match host(head).and_then(|host| index.source_of_host(&host)) {
            Some(source) if source.signature.is_some() || source.open => {
                let verified = scheme(source).map_or(Verified::Open, Verified::Signature);
                Ok((source.clone(), verified))
            }
            _ => Err(Problem::new(
                Kind::TokenMissing,
                "No source takes events at this host without a token. Send them to /api/v1/events/{token}.",
            )),
        },
    }
}

/// The host that a request was sent to, without its port and in lower case.
fn host(head: &Parts) -> Option<String> {
    let named = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut lines = head.headers.get_all(header::HOST).iter();
            let line = lines.next()?.to_str().ok()?;
            if lines.next().is_some() {
                return None;
            }
            line
        }
    };
    let authority: http::uri::Authority = named.trim().parse().ok()?;
    Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
}

async fn take(
    app: &App,
    index: &Index,
    source: &Source,
    verified: Verified,
    head: &Parts,
    body: Body,
) -> Result<Taken, Refused> {
    let query = head.uri.query().unwrap_or_default();
    let mut received = receive::receive(app, source, head, body, app.limits.max_body_bytes).await?;
    if says_nothing(source, &head.method, query) {
        return Ok(Taken::Ping);
    }
    verify(index, &app.metrics, source, &head.headers, &received.bytes)?;
    let content_type = receive::content_type(&head.headers);
    // Of a signed plain source only the body counts: no signature is over the query.
    let unsigned = source.kind == source::Kind::Plain && source.signature.is_some();
    let counts = if unsigned { "" } else { query };
    let warning = match judge(source.kind, counts, content_type.as_deref(), &received.bytes) {
        Ok(()) => None,
        // A funnel's token or signature is proof enough that the bytes are its own. They are kept, whatever
        // they are, and the worker makes a dead letter of them, because an error would switch the endpoint
        // off.
        Err(problem) if source.kind == source::Kind::Clickfunnels && verified != Verified::Open => {
            Some(format!("{}. It is kept, and cannot be used as it is.", problem.title()))
        }
        Err(problem) => return Err(problem.into()),
    };
    let intake = Intake {
        id: EventId::new(),
        source: source.id.clone(),
        verified,
        received_at: Timestamp::now(),
        query: query.to_owned(),
        content_type,
        body: intake::Body(std::mem::take(&mut received.bytes)),
        visitor: crate::visitor::known(&head.headers),
        parked: None,
        key: None,
        told: None,
    };
    let id = intake.id;
    let how = receive::make_safe(app, intake, received).await?;
    Ok(Taken::Safe { id, how, warning })
}

/// Whether somebody only looks whether we are here, as funnels' editors do when an endpoint is saved. A
/// ClickFunnels source speaks by POST alone: a GET of its URL, placeholders and all, is such a look.
fn says_nothing(source: &Source, method: &Method, query: &str) -> bool {
    match *method {
        Method::HEAD => true,
        Method::GET => query.is_empty() || source.kind == source::Kind::Clickfunnels,
        _ => false,
    }
}
