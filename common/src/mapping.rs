//! The mapping: what each type of a source's events is to us, as data (specification 000 and 003).
//!
//! Rows are tried in their order; the first whose type and conditions fit counts. A source's own rows come
//! before those that ship in `data/event-mapping.toml`. `docs/event-mapping.md` tells users all of it.

mod check;

use crate::conversion::Evidence;
use crate::event::Kind;
use crate::placeholder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub use check::faults;

/// One row. Its pointers are RFC 6901, into the body in the one form that every envelope is brought to:
/// `/data` is the subject itself.
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
    /// The name that its conversion counts under, where that is not `parameter`: the order of a subscription
    /// is a `purchase` when it is made, and counts as `subscribe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_as: Option<String>,
    /// What it is to us.
    pub kind: Kind,
    /// What it claims of its conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimKind>,
    /// How much it weighs on money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// A pointer to its value: of a refund, what the sale is worth. A decimal in the currency's main unit, or
    /// an object of `fractional` (minor units) and `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A pointer to its value in the currency's minor unit, by ISO 4217. It counts before `value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_minor: Option<String>,
    /// A pointer to the value's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Of a refund: a pointer to what went back, as `value` is read. None where the body does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<String>,
    /// The same in the currency's minor unit. It counts before `refund`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_minor: Option<String>,
    /// Of a refund: a pointer to the id of the sale that it gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Of a refund: whether the subject is the sale itself, marked as given back in full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Its key among conversions, milestones and identities, with paths into the body in braces.
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
    /// A pointer.
    pub at: String,
    /// What stands there is one of these, as text and without regard to case; `""` where nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
    /// What stands there is a whole number up to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
    /// What stands there is a whole number from this on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
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

/// Types and aliases by what is left of them without case, and with one character for `-` and `_`.
static FOLDED: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let aliases = DEFAULT.alias.iter().map(|(alias, type_)| (folded(alias), type_.as_str()));
    aliases.chain(TYPES.iter().map(|type_| (folded(type_), *type_))).collect()
});

fn folded(type_: &str) -> String {
    type_.trim().to_ascii_lowercase().replace('-', "_")
}

/// The type that `given` is another spelling of, or itself.
pub fn canonical(given: &str) -> &str {
    if TYPES.contains(given) || given.len() > 100 {
        return given;
    }
    FOLDED.get(&folded(given)).copied().unwrap_or(given)
}

/// The rows that ship.
pub fn shipped() -> &'static [Row] {
    &DEFAULT.row
}

/// The first row that fits an event's type and body: among a source's `own`, then among those that ship.
pub fn find<'a>(own: &'a [Row], event: &str, body: &Value) -> Option<&'a Row> {
    let mut rows = own.iter().chain(&DEFAULT.row);
    rows.find(|row| canonical(&row.event) == event && row.when.iter().all(|when| when.holds(body)))
}

/// Whether the rows that ship know a type.
pub fn is_known(event: &str) -> bool {
    TYPES.contains(canonical(event))
}

