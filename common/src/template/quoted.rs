//! Texts with quoted parts, in which nothing means anything but the quote that ends them.

/// The positions of all characters outside quotes. Quotes themselves are inside.
pub(super) fn outside(text: &str) -> Vec<usize> {
    let mut open = None;
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        match open {
            Some(quote) if c == quote => open = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => open = Some(c),
            None => found.push(at),
        }
    }
    found
}

/// The parts of a text between the separators that stand outside quotes.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in outside(text).into_iter().filter(|at| text[*at..].starts_with(separator)) {
        parts.push(&text[start..at]);
        start = at + separator.len_utf8();
    }
    parts.push(&text[start..]);
    parts
}

/// What a quoted text says; none where it is not quoted, or where its quote stands in it again. There are no
/// escapes: a text with the one quote in it is written in the other.
pub(super) fn literal(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(quote)).then_some(inner)
}
