//! Pairs of name and value, as a URL's query and a form have them: cut by the template's own text alone, so
//! that no value can begin another.

use super::location::cut::{split, split_once};
use super::place::Place;
use super::{Piece, Rendered, Template, Values};
use crate::connector::Empty;

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// None where there is no `=`: then all of it is value.
    pub(super) name: Option<Template>,
    pub(super) value: Template,
}

/// Where the two sides of a pair stand.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) name: Place,
    pub(super) value: Place,
}

impl Pair {
    /// The pairs of a text, with `&` between.
    pub(super) fn all(pieces: Vec<Piece>) -> Vec<Self> {
        split(pieces, '&').into_iter().map(Self::of).collect()
    }

    fn of(pieces: Vec<Piece>) -> Self {
        match split_once(pieces, &['=']) {
            (name, Some((_, value))) => {
                // In a name, `[x]` is how PHP and Rails write a field of a form: never a macro there.
                let name = name.into_iter().map(Piece::without_brackets).collect();
                Self { name: Some(Template { pieces: name }), value: Template { pieces: value } }
            }
            (value, None) => Self { name: None, value: Template { pieces: value } },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.value.pieces.is_empty()
    }

    /// Its templates.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.name.iter().chain([&self.value])
    }

    /// Fills it; none where it is left out, of which `out` is told.
    pub(super) fn render(
        &self,
        out: &mut Rendered,
        values: &dyn Values,
        places: Places,
        empty: Empty,
    ) -> Option<Rendered> {
        let value = self.value.render(values, places.value);
        if self.value.leaves_out(&value, empty) {
            out.leave_out(value);
            return None;
        }
        let mut pair = Rendered::default();
        if let Some(name) = &self.name {
            name.render_onto(&mut pair, values, places.name);
            pair.push("=");
        }
        pair.append(value, Place::Text);
        Some(pair)
    }
}

impl Template {
    /// Whether what came of it is left out: it is empty, and this place or one of its macros asks for that.
    /// What its author wrote empty is sent empty.
    pub fn leaves_out(&self, rendered: &Rendered, empty: Empty) -> bool {
        rendered.text.is_empty() && (self.is_optional() || empty == Empty::Drop && self.has_a_macro())
    }
}
