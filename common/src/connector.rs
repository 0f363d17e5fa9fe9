//! A connector: whom to tell (Webhook), of what (Trigger), and whether at all (Mode).

mod authorization;
mod click_id;
pub mod limits;
mod pixel;
mod rate;
mod signing;
pub mod success;
mod trigger;
mod webhook;

use crate::condition::Condition;
use crate::id::{AdvertiserId, ConnectorId};
use crate::time::Span;
pub use authorization::Authorization;
pub use click_id::{ClickIdMatching, ClickSource, Model};
use jiff::{SignedDuration, Timestamp};
pub use pixel::Pixel;
pub use rate::{InvalidRate, Rate};
use serde::{Deserialize, Serialize};
pub use signing::Signing;
pub use success::{JsonRule, Success, TextRule};
pub use trigger::{InvalidTrigger, Trigger};
pub use webhook::{Empty, Encoding, Header, Method, Parameter, Unresolved, Webhook};

/// A connector (specification 002 and 004).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// Its fixed id: the name of its queue and its label in metrics.
    pub id: ConnectorId,
    /// Who owns it; only this advertiser's events reach it.
    pub advertiser: AdvertiserId,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// Whether it sends.
    #[serde(default)]
    pub mode: Mode,
    /// The events that it fires on; any one is enough.
    pub triggers: Vec<Trigger>,
    /// When a conversion is told: once it is approved, or as soon as it is seen.
    #[serde(default)]
    pub fire_at: FireAt,
    /// What must hold, all of it, for it to be selected.
    #[serde(default, rename = "condition", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Whose click id it is told, and whether it is told at all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_id: Option<ClickIdMatching>,
    /// How old an event may be, from when it happened, to be sent. Older ones are dead as `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_event_age: Option<Span>,
    /// The currencies (ISO 4217) of the values that it is told of; empty for any. What has no value is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
    /// The request that it makes: its server-side half. A connector has this half, the other, or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// The code that it fires in the browser: its other half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel: Option<Pixel>,
}

/// Whether a connector selects events and sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Live.
    #[default]
    Enabled,
    /// Everything happens but the sending.
    Test,
    /// Nothing is selected.
    Disabled,
}

/// When a connector is told of a conversion. Either way it is told once, under one id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FireAt {
    /// When it is first known to have been approved.
    #[default]
    Approved,
    /// When it is first seen, pending or approved.
    Pending,
}

impl Connector {
    /// The age that an event of `at` exceeds at `now`; none where it may still be sent.
    pub fn exceeded_age(&self, at: Timestamp, now: Timestamp) -> Option<Span> {
        let longest = |age: &Span| SignedDuration::try_from(age.0).unwrap_or(SignedDuration::MAX);
        self.max_event_age.filter(|age| now.duration_since(at) > longest(age))
    }

    /// An Enabled one that fires on nothing yet.
    pub fn new(id: ConnectorId, advertiser: AdvertiserId, webhook: Webhook) -> Self {
        Self {
            id,
            advertiser,
            name: String::new(),
            mode: Mode::Enabled,
            triggers: Vec::new(),
            fire_at: FireAt::Approved,
            conditions: Vec::new(),
            click_id: None,
            max_event_age: None,
            currencies: Vec::new(),
            webhook: Some(webhook),
            pixel: None,
        }
    }

    /// Its webhook, where it has one that is switched on. The connector's own mode is another matter.
    pub fn live_webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref().filter(|webhook| webhook.enabled)
    }

    /// Its pixel, where it has one that is switched on. The connector's own mode is another matter.
    pub fn live_pixel(&self) -> Option<&Pixel> {
        self.pixel.as_ref().filter(|pixel| pixel.enabled)
    }

    /// The same with its webhook switched on, where it has one.
    #[must_use]
    pub fn with_live_webhook(&self) -> Self {
        let webhook = self.webhook.as_ref().map(|webhook| Webhook { enabled: true, ..webhook.clone() });
        Self { webhook, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_is_told_at_the_approval_unless_it_says_pending() {
        let read = |fire_at: &str| {
            let text = format!(
                "id = \"n\"\nadvertiser = \"a\"\ntriggers = [\"conversion\"]\n{fire_at}\n[webhook]\nurl = \"https://n.example/\""
            );
            toml::from_str::<Connector>(&text).map(|connector| connector.fire_at)
        };
        assert_eq!(read(""), Ok(FireAt::Approved));
        assert_eq!(read("fire_at = \"approved\""), Ok(FireAt::Approved));
        assert_eq!(read("fire_at = \"pending\""), Ok(FireAt::Pending));
        assert!(read("fire_at = \"seen\"").unwrap_err().message().contains("`approved` or `pending`"));
    }
}
