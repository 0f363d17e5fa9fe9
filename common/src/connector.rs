//! A connector: whom to tell (Webhook), of what (Trigger), and whether at all (Mode).

use crate::id::{AdvertiserId, ConnectorId};
use crate::secret::SecretRef;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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
    /// The request that it makes.
    pub webhook: Webhook,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FireAt {
    /// When it is first known to have been approved.
    #[default]
    Approved,
    /// When it is first seen, pending or approved.
    Pending,
}

/// What a connector fires on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trigger {
    /// Any conversion, once, when it is first approved.
    Conversion,
    /// Any refund, once per change of the refunded amount.
    Refund,
    /// A custom event by its number, 1 to 10.
    Number(u8),
    /// An event by its mapped name, such as `purchase` or `lead`.
    Name(String),
    /// A raw type of a source, such as `order.created`; fires per event.
    Raw(String),
}

/// Why a trigger was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a trigger: write conversion, refund, event 1 to event 10, an event's name, or a source's type such as order.created"
)]
pub struct InvalidTrigger(String);

impl FromStr for Trigger {
    type Err = InvalidTrigger;

    fn from_str(text: &str) -> Result<Self, InvalidTrigger> {
        let refuse = || InvalidTrigger(text.chars().take(80).collect());
        match text {
            "conversion" => return Ok(Self::Conversion),
            "refund" => return Ok(Self::Refund),
            _ => {}
        }
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return Err(refuse());
        }
        let digits = text.strip_prefix("event ").or_else(|| text.strip_prefix("event"));
        if let Some(number) = digits.and_then(|digits| digits.parse::<u8>().ok()) {
            return if (1..=10).contains(&number) { Ok(Self::Number(number)) } else { Err(refuse()) };
        }
        if crate::mapping::is_raw_type(text) {
            // Events carry the catalogue's spelling, whatever their sender wrote.
            Ok(Self::Raw(crate::mapping::canonical(text).to_owned()))
        } else {
            Ok(Self::Name(text.to_owned()))
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversion => f.write_str("conversion"),
            Self::Refund => f.write_str("refund"),
            Self::Number(number) => write!(f, "event {number}"),
            Self::Name(name) | Self::Raw(name) => f.write_str(name),
        }
    }
}

impl TryFrom<String> for Trigger {
    type Error = InvalidTrigger;

    fn try_from(text: String) -> Result<Self, InvalidTrigger> {
        text.parse()
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> String {
        trigger.to_string()
    }
}

/// The server-side half of a connector: one HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its own switch, apart from the connector's mode.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How parameters travel: in the query (GET) or in the body (POST).
    #[serde(default)]
    pub method: Method,
    /// Where to, with macros in path and query.
    pub url: String,
    /// The body's form; only for POST.
    #[serde(default)]
    pub encoding: Encoding,
    /// Named values, static or with macros, in their order.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Headers to add.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// How long one attempt may take, from looking up the name to the last byte that is read.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How many attempts may be under way at once, per worker.
    #[serde(default = "default_concurrency")]
    pub concurrency: u16,
}

/// The request's method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Parameters are appended to the URL's query.
    #[default]
    Get,
    /// Parameters are sent in the body.
    Post,
}

/// The form of a POST body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// A flat JSON object of strings.
    Json,
}

/// One parameter of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name, sent as it is.
    pub name: String,
    /// Its value, with macros.
    pub value: String,
}

/// One header of the request: a value with macros, or a secret by reference. One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, with macros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the worker reads the whole value at each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}

fn yes() -> bool {
    true
}

fn default_timeout() -> Span {
    Span::from_secs(5)
}

fn default_concurrency() -> u16 {
    16
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

    #[test]
    fn triggers_are_read_by_what_they_name() {
        for (text, trigger) in [
            ("conversion", Trigger::Conversion),
            ("refund", Trigger::Refund),
            ("event 1", Trigger::Number(1)),
            ("event10", Trigger::Number(10)),
            ("purchase", Trigger::Name("purchase".into())),
            ("order.created", Trigger::Raw("order.created".into())),
            ("renewal-invoice-payment-declined", Trigger::Raw("renewal-invoice-payment-declined".into())),
            ("eventful", Trigger::Name("eventful".into())),
        ] {
            assert_eq!(text.parse::<Trigger>().unwrap(), trigger);
        }
        for bad in ["", " purchase", "event 0", "event 11", "a\nb"] {
            assert!(bad.parse::<Trigger>().is_err(), "{bad:?}");
        }
    }
}
