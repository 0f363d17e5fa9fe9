//! The body of a form, written out as text: `a=b&c={{VALUE}}`.

use super::catalogue::Catalogue;
use super::pair::{Pair, Places};
use super::place::Place;
use super::{Fault, Rendered, Template, Values};
use crate::connector::Empty;

/// A parsed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form(Vec<Pair>);

const PLACES: Places = Places { name: Place::Form, value: Place::Form };

impl Form {
    /// Parses a form. White space around it is none of it.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(key: &str, text: &str, catalogue: &Catalogue) -> Result<Self, Vec<Fault>> {
        let template = Template::parse(text.trim(), catalogue)
            .map_err(|malformed| malformed.iter().map(|fault| fault.at(key)).collect::<Vec<_>>())?;
        let mut faults = Vec::new();
        if template.literals().any(|text| text.contains(|c: char| !c.is_ascii_graphic())) {
            let problem = "the form holds a space, a line break or a character beyond ASCII";
            faults.push(Fault::new(key, problem, "percent-encode it, as in %20 for a space"));
        }
        let pairs: Vec<_> = Pair::all(template.pieces).into_iter().filter(|pair| !pair.is_empty()).collect();
        for pair in &pairs {
            faults.extend(number_in_text(key, &pair.value));
            faults.extend(pair.name.as_ref().and_then(|name| flag_without_a_place(key, name, "a name")));
        }
        if faults.is_empty() { Ok(Self(pairs)) } else { Err(faults) }
    }

    /// Fills it.
    pub fn render(&self, values: &dyn Values, empty: Empty) -> Rendered {
        let mut out = Rendered::default();
        for pair in &self.0 {
            if let Some(filled) = pair.render(&mut out, values, PLACES, empty) {
                if !out.text.is_empty() {
                    out.push("&");
                }
                out.append(filled, Place::Text);
            }
        }
        out
    }

    /// Its templates.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.iter().flat_map(Pair::templates)
    }
}

/// The fault of a template that asks for a bare number where there is only text.
pub fn number_in_text(key: &str, template: &Template) -> Option<Fault> {
    template.asks_for_a_number().then(|| {
        let remedy = "remove it: there are bare numbers in a JSON body alone";
        Fault::new(key, "the filter number makes no sense here", remedy)
    })
}

/// The fault of a template that asks to be left out, or for a bare number, where neither is possible.
pub(super) fn flag_without_a_place(key: &str, template: &Template, place: &str) -> Option<Fault> {
    number_in_text(key, template).or_else(|| {
        template.is_optional().then(|| {
            let remedy = "remove it, or use `default`";
            Fault::new(key, format!("the filter optional makes no sense in {place}"), remedy)
        })
    })
}
