//! Reading an event's own data by a path, as macros and conditions do.

use super::Event;
use serde_json::Value;
use std::borrow::Cow;

impl Event {
    /// What stands in the event's own data at a path, if that is a text, a number or a boolean. The path is
    /// read as in the body that the data stood in: `data.x` is `x`; and of a contact's own event, as
    /// ClickFunnels' placeholders have it, `contact.x` is `x`.
    pub fn datum(&self, path: &str) -> Option<Cow<'_, str>> {
        let data = &self.data;
        let about_contact = self.raw_type.starts_with("contact.");
        let without = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| at(data, rest));
        at(data, path).or_else(|| without("data.")).or_else(|| without("contact.").filter(|_| about_contact))
    }
}

/// What stands at a path: a field of that very name, dots and all, or step by step.
fn at<'a>(data: &'a Value, path: &str) -> Option<Cow<'a, str>> {
    step(data, path).and_then(scalar).or_else(|| path.split('.').try_fold(data, step).and_then(scalar))
}

/// A field, in its own case if it is there, else in any; or an element, by its number from 0.
fn step<'a>(data: &'a Value, name: &str) -> Option<&'a Value> {
    match data {
        Value::Object(fields) => fields.get(name).or_else(|| {
            fields.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        }),
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
