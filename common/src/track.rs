//! What our tag says: the one JSON object of a request to `/api/v1/track`, read and bounded.
//!
//! Ingest reads it to judge it and to preview what the worker will decide; the worker reads the same bytes to
//! decode them. Whoever has a page's site key can write anything into it, so nothing here is believed beyond
//! its form.

use crate::decode::Undecodable;
use crate::id::{ConnectorId, DeliveryId, EventId, VisitorId};
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The largest body: what browsers send when a page is being left (`keepalive`, `sendBeacon`).
pub const MOST_BYTES: usize = 64 * 1024;

/// The version of the form.
const VERSION: u64 = 1;
/// How long a name may be, in characters.
const NAME: usize = 100;
/// How many reports one request may hold.
const MOST_REPORTS: usize = 64;
/// How much is kept of what a report says.
const DETAIL: usize = 500;

/// How far behind ours a browser's clock may be for an event to count as just happened.
const CLOCKS: SignedDuration = SignedDuration::from_mins(10);
/// How old an event may say it is: a tag keeps what it could not send.
const OLDEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A request of the tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The tag's id of it. The same call sent again has the same.
    pub id: Uuid,
    /// When it happened, by the browser's clock.
    pub at: Option<Timestamp>,
    /// The page's own id of the visitor.
    pub visitor: Option<VisitorId>,
    /// The page that it happened on.
    pub page: Option<Page>,
    /// The page that the visit began on, where that is another.
    pub landing: Option<Page>,
    /// Whether `trl_test=1` stands on either's URL.
    pub test: bool,
    /// What it says.
    pub says: Says,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// Its address.
    pub url: String,
    /// Where the visitor came from.
    #[serde(default, deserialize_with = "nullable")]
    pub referrer: String,
    /// When they came, in milliseconds by the browser's clock.
    #[serde(default)]
    pub at: Option<i64>,
}

/// What a request of the tag says.
#[derive(Clone, Debug, PartialEq)]
pub enum Says {
    /// A visit has begun.
    Visit,
    /// Something happened.
    Event {
        /// Its name, such as `Purchase`.
        name: String,
        /// What the page says of it.
        data: Map<String, Value>,
    },
    /// What became of pixels.
    Reports(Vec<Report>),
}

/// What became of a pixel in a browser, as the tag reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The event, by the id that was answered.
    pub event: EventId,
    /// The pixel's connector.
    pub connector: ConnectorId,
    /// The delivery's id.
    pub delivery: DeliveryId,
    /// What became of it.
    pub outcome: Outcome,
    /// More about that: text of the page's, bounded.
    #[serde(default, deserialize_with = "nullable")]
    pub detail: String,
}

/// What became of a pixel in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was put into the page, or its frame.
    Fired,
    /// It could not be, or it failed.
    Failed,
}

impl Outcome {
    /// The outcome as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Failed => "failed",
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    v: u64,
    id: Uuid,
    #[serde(default)]
    at: Option<i64>,
    #[serde(default)]
    visitor: Option<String>,
    #[serde(default)]
    page: Option<Page>,
    #[serde(default)]
    landing: Option<Page>,
    #[serde(default)]
    test: bool,
    #[serde(default)]
    visit: bool,
    #[serde(default)]
    event: Option<Named>,
    #[serde(default)]
    reports: Option<Vec<Report>>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    data: Option<Map<String, Value>>,
}

fn nullable<'de, D: serde::Deserializer<'de>>(given: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(given)?.unwrap_or_default())
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// It is not JSON, or says nothing that a tag says.
    pub fn read(body: &[u8]) -> Result<Self, Undecodable> {
        let place = |error: &serde_json::Error| format!("line {}, column {}", error.line(), error.column());
        if !body.trim_ascii_start().starts_with(b"{") {
            let read = serde_json::from_slice::<IgnoredAny>(body);
            return Err(
                read.map_or_else(|error| Undecodable::NotJson(place(&error)), |_| Undecodable::NotAnObject)
            );
        }
        let wire: Wire = serde_json::from_slice(body).map_err(|error| match error.is_data() {
            true => Undecodable::NotOfTag(place(&error)),
            false => Undecodable::NotJson(place(&error)),
        })?;
        let refused = |why: &str| Undecodable::NotOfTag(why.to_owned());
        if wire.v != VERSION {
            return Err(refused("its version `v` is not 1"));
        }
        let says = match (wire.visit, wire.event, wire.reports) {
            (true, None, None) => Says::Visit,
            (false, Some(event), None) => {
                let name: String = event.name.trim().chars().filter(|c| !c.is_control()).take(NAME).collect();
                if name.is_empty() {
                    return Err(refused("its event has no name"));
                }
                Says::Event { name, data: event.data.unwrap_or_default() }
            }
            (false, None, Some(reports)) if reports.len() <= MOST_REPORTS => {
                Says::Reports(reports.into_iter().map(Report::bounded).collect())
            }
            (false, None, Some(_)) => return Err(refused("there are more than 64 `reports`")),
            _ => return Err(refused("it has not exactly one of `visit`, `event` and `reports`")),
        };
        Ok(Self {
            id: wire.id,
            at: wire.at.and_then(|at| Timestamp::from_millisecond(at).ok()),
            visitor: wire.visitor.as_deref().and_then(VisitorId::made_by_us),
            page: wire.page,
            landing: wire.landing,
            test: wire.test,
            says,
        })
    }

    /// When it happened, by our clock. A browser's clock may be wrong by anything, and then an event must not
    /// come before the click that led to it: what says that it happened a few minutes ago, or is yet to come,
    /// happened when it came in. What is older was kept by a tag that could not send it, within a week.
    pub fn happened(&self, received: Timestamp) -> Timestamp {
        let Some(at) = self.at else { return received };
        let age = received.duration_since(at);
        if age > CLOCKS && age <= OLDEST { at } else { received }
    }

    /// The same of the beginning of its visit, which the same clock has told.
    pub fn landed(&self, landing: &Page, received: Timestamp) -> Timestamp {
        let happened = self.happened(received);
        let began = landing.at.and_then(|at| Timestamp::from_millisecond(at).ok());
        let before = began.zip(self.at).map(|(began, at)| at.duration_since(began));
        let before = before.filter(|before| (SignedDuration::ZERO..=OLDEST).contains(before));
        before.and_then(|before| happened.checked_sub(before).ok()).unwrap_or(happened)
    }
}

