//! A row of the table, and what of an event's trace differs from it.

use anyhow::{Result, ensure};
use carom_common::money;
use serde_json::Value;

/// A row: what a body must become. A cell that is none is `None`.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line in the file.
    pub line: usize,
    pub body: String,
    pub query: Option<String>,
    /// The bodies that come first.
    pub after: Vec<String>,
    pub envelope: Option<String>,
    pub type_: Option<String>,
    pub event: Option<String>,
    pub click: Option<String>,
    pub found_by: Option<String>,
    pub key: Option<String>,
    pub kind: Option<String>,
    pub status: Option<String>,
    pub amount: Option<String>,
    pub currency: Option<String>,
    pub payout: Option<String>,
    pub codes: Vec<String>,
}

impl Row {
    /// The row of these cells.
    pub(super) fn of(line: usize, cells: &[&str]) -> Result<Self> {
        ensure!(cells.len() == super::COLUMNS.len(), "it has {} cells", cells.len());
        let cell = |index: usize| (cells[index] != "-").then(|| cells[index].to_owned());
        let list = |index: usize| match cells[index] {
            "-" => Vec::new(),
            cell => cell.split(',').map(|part| part.trim().to_owned()).collect(),
        };
        Ok(Self {
            line,
            body: cells[0].to_owned(),
            query: cell(1),
            after: list(2),
            envelope: cell(3),
            type_: cell(4),
            event: cell(5),
            click: cell(6),
            found_by: cell(7),
            key: cell(8),
            kind: cell(9),
            status: cell(10),
            amount: cell(11),
            currency: cell(12),
            payout: cell(13),
            codes: list(14),
        })
    }

    /// Whether the body is one that nobody can read: it ends in the dead letters.
    pub fn is_unreadable(&self) -> bool {
        self.envelope.is_none()
    }

    /// What of a trace is not as the row says: a line for each cell. `click` is what the row's word for the
    /// click id stands for.
    pub fn differences(&self, trace: &Value, click: Option<&str>) -> Vec<String> {
        let text = |at: &str| trace.pointer(at).and_then(shown);
        let found_by = text("/click/found_by").or_else(|| Some("none".to_owned()));
        let conversion_kind = text("/conversion/kind").or_else(|| text("/event/kind"));
        let mut told = Vec::new();
        let mut compare = |column: &str, wanted: Option<&str>, found: Option<String>| {
            if wanted != Some("*") && !alike(wanted, found.as_deref()) {
                let (wanted, found) = (wanted.unwrap_or("-"), found.as_deref().unwrap_or("-"));
                told.push(format!("{column} is {found}, and should be {wanted}"));
            }
        };
        compare("envelope", self.envelope.as_deref(), text("/event/envelope"));
        compare("type", self.type_.as_deref(), text("/event/type"));
        compare("event", self.event.as_deref(), text("/event/name"));
        compare("click", click, text("/click/id"));
        compare("found by", self.found_by.as_deref(), found_by);
        compare("key", self.key.as_deref(), text("/conversion/key"));
        compare("kind", self.kind.as_deref(), text("/event/kind"));
        compare("kind under the key", self.kind.as_deref(), conversion_kind);
        compare("status", self.status.as_deref(), text("/conversion/status"));
        compare("amount", self.amount.as_deref(), text("/conversion/amount"));
        compare("currency", self.currency.as_deref(), text("/conversion/currency"));
        let (payout, currency) = self.payout();
        compare("payout", payout, text("/conversion/payout"));
        compare("payout's currency", currency, text("/conversion/payout_currency"));
        let decisions = trace["decisions"].as_array().map_or(&[][..], Vec::as_slice);
        for code in &self.codes {
            if !decisions.iter().any(|decision| decision["code"] == **code) {
                told.push(format!("its trace has no {code}"));
            }
        }
        told
    }

    /// The payout and its currency, which is that of the amount where the cell names none.
    fn payout(&self) -> (Option<&str>, Option<&str>) {
        match self.payout.as_deref().map(|payout| payout.split_once(' ').unwrap_or((payout, ""))) {
            None => (None, None),
            Some((payout, "")) => (Some(payout), self.currency.as_deref()),
            Some((payout, currency)) => (Some(payout), Some(currency)),
        }
    }
}

/// A value as a cell shows it.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Whether two cells say the same. `118.8` and `118.80` are the same money.
fn alike(wanted: Option<&str>, found: Option<&str>) -> bool {
    let amount = |text: Option<&str>| text.and_then(money::decimal);
    wanted == found || (amount(wanted).is_some() && amount(wanted) == amount(found))
}
