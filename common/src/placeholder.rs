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

/// Reads a query value as a placeholder, if it is one. Besides the spellings of the specification, `[x]` and
/// `{x}`, people type `{{x}}` and `${x}`.
pub fn parse(value: &str) -> Option<Placeholder<'_>> {
    let value = value.trim();
    let spellings = [("{{", "}}"), ("${", "}"), ("{", "}"), ("[", "]")];
    let inner = spellings.iter().find_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close))?;
    match inner.trim() {
        "event_name" => Some(Placeholder::EventName),
        "amount" => Some(Placeholder::Amount),
        path => is_path(path).then_some(Placeholder::Path(path)),
    }
}

fn is_path(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    text.len() <= 200 && text.split('.').all(word)
}

/// A part of a conversion key's template, such as `order:{data.id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A path in braces.
    Path(&'a str),
}

impl<'a> KeyPart<'a> {
    /// The parts of a template, in their order; none where a brace has no partner or holds no path.
    pub fn all(template: &'a str) -> Option<Vec<Self>> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('{') {
            let (path, after) = after.split_once('}')?;
            if text.contains('}') || !is_path(path) {
                return None;
            }
            parts.extend([Self::Text(text), Self::Path(path)]);
            rest = after;
        }
        parts.push(Self::Text(rest));
        (!rest.contains('}')).then_some(parts)
    }
}

/// Where an event keeps its contact besides `contact` itself.
const CONTACTS: [&str; 2] = ["order.contact", "primary_contact"];

/// What stands at a path: in `data`, then in the body itself. `{contact.x}` means the event's contact,
/// wherever that stands, or `data.x` where the subject is the contact. Text and numbers only.
pub fn resolve(body: &Value, path: &str) -> Option<String> {
    let data = body.get("data").unwrap_or(body);
    let of_contact = path.strip_prefix("contact.");
    let elsewhere = || CONTACTS.iter().find_map(|contact| walk(walk(data, contact)?, of_contact?));
    let found =
        walk(data, path).or_else(elsewhere).or_else(|| walk(data, of_contact?)).or_else(|| walk(body, path));
    found.and_then(text)
}

/// The same in a body of ClickFunnels Classic, whose contacts have no `custom_attributes`: what would be one
/// stands in the contact itself and in its `additional_info`.
pub fn resolve_classic(body: &Value, path: &str) -> Option<String> {
    let attribute = || path.strip_prefix("contact.custom_attributes.");
    let filled = |path: &str| resolve(body, path).filter(|text| !text.trim().is_empty());
    let field = |place: &str| filled(&format!("contact.{place}{}", attribute()?));
    filled(path).or_else(|| field("")).or_else(|| field("additional_info."))
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
        for spelt in ["${a.b}", "{{a.b}}", "{{ a.b }}", "[a.b]", " {a.b} "] {
            assert_eq!(parse(spelt), Some(Placeholder::Path("a.b")), "{spelt}");
        }
        assert_eq!(parse("{{amount}}"), Some(Placeholder::Amount));
        for plain in [
            "",
            "{}",
            "{{}}",
            "${}",
            "$",
            "{{a}",
            "%a%",
            "[]",
            "{a b}",
            "{a..b}",
            "x{a}",
            "purchase",
            "{\"a\":1}",
        ] {
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

    #[test]
    fn the_contact_of_an_invoice_or_an_appointment_is_the_contact_too() {
        let path = "contact.custom_attributes.clickid";
        for at in ["order", "primary_contact"] {
            let contact = json!({"custom_attributes": {"clickid": "a"}});
            let data = if at == "order" { json!({"contact": contact}) } else { contact };
            assert_eq!(resolve(&json!({"data": {at: data}}), path).as_deref(), Some("a"), "{at}");
        }
    }

    #[test]
    fn an_attribute_of_a_classic_contact_stands_in_the_contact() {
        let path = "contact.custom_attributes.clickid";
        for data in [
            json!({"contact": {"clickid": "a"}}),
            json!({"contact": {"clickid": "a", "additional_info": {"clickid": "b"}}}),
            json!({"contact": {"additional_info": {"clickid": "a"}}}),
            json!({"clickid": "a"}),
            json!({"additional_info": {"clickid": "a"}}),
        ] {
            let body = json!({"data": data});
            assert_eq!(resolve_classic(&body, path).as_deref(), Some("a"), "{body}");
            assert_eq!(resolve(&body, path), None);
        }
    }

    #[test]
    fn a_keys_template_is_split_or_refused() {
        use KeyPart::{Path, Text};
        assert_eq!(KeyPart::all("order:{data.id}"), Some(vec![Text("order:"), Path("data.id"), Text("")]));
        assert_eq!(KeyPart::all("x"), Some(vec![Text("x")]));
        for bad in ["{", "}", "a}b", "{}", "{a b}", "{a}}", "{{a}}"] {
            assert_eq!(KeyPart::all(bad), None, "{bad}");
        }
    }
}
