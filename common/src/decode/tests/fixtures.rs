//! Every fixture, and what it is to us.

use super::*;
use crate::conversion::{Claim, Refund};
use crate::money::Amount;
use std::path::Path;

/// What one body is to us, on one line: envelope, type, kind and name, key, claim, click id.
fn told(decoded: &Decoded) -> String {
    let event = &decoded.event;
    let name = event.name.as_deref().unwrap_or("-");
    let claim = decoded.claim.as_ref().map_or("no claim".to_owned(), claim);
    let click = match &decoded.named {
        Named::Foreign(text) => format!("{text} by {}", decoded.found_by.as_str()),
        Named::Placeholder(text) => format!("unresolved {text} by {}", decoded.found_by.as_str()),
        Named::Click(_) => "ours".to_owned(),
        Named::Nothing => decoded.found_by.as_str().to_owned(),
    };
    let test = if event.test { " TEST" } else { "" };
    format!(
        "{} {} {} {name} {}{test}; {claim}; {click}",
        serde_json::to_value(event.envelope).unwrap().as_str().unwrap(),
        event.raw_type,
        event.kind.as_str(),
        event.ledger_key.as_deref().unwrap_or("-"),
    )
}

fn claim(claim: &Claim) -> String {
    let money = claim.value.map_or("-".to_owned(), money);
    let evidence = serde_json::to_value(claim.evidence).unwrap();
    let says = match &claim.says {
        Says::Refund(Refund { subject, amount, of, whole, .. }) => format!(
            "refund of {subject}{}{} gives {}",
            of.as_ref().map_or_else(String::new, |of| format!(" of {of}")),
            if *whole { " whole" } else { "" },
            amount.map_or("-".to_owned(), |amount| amount.to_string()),
        ),
        other => format!("{other:?}").to_lowercase(),
    };
    let name = claim.name.as_ref().map_or_else(String::new, |name| format!(" as {name}"));
    format!("{says}{name} by {} {} at {money}", evidence.as_str().unwrap(), claim.subject)
}

fn money(amount: Amount) -> String {
    format!("{} {}", amount.amount, amount.currency.map_or("-", |currency| currency.code()))
}

/// The bodies of a fixture's file: the API's list of events holds several.
pub(super) fn bodies(file: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    match serde_json::from_slice(&bytes) {
        Ok(Value::Array(items)) => items.iter().map(|item| item.to_string().into_bytes()).collect(),
        _ => vec![bytes],
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// The fixtures that are webhook bodies.
pub(super) fn files() -> Vec<String> {
    let names = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| {
        let start = ["cf2_", "classic_", "edge_"].iter().any(|start| name.starts_with(start));
        let is_body = !name.starts_with("cf2_api_") || name == "cf2_api_outgoing_events_list.json";
        start && is_body
    });
    names.sort();
    names
}

#[test]
fn every_fixture_is_what_the_table_says() {
    let mut found = String::new();
    for file in files() {
        for body in bodies(&file) {
            let decoded = decode(&intake("", &body), &source("clickfunnels")).unwrap();
            let line = told(&decoded).replace("01JD3V7Q9ZK4T8M2N5X6C7B8A9", "CLICK");
            found.push_str(&format!("{}: {line}\n", file.trim_end_matches(".json")));
        }
    }
    let table = include_str!("fixtures.txt");
    for (found, expected) in found.lines().zip(table.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.lines().count(), table.lines().count(), "{found}");
}
