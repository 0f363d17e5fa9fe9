//! Addresses with macros: a URL that is fixed up to its path, in an attribute or in a string of a script.

use super::place::Place;
use super::wrong::Wrong;
use percent_encoding::percent_decode_str;

/// Stands for what is filled in, where the text around it is looked at.
pub(super) const GAP: char = '\u{fffc}';

/// The schemes of addresses that are, or can run, scripts and documents of their own.
const DANGEROUS: [&str; 3] = ["javascript", "data", "vbscript"];

/// What a macro is in, by the text before it.
pub(super) enum Kind {
    /// An address.
    Address(Place),
    /// Any other text.
    Text,
}

/// Says whether a text that goes on with a macro is an address, and which part of it the macro is in.
///
/// # Errors
/// It is one in which no value is safe there.
pub(super) fn kind(before: &str) -> Result<Kind, Wrong> {
    // Browsers skip blanks before an address, and tabs and line ends anywhere in it.
    let text: String = before.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let text = text.trim_start_matches(|c: char| c <= ' ');
    if text.starts_with(GAP) {
        return Ok(Kind::Text);
    }
    let scheme: String =
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)).collect();
    let rest = &text[scheme.len()..];
    let scheme = scheme.to_ascii_lowercase();
    if rest.starts_with(':') && DANGEROUS.contains(&scheme.as_str()) {
        return Err(Wrong::Scheme(scheme));
    }
    let rest = match (scheme.as_str(), rest) {
        ("http" | "https", rest) if rest.starts_with(':') => &rest[1..],
        ("", rest) if rest.starts_with("//") => rest,
        _ => return Ok(Kind::Text),
    };
    let rest = rest.strip_prefix("//").ok_or(Wrong::Host)?;
    let (host, after) = rest.split_at(rest.find(['/', '?', '#']).ok_or(Wrong::Host)?);
    let odd = |c: char| !c.is_ascii_alphanumeric() && !"-._:[]".contains(c);
    if host.is_empty() || host.contains(odd) {
        return Err(Wrong::Host);
    }
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = after.as_bytes();
    if bytes.ends_with(b"%") || bytes.len() > 1 && bytes[bytes.len() - 2] == b'%' && digit(bytes.last()) {
        return Err(Wrong::Percent);
    }
    let path = !after.contains(['?', '#']);
    Ok(Kind::Address(if path { Place::Path } else { Place::Query }))
}

/// Whether what stands around a value in a path makes its segment `.` or `..`, which browsers resolve away.
pub(super) fn is_dot_segment(before: &str, value: &str, after: &str) -> bool {
    let ends = |c: char| matches!(c, '/' | '?' | '#' | '\\');
    let start = before.rfind(ends).map_or(0, |at| at + 1);
    let end = after.find(|c: char| ends(c) || matches!(c, '"' | '\'' | '`')).unwrap_or(after.len());
    let segment = format!("{}{value}{}", &before[start..], &after[..end]);
    segment.len() <= 6 && matches!(&*percent_decode_str(&segment).collect::<Vec<_>>(), b"." | b"..")
}
