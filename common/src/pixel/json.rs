//! Reading JSON in a script: gaps are safe in its strings, and nowhere else.

use super::outline::Reading;
use super::place::Place;
use super::wrong::Wrong;
use std::ops::Range;

/// What the gaps in a script of JSON are in.
pub(super) fn read(reading: &mut Reading<'_>, body: Range<usize>) {
    for gap in reading.within(&body) {
        reading.set(gap, Err(Wrong::JsonBare));
    }
    let bytes = reading.source.as_bytes();
    let mut at = body.start;
    while at < body.end {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let start = at + 1;
        let mut end = start;
        while end < body.end && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if end >= body.end {
            reading.fault(at, Wrong::Unfinished("a string"));
            return;
        }
        string(reading, &(start..end));
        at = end + 1;
    }
}

fn string(reading: &mut Reading<'_>, body: &Range<usize>) {
    reading.border(b'q', body.start);
    reading.border(b'Q', body.end);
    for gap in reading.within(body) {
        let before = &reading.source[body.start..reading.gap(gap).start];
        let found = if ends_within_an_escape(before) { Err(Wrong::Escape) } else { Ok(Place::Json) };
        reading.set(gap, found);
    }
}

/// Whether a string's text ends in an escape that the next character would go on with: `\`, `\x4`, `\u00` or `\1`.
pub(super) fn ends_within_an_escape(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at + 1..];
        let digits =
            |text: &str, most: usize| text.bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        let len = match escape.as_bytes().first() {
            None => return true,
            Some(b'u') if escape[1..].starts_with('{') => match escape.find('}') {
                Some(end) => end + 1,
                None => return true,
            },
            Some(b'u') if escape.len() - 1 == digits(&escape[1..], 4) && escape.len() < 5 => return true,
            Some(b'x') if escape.len() - 1 == digits(&escape[1..], 2) && escape.len() < 3 => return true,
            Some(b'0'..=b'9') if escape.len() < 3 && escape.bytes().all(|byte| byte.is_ascii_digit()) => {
                return true;
            }
            Some(_) => escape.chars().next().map_or(1, char::len_utf8),
        };
        rest = &escape[len..];
    }
    false
}
