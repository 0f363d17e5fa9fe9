//! Secrets by name in text that is no JSON, though it may have been meant to be: `"password": "…"`,
//! `cvv=…`, `Authorization: …`. What cannot be parsed is masked by its looks, rather too much than too
//! little.

use super::{MASK, is_secret};

/// How far back from `=` or `:` a name may begin, in bytes.
const LONGEST_NAME: usize = 100;

/// Masks the values after secret names, and says how many there were.
pub(super) fn named(text: &str, spared: &[String]) -> (String, usize) {
    let (mut masked, mut kept, mut count) = (String::new(), 0, 0);
    for (at, sign) in text.char_indices().filter(|(_, c)| matches!(c, '=' | ':')) {
        if at < kept {
            continue;
        }
        let (name, quoted) = name_before(&text[kept..at]);
        if !is_secret(name, spared) {
            continue;
        }
        let rest = &text[at + 1..];
        let start = at + 1 + rest.len() - rest.trim_start().len();
        let (from, to) = value(text, start, sign == ':' && !quoted);
        if from == to || &text[from..to] == MASK {
            continue;
        }
        masked.push_str(&text[kept..from]);
        masked.push_str(MASK);
        kept = to;
        count += 1;
    }
    masked.push_str(&text[kept..]);
    (masked, count)
}

/// The name that ends a text, and whether it stands in quotes.
fn name_before(text: &str) -> (&str, bool) {
    let trimmed = text.trim_end();
    let bare = trimmed.trim_end_matches(['"', '\'', '\\']);
    let name = bare
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '-' | '[' | ']'))
        .map(|(at, _)| at)
        .take_while(|at| bare.len() - at <= LONGEST_NAME)
        .last()
        .map_or("", |at| &bare[at..]);
    (name, bare.len() < trimmed.len())
}

/// Where a value that begins at `start` begins and ends, without its quotes. A `line` goes to its end, as a
/// header's value does.
fn value(text: &str, start: usize, line: bool) -> (usize, usize) {
    let rest = &text[start..];
    let escapes = rest.len() - rest.trim_start_matches('\\').len();
    if let Some(quote) = rest[escapes..].chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let from = start + escapes + 1;
        return (from, closing(text, from, quote, escapes));
    }
    if rest.starts_with(['{', '[']) {
        return (start, start + nested(rest));
    }
    let over = |c: char| matches!(c, '&' | ',' | ';' | '"' | '\'' | '}' | ']' | '<' | '\n' | '\r' | '\\');
    let length = rest.find(|c: char| over(c) || (!line && c.is_whitespace())).unwrap_or(rest.len());
    (start, start + rest[..length].trim_end().len())
}

/// Where the closing quote stands that is escaped as the opening one is; without one, the end. Its
/// backslashes are not part of the value.
fn closing(text: &str, from: usize, quote: char, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, c) in text[from..].char_indices() {
        if c == quote && (backslashes == escapes || (escapes == 0 && backslashes % 2 == 0)) {
            return from + at - escapes.min(backslashes);
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
    }
    text.len()
}

/// How long a value in brackets is; one that is never closed goes to the end.
fn nested(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' if depth == 1 => return at + c.len_utf8(),
            '}' | ']' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}