/// Whether `text` is a type of a source rather than an event parameter: one of the catalogue's, or of
/// their form.
pub fn is_raw_type(text: &str) -> bool {
    is_known(text) || text.contains(['.', '/'])
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
        let text = body.pointer(&self.at).and_then(placeholder::text).unwrap_or_default();
        let text = text.trim();
        let number = || text.parse::<i64>().ok();
        (self.is.is_empty() || self.is.iter().any(|one| one.eq_ignore_ascii_case(text)))
            && self.at_most.is_none_or(|most| number().is_some_and(|number| number <= most))
            && self.at_least.is_none_or(|least| number().is_some_and(|number| number >= least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_mapping_covers_the_catalogue_and_every_row_can_be_reached() {
        assert_eq!(TYPES.len(), 84 + 3);
        for row in &DEFAULT.row {
            assert_eq!(faults(row), vec![], "{}", row.event);
            assert!(row.key.is_some(), "{} has no key", row.event);
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
        assert_eq!(find(&[], "order.completed", &order("one-time-order")).unwrap().kind, Kind::Conversion);
        assert_eq!(find(&[], "order.completed", &order("subscription")).unwrap().kind, Kind::Kpi);
    }

    #[test]
    fn a_type_is_known_by_every_spelling_that_pages_use() {
        for (given, type_) in [
            ("order.created", "order.created"),
            ("one_time_order.completed", "one-time-order.completed"),
            ("one-time-order.refunded", "one_time_order.refunded"),
            ("one_time_order.invoice.paid", "one-time-order.invoice.paid"),
            ("contact/applied_tag.created", "contacts/applied_tag.created"),
            ("contact/applied-tag.deleted", "contacts/applied_tag.deleted"),
            ("form/submission.created", "form_submission.created"),
            ("form-submission.created", "form_submission.created"),
            ("renewal_invoice_payment_declined", "renewal-invoice-payment-declined"),
            ("Order.Created", "order.created"),
            ("order/invoice.paid", "orders/invoice.paid"),
            ("purchase_created", "purchase_created"),
            ("moon.landed", "moon.landed"),
        ] {
            assert_eq!(canonical(given), type_, "{given}");
        }
        assert!(is_raw_type("purchase_updated") && is_raw_type("renewal_invoice_payment_declined"));
        assert!(!is_raw_type("purchase") && !is_raw_type("lead"));
    }

    #[test]
    fn a_sources_own_row_comes_before_those_that_ship() {
        let own: Row = toml::from_str(
            "event = \"contact/applied_tag.created\"\nkind = \"kpi\"\nparameter = \"qualified\"\nnumber = 3\n\
             when = [{ at = \"/data/tag/name\", is = [\"Qualified\"] }]",
        )
        .unwrap();
        let tag = |name: &str| serde_json::json!({"data": {"tag": {"name": name}}});
        let name = |name: &str| {
            find(std::slice::from_ref(&own), "contacts/applied_tag.created", &tag(name))
                .unwrap()
                .parameter
                .clone()
        };
        assert_eq!(name("qualified").as_deref(), Some("qualified"));
        assert_eq!(name("other").as_deref(), Some("tag_added"));
    }

    /// The table of `docs/event-mapping.md`.
    fn table() -> String {
        let code = |text: &Option<String>| text.as_ref().map_or(String::new(), |text| format!("`{text}`"));
        let mut table =
            "| type | where | kind | name | claims | key |\n| --- | --- | --- | --- | --- | --- |\n"
                .to_owned();
        for row in &DEFAULT.row {
            let conditions: Vec<_> = row.when.iter().map(told).collect();
            let claim = row.claim.map_or(String::new(), |claim| {
                let mut told = serde_json::to_value(claim).unwrap().as_str().unwrap().to_owned();
                if let Some(name) = &row.counts_as {
                    told.push_str(&format!(" as `{name}`"));
                }
                if claim == ClaimKind::Refund {
                    told.push_str(if row.whole { " in full of" } else { " of" });
                    told.push_str(
                        &row.refund.as_ref().map_or(" what is not said".to_owned(), |at| pointed(at)),
                    );
                }
                if let Some((at, evidence)) = row.value.as_ref().zip(row.evidence) {
                    let evidence = serde_json::to_value(evidence).unwrap();
                    told.push_str(&format!("; worth{} by {}", pointed(at), evidence.as_str().unwrap()));
                }
                told
            });
            table.push_str(&format!(
                "| `{}` | {} | {} | {} | {claim} | {} |\n",
                row.event,
                conditions.join(", "),
                row.kind.as_str(),
                code(&row.parameter),
                code(&row.key),
            ));
        }
        table
    }

    fn pointed(pointer: &str) -> String {
        format!(" `{}`", pointer.trim_start_matches("/data/"))
    }

    fn told(when: &When) -> String {
        let texts =
            when.is.iter().map(|text| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") });
        let texts: Vec<_> = texts.collect();
        let at = pointed(&when.at).trim().to_owned();
        match (when.at_most, when.at_least) {
            (Some(most), _) => format!("{at} ≤ {most}"),
            (_, Some(least)) => format!("{at} ≥ {least}"),
            _ => format!("{at} is {}", texts.join(" or ")),
        }
    }

    #[test]
    fn the_document_has_the_table_as_the_data_has_it() {
        let document = include_str!("../../docs/event-mapping.md");
        let (_, documented) = document.split_once("<!-- table -->\n\n").unwrap_or_default();
        assert!(documented == table(), "put this behind its mark in docs/event-mapping.md:\n{}", table());
    }

    #[test]
    fn what_the_document_shows_as_an_example_is_sound() {
        let document = include_str!("../../docs/event-mapping.md");
        let (_, example) = document.split_once("[[source.mapping]]\n").unwrap();
        let row: Row = toml::from_str(example.split_once("```").unwrap().0).unwrap();
        assert_eq!(faults(&row), vec![]);
    }
}
