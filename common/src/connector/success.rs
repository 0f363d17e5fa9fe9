//! What an answer must say to count as delivered, besides its status (guarantee G5).
//!
//! Many receivers answer 200 to what they refuse: `success=false`, `code: 40001`, `partialFailureError`. On the
//! path the rule is asked when an attempt was answered; it is a function of the answer alone.

mod check;
mod json;

use crate::condition::{Operand, Operator};
use crate::delivery::is_success;
pub use check::faults;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A success rule: all of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// The statuses that are a success, each a number (`204`) or a class (`2xx`), among those that count as
    /// delivered at all. Empty: any of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// What must hold of the answer as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonRule>,
    /// What must hold of the answer as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextRule>,
}

/// A rule on a value of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonRule {
    /// Where it stands: names and numbers of elements, with dots between.
    pub path: String,
    /// What must hold of it.
    pub operator: Operator,
    /// With what; none for `exists` and `missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Operand>,
}

/// A rule on the answer's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRule {
    /// What it must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// What it must not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_contains: Option<String>,
}

/// Why an answer is not a success. The text names the rule, as it is configured, and never what was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The status is none that counts as delivered.
    #[error("status {0}")]
    Status(u16),
    /// The status is none of the rule's.
    #[error("status {0} is none of the success rule's")]
    OtherStatus(u16),
    /// The rule reads the whole answer, and only its beginning was kept (`egress.response_bytes`).
    #[error("answer too long to be judged")]
    TooLong,
    /// The rule reads JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// A rule on JSON or text does not hold.
    #[error("not {0}")]
    Rule(String),
}

/// Judges an answer by its status and the beginning of its body; `truncated` says that there was more of it.
///
/// # Errors
/// It is not a success: the first thing that does not hold.
pub fn judge(status: u16, body: &[u8], truncated: bool, success: Option<&Success>) -> Result<(), Rejection> {
    if !is_success(status) {
        return Err(Rejection::Status(status));
    }
    success.map_or(Ok(()), |success| success.judge(status, body, truncated))
}

impl Success {
    fn judge(&self, status: u16, body: &[u8], truncated: bool) -> Result<(), Rejection> {
        if !self.status.is_empty() && !self.status.iter().any(|pattern| covers(pattern, status)) {
            return Err(Rejection::OtherStatus(status));
        }
        if !self.json.is_empty() {
            if truncated {
                return Err(Rejection::TooLong);
            }
            let answer: Value = serde_json::from_slice(body).map_err(|_| Rejection::NotJson)?;
            if let Some(rule) = self.json.iter().find(|rule| !rule.holds(&answer)) {
                return Err(Rejection::Rule(rule.to_string()));
            }
        }
        self.text.as_ref().map_or(Ok(()), |rule| rule.judge(&String::from_utf8_lossy(body), truncated))
    }
}

impl TextRule {
    fn judge(&self, text: &str, truncated: bool) -> Result<(), Rejection> {
        if let Some(wanted) = self.contains.as_ref().filter(|wanted| !text.contains(wanted.as_str())) {
            // It may stand in what was cut off.
            return Err(if truncated { Rejection::TooLong } else { broken("contains", wanted) });
        }
        let Some(unwanted) = &self.not_contains else { return Ok(()) };
        match (text.contains(unwanted.as_str()), truncated) {
            (true, _) => Err(broken("not_contains", unwanted)),
            (false, true) => Err(Rejection::TooLong),
            (false, false) => Ok(()),
        }
    }
}

impl JsonRule {
    fn holds(&self, answer: &Value) -> bool {
        json::holds(self.operator, json::at(answer, &self.path), self.value.as_ref())
    }
}

impl fmt::Display for JsonRule {
    /// As in `json response.status equals 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "json {} {}", self.path, word(self.operator))?;
        match &self.value {
            Some(value) => write!(f, " {}", shown(value)),
            None => Ok(()),
        }
    }
}

/// An operand as a person writes it.
fn shown(operand: &Operand) -> String {
    match operand {
        Operand::Truth(truth) => truth.to_string(),
        Operand::Number(number) => number.to_string(),
        Operand::Text(text) => format!("{text:?}"),
        Operand::List(all) => format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(", ")),
    }
}

fn broken(operator: &str, value: &str) -> Rejection {
    Rejection::Rule(format!("text {operator} {value:?}"))
}

fn word(operator: Operator) -> String {
    let named = serde_json::to_value(operator).ok();
    named.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Whether `204` or `2xx` means this status.
fn covers(pattern: &str, status: u16) -> bool {
    match pattern.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => pattern.parse() == Ok(status),
    }
}

#[cfg(test)]
mod tests;