impl Page {
    /// Its address without its query, bounded: what may stand in a log.
    pub fn without_query(&self) -> String {
        crate::decode::without_query(&self.url)
    }
}

impl Report {
    fn bounded(self) -> Self {
        let detail = self.detail.chars().filter(|c| !c.is_control()).take(DETAIL).collect();
        Self { detail, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn read(body: &Value) -> Result<Request, Undecodable> {
        Request::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_request_says_exactly_one_thing() {
        let event = json!({"name": " Purchase\u{7}", "data": {"value": 49.5}});
        let report = json!({"event": ID, "connector": "network", "delivery": ID, "outcome": "fired"});
        let of = |more: Value| {
            let mut body = json!({"v": 1, "id": ID});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&body).map(|request| request.says)
        };
        assert_eq!(of(json!({"visit": true})), Ok(Says::Visit));
        let data = json!({"value": 49.5}).as_object().unwrap().clone();
        assert_eq!(of(json!({"event": event})), Ok(Says::Event { name: "Purchase".into(), data }));
        assert!(
            matches!(of(json!({"reports": [report]})), Ok(Says::Reports(reports)) if reports[0].outcome == Outcome::Fired)
        );
        for wrong in [
            json!({}),
            json!({"visit": false}),
            json!({"visit": true, "event": event}),
            json!({"event": event, "reports": []}),
            json!({"event": {"name": " "}}),
            json!({"event": {"data": {}}}),
            json!({"event": {"name": "Purchase", "data": [1]}}),
            json!({"reports": vec![report.clone(); 65]}),
            json!({"reports": [{"event": ID}]}),
            json!({"visit": true, "v": 2}),
            json!({"visit": true, "id": "x"}),
        ] {
            assert!(matches!(of(wrong.clone()), Err(Undecodable::NotOfTag(_))), "{wrong}");
        }
        for body in ["", "[", "{\"v\": 1,", "v=1", "\u{0}"] {
            assert!(matches!(Request::read(body.as_bytes()), Err(Undecodable::NotJson(_))), "{body}");
        }
    }

    #[test]
    fn what_a_page_writes_where_it_has_nothing_is_nothing() {
        let body = json!({
            "v": 1, "id": ID, "visit": true, "at": null, "visitor": "undefined", "landing": null,
            "page": {"url": "https://shop.example/", "referrer": null}, "of_a_newer_tag": 1,
        });
        let request = read(&body).unwrap();
        assert_eq!((request.at, request.visitor, request.landing), (None, None, None));
        assert_eq!(request.page.unwrap().referrer, "");
        let known = json!({"v": 1, "id": ID, "visit": true, "visitor": ID});
        assert_eq!(read(&known).unwrap().visitor.unwrap().to_string(), ID);
    }

    #[test]
    fn a_browsers_clock_is_believed_within_bounds_only() {
        let received: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let before = |minutes| received - SignedDuration::from_mins(minutes);
        for (minutes, counts) in [
            (0, 0),
            (3, 0),
            (10, 0),
            (11, 11),
            (60 * 24, 60 * 24),
            (60 * 24 * 7, 60 * 24 * 7),
            (60 * 24 * 7 + 1, 0),
            (60 * 24 * 365, 0),
            (-1, 0),
            (-60 * 24, 0),
        ] {
            let at = before(minutes).as_millisecond();
            let landing = json!({"url": "https://shop.example/", "at": at - 90_000});
            let body = json!({"v": 1, "id": ID, "visit": true, "at": at, "landing": landing});
            let request = read(&body).unwrap();
            assert_eq!(request.happened(received), before(counts), "{minutes}");
            // The visit began as long before the event as the browser says, whatever its clock shows.
            let landed = request.landed(request.landing.as_ref().unwrap(), received);
            assert_eq!(landed, before(counts) - SignedDuration::from_secs(90), "{minutes}");
        }
        let unknown = read(&json!({"v": 1, "id": ID, "visit": true, "at": i64::MAX})).unwrap();
        assert_eq!(unknown.happened(received), received);
    }
}
