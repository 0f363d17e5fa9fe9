//! What `check` says of a success rule.

use super::{JsonRule, Success, json};
use crate::condition::{Operand, Operator};
use crate::delivery::is_success;
use crate::template::Fault;

/// Every fault of a success rule, with its key within the rule.
pub fn faults(success: &Success) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, pattern) in success.status.iter().enumerate() {
        let counts = pattern == "2xx" || pattern.parse().is_ok_and(is_success);
        if !counts {
            let problem = format!("`{pattern}` is no status that counts as delivered");
            let remedy = "write 2xx, or a number from 200 to 207, or 226";
            faults.push(Fault::new(format!("status[{index}]"), problem, remedy));
        }
    }
    for (index, rule) in success.json.iter().enumerate() {
        let key = |name: &str| format!("json[{index}].{name}");
        if rule.path.split('.').any(|step| step.is_empty() || step.trim() != step) {
            let remedy = "write names and numbers of elements with dots between, as in events.0.status";
            faults.push(Fault::new(key("path"), format!("`{}` is no path", rule.path), remedy));
        }
        if let Some((problem, remedy)) = mismatched(rule) {
            faults.push(Fault::new(key("value"), problem, remedy));
        }
    }
    if let Some(rule) = &success.text {
        if rule.contains.is_none() && rule.not_contains.is_none() {
            faults.push(Fault::new("text", "the rule asks for nothing", "give `contains` or `not_contains`"));
        }
        for (key, part) in [("text.contains", &rule.contains), ("text.not_contains", &rule.not_contains)] {
            if part.as_deref() == Some("") {
                faults.push(Fault::new(key, "every text holds nothing", "give it some text, or remove it"));
            }
        }
    }
    if success.status.is_empty() && success.json.is_empty() && success.text.is_none() {
        faults.push(Fault::new(
            "",
            "the success rule asks for nothing",
            "give it `status`, `json` or `text`",
        ));
    }
    faults
}

/// Why an operator and its value do not go together.
fn mismatched(rule: &JsonRule) -> Option<(String, String)> {
    let operator = super::word(rule.operator);
    let wants = |what: &str| Some((format!("{operator} wants {what}"), format!("give it {what}")));
    match (rule.operator, &rule.value) {
        (Operator::Exists | Operator::Missing, None) => None,
        (Operator::Exists | Operator::Missing, Some(_)) => {
            Some((format!("{operator} takes no value"), "remove it".to_owned()))
        }
        (Operator::In | Operator::NotIn, Some(Operand::List(list)))
            if !list.is_empty() && !list.iter().any(|one| matches!(one, Operand::List(_))) =>
        {
            None
        }
        (Operator::In | Operator::NotIn, _) => wants("a list of values"),
        (
            Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual,
            Some(Operand::Number(_)),
        ) => None,
        (Operator::Greater | Operator::GreaterOrEqual | Operator::Less | Operator::LessOrEqual, _) => {
            wants("a number")
        }
        (Operator::Matches, Some(Operand::Text(expression))) => json::compile(expression).err().map(|_| {
            (
                "this is no regular expression, or too large a one".to_owned(),
                "correct it; there is no look-around".to_owned(),
            )
        }),
        // The text of a number is read as a number.
        (
            Operator::Matches | Operator::StartsWith | Operator::EndsWith,
            Some(Operand::Text(_) | Operand::Number(_)),
        ) => None,
        (Operator::Matches | Operator::StartsWith | Operator::EndsWith, _) => wants("a text"),
        (_, Some(Operand::List(_)) | None) => wants("one value"),
        (_, Some(_)) => None,
    }
}
