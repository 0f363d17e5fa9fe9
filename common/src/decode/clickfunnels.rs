//! ClickFunnels' webhooks, of either version and of Classic (specification 000, 001 and 003).
//!
//! The body is brought to one form first; the mapping's row then says what it is to us, and each of the
//! files beside this one reads one thing from it.

use super::envelope::View;
use super::{
    Decoded, Parameters, Undecodable, bounded, click_id, order, parameters, person, plain, visits, worth,
};
use crate::attribution::{self, Named};
use crate::conversion::{Claim, Evidence, Refund, Says};
use crate::event::{Envelope, Event, Kind};
use crate::intake::Intake;
use crate::mapping::{self, ClaimKind, Row};
use crate::money::{self, Amount};
use crate::placeholder::{self, KeyPart, Placeholder};
use crate::source::Source;
use crate::trace::Code;
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn decode(intake: &Intake, source: &Source, query: &Parameters) -> Result<Decoded, Undecodable> {
    let view = View::of(parameters::object(&intake.body.0)?, &intake.body.0);
    let mut notes = Vec::new();
    let row = mapping::find(&source.mapping, &view.raw_type, view.body());
    if row.is_none() {
        let detail = match view.envelope {
            Envelope::Unknown => "its envelope is none that we know, and it names no type".to_owned(),
            _ => format!("{} is no type that the mapping knows", view.raw_type),
        };
        notes.push((Code::TypeUnknown, detail));
    }
    let at = view.at.unwrap_or(intake.received_at);
    let test = is_test(view.body());
    let typed = Typed::of(query, &view, &mut notes);
    let name = name(row, typed.name.clone());
    let money = Money::of(row, &view, &typed);
    let key = row.and_then(|row| key(row, &view)).map(bounded);
    if let Some(row) = row.filter(|row| row.claim.is_some() && key.is_none()) {
        let template = row.key.as_deref().unwrap_or_default();
        notes.push((
            Code::Decoded,
            format!("it lacks what its key {template} is made of, and claims nothing"),
        ));
    }
    let claim = row.zip(key.clone()).and_then(|(row, key)| claim(row, key, &view, &money, &typed, at, test));
    let (named, found_by) = click_id::find(&view, source, query);
    let order = order::of(&view);
    let of_key = claim.as_ref().and_then(|claim| Some(claim.key.split_once(':')?.1.to_owned()));
    let event = Event {
        id: intake.id,
        advertiser: source.advertiser.clone(),
        source: source.id.clone(),
        source_event_id: view.event_id.clone().map(bounded),
        key: bounded(view.dedupe_key()),
        raw_type: view.raw_type.clone(),
        number: row.and_then(|row| row.number).or_else(|| plain::number(name.as_deref()?)),
        name,
        kind: row.map_or(Kind::Ignored, |row| row.kind),
        ledger_key: key,
        envelope: view.envelope,
        origin: view.origin.clone(),
        order: order.as_ref().map(|order| order.id.clone()),
        foreign_click: match &named {
            Named::Foreign(text) => Some(text.clone()),
            _ => None,
        },
        at,
        received_at: intake.received_at,
        value: money.event,
        transaction: of_key.or_else(|| order.as_ref().map(|order| order.id.clone())).map(bounded),
        test,
        person: person::of(&view, intake.visitor),
        data: Value::Null,
    };
    let visits = visits::of(&view);
    let erases = view.raw_type == "contact.deleted";
    let event = Event { data: view.into_data(), ..event };
    Ok(Decoded {
        event,
        named,
        found_by,
        claim,
        order,
        visits,
        erases,
        is_visit: false,
        trl_test: false,
        notes,
    })
}

/// What was typed into the endpoint's URL, or is found at the paths that were typed there.
struct Typed {
    name: Option<String>,
    value: Option<Amount>,
    currency: Option<iso_currency::Currency>,
}

impl Typed {
    fn of(query: &Parameters, view: &View, notes: &mut Vec<(Code, String)>) -> Self {
        let meant = |names: &[&str]| {
            let given = query.first(names)?;
            let text = match placeholder::parse(&given) {
                Some(Placeholder::EventName | Placeholder::Amount) => None,
                Some(Placeholder::Path(path)) => click_id::resolve(view, path),
                None => Some(given),
            };
            text.filter(|text| !text.trim().is_empty() && !attribution::is_placeholder(text.trim()))
        };
        let currency = meant(&["currency"]).and_then(|code| money::currency(&code));
        let value = meant(&plain::VALUE).and_then(|text| plain::amount(&text, notes));
        let value = value.map(|amount| Amount { amount, currency });
        Self { name: meant(&plain::EVENT).map(|name| super::printable(name.trim(), 100)), value, currency }
    }
}

