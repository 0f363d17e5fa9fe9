//! Placeholders in an endpoint's URL: funnels send the URL as it was typed, macros and all.
//!
//! `…/api/v1/events?click_id={contact.custom_attributes.clickid}&event_parameter=[event_name]&payout=[amount]`
//! arrives literally (specification 000). A query value of that form is therefore a path into the body.

use serde_json::Value;

/// A query value that stands for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder<'a> {
    /// `[event_name]`: the mapped event parameter.
    EventName,
    /// `[amount]`: the event's value.
    Amount,
    /// `{contact.x}`: a path into the body.
    Path(&'a str),
}

/// Reads a query value as a placeholder, if it is one.
pub fn parse(value: &str) -> Option<Placeholder<'_>> {
    let inner = |open, close| value.trim().strip_prefix(open)?.strip_suffix(close).map(str::trim);
    match inner('[', ']') {
        Some("event_name") => return Some(Placeholder::EventName),
        Some("amount") => return Some(Placeholder::Amount),
        Some(path) if is_path(path) => return Some(Placeholder::Path(path)),
        _ => {}
    }
    inner('{', '}').filter(|path| is_path(path)).map(Placeholder::Path)
}

fn is_path(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    text.len() <= 200 && text.split('.').all(word)
}

/// What stands at a path: in `data`, then in the body itself. `{contact.x}` means `data.contact.x`, or
/// `data.x` where the subject is the contact. Text and numbers only.
pub fn resolve(body: &Value, path: &str) -> Option<String> {
    let data = body.get("data").unwrap_or(body);
    let of_contact = path.strip_prefix("contact.");
    walk(data, path).or_else(|| walk(data, of_contact?)).or_else(|| walk(body, path)).and_then(text)
}

fn walk<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

/// A value as text, where it is text, a number or a truth.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_url_of_the_specification_is_read_as_it_is_printed() {
        assert_eq!(parse("[event_name]"), Some(Placeholder::EventName));
        assert_eq!(parse("[amount]"), Some(Placeholder::Amount));
        let path = "contact.custom_attributes.clickid";
        assert_eq!(parse("{contact.custom_attributes.clickid}"), Some(Placeholder::Path(path)));
        for plain in ["", "{}", "[]", "{a b}", "{a..b}", "x{a}", "purchase", "{\"a\":1}"] {
            assert_eq!(parse(plain), None, "{plain}");
        }
    }

    #[test]
    fn a_contact_is_found_inside_an_order_and_as_the_subject_itself() {
        let path = "contact.custom_attributes.clickid";
        let order = json!({"data": {"contact": {"custom_attributes": {"clickid": "a"}}}});
        let contact = json!({"data": {"custom_attributes": {"clickid": "b"}}});
        let classic = json!({"contact": {"custom_attributes": {"clickid": 7}}});
        assert_eq!(resolve(&order, path).as_deref(), Some("a"));
        assert_eq!(resolve(&contact, path).as_deref(), Some("b"));
        assert_eq!(resolve(&classic, path).as_deref(), Some("7"));
        assert_eq!(resolve(&json!({"data": null}), path), None);
        assert_eq!(resolve(&json!([1]), "0"), Some("1".into()));
    }
}
