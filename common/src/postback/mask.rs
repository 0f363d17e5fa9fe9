//! How a postback is shown: in logs, listings and `Debug`. What is secret, or is called so, is `…`.

use super::{Body, Header, Postback};
use crate::template::MASK;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;
use std::fmt;

/// A secret shorter than this is not looked for in what a receiver answers: it would be found everywhere.
const SHORTEST: usize = 6;

impl Postback {
    /// The URL for showing: secrets are masked, and so are parameters that are named as secrets. Personal
    /// data is not, so this is for the webhook log, which has retention, and not for process logs.
    pub fn masked_url(&self) -> String {
        match self.shown.url.split_once('?') {
            Some((before, query)) => {
                let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
                let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
                format!("{before}?{}{fragment}", masked_pairs(query))
            }
            None => self.shown.url.clone(),
        }
    }

    /// The headers for showing, in their order: those that are secret, or hold a secret, are masked. That of
    /// the body's form is not among them.
    pub fn masked_headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|header| (header.name.as_str(), header.shown())).collect()
    }

    /// The body for showing, masked as the URL is; none where there is no body.
    pub fn masked_body(&self) -> Option<Cow<'_, str>> {
        let body = self.body.as_ref()?;
        Some(self.shown.body.as_deref().map_or_else(|| String::from_utf8_lossy(&body.bytes), Cow::Borrowed))
    }

    /// What must not be kept where a receiver echoes it: secrets and what was made of them, the values of
    /// secret headers, each word of them (a receiver may repeat a token without its `Bearer`), and of parameters
    /// that are named as secrets; each also as a URL and a form have it.
    pub fn secrets(&self) -> Vec<String> {
        let headers = self.headers.iter().filter(|header| header.secret).map(|header| header.value.as_str());
        let words = headers.flat_map(|value| value.split_whitespace().chain([value])).map(str::to_owned);
        let form =
            self.body.as_ref().filter(|body| body.content_type.contains("form")).map(|body| &body.bytes[..]);
        let query = self.url.query().unwrap_or_default().as_bytes();
        let named = [query, form.unwrap_or_default()].into_iter().flat_map(|pairs| {
            form_urlencoded::parse(pairs)
                .filter(|(name, _)| is_secret_parameter(name))
                .map(|(_, value)| value.into_owned())
        });
        let mut secrets: Vec<String> = words
            .chain(named)
            .chain(self.shown.secrets.iter().cloned())
            .filter(|secret| secret.len() >= SHORTEST)
            .flat_map(|secret| [as_form(&secret), as_url(&secret), secret])
            .collect();
        // The longest first, or a part of one would be blotted out of it and leave the rest.
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        secrets
    }
}

fn as_form(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

fn as_url(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// A form for showing: its secrets are masked already.
pub(super) fn form(shown: &str) -> String {
    masked_pairs(&shown.replace(&as_form(MASK), MASK))
}

fn masked_pairs(pairs: &str) -> String {
    pairs.split('&').map(masked_pair).collect::<Vec<_>>().join("&")
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
