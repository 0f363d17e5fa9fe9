//! Conditions: what must hold of an event for a connector to be selected (specification 002).
//!
//! On the path they are asked after the triggers. They are functions of what was known when the event was
//! decided; nothing here does I/O or knows the time. `docs/conditions.md` tells users the same, and
//! `condition/table.toml` says what comes of every field with every operator.

mod operand;
mod field;
mod quality;
pub mod compare;
mod pattern;
mod check;

use crate::click::Click;
use crate::event::{ConversionFacts, Event};
use crate::identity;
use crate::touch::History;
pub use check::{faults, warnings};
use compare::Found;
use field::Field;
pub use operand::{Operand, Unusable};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl Operator {
    /// Every operator.
    pub const ALL: [Operator; 15] = [
        Self::Equals,
        Self::NotEquals,
        Self::Contains,
        Self::NotContains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Matches,
        Self::In,
        Self::NotIn,
        Self::Exists,
        Self::Missing,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
    ];

    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::Matches => "matches",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Exists => "exists",
            Self::Missing => "missing",
            Self::Greater => "greater",
            Self::GreaterOrEqual => "greater_or_equal",
            Self::Less => "less",
            Self::LessOrEqual => "less_or_equal",
        }
    }
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
    /// Which, counted from 0.
    pub index: usize,
    /// Whether no condition fails but for want of a click or touch. Then a click that comes late may mend it.
    pub for_want_of_a_click: bool,
}

/// Whether any of these depends on more than the event itself says: on a click, a touch, or what is counted.
pub fn need_history(conditions: &[Condition]) -> bool {
    let of_event = |condition: &Condition| {
        Field::named(&condition.field).is_some_and(|field| {
            matches!(
                field,
                Field::Revenue
                    | Field::EventNumber
                    | Field::Email
                    | Field::Phone
                    | Field::Contact
                    | Field::OfEvent(_)
            )
        })
    };
    !conditions.iter().all(of_event)
}

/// The first of these conditions that does not hold; none where all do.
pub fn unmet(conditions: &[Condition], circumstances: &Circumstances<'_>) -> Option<Unmet> {
    let mut failing = conditions.iter().enumerate().filter(|(_, condition)| !condition.holds(circumstances));
    let (index, first) = failing.next()?;
    let for_want_of_a_click = first.wants_click(circumstances)
        && failing.all(|(_, condition)| condition.wants_click(circumstances));
    Some(Unmet { index, for_want_of_a_click })
}

/// One of a connector's conditions, for a trace: `condition[0]: utm_source of the first click equals "facebook"`. It
/// never holds the value that was found, nor what that was compared with where either may say who somebody is (G9).
pub fn told(conditions: &[Condition], index: usize) -> String {
    let words = conditions.get(index).map(Condition::in_words).unwrap_or_default();
    format!("condition[{index}]: {words}")
}

/// What a condition looks at. Many connectors ask the same of an event, each for a text of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    field: String,
    which: Which,
}

impl Question {
    /// What is found, as [`Condition::wants_text`] gives texts; none where nothing is.
    pub fn answer(&self, circumstances: &Circumstances<'_>) -> Option<String> {
        match Field::named(&self.field)?.value(self.which, circumstances)? {
            Found::Text(text) => Some(compare::folded(&text)),
            Found::Number(_) | Found::Truth(_) => None,
        }
    }
}

impl Condition {
    /// What it looks at and the texts that it wants, where it holds if and only if [`Question::answer`] is one of
    /// them; none of every other condition.
    pub fn wants_text(&self) -> Option<(Question, Vec<String>)> {
        if !Field::named(&self.field)?.is_found_as_text() {
            return None;
        }
        let folded = |operand: &Operand| match operand {
            Operand::Text(text) => Some(compare::folded(text)),
            Operand::Truth(_) | Operand::Number(_) | Operand::List(_) => None,
        };
        let texts = match (self.operator, self.value.as_ref()?) {
            (Operator::Equals, operand) => vec![folded(operand)?],
            (Operator::In, Operand::List(operands)) => operands.iter().map(folded).collect::<Option<_>>()?,
            _ => return None,
        };
        Some((Question { field: self.field.clone(), which: self.which() }, texts))
    }

    fn which(&self) -> Which {
        self.click.unwrap_or(Which::Last)
    }

    /// A field that `check` would refuse has no value.
    fn holds(&self, circumstances: &Circumstances<'_>) -> bool {
        let field = Field::named(&self.field);
        let found = field.and_then(|field| field.value(self.which(), circumstances));
        let operand = match field {
            Some(Field::Phone) => self.value.as_ref().map(|value| as_phone(value, self.operator)),
            _ => self.value.as_ref().map(Cow::Borrowed),
        };
        compare::holds(found.as_ref(), self.operator, operand.as_deref())
    }

    fn wants_click(&self, circumstances: &Circumstances<'_>) -> bool {
        Field::named(&self.field).is_some_and(|field| field.wants_click(self.which(), circumstances))
    }

    /// The condition in words, for traces and previews: `utm_source of the first click equals "facebook"`. A value
    /// that may say who somebody is stands as `…` (G9).
    pub fn in_words(&self) -> String {
        let field = Field::named(&self.field);
        let mut told = self.field.clone();
        if field.is_some_and(Field::has_choice) {
            told.push_str(match self.which() {
                Which::First => " of the first click",
                Which::Last => " of the last click",
            });
        }
        told.push(' ');
        told.push_str(self.operator.as_str());
        match &self.value {
            None => {}
            Some(_) if field.is_none_or(Field::may_be_personal) => told.push_str(" …"),
            Some(value) => {
                told.push(' ');
                told.extend(value.to_string().chars().take(TOLD_MAX));
            }
        }
        told
    }
}

/// How much of a condition's own value a trace tells, in characters.
const TOLD_MAX: usize = 200;

/// Telephone numbers are compared in one form, however either side is written: the whole of them, that is. A
/// part of a number is looked for as it stands.
fn as_phone(value: &Operand, operator: Operator) -> Cow<'_, Operand> {
    fn whole(value: &Operand) -> Operand {
        match value {
            Operand::Text(text) => Operand::Text(identity::phone(text).unwrap_or_else(|| text.clone())),
            Operand::List(items) => Operand::List(items.iter().map(whole).collect()),
            Operand::Truth(_) | Operand::Number(_) => value.clone(),
        }
    }
    match operator {
        Operator::Equals | Operator::NotEquals | Operator::In | Operator::NotIn => Cow::Owned(whole(value)),
        _ => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod table;

#[cfg(test)]
mod tests;
