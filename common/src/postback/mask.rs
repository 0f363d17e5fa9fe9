//! How a postback is shown: in logs, listings and `Debug`. What is secret, or is called so, is `…`.

use super::{Body, Header, Postback};
use std::fmt;

const MASK: &str = "…";

impl Postback {
    /// The URL for showing: parameters that are named as secrets are masked. Personal data is not, so
    /// this is for the webhook log, which has retention, and not for process logs.
    pub fn masked_url(&self) -> String {
        let Some(query) = self.url.query() else {
            return self.url.to_string();
        };
        let pairs: Vec<String> = query.split('&').map(masked_pair).collect();
        let (before, _) = self.url.as_str().split_once('?').unwrap_or((self.url.as_str(), ""));
        format!("{before}?{}", pairs.join("&"))
    }

    /// The headers for showing, in their order: those that are secret are masked.
    pub fn masked_headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|header| (header.name.as_str(), header.shown())).collect()
    }
}

impl Postback {
    /// What must not be kept where a receiver echoes it: the values of secret headers, each word of them
    /// (a receiver may repeat a token without its `Bearer`), and of parameters that are named as secrets.
    pub fn secrets(&self) -> Vec<String> {
        let headers = self.headers.iter().filter(|header| header.secret).map(|header| header.value.as_str());
        let words = headers.flat_map(|value| value.split_whitespace().chain([value])).map(str::to_owned);
        let form =
            self.body.as_ref().filter(|body| body.content_type.contains("form")).map(|body| &body.bytes[..]);
        let query = self.url.query().unwrap_or_default().as_bytes();
        let decoded = [query, form.unwrap_or_default()].into_iter().flat_map(|pairs| {
            form_urlencoded::parse(pairs)
                .filter(|(name, _)| is_secret_parameter(name))
                .flat_map(|(_, value)| [encoded(&value), value.into_owned()])
                .collect::<Vec<_>>()
        });
        let mut secrets: Vec<String> = words.chain(decoded).filter(|secret| secret.len() >= 6).collect();
        // The longest first, or a part of one would be blotted out of it and leave the rest.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        secrets
    }
}

fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

impl Header {
    /// The value for showing.
    pub fn shown(&self) -> &str {
        if self.secret { MASK } else { &self.value }
    }
}

fn masked_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_secret_parameter(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

/// Whether a parameter's name says that its value is a secret, as in `access_token` or `api_secret`.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    let name = form_urlencoded::parse(name.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.to_lowercase());
    let ends = ["token", "secret", "password", "passwd", "apikey", "api_key", "api-key", "signature"];
    ends.iter().any(|end| name.ends_with(end)) || ["key", "auth", "authorization", "sig"].contains(&&*name)
}

/// Whether a header's name says that its value is a secret, though it was configured in the open.
pub(super) fn is_secret_header(name: &str) -> bool {
    let known = ["authorization", "proxy-authorization", "cookie"];
    known.iter().any(|known| name.eq_ignore_ascii_case(known)) || is_secret_parameter(name)
}

impl fmt::Debug for Postback {
    /// Neither query nor values: they hold what must not be in a process log (guarantee G9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postback")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("unresolved", &self.unresolved)
            .finish()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {MASK}", self.name)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.bytes.len(), self.content_type)
    }
}
