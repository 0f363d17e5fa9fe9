//! Attributes: which are only text, which are addresses, and which can do more than either.

use super::address::{self, GAP, Kind};
use super::html::{Tag, begins_a_reference};
use super::outline::{Found, Reading};
use super::place::Place;
use super::wrong::Wrong;
use std::ops::Range;

/// What is shown or read, and steers nothing. Names that begin with `data-` or `aria-` are such, too.
const TEXT: [&str; 7] = ["alt", "title", "value", "label", "placeholder", "summary", "abbr"];

/// What is one address.
const ADDRESS: [&str; 8] =
    ["src", "href", "action", "formaction", "poster", "cite", "background", "longdesc"];

/// What is a list of addresses.
const ADDRESSES: [&str; 4] = ["srcset", "imagesrcset", "ping", "archive"];

/// Elements that run, or show as a page, what they load.
const LOADING: [&str; 6] = ["script", "link", "iframe", "frame", "embed", "object"];

/// What the gaps in an attribute's value are in.
pub(super) fn read(reading: &mut Reading<'_>, tag: &Tag, name: &Range<usize>, value: &Range<usize>) {
    let gaps = reading.within(value);
    if gaps.is_empty() {
        return;
    }
    let name = reading.source[name.clone()].to_ascii_lowercase();
    let general = if is_quoted(reading.source, value) { general(tag, &name) } else { Err(Wrong::Unquoted) };
    for gap in gaps {
        let before = &reading.source[value.start..reading.gap(gap).start];
        let found = match &general {
            Ok(_) if begins_a_reference(before) => Err(Wrong::Reference),
            Ok(Place::Attribute) => Ok(Place::Attribute),
            Ok(_) => in_address(reading, tag, value, gap),
            Err(wrong) => Err(wrong.clone()),
        };
        reading.set(gap, found);
    }
}

fn is_quoted(source: &str, value: &Range<usize>) -> bool {
    let quote = source[..value.start].chars().next_back().filter(|c| matches!(c, '"' | '\''));
    quote
        .is_some_and(|quote| source[value.end..].starts_with(quote) && !source[value.clone()].contains(quote))
}

/// What an attribute is by its name. Of an address it is not said yet which part.
fn general(tag: &Tag, name: &str) -> Found {
    let has = |list: &[&str]| list.contains(&name);
    if name.starts_with("on") {
        Err(Wrong::Handler(name.to_owned()))
    } else if name == "style" {
        Err(Wrong::Style)
    } else if name == "srcdoc" {
        Err(Wrong::Markup(name.to_owned()))
    } else if has(&ADDRESSES) {
        Err(Wrong::ManyAddresses(name.to_owned()))
    } else if tag.name == "base" {
        Err(Wrong::Base)
    } else if has(&ADDRESS) || name == "data" && tag.name == "object" {
        Ok(Place::Query)
    } else if has(&TEXT) || name.starts_with("data-") || name.starts_with("aria-") {
        Ok(Place::Attribute)
    } else {
        Err(Wrong::Attribute(name.to_owned()))
    }
}

fn in_address(reading: &Reading<'_>, tag: &Tag, value: &Range<usize>, gap: usize) -> Found {
    let mut before = String::new();
    for piece in reading.pieces(value) {
        match piece {
            Ok(text) if has_other_references(text) => return Err(Wrong::AddressReference),
            Ok(text) => before.push_str(&text.replace("&amp;", "&")),
            Err(own) if own == gap => break,
            Err(_) => before.push(GAP),
        }
    }
    match address::kind(&before)? {
        Kind::Text => {
            Err(if before.starts_with(GAP) || before.is_empty() { Wrong::Host } else { Wrong::NotWhole })
        }
        Kind::Address(Place::Path) if LOADING.contains(&tag.name.as_str()) => {
            Err(Wrong::LoadedPath(tag.name.clone()))
        }
        Kind::Address(Place::Path) => {
            let at = reading.gap(gap);
            let source = reading.source;
            let (before, after) = (&source[value.start..at.start], &source[at.end..value.end]);
            let dots = address::is_dot_segment(before, &source[at], after);
            if dots { Err(Wrong::DotSegment) } else { Ok(Place::Path) }
        }
        Kind::Address(place) => Ok(place),
    }
}

/// Whether a text holds a character reference other than `&amp;`. `&name=` is none within an attribute.
fn has_other_references(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| {
        let rest = &text[at + 1..];
        let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_.~[]".contains(c));
        !rest.starts_with("amp;") && !name.starts_with('=')
    })
}
