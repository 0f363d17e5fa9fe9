//! What an answer must say to count as delivered, besides its status (guarantee G5).

use crate::condition::{Operand, Operator};
use serde::{Deserialize, Serialize};

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
