//! How a postback is shown: in logs, listings and `Debug`. What is secret, or is called so, is `…`.

use super::{Body, Header, Postback};
use crate::template::MASK;
use crate::template::place::Place;
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
    /// that are named as secrets; each also as a URL, a form and JSON have it.
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
            .flat_map(spellings)
            .collect();
        // The longest first, or a part of one would be blotted out of it and leave the rest.
        secrets.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        secrets.dedup();
        secrets
    }
}

/// How a receiver may repeat a secret: as it is, as each place in a request spells it, with all percent-encoded that
/// can be, and in JSON with `/` escaped, as some libraries do.
fn spellings(secret: String) -> Vec<String> {
    let json = spelt(&secret, Place::Json);
    vec![
        spelt(&secret, Place::QueryValue),
        spelt(&secret, Place::Form),
        spelt(&secret, Place::Header),
        utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string(),
        json.replace('/', "\\/"),
        json,
        secret,
    ]
}

fn spelt(value: &str, place: Place) -> String {
    let mut text = String::new();
    place.push(value, &mut text);
    text
}

/// A form for showing: its secrets are masked already.
pub(super) fn form(shown: &str) -> String {
    masked_pairs(&shown.replace(&spelt(MASK, Place::Form), MASK))
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

/// How names of secrets end, in the singular. What ends in `key` alone may be anything, such as `monkey`.
const ENDS: [&str; 18] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "signature",
    "_key",
    "-key",
    "apikey",
    "accesskey",
    "authkey",
    "clientkey",
    "privatekey",
    "secretkey",
    "_auth",
    "-auth",
    "authorization",
];

/// Whether a parameter's name says that its value is a secret, as in `access_token`, `api_secret` or `tokens`. The
/// key of an idempotent request is none.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    let name = form_urlencoded::parse(name.as_bytes())
        .next()
        .map_or_else(String::new, |(name, _)| name.to_lowercase());
    let name = name.strip_suffix('s').unwrap_or(&name);
    let is_one = ENDS.iter().any(|end| name.ends_with(end)) || ["key", "auth", "sig"].contains(&name);
    is_one && !["idempotency-key", "idempotency_key"].contains(&name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ends_as_those_of_secrets_do_is_one() {
        for name in [
            "key",
            "api_key",
            "Api-Key",
            "auth_key",
            "access_key",
            "accessKey",
            "private_key",
            "secret_key",
            "client_key",
            "client-keys",
            "X-Auth",
            "X-Auth-Key",
            "http_auth",
            "pwd",
            "db_pwd",
            "passphrase",
            "tokens",
            "Refresh%54oken",
            "sig",
        ] {
            assert!(is_secret_parameter(name), "{name}");
        }
        for name in
            ["monkey", "author", "oauth_version", "keyword", "sign_up", "Idempotency-Key", "value", "s"]
        {
            assert!(!is_secret_parameter(name), "{name}");
        }
        assert!(
            is_secret_header("Cookie")
                && is_secret_header("X-Api-Key")
                && !is_secret_header(super::super::IDEMPOTENCY_KEY)
        );
    }

    #[test]
    fn a_secret_is_known_however_a_receiver_repeats_it() {
        let known = spellings("a-b/c\"d*é".to_owned());
        for spelt in [
            "a-b/c\"d*é",
            "a-b%2Fc%22d%2A%C3%A9",
            "a-b%2Fc%22d*%C3%A9",
            "a%2Db%2Fc%22d%2A%C3%A9",
            "a-b/c\\\"d*é",
            "a-b\\/c\\\"d*é",
            "a-b/c\"d*%C3%A9",
        ] {
            assert!(known.iter().any(|one| one == spelt), "{spelt}: {known:?}");
        }
    }
}
