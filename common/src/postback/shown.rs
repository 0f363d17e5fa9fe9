//! A postback as people see it whole: in the webhook log, in `preview` and in `test-webhook`. Secrets are `…`.
//!
//! Personal data is not masked: the log is stored data with a retention, and whoever previews asks to see it. So
//! none of this may reach a process log.

use super::Postback;
use super::mask::is_secret_parameter;
use crate::connector::Method;
use crate::template::MASK;
use serde_json::Value;

/// A request for showing, its secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The full URL.
    pub url: String,
    /// The headers in their order, that of the body's type last. What whoever writes the request adds is not
    /// among them: `Host`, `Content-Length`, `User-Agent`, `Accept`.
    pub headers: Vec<(String, String)>,
    /// The body; empty where there is none.
    pub body: String,
}

impl Postback {
    /// The request for showing.
    pub fn shown(&self) -> Shown {
        let mut headers: Vec<_> = self
            .masked_headers()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if let Some(body) = &self.body
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".to_owned(), body.content_type.to_owned()));
        }
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        Shown { method, url: self.masked_url(), headers, body: self.body_without_secrets() }
    }

    /// The body without what is a secret, and without what is named as one.
    fn body_without_secrets(&self) -> String {
        let Some(masked) = self.masked_body() else { return String::new() };
        let mut text = masked.into_owned();
        if let Ok(json) = serde_json::from_str::<Value>(&text) {
            let mut members = Vec::new();
            secret_members(&json, &mut members);
            for member in members {
                text = text.replace(&member, &format!("\"{MASK}\""));
            }
        }
        blotted(text, &self.secrets())
    }
}

impl Shown {
    /// The headers, a line each.
    pub fn header_lines(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }
}

/// A text without these secrets, in the order in which they are given: the longest first.
pub fn blotted(mut text: String, secrets: &[String]) -> String {
    for secret in secrets {
        text = text.replace(secret.as_str(), MASK);
    }
    text
}

/// The beginning of a text, of at most `bytes`; what is cut off is counted behind it. NUL, which no terminal and
/// no column of text should see, is replaced.
pub fn excerpt(text: &str, bytes: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… ({} bytes more)", &text[..end], text.len() - end)
}

/// The texts of members that are named as secrets, as they stand in the document.
fn secret_members(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if !text.is_empty() && is_secret_parameter(name) => {
                        found.push(field.to_string());
                    }
                    other => secret_members(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secret_members(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Connector;
    use crate::event::{Facts, testing};
    use crate::id::DeliveryId;
    use crate::postback::{Credentials, render};
    use serde_json::json;

    fn post(encoding: &str, parameters: &[(&str, &str)]) -> Postback {
        let named = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
        let parameters: Vec<_> = parameters.iter().map(named).collect();
        let connector: Connector = serde_json::from_value(json!({
            "id": "network", "advertiser": "acme", "triggers": ["conversion"],
            "webhook": {
                "method": "POST", "encoding": encoding, "parameters": parameters,
                "url": "https://r.example/p?access_token=abc&e=a%40b.example",
                "headers": [{"name": "X-Api", "secret": {"env": "X"}}, {"name": "X-Open", "value": "1"}],
            },
        }))
        .unwrap();
        let credentials = Credentials { secret: &|_| Ok("s3cret-value".to_owned()), access_token: None };
        let delivery = DeliveryId::of_event(&connector.id, "k");
        render(&connector, &delivery, &Facts::new(testing::event("acme")), &credentials).unwrap()
    }

    #[test]
    fn a_request_is_shown_whole_but_for_its_secrets() {
        let form = post("form", &[("a", "1"), ("token", "x"), ("echo", "s3cret-value")]).shown();
        assert_eq!(form.url, "https://r.example/p?access_token=…&e=a%40b.example");
        let id = DeliveryId::of_event(&"network".parse().unwrap(), "k");
        let form_type = "application/x-www-form-urlencoded";
        assert_eq!(
            form.header_lines(),
            format!("X-Api: …\nX-Open: 1\nIdempotency-Key: {id}\nContent-Type: {form_type}\n")
        );
        assert_eq!((form.method, form.body.as_str()), ("POST", "a=1&token=…&echo=…"));
        let json = post("json", &[("a", "1"), ("token", "q\"x"), ("echo", "s3cret-value")]).shown();
        assert_eq!(json.body, r#"{"a":"1","token":"…","echo":"…"}"#);
    }

    #[test]
    fn members_that_are_named_as_secrets_are_found_at_any_depth() {
        let mut found = Vec::new();
        secret_members(&json!({"a": [{"token": "q\"x"}], "token": null, "api_key": ""}), &mut found);
        assert_eq!(found, [r#""q\"x""#]);
    }

    #[test]
    fn an_excerpt_ends_at_a_character_and_says_how_much_is_missing() {
        assert_eq!(excerpt("äöü", 6), "äöü");
        assert_eq!(excerpt("äöü", 5), "äö… (2 bytes more)");
        assert_eq!(excerpt("a\0b", 9), "a\u{fffd}b");
        assert_eq!(excerpt("äöü", 0), "… (6 bytes more)");
    }

    #[test]
    fn a_secret_that_the_limit_would_cut_in_two_is_not_shown_in_part() {
        let body = post("form", &[("a", "12345s3cret-value")]).shown().body;
        assert_eq!(excerpt(&body, 12), "a=12345…");
    }
}
