//! Templates: text with macros, as people write them into connectors and offers.
//!
//! On the path they stand between a selected delivery and its request, and between a click and its
//! redirect. A template is parsed once, and only what the operator wrote is ever scanned: a value that
//! holds `{{EMAIL}}` is sent as these nine characters. Nothing here does I/O or knows the time.
//!
//! Three spellings: `{{NAME}}` is always a macro, of a known name or of a field of the event's own data, and
//! may have filters, as in `{{EMAIL | lower | sha256}}`; `[name]` and `{name}` are macros only where the name
//! is in the catalogue, because networks' own URLs hold brackets and braces.

pub mod catalogue;
pub mod filter;
pub mod form;
pub mod json;
pub mod location;
pub mod place;

mod malformed;
mod pair;
mod quoted;
mod rendered;
mod scan;

pub use malformed::Malformed;
pub use rendered::{MASK, Rendered};

use catalogue::{Catalogue, SECRET};
use filter::Filter;
use place::Place;
use std::borrow::Cow;

/// The longest name that a macro may have, in bytes.
pub const NAME_MAX: usize = 128;

/// Where the values of macros come from.
pub trait Values {
    /// The value of a macro, none where there is none. `name` is the catalogue's own spelling of a known
    /// macro, whatever alias or case the template has, and else the path as it was written.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Its own text.
    Literal(String),
    /// What is filled in.
    Macro(Macro),
}

/// A macro with its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Macro {
    /// What `Values` is asked for.
    name: Cow<'static, str>,
    /// What is done to it then, in this order.
    filters: Vec<Filter>,
    /// The whole of it as it stands in the template.
    written: String,
}

impl Macro {
    /// The name as its author wrote it, for messages.
    pub(crate) fn spelling(&self) -> &str {
        let inner = self.written.trim_matches(['{', '}', '[', ']']);
        inner.split('|').next().unwrap_or(inner).trim()
    }

    /// What it stands for. Where it has filters, an empty value is none.
    pub(crate) fn resolve<'v>(&'v self, values: &'v dyn Values) -> Option<Cow<'v, str>> {
        let given = values.value(&self.name);
        let some = |value: &Cow<'_, str>| !value.is_empty();
        match self.filters.as_slice() {
            [] => given,
            filters => filters.iter().fold(given.filter(some), |value, filter| {
                filter.apply(&self.name, value, values).filter(some)
            }),
        }
    }

    /// The macros that go into it: itself and the arguments of its filters.
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.name).chain(self.filters.iter().flat_map(Filter::names))
    }

    /// Whether a secret goes into it.
    pub(crate) fn holds_a_secret(&self) -> bool {
        self.names().any(|name| name.starts_with(SECRET))
    }

    /// Whether it is left out where it has no value, and not told as unresolved.
    pub(crate) fn is_optional(&self) -> bool {
        self.filters.iter().any(Filter::is_optional)
    }

    /// Whether it asks for a bare number.
    pub(crate) fn is_number(&self) -> bool {
        self.filters.iter().any(Filter::is_number)
    }

    /// The whole of it as it stands in the template.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// The place to escape it for. A secret that stands alone in a header is the operator's own text, and
    /// must arrive as it is; whoever renders looks whether it can.
    fn place(&self, place: Place) -> Place {
        let verbatim = place == Place::Header && self.filters.is_empty() && self.name.starts_with(SECRET);
        if verbatim { Place::Text } else { place }
    }
}

/// The parts of a text in their order, and what is wrong with them, each with the byte that it begins at. What is
/// meant as a macro and is none is a macro without a name.
pub(crate) fn parts(text: &str, catalogue: &Catalogue) -> (Vec<Piece>, Vec<(usize, Malformed)>) {
    scan::Scan::of(text, catalogue)
}

/// Something wrong with a configured text: which key, what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}; {remedy}")]
pub struct Fault {
    /// The key within its resource, such as `parameters[2].value`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl Fault {
    /// A fault of a key.
    pub fn new(key: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

/// Several faults in one line.
pub fn list(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// Everything in it that is meant as a macro and is none, in its order.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Malformed>> {
        match scan::Scan::of(text, catalogue) {
            (pieces, faults) if faults.is_empty() => Ok(Self { pieces }),
            (_, faults) => Err(faults.into_iter().map(|(_, malformed)| malformed).collect()),
        }
    }

    /// Fills the template. Values are escaped for `place`; the template's own text stands as written.
    pub fn render(&self, values: &dyn Values, place: Place) -> Rendered {
        let mut rendered = Rendered::default();
        self.render_onto(&mut rendered, values, place);
        rendered
    }

    /// Fills the template at the end of what is rendered already.
    pub fn render_onto(&self, rendered: &mut Rendered, values: &dyn Values, place: Place) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => rendered.push(text),
                Piece::Macro(wanted) => match wanted.resolve(values) {
                    Some(value) if wanted.holds_a_secret() => {
                        rendered.push_secret(&value, wanted.place(place));
                    }
                    Some(value) => rendered.push_value(&value, place),
                    None if wanted.is_optional() => {}
                    None => rendered.miss(wanted.spelling()),
                },
            }
        }
    }

    /// The template's own text, without its macros.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text.as_str()),
            Piece::Macro(_) => None,
        })
    }

    /// The macros in it and in the arguments of their filters, as the catalogue spells them, or as paths;
    /// repeated where they repeat.
    pub fn macros(&self) -> impl Iterator<Item = &str> {
        self.placeholders().flat_map(Macro::names)
    }

    /// The secrets in it that are sent as they are, by their names.
    pub fn bare_secrets(&self) -> impl Iterator<Item = &str> {
        let bare = self.placeholders().filter(|wanted| wanted.filters.is_empty());
        bare.filter_map(|wanted| wanted.name.strip_prefix(SECRET))
    }

    /// Whether it stands for nothing where its values are missing, by one of its macros.
    pub fn is_optional(&self) -> bool {
        self.placeholders().any(Macro::is_optional)
    }

    /// Whether it asks for a bare number.
    pub fn asks_for_a_number(&self) -> bool {
        self.placeholders().any(Macro::is_number)
    }

    /// Whether it is one macro and nothing else.
    pub fn is_one_macro(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Macro(_)])
    }

    /// Whether it has a macro at all: what has none cannot come out empty, only be written so.
    pub fn has_a_macro(&self) -> bool {
        self.placeholders().next().is_some()
    }

    /// What stands in `{…}` or `[…]`, reads like a macro and is none, so that it is sent as it is.
    pub fn lookalikes(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for mut text in self.literals() {
            while let Some(at) = text.find(['{', '[']) {
                text = &text[at..];
                match scan::single(text) {
                    Some(name) => {
                        found.push(&text[..name.len() + 2]);
                        text = &text[name.len() + 2..];
                    }
                    None => text = &text[1..],
                }
            }
        }
        found
    }

    fn placeholders(&self) -> impl Iterator<Item = &Macro> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Macro(wanted) => Some(wanted),
        })
    }
}

#[cfg(test)]
pub(super) mod tests;

#[cfg(test)]
pub(crate) mod hostile;
