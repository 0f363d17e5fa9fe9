//! The forms that ClickFunnels' bodies come in, brought to one (specification 001 and 003).
//!
//! Everything behind this file reads the one form: `data` is the subject itself, and beside it stand
//! `event_type`, `event_id`, `created_at` and the rest as version 2 has them now. What is of none of the
//! known forms passes through as it is.

use super::{hex, printable};
use crate::event::{Envelope, Origin};
use crate::mapping;
use crate::placeholder;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A body in the one form.
pub(super) struct View {
    /// The form that it came in.
    pub envelope: Envelope,
    /// Its type, by the catalogue's spelling.
    pub raw_type: String,
    /// Its sender's id of it, normalised.
    pub event_id: Option<String>,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// When it happened, where it says so.
    pub at: Option<Timestamp>,
    /// Where it happened.
    pub origin: Origin,
    /// All of it.
    body: Value,
}

impl View {
    /// Brings a body, and the bytes that it was read from, to the one form.
    pub fn of(body: Map<String, Value>, bytes: &[u8]) -> Self {
        let (envelope, given_type, body) = unwrapped(body);
        let body = Value::Object(body);
        let raw_type = printable(mapping::canonical(given_type.trim()), 100);
        let event_id = text(&body, "/event_id").map(|id| normalised(&id));
        let stated = match envelope {
            Envelope::V2 | Envelope::V2Older | Envelope::Api => &["/created_at", "/data/updated_at"][..],
            _ => &["/created_at", "/data/updated_at", "/data/created_at"],
        };
        let at = stated.iter().find_map(|at| time(pointed(&body, at)?.as_str()?));
        let hash = hex(&Sha256::digest(bytes));
        Self { envelope, raw_type, event_id, hash, at, origin: origin(&body), body }
    }

    /// All of it, for pointers and paths.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// What stands at a pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        pointed(&self.body, pointer)
    }

    /// The first text, number or truth at these pointers that is not blank, trimmed.
    pub fn text(&self, pointers: &[&str]) -> Option<String> {
        pointers.iter().find_map(|pointer| text(&self.body, pointer))
    }

    /// Whether it is of ClickFunnels Classic.
    pub fn is_classic(&self) -> bool {
        matches!(self.envelope, Envelope::ClassicFlat | Envelope::ClassicNested)
    }

    /// Whether its subject is a contact.
    pub fn is_of_contact(&self) -> bool {
        self.text(&["/subject_type"]).as_deref() == Some("Contact")
            || self.raw_type.starts_with("contact.")
            || self.raw_type == "contact_created"
    }

    /// What copies of it share: the same event may come by two endpoints, by the API and again.
    pub fn dedupe_key(&self) -> String {
        if self.is_classic()
            && let Some(id) = self.text(&["/data/id"])
        {
            let updated = self.text(&["/data/updated_at", "/data/created_at"]).unwrap_or_default();
            return format!("cf:classic:{}:{id}:{updated}", self.raw_type);
        }
        match &self.event_id {
            Some(id) => format!("cf:{}:{id}", self.origin.workspace.as_deref().unwrap_or_default()),
            None => format!("cf:body:{}", self.hash),
        }
    }

    /// The subject, which is what the event keeps of its body.
    pub fn into_data(mut self) -> Value {
        match self.body.get_mut("data") {
            Some(data) => data.take(),
            None => self.body,
        }
    }
}

/// The form, the type as given, and the body in the one form.
fn unwrapped(mut body: Map<String, Value>) -> (Envelope, String, Map<String, Value>) {
    let is_text = |body: &Map<String, Value>, key: &str| body.get(key).is_some_and(Value::is_string);
    if !is_text(&body, "event_type") && is_text(&body, "event_type_id") {
        return api(body);
    }
    if let Some(type_) = body.get("event_type").and_then(Value::as_str).map(str::to_owned) {
        let is_v1 = body.get("data").and_then(|data| data.get("attributes")).is_some_and(Value::is_object);
        if is_v1 {
            lift(&mut body);
            return (Envelope::V1, type_, body);
        }
        let now = body.contains_key("api_version");
        return (if now { Envelope::V2 } else { Envelope::V2Older }, type_, body);
    }
    if let Some((envelope, type_)) = classic(&body) {
        let data = match envelope {
            Envelope::ClassicNested => {
                body.remove(if type_.starts_with("purchase") { "purchase" } else { "contact" })
            }
            _ => {
                body.remove("event");
                Some(Value::Object(std::mem::take(&mut body)))
            }
        };
        let mut one_form = Map::new();
        one_form.insert("event_type".to_owned(), type_.clone().into());
        one_form.insert("data".to_owned(), data.unwrap_or_default());
        return (envelope, type_, one_form);
    }
    if body.len() == 1
        && let Some((name, subject)) = body.iter().next()
        && name != "data"
        && subject.is_object()
    {
        let type_ = match name.as_str() {
            "platform_application" => "platform_application.disconnected".to_owned(),
            other => other.to_owned(),
        };
        let mut one_form = Map::new();
        one_form.insert("event_type".to_owned(), type_.clone().into());
        one_form.extend(body.into_iter().map(|(_, subject)| ("data".to_owned(), subject)));
        return (Envelope::Naked, type_, one_form);
    }
    (Envelope::Unknown, "unknown".to_owned(), body)
}

