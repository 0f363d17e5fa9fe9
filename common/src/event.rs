//! An event: what happened, as its source says, in our words.

mod data;

use crate::click::Click;
use crate::conversion::Status;
use crate::id::{AdvertiserId, EventId, SourceId, VisitorId};
use crate::money::Amount;
use crate::touch::Touch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an event is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It counts, once approved.
    Conversion,
    /// Money of a conversion went back.
    Refund,
    /// It changes a conversion's state and is none itself.
    Adjustment,
    /// A custom or named event that a plain source sent.
    Event,
    /// A milestone that is not paid.
    Kpi,
    /// It tells who somebody is.
    Identity,
    /// Recorded, of no further use.
    Ignored,
}

impl Kind {
    /// The kind as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversion => "conversion",
            Self::Refund => "refund",
            Self::Adjustment => "adjustment",
            Self::Event => "event",
            Self::Kpi => "kpi",
            Self::Identity => "identity",
            Self::Ignored => "ignored",
        }
    }
}

/// An event as resolved from one intake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Our id: that of the intake it came in by.
    pub id: EventId,
    /// Who owns its source.
    pub advertiser: AdvertiserId,
    /// Who sent it.
    pub source: SourceId,
    /// The id that its sender gave it, normalised, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_event_id: Option<String>,
    /// What copies of it share, within the advertiser: the dedupe key.
    pub key: String,
    /// The source's type (`order.created`); for plain events the event parameter.
    #[serde(rename = "type")]
    pub raw_type: String,
    /// The mapped event parameter (`purchase`), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its number among the custom events, 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
    /// What it is to us.
    pub kind: Kind,
    /// What its key is among conversions, milestones and identities, by the mapping: `order:22642`,
    /// `contact:24359`, `tag:4`. Only those that are claimed become conversions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_key: Option<String>,
    /// The form that its body came in.
    #[serde(default)]
    pub envelope: Envelope,
    /// Where it happened, as its sender names it.
    #[serde(default, skip_serializing_if = "Origin::is_empty")]
    pub origin: Origin,
    /// The order that it is about, or belongs to: the sender's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The click id that it gives, where that is none of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_click: Option<String>,
    /// When it happened, by its sender's clock.
    pub at: Timestamp,
    /// When it came in, by ours.
    pub received_at: Timestamp,
    /// What it is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// The sender's id of the purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<String>,
    /// Whether it is of a test order: recorded, not sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// Who it names.
    #[serde(default)]
    pub person: Person,
    /// The sender's own data: a body's `data`, or the plain parameters. Macros reach into it by path.
    #[serde(default)]
    pub data: Value,
}

impl Event {
    /// The key under which it is counted among its visitor's named events, where it has a name and is no
    /// test: the several events of one purchase are one, and so are those of one contact's lead.
    pub fn counted_as(&self) -> Option<String> {
        let name = self.name.as_deref().filter(|_| !self.test && self.kind != Kind::Ignored)?;
        Some(format!("{} {}", name.to_lowercase(), self.ledger_key.as_deref().unwrap_or(&self.key)))
    }

    /// What is left of it when its person was erased, or when its payload was kept for long enough: ids,
    /// kinds, times and money, which are the ledger.
    #[must_use]
    pub fn without_person(self) -> Self {
        Self { person: Person::default(), data: Value::Null, foreign_click: None, ..self }
    }
}

/// The forms that bodies come in (specification 001 and 003).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Parameters: a query, a form, a flat JSON object.
    #[default]
    Plain,
    /// ClickFunnels' version 2, as it is sent now.
    V2,
    /// Version 2 as it was sent before: `page_id` and `funnel_id`, no `api_version`.
    V2Older,
    /// The API's resource of an event: `uuid`, `event_type_id`.
    Api,
    /// Version 1: `data` holds `id`, `type` and `attributes`.
    V1,
    /// The subject alone, under its name.
    Naked,
    /// Classic, flat.
    ClassicFlat,
    /// Classic, the subject under its name.
    ClassicNested,
    /// None of these.
    Unknown,
}

/// Where an event happened, as its sender names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The workspace's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The funnel's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// The funnel's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel_name: Option<String>,
    /// The page's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The page's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_name: Option<String>,
}

impl Origin {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A visit that a funnel recorded on its own pages: a touch, without a click of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The funnel's id of it.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// Its utm values and the ad platforms' click ids, and all that its landing page's query carried: bounded,
    /// masked where secret, and without who somebody is.
    pub parameters: Vec<(String, String)>,
    /// The page that they landed on, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landing_page: Option<String>,
    /// Where they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// What they held in their hands, in lower case: `desktop`, `mobile`, `tablet`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// What an event tells of an order, for the events that name only the order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSeen {
    /// The sender's id of the order.
    pub id: String,
    /// Whether it is a subscription, where the event says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<bool>,
    /// The contact that ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The funnel that it was ordered in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// The products ordered, by the sender's ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
    /// Whether one of its lines is an order bump: part of the total, marked, with no money of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bump: bool,
    /// Whether it is the order itself, or a document of it, rather than a transaction that only names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub described: bool,
}

/// Whom an event names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The browser that sent it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorId>,
    /// The sender's id of the contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// As given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// As given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// What a delivery may tell: the event, the click it is attributed to, and the conversion's step.
/// It travels with the delivery's message, so that a connector is rendered as it is when it is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The event that the delivery was selected for.
    pub event: Event,
    /// The attributed click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<Click>,
    /// The conversion, where the event is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<ConversionFacts>,
    /// The visitor's newest touch: what its link carried, and the page that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<Touch>,
    /// The click id that the connector's own click ID matching found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_click_id: Option<String>,
    /// Whether somebody asked for it to be sent in Test mode: `trl_test=1` stood on a URL.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trl_test: bool,
}

impl Facts {
    /// Of an event, of which nothing else is known.
    pub fn new(event: Event) -> Self {
        Self { event, click: None, conversion: None, touch: None, matched_click_id: None, trl_test: false }
    }

    /// The facts that are nobody's: without the person, the sender's data and the click.
    #[must_use]
    pub fn without_person(self) -> Self {
        Self { conversion: self.conversion, ..Self::new(self.event.without_person()) }
    }
}

/// A conversion as it stood when a delivery was selected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionFacts {
    /// Its key within the advertiser, such as `order:22642`.
    pub key: String,
    /// The name that this step is told under: that of the conversion, or `refund`. The event that brought
    /// the step may have another, as a sale that completes an early refund has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its status then.
    pub status: Status,
    /// What it was worth then; of a refund step, what has been refunded in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Amount>,
    /// What the offer's rule gives for this step, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Amount>,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A purchase of 396 USD on 2026-01-10 at noon.
    pub(crate) fn event(advertiser: &str) -> Event {
        let at = "2026-01-10T12:00:00Z".parse().unwrap();
        Event {
            id: EventId::new(),
            advertiser: advertiser.parse().unwrap(),
            source: "shop".parse().unwrap(),
            source_event_id: None,
            key: "key".into(),
            raw_type: "one-time-order.completed".into(),
            name: Some("purchase".into()),
            number: None,
            kind: Kind::Conversion,
            ledger_key: None,
            envelope: Envelope::V2,
            origin: Origin::default(),
            order: None,
            foreign_click: None,
            at,
            received_at: at,
            value: Some(Amount {
                amount: "396.00".parse().unwrap(),
                currency: crate::money::currency("USD"),
            }),
            transaction: Some("22642".into()),
            test: false,
            person: Person::default(),
            data: Value::Null,
        }
    }
}
