//! Money: decimals with the currency that they came with, never floats.

use iso_currency::Currency;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
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

impl Amount {
    /// So many percent of it, in whole minor units; none where that is more than a decimal can hold.
    pub fn percent(self, percent: Decimal) -> Option<Self> {
        let amount = self.amount.checked_mul(percent)?.checked_div(Decimal::ONE_HUNDRED)?;
        Some(Self { amount, ..self }.in_minor_units())
    }

    /// The same in whole minor units of its currency, and written with as many places: `118.80`. What lies
    /// half way goes away from zero, as on an invoice.
    #[must_use]
    pub fn in_minor_units(self) -> Self {
        let places = places(self.currency);
        let mut amount = self.amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        amount.rescale(places);
        Self { amount, ..self }
    }
}

/// As people read it: `396.00 USD`, or the number alone.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.amount)?;
        self.currency.map_or(Ok(()), |currency| write!(f, " {}", currency.code()))
    }
}

/// How many decimal places a currency has by ISO 4217: none for JPY, three for KWD. Two where there is no
/// currency, or it has no minor unit, as gold has none.
pub fn places(currency: Option<Currency>) -> u32 {
    currency.and_then(|currency| currency.exponent()).map_or(2, u32::from)
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
    fn percentages_are_whole_minor_units_and_half_way_goes_away_from_zero() {
        for (whole, code, percent, part) in [
            ("396.00", "USD", "30", "118.80 USD"),
            ("0.05", "USD", "50", "0.03 USD"),
            ("-0.05", "USD", "50", "-0.03 USD"),
            ("0.04", "USD", "50", "0.02 USD"),
            ("0.01", "USD", "49", "0.00 USD"),
            ("1999", "JPY", "12.5", "250 JPY"),
            ("1", "JPY", "50", "1 JPY"),
            ("1.001", "KWD", "50", "0.501 KWD"),
            ("10", "KWD", "33.3333", "3.333 KWD"),
            ("10", "XAU", "33.3333", "3.33 XAU"),
            ("10", "", "33.3333", "3.33"),
        ] {
            let whole = Amount { amount: decimal(whole).unwrap(), currency: currency(code) };
            assert_eq!(whole.percent(decimal(percent).unwrap()).unwrap().to_string(), part, "{whole}");
        }
        let most = Amount { amount: Decimal::MAX, currency: None };
        assert_eq!(most.percent(101.into()), None);
    }

    #[test]
    fn currencies_are_known_in_either_case() {
        assert_eq!(currency("usd"), Some(Currency::USD));
        assert_eq!(currency("KWD").and_then(|c| c.exponent()), Some(3));
        assert_eq!(currency("dollars"), None);
    }
}
