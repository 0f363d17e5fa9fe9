//! The table is whole, and finds what differs.

use super::{Table, body};
use crate::fixture;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_file_of_the_fixtures_has_a_row() {
    let table = Table::read().unwrap();
    let rows: BTreeSet<&str> = table.rows.iter().map(|row| row.body.split('#').next().unwrap()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files = BTreeSet::new();
    for (folder, prefix) in [(folder.clone(), ""), (folder.join("catalogue"), "catalogue/")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let is_body = name.ends_with(".json") || name.starts_with("malformed_");
            files.extend(is_body.then(|| format!("{prefix}{name}")));
        }
    }
    assert!(files.len() > 150, "only {} bodies", files.len());
    let without: Vec<_> = files.iter().filter(|file| !rows.contains(file.as_str())).collect();
    assert!(without.is_empty(), "without a row: {without:?}");
}

#[test]
fn every_type_of_the_catalogue_has_a_row_in_each_version_that_it_is_delivered_in() {
    let table = Table::read().unwrap();
    let rows: BTreeSet<(&str, &str)> = table
        .rows
        .iter()
        .filter_map(|row| Some((row.type_.as_deref()?, row.envelope.as_deref()?)))
        .map(|(type_, envelope)| (type_, if envelope == "naked" { "v2" } else { envelope }))
        .collect();
    let types = fixture::raw("catalogue/types.txt").unwrap();
    let mut count = 0;
    for line in types.lines().filter(|line| !line.starts_with('#')) {
        count += 1;
        let mut words = line.split_whitespace();
        let type_ = words.next().unwrap();
        for version in words {
            let version = version.to_lowercase();
            assert!(rows.contains(&(type_, version.as_str())), "no row for {type_} in {version}");
        }
    }
    assert_eq!(count, 84);
}

#[test]
fn every_body_is_there_and_is_json_unless_its_row_says_otherwise() {
    for row in Table::read().unwrap().rows {
        for name in row.after.iter().chain([&row.body]) {
            let body = body(name).unwrap();
            let read = serde_json::from_str::<Value>(&body);
            let readable = read.is_ok_and(|body| body.is_object());
            assert_eq!(readable, name != &row.body || !row.is_unreadable(), "line {}: {name}", row.line);
        }
    }
}

#[test]
fn no_two_rows_are_the_same_world() {
    let mut seen = BTreeSet::new();
    for row in Table::read().unwrap().rows {
        let line = row.line;
        assert!(seen.insert((row.body, row.query, row.after)), "line {line} comes again");
    }
}

#[test]
fn whatever_differs_is_found_and_the_same_money_is_the_same() {
    let table = Table::read().unwrap();
    let row = table.rows.iter().find(|row| row.body == "cf2_order.created.json").unwrap();
    let trace = json!({
        "event": {"envelope": "v2", "type": "order.created", "name": "purchase", "kind": "conversion"},
        "click": {"id": "01JD3V7Q9ZK4T8M2N5X6C7B8A9", "found_by": "custom_attribute"},
        "conversion": {"key": "order:22642", "kind": "conversion", "status": "pending", "amount": "396.00",
            "currency": "USD", "payout": "118.8", "payout_currency": "USD"},
        "decisions": [],
    });
    let click = row.click.as_deref().map(|word| table.meaning(word));
    assert_eq!(row.differences(&trace, click), Vec::<String>::new());
    for (at, other) in [
        ("/event/envelope", json!("v1")),
        ("/event/type", json!("order.updated")),
        ("/event/name", json!(null)),
        ("/click/id", json!(null)),
        ("/click/found_by", json!("query")),
        ("/conversion/key", json!("order:1")),
        ("/conversion/kind", json!("adjustment")),
        ("/conversion/status", json!("approved")),
        ("/conversion/amount", json!("396.01")),
        ("/conversion/currency", json!("EUR")),
        ("/conversion/payout", json!("118.79")),
        ("/conversion/payout_currency", json!("EUR")),
    ] {
        let mut wrong = trace.clone();
        *wrong.pointer_mut(at).unwrap() = other;
        assert_eq!(row.differences(&wrong, click).len(), 1, "{at}");
    }
}
