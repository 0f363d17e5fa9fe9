//! Comparing what stands in a JSON answer.
//!
//! Receivers are loose with types: a status is `1` here and `"1"` there. So a number and the text of it are
//! the same, and so are `true` and `"true"`. Text is compared exactly. `null` is no value. Of what is missing
//! only `missing` and the three that deny something (`not_equals`, `not_contains`, `not_in`) hold.

use crate::condition::{Operand, Operator};
use regex::RegexBuilder;
use rust_decimal::Decimal;
use serde_json::Value;
use std::cmp::Ordering;

/// A compiled expression may take so much memory, in bytes.
const EXPRESSION_SIZE: usize = 256 * 1024;

/// The value at a path; none where there is nothing, or `null`.
pub(super) fn at<'a>(answer: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |value: &'a Value, name: &str| match value {
        Value::Object(members) => members.get(name),
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        _ => None,
    };
    path.split('.').try_fold(answer, step).filter(|value| !value.is_null())
}

/// Whether an operator holds of a value and an operand. Where they do not fit each other it does not.
pub(super) fn holds(operator: Operator, value: Option<&Value>, operand: Option<&Operand>) -> bool {
    let Some(value) = value else {
        return matches!(
            operator,
            Operator::Missing | Operator::NotEquals | Operator::NotContains | Operator::NotIn
        );
    };
    match (operator, operand) {
        (Operator::Exists, _) => true,
        (Operator::Missing, _) | (_, None) => false,
        (Operator::Equals, Some(operand)) => same(value, operand),
        (Operator::NotEquals, Some(operand)) => !same(value, operand),
        (Operator::Contains, Some(operand)) => contains(value, operand),
        (Operator::NotContains, Some(operand)) => !contains(value, operand),
        (Operator::In, Some(operand)) => one_of(value, operand),
        (Operator::NotIn, Some(operand)) => !one_of(value, operand),
        (Operator::StartsWith, Some(operand)) => texts(value, operand, |text, part| text.starts_with(part)),
        (Operator::EndsWith, Some(operand)) => texts(value, operand, |text, part| text.ends_with(part)),
        (Operator::Matches, Some(operand)) => texts(value, operand, |text, expression| {
            compile(expression).is_ok_and(|expression| expression.is_match(text))
        }),
        (Operator::Greater, Some(operand)) => ordered(value, operand, Ordering::is_gt),
        (Operator::GreaterOrEqual, Some(operand)) => ordered(value, operand, Ordering::is_ge),
        (Operator::Less, Some(operand)) => ordered(value, operand, Ordering::is_lt),
        (Operator::LessOrEqual, Some(operand)) => ordered(value, operand, Ordering::is_le),
    }
}

/// Compiles an expression, with a bound on its size; matching takes time in proportion to the text.
pub(super) fn compile(expression: &str) -> Result<regex::Regex, regex::Error> {
    RegexBuilder::new(expression).size_limit(EXPRESSION_SIZE).build()
}

fn same(value: &Value, operand: &Operand) -> bool {
    match operand {
        Operand::Truth(truth) => text(value).is_some_and(|text| text == truth.to_string()),
        Operand::Number(number) => decimal(value) == Some(*number),
        Operand::Text(wanted) => text(value).as_ref() == Some(wanted),
        Operand::List(_) => false,
    }
}

/// A text holds a part; a list holds an element.
fn contains(value: &Value, operand: &Operand) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|element| same(element, operand)),
        _ => texts(value, operand, |text, part| text.contains(part)),
    }
}

fn one_of(value: &Value, operand: &Operand) -> bool {
    matches!(operand, Operand::List(all) if all.iter().any(|one| same(value, one)))
}

fn texts(value: &Value, operand: &Operand, holds: impl Fn(&str, &str) -> bool) -> bool {
    let part = match operand {
        Operand::Text(part) => part.clone(),
        Operand::Number(number) => number.to_string(),
        Operand::Truth(truth) => truth.to_string(),
        Operand::List(_) => return false,
    };
    text(value).is_some_and(|text| holds(&text, &part))
}

fn ordered(value: &Value, operand: &Operand, holds: impl Fn(Ordering) -> bool) -> bool {
    let Operand::Number(bound) = operand else { return false };
    decimal(value).is_some_and(|number| holds(number.cmp(bound)))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => {
            let written = number.to_string();
            written.parse().or_else(|_| Decimal::from_scientific(&written)).ok()
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
