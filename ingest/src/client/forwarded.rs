//! The `Forwarded` header (RFC 7239): elements in commas, pairs in semicolons, values perhaps in quotes.

use super::{Hop, address};

/// What each element of a line says, in its order. None for one that names no address: `unknown`, a name
/// that the proxy made up, or nonsense.
pub(super) fn hops(line: &str) -> Vec<Option<Hop>> {
    split(line, ',').map(hop).collect()
}

fn hop(element: &str) -> Option<Hop> {
    let (mut client, mut https) = (None, false);
    for pair in split(element, ';') {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value.trim())?;
        if name.trim().eq_ignore_ascii_case("for") {
            // Of two one would be a lie.
            if client.replace(address(value)?).is_some() {
                return None;
            }
        } else if name.trim().eq_ignore_ascii_case("proto") {
            https = value.eq_ignore_ascii_case("https");
        }
    }
    Some(Hop { address: client?, https })
}

/// What stands between separators that are in no quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let separates = c == separator && !quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
}

/// A value out of its quotes. What we read of one has nothing in it that would have to be escaped.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value).filter(|value| !value.contains('"')),
    }
}
