//! A pixel: code for the browser, with macros that are filled in here, on the server.
//!
//! On the path it stands beside [`crate::postback`]: what a webhook is to a receiver, a pixel is to a visitor's
//! browser. Its code is the operator's, and was approved; what is filled in is anybody's. So each macro is escaped
//! for the very place that it stands in, and a place where no escaping can be safe is a fault that `check` tells
//! with line and column. What was filled in is read again before it leaves: it must have the structure that its
//! code has.
//!
//! Code that begins with `<` is HTML; any other is JavaScript, and is sent in a `<script>` of its own. Only `{{…}}`
//! is a macro here, because JavaScript is full of `{name}` and `[name]`.
//!
//! `code` parses and fills in; `html` says what each macro stands in, with `attribute`, `address`, `script` and
//! `json`; `place` has the escapes, `wrong` the faults, `outline` the structure that is compared.

mod address;
mod approval;
mod attribute;
mod code;
mod html;
mod json;
mod outline;
mod place;
mod script;
mod wrong;

pub use approval::{Approval, Approvals, CodeHash, Decision, NoHash, Standing, code_hash};
pub use code::Code;

use std::fmt;

/// The longest code, in bytes.
pub const CODE_MAX: usize = 64 * 1024;

/// The longest pixel that is sent to a browser, in bytes.
pub const RENDERED_MAX: usize = 256 * 1024;

/// The most macros that code may have.
pub const MACROS_MAX: usize = 500;

/// Something wrong with a pixel's code: where, what, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}; {advice}")]
pub struct Fault {
    /// The line of the code, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub problem: String,
    /// What to do instead.
    pub advice: String,
}

/// A pixel as it is sent to a browser. Its `Debug` does not show it: personal data stands in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole of it, as HTML.
    pub html: String,
    /// The macros without a value, as written, each once. They were filled in with nothing.
    pub unresolved: Vec<String>,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, without a value: {:?}", self.html.len(), self.unresolved)
    }
}

/// Why a delivery cannot be made a pixel. It names macros, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrenderable {
    /// The connector has no pixel.
    #[error("the connector has no pixel")]
    NoPixel,
    /// It would be longer than what is sent to a browser.
    #[error("the pixel would be {0} bytes long, and {RENDERED_MAX} is the most that is sent")]
    TooLong(usize),
    /// With this macro's value a segment of an address would be `.` or `..`, which browsers resolve away.
    #[error("with the value of `{0}` a segment of an address would be `.` or `..`")]
    DotSegment(String),
    /// With these values it would not have the structure of its code; by this macro's, where that can be told.
    #[error("with these values the pixel would have another structure than its code{}",
            .0.as_ref().map(|name| format!(", by that of `{name}`")).unwrap_or_default())]
    Structure(Option<String>),
}

#[cfg(test)]
mod tests;
