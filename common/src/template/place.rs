//! The places where a value can stand in a request, and how it is escaped for each.
//!
//! Every escape is reversible: a receiver that decodes its place the standard way has the value again,
//! to the byte, and no value can end the place that it stands in.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a header value does not hold as it is. `%` is among it so that decoding is exact.
const UNFIT_FOR_HEADER: AsciiSet = CONTROLS.add(b'%');

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In one segment of a URL's path: percent-encoded but for letters, digits, `-`, `.`, `_`, `~`.
    PathSegment,
    /// In the name of a query parameter: as in a path, so a space is `%20`.
    QueryName,
    /// In the value of a query parameter: as in its name.
    QueryValue,
    /// In a name or value of an `application/x-www-form-urlencoded` body: a space is `+`.
    Form,
    /// In a header's value. Percent-encoded are exactly C0 controls, DEL, everything beyond ASCII, `%`
    /// itself, and a space at either end of the value, which HTTP would cut off. Percent-decoding gives
    /// the value back; what has none of these stands as it is, so that tokens and dates stay readable.
    Header,
    /// Inside a JSON string that the template has the quotes of.
    Json,
    /// In plain text, as it is: for what is encoded as a whole afterwards, and for previews.
    Text,
}

impl Place {
    /// Appends a value, escaped for this place.
    pub fn push(self, value: &str, to: &mut String) {
        match self {
            Self::PathSegment | Self::QueryName | Self::QueryValue => {
                to.extend(utf8_percent_encode(value, &RESERVED));
            }
            Self::Form => to.extend(form_urlencoded::byte_serialize(value.as_bytes())),
            Self::Header => push_header(value, to),
            Self::Json => {
                // serde_json owns the rules of escaping; the quotes around are the template's.
                let quoted = serde_json::Value::from(value).to_string();
                to.push_str(&quoted[1..quoted.len() - 1]);
            }
            Self::Text => to.push_str(value),
        }
    }
}

fn push_header(value: &str, to: &mut String) {
    let after_first = value.strip_prefix(' ');
    if after_first.is_some() {
        to.push_str("%20");
    }
    let rest = after_first.unwrap_or(value);
    let before_last = rest.strip_suffix(' ');
    to.extend(utf8_percent_encode(before_last.unwrap_or(rest), &UNFIT_FOR_HEADER));
    if before_last.is_some() {
        to.push_str("%20");
    }
}
