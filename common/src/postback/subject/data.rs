//! The event's own data: a body's `data`, or the plain parameters, by path.

use crate::template::{NAME_MAX, Template, catalogue};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How deep fields are listed.
const DEEPEST: usize = 8;

/// The fields of an event's own data that a macro can name, as it names them: `total_amount`, `list.0.name`, and
/// `data.value` where the name alone is a macro of ours. Of a list only the first element; never a value.
pub fn fields(data: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(data, "", 0, &mut found);
    found
}

fn walk(data: &Value, path: &str, depth: usize, found: &mut BTreeSet<String>) {
    let under = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match data {
        Value::Object(members) if depth < DEEPEST => {
            members.iter().for_each(|(name, value)| walk(value, &under(name), depth + 1, found));
        }
        Value::Array(elements) if depth < DEEPEST => {
            elements.iter().take(1).for_each(|value| walk(value, &under("0"), depth + 1, found));
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            let ours = catalogue::CONNECTOR.known(path).is_some() || path.starts_with(catalogue::SECRET);
            let name = if ours { format!("data.{path}") } else { path.to_owned() };
            let can_be_named = name.len() <= NAME_MAX
                && Template::parse(&format!("{{{{{name}}}}}"), &catalogue::CONNECTOR).is_ok();
            if can_be_named {
                found.insert(name);
            }
        }
        Value::Null | Value::Object(_) | Value::Array(_) => {}
    }
}

/// Where the page stands that a visitor landed on, as ClickFunnels and plain senders have it.
pub(super) const LANDING_PAGE: &[&str] = &[
    "landing_page",
    "event_source_url",
    "visits.last_visit_with_utm.landing_page",
    "visits.last_visit.landing_page",
    "contact.visits.last_visit_with_utm.landing_page",
    "contact.visits.last_visit.landing_page",
];

/// Where the first product's name stands: ClickFunnels' lines, Classic's products, a plain parameter.
pub(super) const PRODUCT: &[&str] = &[
    "line_items.0.original_product.name",
    "line_items.0.products_variant.name",
    "products.0.name",
    "product.name",
    "product_name",
    "product",
];

/// Where the quantity of the first product stands.
pub(super) const QUANTITY: &[&str] = &["line_items.0.quantity", "products.0.quantity", "quantity"];

/// Where a voucher's code stands.
pub(super) const VOUCHER: &[&str] = &["voucher", "voucher_code", "coupon", "coupon_code", "discount_code"];

/// Google Analytics' client id in its cookie: `123.456` of `GA1.1.123.456`.
pub(super) fn ga_client_id(cookie: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let parts: Vec<&str> = cookie.split('.').collect();
    match parts.as_slice() {
        [version, .., random, first] if version.starts_with("GA") && parts.len() >= 4 => {
            Some(format!("{random}.{first}").into())
        }
        _ => None,
    }
}
