//! `/api/v1/events`: from a request to an intake that is safe.
//!
//! What is refused is refused by who sent it and by its bounds, never for what it means: that is the
//! worker's to say, and a funnel that is answered errors switches its endpoint off.

use crate::app::App;
use crate::body;
use crate::custody::{Safe, Unsafe};
use crate::index::Index;
use crate::parcel::{Parcel, Unfit};
use crate::problem::{Kind, Problem};
use crate::room::Room;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use carom_common::id::EventId;
use carom_common::intake::{self, Intake, Verified};
use carom_common::source::{self, Source};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

mod verify;
mod judge;

use judge::judge;
use verify::verify;

/// The longest query of an event.
const QUERY_BYTES: usize = 16 * 1024;

/// How long an event waits for a broker that says nothing before it goes to the spool instead: less than a
/// confirm may take, so that the places for events do not fill up with those that wait.
const PATIENCE: Duration = Duration::from_secs(1);

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
            app.metrics.intake(crate::metrics::UNKNOWN, outcome(&problem));
            body::discard_unasked(body, &head.headers, app.limits.body_timeout.0);
            return problem.into_response();
        }
    };
    let mut told = Told { app: &app, source: &source, outcome: "abandoned" };
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
        Err(Refused::Problem(problem)) => (outcome(&problem), problem.into_response()),
        Err(Refused::Unsafe(Unsafe(refused))) => (refused.as_str(), not_safe().into_response()),
    };
    told.outcome = outcome;
    response
}

/// Counts how a request ended, also one whose client left before it did.
struct Told<'a> {
    app: &'a App,
    source: &'a Source,
    outcome: &'static str,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.app.metrics.intake(self.source.id.as_str(), self.outcome);
    }
}

/// What came of a request that was not refused.
enum Taken {
    /// There was nothing in it: somebody asks whether we are here.
    Ping,
    /// It is safe.
    Safe { id: EventId, how: Safe, warning: Option<String> },
}

/// Why a request was refused.
enum Refused {
    Problem(Problem),
    Unsafe(Unsafe),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
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
    let limits = &app.limits;
    let query = head.uri.query().unwrap_or_default();
    let admitted = admit(head, query, &body, limits.max_body_bytes);
    // The source's own bounds before everybody's.
    let place = admitted.and_then(|()| {
        let in_work = app.sources.admit(source)?;
        let place = app.in_flight.clone().try_acquire_owned().map_err(|_| body::busy())?;
        Ok((in_work, place))
    });
    let (in_work, _place) = match place {
        Ok(place) => place,
        Err(problem) => {
            body::discard_unasked(body, &head.headers, limits.body_timeout.0);
            return Err(problem.into());
        }
    };
    let mut room = app.rooms.none(&in_work.share);
    // A body says something only where the method gives it a meaning.
    let bytes = if head.method == Method::POST {
        body::read(body, limits.max_body_bytes, limits.body_timeout.0, &mut room).await?
    } else {
        Vec::new()
    };
    if says_nothing(source, &head.method, query) {
        return Ok(Taken::Ping);
    }
    verify(index, &app.metrics, source, &head.headers, &bytes)?;
    let content_type = text(&head.headers, header::CONTENT_TYPE);
    // Of a signed plain source only the body counts: no signature is over the query.
    let unsigned = source.kind == source::Kind::Plain && source.signature.is_some();
    let counts = if unsigned { "" } else { query };
    let warning = match judge(source.kind, counts, content_type.as_deref(), &bytes) {
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
        body: intake::Body(bytes),
        visitor: crate::visitor::known(&head.headers),
        parked: None,
        key: None,
        told: None,
    };
    make_safe(app, intake, room, warning).await
}

/// What can be said against a request before its body is read.
fn admit(head: &Parts, query: &str, body: &Body, most: usize) -> Result<(), Problem> {
    if query.len() > QUERY_BYTES {
        let detail =
            format!("Send at most {QUERY_BYTES} bytes of query; put the event into the body of a POST.");
        return Err(Problem::new(Kind::QueryTooLong, detail));
    }
    let encoded = head.headers.get(header::CONTENT_ENCODING);
    if encoded.is_some_and(|given| !given.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(
            Kind::ContentEncoding,
            "Send the body as it is, without a Content-Encoding.",
        ));
    }
    body::admit(body, most)
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

async fn make_safe(app: &App, intake: Intake, room: Room, warning: Option<String>) -> Result<Taken, Refused> {
    let id = intake.id;
    let parcel = match Parcel::new(&intake, Some(room)) {
        Ok(parcel) => parcel,
        Err(Unfit::NoRoom) => return Err(body::busy().into()),
        Err(Unfit::TooLarge) => {
            let detail = "The event is larger than a message can be. Send less in one event.";
            return Err(Problem::new(Kind::BodyTooLarge, detail).into());
        }
    };
    drop(intake);
    let kept = app.events.keep(parcel, PATIENCE.min(app.confirm_timeout), app.confirm_timeout).await;
    kept.map(|how| Taken::Safe { id, how, warning }).map_err(Refused::Unsafe)
}

fn not_safe() -> Problem {
    Problem::new(Kind::NotConfirmed, "Send the event again after the time that Retry-After gives.")
}

/// A problem's name among the outcomes.
fn outcome(problem: &Problem) -> &'static str {
    match problem.kind {
        Kind::TokenUnknown
        | Kind::TokenMissing
        | Kind::SignatureMissing
        | Kind::SignatureStale
        | Kind::SignatureInvalid => "unauthorized",
        Kind::Unverifiable => "unverifiable",
        Kind::BodyTooLarge | Kind::QueryTooLong => "too_large",
        Kind::BodyTooSlow => "too_slow",
        Kind::BodyIncomplete => "incomplete",
        Kind::TooBusy => "busy",
        Kind::TooManyRequests => "rate_limited",
        Kind::TooManyAtOnce => "too_many_at_once",
        Kind::NoResources => "no_resources",
        _ => "invalid",
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    // A header may be as long as the head; what names a type is short.
    Some(String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect())
}

fn answer(status: StatusCode, words: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, format!("{words}\n")).into_response()
}
