//! The places where a value is safe, and how it is escaped for each.
//!
//! What a browser reads of a place is the value again, to the character; only NUL, which HTML cannot hold, is
//! U+FFFD there. Nothing that means anything to the place, or to anything around it, is sent as it is: scripts get
//! letters, digits and a few signs, all else by number.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write as _;

/// All but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a macro stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The text of an element.
    Text,
    /// The quoted value of an attribute that is only text.
    Attribute,
    /// The path of an address, in an attribute or in a string of a script.
    Path,
    /// The query or the fragment of one.
    Query,
    /// A string of JavaScript, or the text of a template.
    Script,
    /// A string of JSON in a script.
    Json,
}

impl Place {
    /// Appends a value, escaped for this place.
    pub(super) fn push(self, value: &str, to: &mut String) {
        match self {
            Self::Text | Self::Attribute => value.chars().for_each(|c| push_html(c, to)),
            Self::Path | Self::Query => to.extend(utf8_percent_encode(value, &RESERVED)),
            Self::Script => value.chars().for_each(|c| push_script(c, to)),
            Self::Json => value.chars().for_each(|c| push_json(c, to)),
        }
    }
}

fn push_html(c: char, to: &mut String) {
    match c {
        '\0' => to.push('\u{fffd}'),
        '&' => to.push_str("&amp;"),
        '<' => to.push_str("&lt;"),
        '>' => to.push_str("&gt;"),
        // The rest of ASCII's controls and signs that mean something to some attribute, quirk or old parser.
        '\x01'..='\x1f' | '\x7f' | '"' | '\'' | '`' | '=' | '/' | '\\' | '{' | '}' => {
            let _ = write!(to, "&#{};", u32::from(c));
        }
        _ => to.push(c),
    }
}

/// What stands for itself in a string of a script, whatever is around it.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | ',' | ':' | ';' | '-' | '_' | '@' | '+' | '(' | ')')
}

fn push_script(c: char, to: &mut String) {
    match u32::from(c) {
        _ if is_plain(c) => to.push(c),
        number @ 0..=0xff => {
            let _ = write!(to, "\\x{number:02x}");
        }
        _ => push_json(c, to),
    }
}

fn push_json(c: char, to: &mut String) {
    if is_plain(c) {
        return to.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(to, "\\u{unit:04x}");
    }
}
