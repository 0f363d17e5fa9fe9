//! Plain sources: `click_id`, `event_parameter`, `payout` and their kin as parameters (specification 000).

use super::{Decoded, Parameters, Undecodable, bounded, person, printable};
use crate::attribution::{self, FoundBy, Named};
use crate::conversion::{Claim, Evidence, Refund, Says};
use crate::event::{Envelope, Event, Kind, Origin, Person, Visit};
use crate::intake::Intake;
use crate::money::{self, Amount};
use crate::source::{self, Source};
use crate::trace::Code;
use jiff::Timestamp;
use rust_decimal::Decimal;

/// The names that an event's parameter may come under.
pub(super) const EVENT: [&str; 4] = ["event_parameter", "event", "event_name", "et"];
/// The names that an event's value may come under.
pub(super) const VALUE: [&str; 5] = ["payout", "value", "amount", "revenue", "sum"];
/// The names that a purchase's id may come under.
const TRANSACTION: [&str; 3] = ["txid", "transaction_id", "order_id"];
/// Event parameters that count as conversions.
const CONVERSIONS: [&str; 9] =
    ["conversion", "purchase", "sale", "lead", "upsell", "subscribe", "rebill", "trial", "booking"];
/// Event parameters that give money back.
const REFUNDS: [&str; 2] = ["refund", "chargeback"];

pub(super) fn decode(intake: &Intake, source: &Source, query: &Parameters) -> Result<Decoded, Undecodable> {
    let body = Parameters::of_body(intake.content_type.as_deref(), &intake.body.0)?;
    // A signature is over the body: whoever has seen a signed request could send it again with another query.
    let parameters = if source.signature.is_some() { body } else { query.clone().and(body) };
    let name = parameters.first(&EVENT).filter(|name| !attribution::is_placeholder(name));
    let name: String = name.unwrap_or_else(|| "conversion".to_owned()).chars().take(100).collect();
    let keys: Vec<_> = source.click_id_keys.iter().map(String::as_str).collect();
    let click = parameters.first(&keys);
    let said = Said {
        kind: kind(&name),
        name,
        found_by: if click.is_some() { FoundBy::Query } else { FoundBy::None },
        click,
        one_click: true,
        id: parameters.first(&["event_id"]),
        status: parameters.first(&["status"]),
        at: intake.received_at,
        visits: Vec::new(),
        trl_test: false,
        parameters,
    };
    Ok(event(said, intake, source))
}

/// An event as parameters tell it, with what senders tell each in their own way.
pub(super) struct Said {
    /// Everything that was given.
    pub(super) parameters: Parameters,
    /// What happened.
    pub(super) name: String,
    /// What that is to us.
    pub(super) kind: Kind,
    /// The click id, as given.
    pub(super) click: Option<String>,
    /// Where that stood.
    pub(super) found_by: FoundBy,
    /// Whether a click id that is none of ours is one click's. In a page's address it may be a whole campaign's.
    pub(super) one_click: bool,
    /// The sender's own id of it.
    pub(super) id: Option<String>,
    /// The status of a conversion, as given.
    pub(super) status: Option<String>,
    /// When it happened.
    pub(super) at: Timestamp,
    /// The visits that led to it.
    pub(super) visits: Vec<Visit>,
    /// Whether its page was opened to try connectors.
    pub(super) trl_test: bool,
}

