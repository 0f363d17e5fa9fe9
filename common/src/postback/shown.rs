//! A postback as people see it whole: in the webhook log, in `preview` and in `test-webhook`. Secrets are `…`.
//!
//! Personal data is not masked: the log is stored data with a retention, and whoever previews asks to see it. So
//! none of this may reach a process log.

use super::Postback;
use crate::connector::Method;
use crate::template::MASK;

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

    /// The body without its secrets, and without what equals one of them by chance.
    fn body_without_secrets(&self) -> String {
        self.masked_body().map_or_else(String::new, |masked| blotted(masked.into_owned(), &self.secrets()))
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

/// An answer for keeping, without these secrets, the longest first. Where it was `truncated`, it may end in the
/// middle of one, and within a character: the beginning of a secret at its end is none of it either.
pub fn answer(body: &[u8], truncated: bool, secrets: &[String]) -> String {
    let mut text = blotted(String::from_utf8_lossy(body).into_owned(), secrets);
    if truncated {
        let whole = text.trim_end_matches('\u{fffd}').len();
        let begun = secrets.iter().filter_map(|secret| longest_begun(&text[..whole], secret)).max();
        if let Some(begun) = begun {
            text.truncate(whole - begun);
            text.push_str(MASK);
        }
    }
    text
}

/// How many bytes at the end of a text are the beginning of a secret.
fn longest_begun(text: &str, secret: &str) -> Option<usize> {
    let mut beginnings = secret.char_indices().map(|(end, _)| &secret[..end]);
    beginnings.rfind(|beginning| !beginning.is_empty() && text.ends_with(beginning)).map(str::len)
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
    fn an_excerpt_ends_at_a_character_and_says_how_much_is_missing() {
        assert_eq!(excerpt("äöü", 6), "äöü");
        assert_eq!(excerpt("äöü", 5), "äö… (2 bytes more)");
        assert_eq!(excerpt("a\0b", 9), "a\u{fffd}b");
        assert_eq!(excerpt("äöü", 0), "… (6 bytes more)");
    }

    #[test]
    fn a_secret_that_an_answers_end_cuts_in_two_is_not_kept_in_part() {
        let secrets = ["Basic s3crét-value".to_owned(), "s3crét-value".to_owned()];
        let whole = "you sent s3crét-value";
        for end in "you sent s".len()..whole.len() {
            assert_eq!(answer(&whole.as_bytes()[..end], true, &secrets), "you sent …", "{end}");
        }
        assert_eq!(answer(whole.as_bytes(), true, &secrets), "you sent …");
        assert_eq!(answer(b"you sent Basic s3", true, &secrets), "you sent …");
        assert_eq!(answer(b"all of s3", false, &secrets), "all of s3");
        assert_eq!(answer(b"and no more", true, &secrets), "and no more");
    }

    #[test]
    fn a_secret_that_the_limit_would_cut_in_two_is_not_shown_in_part() {
        let body = post("form", &[("a", "12345s3cret-value")]).shown().body;
        assert_eq!(excerpt(&body, 12), "a=12345…");
    }
}
