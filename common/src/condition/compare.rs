//! Comparing: the rules on case, blanks, numbers and missing values, in one place.
//!
//! A value that is missing equals nothing, holds nothing, is in no list, and is neither greater nor less. And
//! a `not_` operator holds exactly where its opposite does not, of a missing value too: whoever excludes
//! `facebook` means to let in who came from nowhere.

use super::pattern;
use super::{Operand, Operator};
use crate::money;
use rust_decimal::Decimal;
use serde_json::Value;
use std::borrow::Cow;

/// A value that was found. What is not there, is null or is blank is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A text, without blanks around it.
    Text(Cow<'a, str>),
    /// A number.
    Number(Decimal),
    /// A truth.
    Truth(bool),
}

impl<'a> Found<'a> {
    /// A text; none where it is blank.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        (!text.is_empty()).then_some(Self::Text(text))
    }

    /// A value of a JSON document: a text, a number or a boolean. An array or an object is none.
    pub fn json(value: &'a Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::text(text.as_str()),
            Value::Number(number) => {
                let text = number.to_string();
                money::decimal(&text).map(Self::Number).or_else(|| Self::text(text))
            }
            Value::Bool(truth) => Some(Self::Truth(*truth)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn as_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Truth(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        }
    }

    fn as_number(&self) -> Option<Decimal> {
        match self {
            Self::Text(text) => money::decimal(text),
            Self::Number(number) => Some(*number),
            Self::Truth(_) => None,
        }
    }

    fn as_truth(&self) -> Option<bool> {
        match self {
            Self::Text(text) => truth(text),
            Self::Number(_) => None,
            Self::Truth(truth) => Some(*truth),
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Whether an operator holds of what was found, or not found.
pub fn holds(found: Option<&Found<'_>>, operator: Operator, operand: Option<&Operand>) -> bool {
    let compared = |holds: fn(&Found<'_>, &Operand) -> bool| {
        found.zip(operand).is_some_and(|(found, operand)| holds(found, operand))
    };
    match operator {
        Operator::Exists => found.is_some(),
        Operator::Missing => found.is_none(),
        Operator::Equals => compared(equals),
        Operator::NotEquals => !compared(equals),
        Operator::Contains => compared(|found, operand| texts(found, operand, |a, b| a.contains(b))),
        Operator::NotContains => !compared(|found, operand| texts(found, operand, |a, b| a.contains(b))),
        Operator::StartsWith => compared(|found, operand| texts(found, operand, |a, b| a.starts_with(b))),
        Operator::EndsWith => compared(|found, operand| texts(found, operand, |a, b| a.ends_with(b))),
        Operator::Matches => compared(matches),
        Operator::In => compared(is_in),
        Operator::NotIn => !compared(is_in),
        Operator::Greater => compared(|found, operand| numbers(found, operand, |a, b| a > b)),
        Operator::GreaterOrEqual => compared(|found, operand| numbers(found, operand, |a, b| a >= b)),
        Operator::Less => compared(|found, operand| numbers(found, operand, |a, b| a < b)),
        Operator::LessOrEqual => compared(|found, operand| numbers(found, operand, |a, b| a <= b)),
    }
}

/// The operand says as what the two are compared, unless what was found is more than a text.
fn equals(found: &Found<'_>, operand: &Operand) -> bool {
    match (found, operand) {
        (_, Operand::List(_)) => false,
        (_, Operand::Number(number)) => found.as_number() == Some(*number),
        (_, Operand::Truth(truth)) => found.as_truth() == Some(*truth),
        (Found::Text(found), Operand::Text(text)) => folded(found) == folded(text),
        (Found::Number(found), Operand::Text(text)) => money::decimal(text) == Some(*found),
        (Found::Truth(found), Operand::Text(text)) => truth(text) == Some(*found),
    }
}

fn is_in(found: &Found<'_>, operand: &Operand) -> bool {
    matches!(operand, Operand::List(items) if items.iter().any(|item| equals(found, item)))
}

fn texts(found: &Found<'_>, operand: &Operand, holds: fn(&str, &str) -> bool) -> bool {
    matches!(operand, Operand::Text(text) if holds(&folded(&found.as_text()), &folded(text)))
}

fn matches(found: &Found<'_>, operand: &Operand) -> bool {
    matches!(operand, Operand::Text(text) if pattern::matches(text, &found.as_text()))
}

fn numbers(found: &Found<'_>, operand: &Operand, holds: fn(Decimal, Decimal) -> bool) -> bool {
    let number = match operand {
        Operand::Number(number) => Some(*number),
        Operand::Text(text) => money::decimal(text),
        Operand::Truth(_) | Operand::List(_) => None,
    };
    found.as_number().zip(number).is_some_and(|(a, b)| holds(a, b))
}

/// A text without its case. By way of upper case, so that what has one capital is one letter: `ς` and `σ`,
/// `ß` and `ss`.
pub(super) fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn same(found: &str, text: &str) -> bool {
        let operand = Operand::Text(text.to_owned());
        holds(Found::text(found).as_ref(), Operator::Equals, Some(&operand))
    }

    #[test]
    fn texts_are_compared_without_case_and_without_blanks_around() {
        for (found, text) in [
            ("Facebook", "facebook"),
            (" facebook\t", "FACEBOOK"),
            ("ÄRGER", "ärger"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Straße", "STRASSE"),
            ("\u{a0}FB\u{2003}", "fb"),
        ] {
            assert!(same(found, text), "{found:?} {text:?}");
        }
        for (found, text) in [("face book", "facebook"), ("facebook.com", "facebook"), ("50.0", "50")] {
            assert!(!same(found, text), "{found:?} {text:?}");
        }
    }

    #[test]
    fn numbers_are_compared_by_their_value_and_never_as_floats() {
        let number = |text: &str| Operand::Number(text.parse().unwrap());
        let asked = |found: &str, operator, operand: &str| {
            holds(Found::text(found).as_ref(), operator, Some(&number(operand)))
        };
        assert!(asked("50.00", Operator::Equals, "50"));
        assert!(asked("1e3", Operator::Equals, "1000"));
        assert!(asked("0.3", Operator::Equals, "0.3"));
        assert!(asked("9007199254740993", Operator::Greater, "9007199254740992"));
        assert!(asked("49.990000000000000000001", Operator::Greater, "49.99"));
        assert!(asked("100", Operator::Greater, "99"), "not as texts");
        for not_one in ["1,5", "$50", "50 USD", "fifty", "NaN", "true"] {
            assert!(!asked(not_one, Operator::Greater, "0"), "{not_one}");
            assert!(!asked(not_one, Operator::LessOrEqual, "0"), "{not_one}");
        }
    }

    #[test]
    fn a_value_of_a_json_answer_is_found_as_what_it_is() {
        let asked = |value: Value, operator, operand: Operand| {
            holds(Found::json(&value).as_ref(), operator, Some(&operand))
        };
        let text = |text: &str| Operand::Text(text.to_owned());
        assert!(asked(json!(0), Operator::Equals, Operand::Number(0.into())));
        assert!(asked(json!("0"), Operator::Equals, Operand::Number(0.into())));
        assert!(asked(json!(0), Operator::Equals, text("0")));
        assert!(asked(json!(true), Operator::Equals, Operand::Truth(true)));
        assert!(asked(json!("True"), Operator::Equals, Operand::Truth(true)));
        assert!(asked(json!("OK, done"), Operator::Contains, text("ok")));
        for none in [json!(null), json!(""), json!("  "), json!([1]), json!({})] {
            assert!(holds(Found::json(&none).as_ref(), Operator::Missing, None), "{none}");
        }
    }
}