/// A name that was typed counts for what the mapping gives a name to: an update of a contact, or what is of
/// an unknown type, is no `purchase` because its endpoint's URL says so.
fn name(row: Option<&Row>, typed: Option<String>) -> Option<String> {
    let own = row?.parameter.as_ref()?;
    Some(typed.unwrap_or_else(|| own.clone()))
}

/// The money of an event.
struct Money {
    /// What it is worth; of a refund, what went back.
    event: Option<Amount>,
    /// What its sale is worth, by it.
    sale: Option<Amount>,
    /// What went back.
    refunded: Option<Amount>,
}

impl Money {
    /// A value that was typed counts before what the body says; a currency that was typed only where the
    /// body names none.
    fn of(row: Option<&Row>, view: &View, typed: &Typed) -> Self {
        let Some(row) = row else {
            return Self { event: typed.value, sale: None, refunded: None };
        };
        let complete = |found: Amount| Amount { currency: found.currency.or(typed.currency), ..found };
        let instead = |found: Amount| typed.value.unwrap_or_else(|| complete(found));
        let sale = worth::value(row, view).map(complete);
        let refunded = worth::refunded(row, view).map(instead);
        if row.claim == Some(ClaimKind::Refund) {
            return Self { event: refunded, sale: sale.map(instead), refunded };
        }
        let sale = typed.value.or(sale);
        Self { event: sale, sale, refunded }
    }
}

/// Fills a row's key; none where the body lacks a part of it.
fn key(row: &Row, view: &View) -> Option<String> {
    let mut key = String::new();
    for part in KeyPart::all(row.key.as_deref()?)? {
        match part {
            KeyPart::Text(text) => key.push_str(text),
            KeyPart::Path("contact_id") => key.push_str(&person::contact(view)?),
            KeyPart::Path("event_id") => key.push_str(view.event_id.as_ref().unwrap_or(&view.hash)),
            KeyPart::Path("body_sha256") => key.push_str(&view.hash),
            KeyPart::Path(path) => key.push_str(&view.text(&[&format!("/{}", path.replace('.', "/"))])?),
        }
    }
    Some(key)
}

fn claim(
    row: &Row,
    key: String,
    view: &View,
    money: &Money,
    typed: &Typed,
    at: Timestamp,
    test: bool,
) -> Option<Claim> {
    let evidence = row.evidence.unwrap_or(Evidence::Order);
    let subject = bounded(view.text(&["/data/id", "/subject_id"]).unwrap_or_default());
    let says = match row.claim? {
        ClaimKind::Pending => Says::Pending,
        ClaimKind::Approved => Says::Approved,
        ClaimKind::Rejected => Says::Rejected,
        ClaimKind::Void => Says::Void,
        ClaimKind::State => Says::Nothing,
        ClaimKind::Refund => Says::Refund(Refund {
            subject: subject.clone(),
            evidence,
            amount: money.refunded.map(|refunded| refunded.amount),
            of: row.of.as_deref().and_then(|at| view.text(&[at])).map(bounded),
            whole: row.whole,
            partial: view
                .text(&["/data/status", "/data/billing_status"])
                .is_some_and(|status| status.to_ascii_lowercase().starts_with("partial")),
        }),
    };
    let own = || row.counts_as.clone().or_else(|| row.parameter.clone());
    let name =
        if matches!(says, Says::Pending | Says::Approved) { typed.name.clone().or_else(own) } else { None };
    Some(Claim { key, name, says, value: money.sale, evidence, subject, at, test })
}

/// Whether a body says anywhere that it is of a test order. What a form was filled with says nothing.
fn is_test(body: &Value) -> bool {
    match body {
        Value::Object(fields) => fields.iter().any(|(name, value)| match value {
            Value::Bool(live) => name == "live_mode" && !live,
            value => is_test(value),
        }),
        Value::Array(items) => items.iter().any(is_test),
        _ => false,
    }
}
