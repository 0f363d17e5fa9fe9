//! The mapping: what each type of a source's events is to us, as data (specification 000 and 003).
//!
//! Rows are tried in their order; the first whose type and conditions fit counts. The default ships in
//! `data/event-mapping.toml`.

use crate::conversion::Evidence;
use crate::event::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The source's type of event.
    pub event: String,
    /// What else must hold of the body. All of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<When>,
    /// The event parameter, such as `purchase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What it is to us.
    pub kind: Kind,
    /// What it claims of its conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimKind>,
    /// How much it weighs on money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// A JSON pointer to its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A JSON pointer to the value's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The conversion's key, with paths into the body in braces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its number among the custom events, 1 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u8>,
}

/// A condition of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// A JSON pointer.
    pub at: String,
    /// What stands there is one of these, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
    /// What stands there is a number up to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
}

/// The claims that a row can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// It exists.
    Pending,
    /// It is paid or accepted.
    Approved,
    /// Money went back.
    Refund,
    /// It was turned down.
    Rejected,
    /// It was withdrawn.
    Void,
    /// Nothing but, perhaps, its value.
    State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
    /// Other spellings of types, from older pages of the sender's documentation.
    alias: HashMap<String, String>,
}

#[allow(clippy::expect_used, reason = "the data is part of the program, and a test reads it")]
static DEFAULT: LazyLock<File> = LazyLock::new(|| {
    toml::from_str(include_str!("../data/event-mapping.toml")).expect("the embedded mapping is valid")
});

static TYPES: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| DEFAULT.row.iter().map(|row| row.event.as_str()).collect());

/// The type that `given` is another spelling of, or itself.
pub fn canonical(given: &str) -> &str {
    DEFAULT.alias.get(given).map_or(given, String::as_str)
}

/// The first row that fits an event's type and body.
pub fn find(event: &str, body: &Value) -> Option<&'static Row> {
    DEFAULT.row.iter().find(|row| row.event == event && row.when.iter().all(|when| when.holds(body)))
}

/// Whether `text` is a type of a source rather than an event parameter: one of the catalogue's, or of
/// their form.
pub fn is_raw_type(text: &str) -> bool {
    TYPES.contains(canonical(text)) || text.contains(['.', '/'])
}

/// The types of the catalogue, in no order.
pub fn catalogue() -> impl Iterator<Item = &'static str> {
    TYPES.iter().copied()
}

/// The types that matter to conversions: those that are, change or refund one, and those that tell who
/// somebody is. `own` are a source's own rows, which come before those that ship. Types of Classic have
/// neither dot nor hyphen: nobody subscribes to them by name.
pub fn that_matter(own: &[Row]) -> impl Iterator<Item = String> {
    let matters =
        |row: &&Row| matches!(row.kind, Kind::Conversion | Kind::Refund | Kind::Adjustment | Kind::Identity);
    let by_name = |row: &&Row| row.event.contains(['.', '-']);
    own.iter().chain(&DEFAULT.row).filter(matters).filter(by_name).map(|row| row.event.clone())
}

impl When {
    fn holds(&self, body: &Value) -> bool {
        let found = body.pointer(&self.at);
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => String::new(),
        };
        (self.is.is_empty() || self.is.contains(&text))
            && self.at_most.is_none_or(|most| text.parse::<i64>().is_ok_and(|number| number <= most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_mapping_covers_the_catalogue_and_every_row_can_be_reached() {
        assert_eq!(TYPES.len(), 84);
        for row in &DEFAULT.row {
            let opens = matches!(row.kind, Kind::Conversion | Kind::Refund);
            assert!(
                !opens || (row.key.is_some() && row.claim.is_some()),
                "{} opens without key or claim",
                row.event
            );
        }
        for (i, row) in DEFAULT.row.iter().enumerate() {
            let shadowed =
                DEFAULT.row[..i].iter().any(|earlier| earlier.event == row.event && earlier.when.is_empty());
            assert!(!shadowed, "{} stands behind a row that takes everything", row.event);
        }
        for target in DEFAULT.alias.values() {
            assert!(TYPES.contains(target.as_str()), "{target}");
        }
    }

    #[test]
    fn a_subscription_that_ran_out_is_no_purchase() {
        let order = |kind: &str| serde_json::json!({"data": {"order_type": kind}});
        assert_eq!(find("order.completed", &order("one-time-order")).unwrap().kind, Kind::Conversion);
        assert_eq!(find("order.completed", &order("subscription")).unwrap().kind, Kind::Kpi);
    }
}
