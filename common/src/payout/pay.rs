//! What a rule gives, and how that is written: `{ fixed = "2.50", currency = "USD" }`, `{ percent = "30" }`
//! or `"event"`.
//!
//! Decimals are written as text, so that what is kept is what was written, and never a float.

use crate::money::{self, Amount};
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What a rule gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pay {
    /// Always the same.
    Fixed(Decimal, Currency),
    /// So many percent of the value, in whole minor units of its currency.
    Percent(Decimal),
    /// The value itself, as the event states it.
    Event,
}

impl Pay {
    /// What it gives for a value; none where that is not known and it would be a part of it.
    pub fn of(self, value: Option<Amount>) -> Option<Amount> {
        match self {
            Self::Fixed(amount, currency) => Some(Amount { amount, currency: Some(currency) }),
            Self::Percent(percent) => value?.percent(percent),
            Self::Event => value,
        }
    }
}

const SHAPES: &str = "{ fixed = \"2.50\", currency = \"USD\" }, { percent = \"30\" } or \"event\"";

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    fixed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text")]
    percent: Option<String>,
}

impl Written {
    fn read(self) -> Result<Pay, String> {
        let decimal = |text: &str| {
            let problem = || format!("`{text}` is not a decimal number such as \"2.50\"");
            money::decimal(text).ok_or_else(problem)
        };
        match (self.fixed, self.currency, self.percent) {
            (Some(amount), Some(code), None) => {
                let currency = money::currency(&code)
                    .ok_or_else(|| format!("`{code}` is not a currency of ISO 4217 such as \"USD\""))?;
                let amount = decimal(&amount)?;
                let places = money::places(Some(currency));
                if amount.normalize().scale() > places {
                    return Err(format!(
                        "{amount} is not payable: {} has {places} decimal places",
                        currency.code()
                    ));
                }
                Ok(Pay::Fixed(amount, currency))
            }
            (Some(_), None, None) => {
                Err("a fixed payout needs its currency, such as currency = \"USD\"".into())
            }
            (None, None, Some(percent)) => Ok(Pay::Percent(decimal(&percent)?)),
            (None, Some(_), Some(_)) => {
                Err("a percentage is in the currency of the value; remove `currency`".into())
            }
            _ => Err(format!("expected one of {SHAPES}")),
        }
    }
}

/// Text, and not a number: TOML's `2.50` is a float, which is not what was written.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number in quotation marks, such as \"2.50\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }

    deserializer.deserialize_str(Text).map(Some)
}

impl<'de> Deserialize<'de> for Pay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;

        impl<'de> Visitor<'de> for Shape {
            type Value = Pay;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SHAPES)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Pay, E> {
                if text == "event" {
                    Ok(Pay::Event)
                } else {
                    Err(E::custom(format!("expected one of {SHAPES}")))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pay, A::Error> {
                let written = Written::deserialize(MapAccessDeserializer::new(map))?;
                written.read().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Shape)
    }
}

impl Serialize for Pay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::Event => return serializer.serialize_str("event"),
            Self::Fixed(amount, currency) => Written {
                fixed: Some(amount.to_string()),
                currency: Some(currency.code().to_owned()),
                ..Written::default()
            },
            Self::Percent(percent) => Written { percent: Some(percent.to_string()), ..Written::default() },
        };
        written.serialize(serializer)
    }
}
