//! ClickFunnels' webhooks, version 2 (specification 001 and 003).

use super::{Decoded, Parameters, Undecodable, bounded, hex, parameters, plain};
use crate::attribution::{self, FoundBy, Named};
use crate::conversion::{Claim, Evidence, Refund, Says};
use crate::event::{Envelope, Event, Kind, Origin, Person};
use crate::intake::Intake;
use crate::mapping::{self, ClaimKind, Row};
use crate::money::{self, Amount};
use crate::placeholder::{self, Placeholder};
use crate::source::Source;
use crate::trace::Code;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(super) fn decode(intake: &Intake, source: &Source, query: &Parameters) -> Result<Decoded, Undecodable> {
    let body = Value::Object(parameters::object(&intake.body.0)?);
    let mut notes = Vec::new();
    let given_type = body.get("event_type").and_then(Value::as_str);
    let raw_type: String = mapping::canonical(given_type.unwrap_or("unknown")).chars().take(100).collect();
    let row = mapping::find(&raw_type, &body);
    if row.is_none() {
        notes.push((Code::TypeUnknown, format!("{raw_type} is no type that the mapping knows")));
    }
    let source_event_id = body.get("event_id").and_then(placeholder::text).map(|id| normalised(&id));
    let key = match &source_event_id {
        Some(id) => format!(
            "cf:{}:{id}",
            text_at(&body, &["/workspace_id", "/data/workspace_id"]).unwrap_or_default()
        ),
        None => format!("cf:body:{}", hex(&Sha256::digest(&intake.body.0))),
    };
    let at = text_at(&body, &["/created_at"]).and_then(|at| at.parse::<Timestamp>().ok());
    let event_parameter = static_value(query, &plain::EVENT);
    let value = row.and_then(|row| value(row, &body));
    let value =
        if static_value(query, &plain::VALUE).is_some() { plain::value(query, &mut notes) } else { value };
    let test = ["/data/live_mode", "/data/order/live_mode"]
        .iter()
        .any(|at| body.pointer(at) == Some(&Value::Bool(false)));
    let conversion_key = row.and_then(|row| fill_key(row.key.as_deref()?, &body, source_event_id.as_deref()));
    let claim = row.and_then(|row| {
        claim(
            row,
            conversion_key.clone()?,
            value,
            event_parameter.as_deref(),
            &body,
            at.unwrap_or(intake.received_at),
            test,
        )
    });
    let (named, found_by) = click_id(&body, source, query);
    let event = Event {
        id: intake.id,
        advertiser: source.advertiser.clone(),
        source: source.id.clone(),
        source_event_id: source_event_id.map(bounded),
        key: bounded(key),
        name: event_parameter.or_else(|| row.and_then(|row| row.parameter.clone())),
        number: row.and_then(|row| row.number),
        kind: row.map_or(Kind::Ignored, |row| row.kind),
        ledger_key: conversion_key.clone(),
        envelope: Envelope::V2,
        origin: Origin::default(),
        order: None,
        foreign_click: None,
        raw_type,
        at: at.unwrap_or(intake.received_at),
        received_at: intake.received_at,
        value,
        transaction: conversion_key
            .as_deref()
            .and_then(|key| key.split_once(':'))
            .map(|(_, id)| bounded(id.to_owned())),
        test,
        person: person(&body, intake),
        data: body.get("data").cloned().unwrap_or_default(),
    };
    Ok(Decoded { event, named, found_by, claim, order: None, visits: Vec::new(), erases: false, notes })
}

/// An event id may come with or without dashes, in either case.
fn normalised(id: &str) -> String {
    Uuid::try_parse(id).map_or_else(|_| id.to_ascii_lowercase(), |id| id.as_hyphenated().to_string())
}

fn text_at(body: &Value, pointers: &[&str]) -> Option<String> {
    pointers
        .iter()
        .find_map(|at| body.pointer(at).and_then(placeholder::text))
        .filter(|text| !text.is_empty())
}

/// A value that was typed into the endpoint's URL, and is no placeholder.
fn static_value(query: &Parameters, names: &[&str]) -> Option<String> {
    let value = query.first(names).filter(|value| !attribution::is_placeholder(value))?;
    Some(value.chars().take(100).collect())
}

fn value(row: &Row, body: &Value) -> Option<Amount> {
    let amount = money::decimal_in(body.pointer(row.value.as_deref()?)?)?;
    let currency =
        row.currency.as_deref().and_then(|at| body.pointer(at)?.as_str()).and_then(money::currency);
    Some(Amount { amount, currency })
}

/// Fills a key such as `order:{data.id}`; none where the body lacks a part of it.
fn fill_key(template: &str, body: &Value, event_id: Option<&str>) -> Option<String> {
    let mut key = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (path, after) = after.split_once('}')?;
        key.push_str(before);
        key.push_str(&match path {
            "contact_id" => contact_id(body)?,
            "event_id" => event_id?.to_owned(),
            path => text_at(body, &[&format!("/{}", path.replace('.', "/"))])?,
        });
        rest = after;
    }
    key.push_str(rest);
    Some(bounded(key))
}

