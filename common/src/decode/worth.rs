//! What an event is worth and what it gives back, where its row of the mapping says that they stand.

use super::envelope::View;
use crate::mapping::Row;
use crate::money::{self, Amount};
use iso_currency::Currency;
use rust_decimal::Decimal;
use serde_json::Value;

/// Its value: of a refund, what the sale is worth.
pub(super) fn value(row: &Row, view: &View) -> Option<Amount> {
    amount(view, row.value_minor.as_deref(), row.value.as_deref(), currency(row, view))
}

/// What a refund gives back; none where the body does not say.
pub(super) fn refunded(row: &Row, view: &View) -> Option<Amount> {
    let found = amount(view, row.refund_minor.as_deref(), row.refund.as_deref(), currency(row, view))?;
    Some(Amount { amount: found.amount.abs(), ..found })
}

fn currency(row: &Row, view: &View) -> Option<Currency> {
    money::currency(view.at(row.currency.as_deref()?)?.as_str()?)
}

fn amount(view: &View, minor: Option<&str>, main: Option<&str>, stated: Option<Currency>) -> Option<Amount> {
    let main = main.and_then(|at| view.at(at));
    let currency = stated.or_else(|| main.and_then(currency_within));
    let in_minor = |value: &Value| in_main_units(money::decimal_in(value)?, currency?);
    let found = minor.and_then(|at| view.at(at)).and_then(in_minor);
    let amount = found.or_else(|| match main? {
        Value::Object(fields) => in_minor(fields.get("fractional")?),
        plain => money::decimal_in(plain),
    })?;
    Some(Amount { amount, currency })
}

/// The currency of an amount that is an object, as Classic writes them.
fn currency_within(value: &Value) -> Option<Currency> {
    ["/currency/iso_code", "/currency/id", "/currency"]
        .iter()
        .find_map(|at| money::currency(value.pointer(at)?.as_str()?))
}

/// `4700` cents are `47.00`, of yen they are `4700`, and of dinars `4.700` (ISO 4217). None for what has no
/// minor unit, such as gold.
fn in_main_units(minor: Decimal, currency: Currency) -> Option<Decimal> {
    let exponent = u32::from(currency.exponent()?);
    let mut amount = minor.checked_mul(Decimal::new(1, exponent))?.normalize();
    if amount.scale() < exponent {
        amount.rescale(exponent);
    }
    Some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn classic(data: &Value) -> Option<String> {
        let body = json!({"purchase": data, "event": "created"});
        let view = View::of(body.as_object().unwrap().clone(), b"");
        let row = crate::mapping::find(&[], "purchase_created", view.body()).unwrap();
        let Amount { amount, currency } = value(row, &view)?;
        Some(format!("{amount} {}", currency.map_or("-", |currency| currency.code())))
    }

    #[test]
    fn classic_amounts_are_read_in_every_shape_and_in_their_own_minor_unit() {
        for (data, read) in [
            (json!({"original_amount_cents": 4700, "original_amount_currency": "USD"}), Some("47.00 USD")),
            (json!({"original_amount_cents": "4700", "original_amount_currency": "usd"}), Some("47.00 USD")),
            (json!({"original_amount_cents": 4700, "original_amount_currency": "JPY"}), Some("4700 JPY")),
            (json!({"original_amount_cents": 4700, "original_amount_currency": "KWD"}), Some("4.700 KWD")),
            (json!({"original_amount": "47.00", "original_amount_currency": "EUR"}), Some("47.00 EUR")),
            (json!({"original_amount": 47, "original_amount_currency": "EUR"}), Some("47 EUR")),
            (
                json!({"original_amount": {"fractional": "4700.0", "currency": {"iso_code": "USD"}}}),
                Some("47.00 USD"),
            ),
            (
                json!({"original_amount_cents": 500, "original_amount": {"currency": {"iso_code": "JPY"}}}),
                Some("500 JPY"),
            ),
            (
                json!({"original_amount": {"fractional": "470.5", "currency": {"id": "usd"}}}),
                Some("4.705 USD"),
            ),
            // Nobody says what a hundredth of this is a hundredth of.
            (json!({"original_amount_cents": 4700}), None),
            (json!({"original_amount_cents": 4700, "original_amount": "47.00"}), Some("47.00 -")),
            (json!({"original_amount_cents": 4700, "original_amount_currency": "XAU"}), None),
            (json!({"original_amount": {"fractional": {}}}), None),
            (json!({}), None),
        ] {
            assert_eq!(classic(&data).as_deref(), read, "{data}");
        }
    }
}