/// The API's resource of an event names two things otherwise than the webhook does.
fn api(mut body: Map<String, Value>) -> (Envelope, String, Map<String, Value>) {
    let type_ = body.remove("event_type_id").unwrap_or_default();
    let text = type_.as_str().unwrap_or_default().to_owned();
    body.insert("event_type".to_owned(), type_);
    if let Some(id) = body.remove("uuid") {
        body.insert("event_id".to_owned(), id);
    }
    (Envelope::Api, text, body)
}

/// Version 1 keeps the subject's fields under `attributes`, beside an id and a type of the resource. The id
/// among the attributes is the subject's own.
fn lift(body: &mut Map<String, Value>) {
    let Some(Value::Object(mut resource)) = body.remove("data") else {
        return;
    };
    let id = resource.remove("id");
    let mut data = match resource.remove("attributes") {
        Some(Value::Object(attributes)) => attributes,
        _ => Map::new(),
    };
    if let Some(id) = id.filter(|_| !data.contains_key("id")) {
        data.insert("id".to_owned(), id);
    }
    body.insert("data".to_owned(), Value::Object(data));
}

/// Whether a body is of Classic, flat or nested, and its type there. `event` may be `created` as well as
/// `purchase_created`, and where it is absent the thing was created.
fn classic(body: &Map<String, Value>) -> Option<(Envelope, String)> {
    let event = body.get("event").and_then(Value::as_str).map(|event| event.trim().to_ascii_lowercase());
    let event = event.map(|event| event.replace(['.', '-', ' '], "_"));
    let is_object = |key: &str| body.get(key).is_some_and(Value::is_object);
    let has = |key: &&str| body.contains_key(*key);
    let named = event.as_deref().and_then(|event| {
        let (subject, verb) = event.split_once('_')?;
        matches!(subject, "purchase" | "contact").then_some((subject, verb))
    });
    let is_purchase = ["products", "original_amount_cents", "original_amount", "charge_id"].iter().any(has);
    let (envelope, subject) = if is_object("purchase") {
        (Envelope::ClassicNested, "purchase")
    } else if is_object("contact") && !has(&"id") && !is_purchase {
        (Envelope::ClassicNested, "contact")
    } else if let Some((subject, _)) = named {
        (Envelope::ClassicFlat, subject)
    } else if is_purchase && (event.is_some() || is_object("contact")) {
        (Envelope::ClassicFlat, "purchase")
    } else if has(&"contact_profile") || (event.is_some() && has(&"email")) {
        (Envelope::ClassicFlat, "contact")
    } else {
        return None;
    };
    let verb = named.map(|(_, verb)| verb).or(event.as_deref()).unwrap_or("created");
    Some((envelope, format!("{subject}_{verb}")))
}

/// An event id may come with or without dashes, in either case.
fn normalised(id: &str) -> String {
    Uuid::try_parse(id).map_or_else(|_| id.to_ascii_lowercase(), |id| id.as_hyphenated().to_string())
}

/// A time with its offset; Classic has also been seen to write `2020-02-26 10:05:26 UTC`.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| format!("{}Z", text.strip_suffix(" UTC")?).parse().ok())
}

fn text(body: &Value, pointer: &str) -> Option<String> {
    let text = placeholder::text(pointed(body, pointer)?)?;
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// What stands at a pointer. As serde_json's, which makes two texts of each step to look for escapes that ours never
/// have.
fn pointed<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    if pointer.contains('~') {
        return value.pointer(pointer);
    }
    pointer.split('/').skip(1).try_fold(value, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Older forms name the page and the funnel by their ids alone; forms and orders name them in themselves.
fn origin(body: &Value) -> Origin {
    let first = |pointers: &[&str]| {
        let found = pointers.iter().find_map(|pointer| text(body, pointer));
        found.map(|text| printable(&text, 200))
    };
    Origin {
        workspace: first(&["/workspace_id", "/data/workspace_id"]),
        funnel: first(&["/funnel/id", "/funnel_id", "/data/page/funnel/id", "/data/funnel_id"]),
        funnel_name: first(&["/funnel/name", "/data/page/funnel/name", "/data/funnel_name"]),
        page: first(&["/page/id", "/page_id", "/data/page/id", "/data/page_id"]),
        page_name: first(&["/page/name", "/data/page/name", "/data/page_name"]),
    }
}
