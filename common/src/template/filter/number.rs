//! Amounts and other numbers, exactly: decimals, never floats. What lies half way goes away from zero, as on
//! an invoice.

use crate::money;
use rust_decimal::{Decimal, RoundingStrategy};

/// More places than any currency has, and few enough to stay exact.
const MOST: u32 = 12;

/// How many digits an argument asks for.
pub(super) fn digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|digits| *digits <= MOST)
}

/// How many decimal places an argument means: a number, or a currency's by ISO 4217.
pub(super) fn places(text: &str) -> Option<u32> {
    digits(text).or_else(|| money::currency(text).map(|currency| money::places(Some(currency))))
}

/// A number with so many decimal places.
pub(super) fn decimal(text: &str, places: u32) -> Option<String> {
    let mut number = rounded(money::decimal(text)?, places);
    number.rescale(places);
    // A number too long for so many places keeps fewer, and then it is not what was asked for.
    (number.scale() == places).then(|| unsigned_zero(number).to_string())
}

/// An amount in units of which so many digits make one.
pub(super) fn minor_units(text: &str, places: u32) -> Option<String> {
    let units = money::decimal(text)?.checked_mul(Decimal::from(10_u64.checked_pow(places)?))?;
    let mut whole = rounded(units, 0);
    whole.rescale(0);
    Some(unsigned_zero(whole).to_string())
}

fn rounded(number: Decimal, places: u32) -> Decimal {
    number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// What rounds to nothing is no `-0`.
fn unsigned_zero(number: Decimal) -> Decimal {
    if number.is_zero() { number.abs() } else { number }
}
