//! A filled template: as it is sent, and as it may be shown.

use super::place::Place;
use std::fmt;

/// What stands for a secret where something is shown.
pub const MASK: &str = "…";

/// A filled template.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// The macros without a value, as written, each once. They stand in the text as nothing.
    pub unresolved: Vec<String>,
    /// The values that a secret went into, before they were escaped: not to be kept where they are echoed.
    pub secrets: Vec<String>,
    /// The text with [`MASK`] for each secret; none where there is no secret.
    masked: Option<String>,
}

impl Rendered {
    /// The text as it may be shown.
    pub fn shown(&self) -> &str {
        self.masked.as_deref().unwrap_or(&self.text)
    }

    /// Whether a secret is in it.
    pub fn holds_a_secret(&self) -> bool {
        self.masked.is_some()
    }

    /// Appends text that is meant as it stands.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(masked) = &mut self.masked {
            masked.push_str(text);
        }
    }

    /// Appends a value, escaped for a place.
    pub fn push_value(&mut self, value: &str, place: Place) {
        place.push(value, &mut self.text);
        if let Some(masked) = &mut self.masked {
            place.push(value, masked);
        }
    }

    /// Appends a value that a secret went into.
    pub fn push_secret(&mut self, value: &str, place: Place) {
        let masked = self.masked.get_or_insert_with(|| self.text.clone());
        masked.push_str(MASK);
        place.push(value, &mut self.text);
        self.secrets.push(value.to_owned());
    }

    /// Appends what was rendered elsewhere, escaped for a place.
    pub fn append(&mut self, other: Rendered, place: Place) {
        if other.masked.is_some() && self.masked.is_none() {
            self.masked = Some(self.text.clone());
        }
        if let Some(masked) = &mut self.masked {
            place.push(other.shown(), masked);
        }
        place.push(&other.text, &mut self.text);
        self.note(other.unresolved, other.secrets);
    }

    /// Takes over what is to be known of something that is itself left out.
    pub fn leave_out(&mut self, other: Rendered) {
        self.note(other.unresolved, other.secrets);
    }

    /// Notes a macro without a value.
    pub(super) fn miss(&mut self, name: &str) {
        if !self.unresolved.iter().any(|known| known == name) {
            self.unresolved.push(name.to_owned());
        }
    }

    fn note(&mut self, unresolved: Vec<String>, secrets: Vec<String>) {
        for name in unresolved {
            self.miss(&name);
        }
        self.secrets.extend(secrets);
    }
}

impl fmt::Debug for Rendered {
    /// Without its text, which holds what must not be in a process log (guarantee G9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, without a value: {:?}", self.text.len(), self.unresolved)
    }
}
