//! Triggers: the kinds of news that a connector fires on.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

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
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is("conversion") {
            return Ok(Self::Conversion);
        }
        if is("refund") {
            return Ok(Self::Refund);
        }
        if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
            return Err(refuse());
        }
        let prefix = text.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("event"));
        let digits =
            prefix.map(|prefix| &text[prefix.len()..]).map(|rest| rest.strip_prefix(' ').unwrap_or(rest));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_read_by_what_they_name() {
        for (text, trigger) in [
            ("conversion", Trigger::Conversion),
            ("refund", Trigger::Refund),
            ("event 1", Trigger::Number(1)),
            ("event10", Trigger::Number(10)),
            // As the documents write them.
            ("Conversion", Trigger::Conversion),
            ("Refund", Trigger::Refund),
            ("Event 3", Trigger::Number(3)),
            ("event+5", Trigger::Name("event+5".into())),
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
