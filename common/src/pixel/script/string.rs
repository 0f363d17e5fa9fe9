//! The text of a string or a template, as far as it says what a gap in it is.

use super::scope::{ADDRESS, Sink};
use crate::pixel::address::{self, GAP, Kind};
use crate::pixel::json::ends_within_an_escape;
use crate::pixel::outline::{Found, Reading};
use crate::pixel::place::Place;
use crate::pixel::wrong::Wrong;
use std::ops::Range;

/// A string, or all the text of a template.
pub(super) struct Text {
    /// Its text as written, up to each gap, with the gap's number.
    before: Vec<(usize, String)>,
    /// Its own text, unescaped, with [`GAP`] for what is filled in.
    whole: String,
}

impl Text {
    pub(super) fn of(reading: &Reading<'_>, body: &Range<usize>) -> Self {
        Self::of_template(reading, std::slice::from_ref(body))
    }

    pub(super) fn of_template(reading: &Reading<'_>, texts: &[Range<usize>]) -> Self {
        let (mut before, mut whole) = (Vec::new(), String::new());
        for (index, body) in texts.iter().enumerate() {
            if index > 0 {
                whole.push(GAP);
            }
            for piece in reading.pieces(body) {
                match piece {
                    Ok(text) => unescape(text, &mut whole),
                    Err(gap) => {
                        before.push((gap, whole.clone()));
                        whole.push(GAP);
                    }
                }
            }
        }
        Self { before, whole }
    }

    /// What a gap of it is in, where the whole goes to this sink.
    pub(super) fn found(&self, reading: &Reading<'_>, gap: usize, sink: Option<Sink>) -> Found {
        let at = reading.gap(gap);
        let line = &reading.source[..at.start];
        let start = line.rfind(['"', '\'', '`', '\n']).map_or(0, |found| found + 1);
        if ends_within_an_escape(&line[start..]) {
            return Err(Wrong::Escape);
        }
        if self.whole.contains('<') {
            return Err(Wrong::HtmlInString);
        }
        let before = self.before.iter().find(|(of, _)| *of == gap).map_or("", |(_, before)| before);
        let kind = address::kind(before)?;
        match (sink, kind) {
            (Some(Sink { what: ADDRESS, .. }) | None, Kind::Address(Place::Path)) => {
                let after = &reading.source[at.end..];
                let dots = address::is_dot_segment(before, &reading.source[at], after);
                if dots { Err(Wrong::DotSegment) } else { Ok(Place::Path) }
            }
            (Some(Sink { what: ADDRESS, .. }) | None, Kind::Address(place)) => Ok(place),
            (Some(Sink { what, name }), _) => Err(Wrong::Sink(what, name)),
            (None, Kind::Text) => Ok(Place::Script),
        }
    }
}

/// Appends what a text of a script says. What it cannot read it takes as it stands: it only looks for the beginning
/// of an address and for HTML.
fn unescape(text: &str, to: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        to.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let number = |from: usize, len: usize| {
            let digits = escape.get(from..from + len)?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), from + len))
        };
        let first = escape.chars().next();
        let read = match first {
            Some('x') => number(1, 2),
            Some('u') if escape[1..].starts_with('{') => {
                let end = escape.find('}').unwrap_or(2);
                number(2, end.saturating_sub(2)).map(|(c, len)| (c, len + 1))
            }
            Some('u') => number(1, 4),
            Some(c @ '0'..='7') => {
                let digits: String = escape.chars().take(3).take_while(|c| ('0'..='7').contains(c)).collect();
                let code = u32::from_str_radix(&digits, 8).unwrap_or_default();
                Some((char::from_u32(code).unwrap_or(c), digits.len()))
            }
            _ => None,
        };
        let (c, len) = match (read, first) {
            (Some(read), _) => read,
            (None, Some('\n' | '\u{2028}' | '\u{2029}')) => {
                rest = &escape[first.map_or(0, char::len_utf8)..];
                continue;
            }
            (None, Some('t')) => ('\t', 1),
            (None, Some('n')) => ('\n', 1),
            (None, Some('r')) => ('\r', 1),
            (None, Some(c)) => (c, c.len_utf8()),
            (None, None) => return,
        };
        to.push(c);
        rest = &escape[len..];
    }
    to.push_str(rest);
}
