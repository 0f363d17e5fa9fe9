//! The names that a header of a webhook may have.

use crate::connector::Method;

/// Headers that are made by whoever writes the request, or that would break it.
const NOT_CONFIGURABLE: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
];

/// What is wrong with a name, and what would be right.
pub(super) fn wrong(name: &str, method: Method) -> Option<(String, &'static str)> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if name.is_empty() {
        Some(("a header has no name".to_owned(), "name it, or remove it"))
    } else if !name.bytes().all(is_token) {
        let shown: String = name.chars().take(40).collect();
        Some((format!("`{shown}` is not a header's name"), "use letters, digits and `-`, as in X-Api-Key"))
    } else if NOT_CONFIGURABLE.into_iter().any(is) {
        Some((
            format!("header `{name}` cannot be configured"),
            "remove it: the HTTP client sets what is needed",
        ))
    } else if method == Method::Post && is("content-type") {
        Some((format!("header `{name}` cannot be configured"), "choose the body's form with `encoding`"))
    } else {
        None
    }
}

/// RFC 9110's token.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
