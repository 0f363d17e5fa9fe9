//! Scanning a template: what of it is text and what is a macro.

use super::catalogue::{Catalogue, Syntax};
use super::filter::Filter;
use super::{Macro, Malformed, NAME_MAX, Piece, quoted};
use std::borrow::Cow;

/// What a scan has found so far.
#[derive(Default)]
pub(super) struct Scan {
    literal: String,
    pieces: Vec<Piece>,
    /// With the bytes that they begin at.
    faults: Vec<(usize, Malformed)>,
}

impl Scan {
    /// The pieces of a text, and everything in it that is meant as a macro and is none, in its order. Such a one is
    /// a piece as well, of a macro without a name.
    pub(super) fn of(text: &str, catalogue: &Catalogue) -> (Vec<Piece>, Vec<(usize, Malformed)>) {
        let mut scan = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '[']) {
            scan.literal.push_str(&rest[..at]);
            rest = &rest[at..];
            rest = &rest[scan.bracket(text.len() - rest.len(), rest, catalogue)..];
        }
        scan.literal.push_str(rest);
        scan.end_literal();
        (scan.pieces, scan.faults)
    }

    /// Takes what begins with the bracket or brace that `rest` begins with; returns its length.
    /// It stands at byte `at` of the whole.
    fn bracket(&mut self, at: usize, rest: &str, catalogue: &Catalogue) -> usize {
        if rest.starts_with("{{") {
            return self.double(at, rest, catalogue);
        }
        let braces_only = catalogue.syntax == Syntax::Braces;
        let is_text = catalogue.syntax == Syntax::DoubleBraces || braces_only && rest.starts_with('[');
        if let Some(name) = single(rest).filter(|_| !is_text) {
            let len = name.len() + 2;
            match catalogue.single(name) {
                Some(known) => self.found(known, Vec::new(), &rest[..len]),
                None if braces_only => {
                    let unknown = Malformed::Unknown { name: excerpt(name), known: catalogue.listed() };
                    self.faults.push((at, unknown));
                }
                None => self.literal.push_str(&rest[..len]),
            }
            return len;
        }
        self.literal.push_str(&rest[..1]);
        1
    }

    fn double(&mut self, at: usize, rest: &str, catalogue: &Catalogue) -> usize {
        let Some(end) = end_of(rest) else {
            self.faults.push((at, Malformed::Unterminated(excerpt(rest))));
            self.found(Cow::Borrowed(""), Vec::new(), rest);
            return rest.len();
        };
        let len = end + 2;
        if catalogue.syntax == Syntax::Braces {
            self.faults.push((at, Malformed::DoubleBraces(excerpt(&rest[..len]))));
            return len;
        }
        let inner = &rest[2..end];
        let (name, filters) = match inner.split_once('|') {
            Some((name, filters)) => (name.trim(), Filter::parse(name, filters, catalogue)),
            None => (inner.trim(), Ok(Vec::new())),
        };
        match (check_name(name), filters) {
            (Ok(()), Ok(filters)) => self.found(catalogue.name(name), filters, &rest[..len]),
            (name, filters) => {
                let faults = name.err().into_iter().chain(filters.err().into_iter().flatten());
                self.faults.extend(faults.map(|fault| (at, fault)));
                self.found(Cow::Borrowed(""), Vec::new(), &rest[..len]);
            }
        }
        len
    }

    fn found(&mut self, name: Cow<'static, str>, filters: Vec<Filter>, written: &str) {
        self.end_literal();
        self.pieces.push(Piece::Macro(Macro { name, filters, written: written.to_owned() }));
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal)));
        }
    }
}

/// Where the `}}` stands that ends the macro which `rest` begins with. Between the quotes of an argument it
/// ends nothing; where a quote is never closed, the first one ends it.
fn end_of(rest: &str) -> Option<usize> {
    let first = rest.find("}}")?;
    let Some(bar) = rest[..first].find('|') else { return Some(first) };
    let outside = quoted::outside(&rest[bar..]);
    let found = outside.into_iter().find(|at| rest[bar + at..].starts_with("}}"));
    Some(found.map_or(first, |at| bar + at))
}

fn in_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Whether something can be a macro's name.
pub(super) fn check_name(name: &str) -> Result<(), Malformed> {
    if name.is_empty() {
        Err(Malformed::Nameless)
    } else if name.len() > NAME_MAX {
        Err(Malformed::TooLong(excerpt(name)))
    } else if !name.bytes().all(in_a_name) || name.split('.').any(str::is_empty) {
        Err(Malformed::Odd(excerpt(name)))
    } else {
        Ok(())
    }
}

/// The name in the `{name}` or `[name]` that `rest` begins with, if it begins with one.
pub(super) fn single(rest: &str) -> Option<&str> {
    let close = if rest.starts_with('{') { b'}' } else { b']' };
    let inner = rest.get(1..)?;
    let len = inner.bytes().take(NAME_MAX + 1).take_while(|byte| in_a_name(*byte)).count();
    let name = &inner[..len];
    (check_name(name).is_ok() && inner.as_bytes().get(len) == Some(&close)).then_some(name)
}

/// The beginning of a text, for a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
