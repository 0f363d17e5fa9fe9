//! Money: decimals with the currency that they came with, never floats.

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::str::FromStr;

/// An amount. Some senders name no currency; then there is none, and we do not guess one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How much, in the currency's main unit.
    pub amount: Decimal,
    /// Of what, by ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// Reads a decimal number: `396.00`, `-1`, `1e3`. No separators of thousands, no currency signs.
pub fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// Reads a decimal from JSON, where it stands as a string or as a number.
pub fn decimal_in(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => decimal(text),
        Value::Number(number) => decimal(&number.to_string()),
        _ => None,
    }
}

/// Reads an ISO 4217 code in any case.
pub fn currency(code: &str) -> Option<Currency> {
    Currency::from_code(&code.trim().to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        for (text, read) in [
            ("396.00", Some("396.00")),
            (" 0.1 ", Some("0.1")),
            ("-5", Some("-5")),
            ("1e3", Some("1000")),
            ("1,5", None),
            ("$5", None),
            ("", None),
            ("NaN", None),
            ("{{amount}}", None),
        ] {
            assert_eq!(decimal(text).map(|d| d.to_string()).as_deref(), read, "{text}");
        }
        let precise: Value = serde_json::from_str("0.1000000000000000055511151231").unwrap();
        assert_eq!(decimal_in(&precise).unwrap().to_string(), "0.1000000000000000055511151231");
    }

    #[test]
    fn currencies_are_known_in_either_case() {
        assert_eq!(currency("usd"), Some(Currency::USD));
        assert_eq!(currency("KWD").and_then(|c| c.exponent()), Some(3));
        assert_eq!(currency("dollars"), None);
    }
}
