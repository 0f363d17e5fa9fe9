//! Templates: text with macros, as people write them into connectors and offers.
//!
//! On the path they stand between a selected delivery and its request, and between a click and its
//! redirect. A template is parsed once, and only what the operator wrote is ever scanned: a value that
//! holds `{{EMAIL}}` is sent as these nine characters. Nothing here does I/O or knows the time.
//!
//! Three spellings: `{{NAME}}` is always a macro, of a known name or of a field of the event's own data;
//! `[name]` and `{name}` are macros only where the name is in the catalogue, because networks' own URLs
//! hold brackets and braces.

pub mod catalogue;
pub mod location;
pub mod place;

use catalogue::{Catalogue, Syntax};
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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro(Macro),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Macro {
    /// What `Values` is asked for.
    name: Cow<'static, str>,
    /// The whole of it as it stands in the template.
    written: String,
}

impl Macro {
    /// The name as its author wrote it, for messages.
    fn spelling(&self) -> &str {
        self.written.trim_matches(['{', '}', '[', ']']).trim()
    }
}

/// A filled template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The macros without a value, as written, each once. They stand in the text as nothing.
    pub unresolved: Vec<String>,
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

/// Why a macro cannot be read. The names in it are the operator's own words, cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// `{{` without `}}`.
    #[error("`{0}` begins a macro that never ends")]
    Unterminated(String),
    /// `{{}}`.
    #[error("a macro has no name")]
    Nameless,
    /// A name over [`NAME_MAX`].
    #[error("the macro `{0}` has a name of over {NAME_MAX} bytes")]
    TooLong(String),
    /// A name of other characters than a field's, or with an empty step in its path.
    #[error("`{0}` is not a macro's name")]
    Odd(String),
    /// A filter, which this version does not have.
    #[error("the macro `{0}` has a filter, and filters are not known")]
    Filter(String),
    /// `{name}` where every such name must be known.
    #[error("unknown macro {{{name}}}")]
    Unknown {
        /// The name.
        name: String,
        /// What could stand there.
        known: String,
    },
    /// `{{name}}` where only `{name}` is a macro.
    #[error("`{0}` is written with double braces, which are no macro here")]
    DoubleBraces(String),
}

impl Malformed {
    /// What would be right.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unterminated(_) => "close it with `}}`".to_owned(),
            Self::Nameless => "write a name between the braces, as in {{VALUE}}".to_owned(),
            Self::TooLong(_) => format!("use at most {NAME_MAX} bytes"),
            Self::Odd(_) => {
                "use letters, digits, `_` and `-`, and single dots between the steps of a path".to_owned()
            }
            Self::Filter(_) => "write the name alone, as in {{VALUE}}".to_owned(),
            Self::Unknown { known, .. } => format!("known are {known}"),
            Self::DoubleBraces(name) => format!("write {{{}}}", name.trim_matches(['{', '}']).trim()),
        }
    }

    /// The fault of a key that holds such a macro.
    pub fn at(&self, key: &str) -> Fault {
        Fault::new(key, self.to_string(), self.remedy())
    }
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// Everything in it that is meant as a macro and is none, in its order.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Malformed>> {
        let mut scan = Scan::default();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '[']) {
            scan.literal.push_str(&rest[..at]);
            rest = &rest[at..];
            rest = &rest[scan.bracket(rest, catalogue)..];
        }
        scan.literal.push_str(rest);
        scan.end_literal();
        if scan.faults.is_empty() { Ok(Self { pieces: scan.pieces }) } else { Err(scan.faults) }
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
                Piece::Literal(text) => rendered.text.push_str(text),
                Piece::Macro(wanted) => match values.value(&wanted.name) {
                    Some(value) => place.push(&value, &mut rendered.text),
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

    /// The macros in it, as the catalogue spells them, or as paths; repeated where they repeat.
    pub fn macros(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Macro(wanted) => Some(&*wanted.name),
        })
    }

    /// What stands in `{…}` or `[…]`, reads like a macro and is none, so that it is sent as it is.
    pub fn lookalikes(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for mut text in self.literals() {
            while let Some(at) = text.find(['{', '[']) {
                text = &text[at..];
                match single(text) {
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
}

impl Rendered {
    fn miss(&mut self, name: &str) {
        if !self.unresolved.iter().any(|known| known == name) {
            self.unresolved.push(name.to_owned());
        }
    }
}

/// What a scan has found so far.
#[derive(Default)]
struct Scan {
    literal: String,
    pieces: Vec<Piece>,
    faults: Vec<Malformed>,
}

impl Scan {
    /// Takes what begins with the bracket or brace that `rest` begins with; returns its length.
    fn bracket(&mut self, rest: &str, catalogue: &Catalogue) -> usize {
        if rest.starts_with("{{") {
            return self.double(rest, catalogue);
        }
        let braces_only = catalogue.syntax == Syntax::Braces;
        if let Some(name) = single(rest).filter(|_| !(braces_only && rest.starts_with('['))) {
            let len = name.len() + 2;
            match catalogue.single(name) {
                Some(known) => self.found(known, &rest[..len]),
                None if braces_only => {
                    self.faults.push(Malformed::Unknown { name: excerpt(name), known: catalogue.listed() });
                }
                None => self.literal.push_str(&rest[..len]),
            }
            return len;
        }
        self.literal.push_str(&rest[..1]);
        1
    }

    fn double(&mut self, rest: &str, catalogue: &Catalogue) -> usize {
        let Some(end) = rest.find("}}") else {
            self.faults.push(Malformed::Unterminated(excerpt(rest)));
            return rest.len();
        };
        let len = end + 2;
        if catalogue.syntax == Syntax::Braces {
            self.faults.push(Malformed::DoubleBraces(excerpt(&rest[..len])));
            return len;
        }
        let name = rest[2..end].trim();
        match check_name(name) {
            Ok(()) => {
                let known = catalogue.known(name).map_or_else(|| name.to_owned().into(), Cow::Borrowed);
                self.found(known, &rest[..len]);
            }
            Err(fault) => self.faults.push(fault),
        }
        len
    }

    fn found(&mut self, name: Cow<'static, str>, written: &str) {
        self.end_literal();
        self.pieces.push(Piece::Macro(Macro { name, written: written.to_owned() }));
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Literal(std::mem::take(&mut self.literal)));
        }
    }
}

fn in_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn check_name(name: &str) -> Result<(), Malformed> {
    if name.is_empty() {
        Err(Malformed::Nameless)
    } else if name.contains('|') {
        Err(Malformed::Filter(excerpt(name)))
    } else if name.len() > NAME_MAX {
        Err(Malformed::TooLong(excerpt(name)))
    } else if !name.bytes().all(in_a_name) || name.split('.').any(str::is_empty) {
        Err(Malformed::Odd(excerpt(name)))
    } else {
        Ok(())
    }
}

/// The name in the `{name}` or `[name]` that `rest` begins with, if it begins with one.
fn single(rest: &str) -> Option<&str> {
    let close = if rest.starts_with('{') { b'}' } else { b']' };
    let inner = rest.get(1..)?;
    let len = inner.bytes().take(NAME_MAX + 1).take_while(|byte| in_a_name(*byte)).count();
    let name = &inner[..len];
    (check_name(name).is_ok() && inner.as_bytes().get(len) == Some(&close)).then_some(name)
}

fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod hostile;
