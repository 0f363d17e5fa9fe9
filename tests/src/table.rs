//! The reviewed table: what every body becomes (`tests/fixtures/expected.md`).
//!
//! Read here, held against the running binaries by the scenario of the same name. Nothing writes it.

mod row;

use crate::fixture;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

pub use row::Row;

/// The columns, as they stand in each of the file's tables.
const COLUMNS: [&str; 15] = [
    "body", "query", "after", "envelope", "type", "event", "click", "found by", "key", "kind", "status",
    "amount", "currency", "payout", "codes",
];

/// The whole table.
#[derive(Clone, Debug)]
pub struct Table {
    pub rows: Vec<Row>,
    /// What the words of the click and query columns stand for.
    names: BTreeMap<String, String>,
}

impl Table {
    /// Reads the file.
    pub fn read() -> Result<Self> {
        Self::parse(&fixture::raw("expected.md")?)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut rows = Vec::new();
        let mut names = BTreeMap::new();
        let mut within = false;
        for (number, line) in text.lines().enumerate() {
            if let Some((name, value)) = named(line) {
                names.insert(name.to_owned(), value.to_owned());
            }
            let Some(cells) = cells(line) else {
                within = false;
                continue;
            };
            if cells == COLUMNS {
                within = true;
            } else if within && !cells.iter().all(|cell| cell.bytes().all(|byte| byte == b'-')) {
                let row = Row::of(number + 1, &cells);
                rows.push(row.with_context(|| format!("line {} of expected.md", number + 1))?);
            }
        }
        ensure!(!rows.is_empty(), "expected.md has no rows");
        Ok(Self { rows, names })
    }

    /// What a word stands for: itself, where it is none of the file's names.
    pub fn meaning<'a>(&'a self, word: &'a str) -> &'a str {
        self.names.get(word).map_or(word, String::as_str)
    }
}

/// A line ``- `name` = `value` ``.
fn named(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("- `")?.strip_suffix('`')?.split_once("` = `")
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// A body by the name in the table: a file, `file#0` for an item of its list, or `file#0/body` for the text
/// at a pointer within.
pub fn body(name: &str) -> Result<String> {
    let Some((file, place)) = name.split_once('#') else {
        return fixture::raw(name);
    };
    let whole: Value = serde_json::from_str(&fixture::raw(file)?)?;
    let part = whole.pointer(&format!("/{place}")).with_context(|| format!("{file} has no {place}"))?;
    Ok(part.as_str().map_or_else(|| part.to_string(), ToOwned::to_owned))
}

#[cfg(test)]
mod tests;