/// The event that parameters tell.
pub(super) fn event(said: Said, intake: &Intake, source: &Source) -> Decoded {
    let Said { parameters, name, kind, click: given_click, found_by, id: source_event_id, .. } = said;
    let mut notes = Vec::new();
    let named = given_click.as_deref().map_or(Named::Nothing, attribution::named);
    let value = value(&parameters, &mut notes);
    let transaction = parameters.first(&TRANSACTION).filter(|id| !attribution::is_placeholder(id));

    let click_key =
        given_click.filter(|_| said.one_click && matches!(named, Named::Click(_) | Named::Foreign(_)));
    let conversion_key = match (&transaction, &named, click_key) {
        (Some(id), _, _) => Some(format!("txid:{id}")),
        (None, Named::Click(id), _) => Some(format!("click:{id}:{}", conversion_name(&name, kind))),
        (None, _, Some(given)) => Some(format!("click:{given}:{}", conversion_name(&name, kind))),
        (None, _, None) => None,
    };
    let key = match (&source_event_id, &conversion_key) {
        (Some(id), _) => format!("{}:id:{id}", source.id),
        (None, Some(key)) => {
            let amount = value.filter(|_| kind == Kind::Refund).map(|value| value.amount.to_string());
            format!("{}:{name}:{key}:{}", source.id, amount.unwrap_or_default())
        }
        // Nothing tells this event from the next of its kind, so none is taken for a copy.
        (None, None) => format!("{}:intake:{}", source.id, intake.id),
    };
    let person = Person {
        visitor: intake.visitor,
        contact: given(&parameters, "contact_id").map(bounded),
        email: given(&parameters, "email").as_deref().and_then(person::email),
        phone: given(&parameters, "phone"),
    };
    let alone = || match (source.kind, &source_event_id) {
        // A call that is sent again comes by another intake, and is to be told under the same ids.
        (source::Kind::Tag, Some(id)) => format!("event:{id}"),
        _ => format!("event:{}", intake.id),
    };
    let claim =
        claim(kind, &name, conversion_key.unwrap_or_else(alone), said.status, value, intake.received_at);
    let event = Event {
        id: intake.id,
        advertiser: source.advertiser.clone(),
        source: source.id.clone(),
        source_event_id: source_event_id.map(bounded),
        key: bounded(key),
        raw_type: name.clone(),
        number: number(&name),
        name: Some(name),
        kind,
        ledger_key: claim.as_ref().map(|claim| claim.key.clone()),
        envelope: Envelope::Plain,
        origin: Origin::default(),
        order: None,
        foreign_click: match &named {
            Named::Foreign(text) => Some(text.clone()),
            _ => None,
        },
        at: said.at,
        received_at: intake.received_at,
        value,
        transaction: transaction.map(bounded),
        test: false,
        person,
        data: parameters.into_object(),
    };
    let found_by = if named == Named::Nothing { FoundBy::None } else { found_by };
    let (visits, trl_test) = (said.visits, said.trl_test);
    Decoded {
        event,
        named,
        found_by,
        claim,
        order: None,
        visits,
        erases: false,
        is_visit: false,
        trl_test,
        notes,
    }
}

/// A parameter that is not a macro which nobody filled in.
fn given(parameters: &Parameters, name: &str) -> Option<String> {
    let value = parameters.first(&[name]).filter(|value| !attribution::is_placeholder(value.trim()))?;
    Some(printable(value.trim(), 254))
}

pub(super) fn kind(name: &str) -> Kind {
    let name = name.to_ascii_lowercase();
    if CONVERSIONS.contains(&name.as_str()) {
        Kind::Conversion
    } else if REFUNDS.contains(&name.as_str()) {
        Kind::Refund
    } else {
        Kind::Event
    }
}

/// A refund without a purchase's id is of the purchase of its click.
fn conversion_name(name: &str, kind: Kind) -> &str {
    if kind == Kind::Refund { "purchase" } else { name }
}

/// The number in `event1` to `event10`.
pub(super) fn number(name: &str) -> Option<u8> {
    let digits = name.to_ascii_lowercase().strip_prefix("event")?.trim_start().parse().ok()?;
    (1..=10).contains(&digits).then_some(digits)
}

fn value(parameters: &Parameters, notes: &mut Vec<(Code, String)>) -> Option<Amount> {
    let given = parameters.first(&VALUE).filter(|text| !attribution::is_placeholder(text))?;
    let amount = amount(&given, notes)?;
    let code = parameters.first(&["currency"]);
    let currency = code.as_deref().and_then(money::currency);
    if code.is_some() && currency.is_none() {
        notes.push((Code::Decoded, "its currency is not of ISO 4217, and is left out".to_owned()));
    }
    Some(Amount { amount, currency })
}

/// Reads a value that came as a parameter, and tells where it is none.
pub(super) fn amount(given: &str, notes: &mut Vec<(Code, String)>) -> Option<Decimal> {
    let amount = money::decimal(given);
    if amount.is_none() {
        notes.push((Code::Decoded, "its value is not a decimal number, and is left out".to_owned()));
    }
    amount
}

fn claim(
    kind: Kind,
    name: &str,
    key: String,
    status: Option<String>,
    value: Option<Amount>,
    at: Timestamp,
) -> Option<Claim> {
    let key = bounded(key);
    let says = match kind {
        Kind::Conversion => match status.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("pending") => Says::Pending,
            Some("rejected" | "declined") => Says::Rejected,
            Some("void" | "canceled" | "cancelled") => Says::Void,
            _ => Says::Approved,
        },
        Kind::Refund => {
            let amount = value.map(|value| value.amount.abs());
            // Each report of an amount of its own is a refund of its own.
            let subject = amount.map_or_else(String::new, |amount| amount.normalize().to_string());
            Says::Refund(Refund {
                subject,
                evidence: Evidence::Transaction,
                amount,
                of: None,
                whole: false,
                partial: false,
            })
        }
        _ => return None,
    };
    let name = (kind == Kind::Conversion).then(|| name.to_owned());
    // A refund's parameters say what went back, and nothing of what the sale is worth.
    let value = value.filter(|_| kind == Kind::Conversion);
    Some(Claim { key, name, says, value, evidence: Evidence::Order, subject: String::new(), at, test: false })
}