fn contact_id(body: &Value) -> Option<String> {
    if text_at(body, &["/subject_type"]).as_deref() == Some("Contact") {
        return text_at(body, &["/data/id", "/subject_id"]);
    }
    let elsewhere =
        ["/data/contact_id", "/data/contact/id", "/data/order/contact_id", "/data/order/contact/id"];
    text_at(body, &elsewhere).or_else(|| {
        let type_ = text_at(body, &["/event_type"])?;
        type_.starts_with("contact.").then(|| text_at(body, &["/data/id"])).flatten()
    })
}

fn person(body: &Value, intake: &Intake) -> Person {
    let is_contact = text_at(body, &["/subject_type"]).as_deref() == Some("Contact");
    let own = |name: &str| {
        if is_contact { text_at(body, &[&format!("/data/{name}")]) } else { None }
    };
    let nested = |name: &str| {
        text_at(body, &[&format!("/data/contact/{name}"), &format!("/data/order/contact/{name}")])
    };
    let form =
        |name: &str| text_at(body, &[&format!("/data/data/contact/{name}"), &format!("/data/data/{name}")]);
    Person {
        visitor: intake.visitor,
        contact: contact_id(body),
        email: own("email_address").or_else(|| nested("email_address")).or_else(|| form("email")),
        phone: own("phone_number").or_else(|| nested("phone_number")).or_else(|| form("phone_number")),
    }
}

fn claim(
    row: &Row,
    key: String,
    value: Option<Amount>,
    name: Option<&str>,
    body: &Value,
    at: Timestamp,
    test: bool,
) -> Option<Claim> {
    let evidence = row.evidence.unwrap_or(Evidence::Order);
    let says = match row.claim? {
        ClaimKind::Pending => Says::Pending,
        ClaimKind::Approved => Says::Approved,
        ClaimKind::Rejected => Says::Rejected,
        ClaimKind::Void => Says::Void,
        ClaimKind::State => Says::Nothing,
        ClaimKind::Refund => {
            let subject = text_at(body, &["/data/id"]).unwrap_or_default();
            Says::Refund(Refund {
                subject: bounded(subject),
                evidence,
                amount: value.map(|value| value.amount),
                of: None,
                whole: false,
                partial: false,
            })
        }
    };
    let value = value.filter(|_| !matches!(says, Says::Refund(_)));
    let name = name.map(ToOwned::to_owned).or_else(|| row.parameter.clone());
    let name = name.filter(|_| matches!(says, Says::Pending | Says::Approved));
    Some(Claim { key, name, says, value, evidence, subject: String::new(), at, test })
}

/// Looks for the click id in the order of the domain: attributes, form fields, landing pages, the query.
/// A placeholder found on the way counts only where nothing better is found.
fn click_id(body: &Value, source: &Source, query: &Parameters) -> (Named, FoundBy) {
    let mut placeholder = None;
    let mut consider = |value: Option<String>, found_by: FoundBy| match attribution::named(&value?) {
        Named::Nothing => None,
        Named::Placeholder(text) => {
            placeholder.get_or_insert((Named::Placeholder(text), found_by));
            None
        }
        named => Some((named, found_by)),
    };
    for at in ["/data", "/data/contact", "/data/order/contact", "/data/primary_contact"] {
        let attributes = body.pointer(&format!("{at}/custom_attributes"));
        if let Some(found) = consider(by_key(attributes, &source.click_id_keys), FoundBy::CustomAttribute) {
            return found;
        }
    }
    for at in ["/data/data", "/data/data/contact"] {
        if let Some(found) = consider(by_key(body.pointer(at), &source.click_id_keys), FoundBy::FormField) {
            return found;
        }
    }
    for page in landing_pages(body) {
        let keys: Vec<_> = source.click_id_keys.iter().map(String::as_str).collect();
        let parameters = page
            .split_once('?')
            .map(|(_, query)| Parameters::of_query(query.split('#').next().unwrap_or(query)));
        if let Some(found) =
            consider(parameters.and_then(|parameters| parameters.first(&keys)), FoundBy::LandingPage)
        {
            return found;
        }
    }
    for key in &source.click_id_keys {
        let value = query.first(&[key]).and_then(|value| match placeholder::parse(&value) {
            Some(Placeholder::Path(path)) => placeholder::resolve(body, path),
            _ => Some(value),
        });
        if let Some(found) = consider(value, FoundBy::Query) {
            return found;
        }
    }
    placeholder.unwrap_or((Named::Nothing, FoundBy::None))
}

fn by_key(object: Option<&Value>, keys: &[String]) -> Option<String> {
    let object = object?.as_object()?;
    keys.iter().find_map(|key| {
        let (_, value) = object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        placeholder::text(value).filter(|text| !text.trim().is_empty())
    })
}

fn landing_pages(body: &Value) -> impl Iterator<Item = &str> {
    let subjects = ["/data/contact", "/data", "/data/order", "/data/order/contact"];
    let visits = ["last_visit_with_utm", "last_visit", "first_visit"];
    subjects.into_iter().flat_map(move |subject| {
        visits.into_iter().filter_map(move |visit| {
            body.pointer(&format!("{subject}/visits/{visit}/landing_page"))?.as_str()
        })
    })
}
