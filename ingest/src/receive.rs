//! What a webhook and a tag's report have in common: a request of a source is let in, its body is read within its
//! bounds, and it is safe before it is answered.

use crate::app::App;
use crate::body;
use crate::custody::{Safe, Unsafe};
use crate::limits::InWork;
use crate::parcel::{Parcel, Unfit};
use crate::problem::{Kind, Problem};
use crate::room::Room;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use carom_common::intake::Intake;
use carom_common::source::Source;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The longest query of an event.
const QUERY_BYTES: usize = 16 * 1024;

/// How long an event waits for a broker that says nothing before it goes to the spool instead: less than a
/// confirm may take, so that the places for events do not fill up with those that wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// Counts how a request of a source ended, also one whose client left before it did.
pub struct Told<'a> {
    app: &'a App,
    source: &'a Source,
    outcome: &'static str,
}

impl<'a> Told<'a> {
    /// A request that has just come.
    pub fn new(app: &'a App, source: &'a Source) -> Self {
        Self { app, source, outcome: "abandoned" }
    }

    /// It was answered.
    pub fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.app.metrics.intake(self.source.id.as_str(), self.outcome);
    }
}

/// Why a request was refused.
pub enum Refused {
    /// For what it is, or for want of room.
    Problem(Problem),
    /// It could not be made safe.
    Unsafe(Unsafe),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Refused {
    /// How it ended, for whoever counts, and the answer.
    pub fn answered(self) -> (&'static str, Response) {
        match self {
            Self::Problem(problem) => (outcome(&problem), problem.into_response()),
            Self::Unsafe(Unsafe(refused)) => {
                let detail = "Send the event again after the time that Retry-After gives.";
                (refused.as_str(), Problem::new(Kind::NotConfirmed, detail).into_response())
            }
        }
    }
}

/// A request whose body was read. Its places are free again when it is dropped.
pub struct Received {
    /// The body.
    pub bytes: Vec<u8>,
    room: Room,
    _places: (InWork, OwnedSemaphorePermit),
}

/// Lets a request in, and reads its body, of at most `most` bytes.
///
/// # Errors
/// It is beyond a bound, of its own, its source's or everybody's.
pub async fn receive(
    app: &App,
    source: &Source,
    head: &Parts,
    body: Body,
    most: usize,
) -> Result<Received, Problem> {
    let limits = &app.limits;
    // The source's own bounds before everybody's.
    let place = admit(head, &body, most).and_then(|()| {
        let in_work = app.sources.admit(source)?;
        let place = app.in_flight.clone().try_acquire_owned().map_err(|_| body::busy())?;
        Ok((in_work, place))
    });
    let places = match place {
        Ok(places) => places,
        Err(problem) => {
            body::discard_unasked(body, &head.headers, limits.body_timeout.0);
            return Err(problem);
        }
    };
    let mut room = app.rooms.none(&places.0.share);
    // A body says something only where the method gives it a meaning.
    let bytes = if head.method == Method::POST {
        body::read(body, most, limits.body_timeout.0, &mut room).await?
    } else {
        Vec::new()
    };
    Ok(Received { bytes, room, _places: places })
}

/// What can be said against a request before its body is read.
fn admit(head: &Parts, body: &Body, most: usize) -> Result<(), Problem> {
    if head.uri.query().unwrap_or_default().len() > QUERY_BYTES {
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

/// Makes an intake safe. `received` is what it was made from: its room goes with it.
///
/// # Errors
/// Neither the broker nor the spool has it.
pub async fn make_safe(app: &App, intake: Intake, received: Received) -> Result<Safe, Refused> {
    let Received { bytes, room, _places } = received;
    drop(bytes);
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
    kept.map_err(Refused::Unsafe)
}

/// A problem's name among the outcomes.
pub fn outcome(problem: &Problem) -> &'static str {
    match problem.kind {
        Kind::TokenUnknown
        | Kind::TokenMissing
        | Kind::SiteKeyUnknown
        | Kind::OriginNotAllowed
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

/// A header that names a type, as far as it is one.
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    // A header may be as long as the head; what names a type is short.
    Some(String::from_utf8_lossy(value.as_bytes()).chars().take(200).collect())
}

/// An answer in JSON.
pub fn answer(status: StatusCode, words: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, headers, format!("{words}\n")).into_response()
}
