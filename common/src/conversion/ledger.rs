//! What was stated about one conversion's money: what the sale is worth, and what of it went back.
//!
//! Pure. Everything here is a function of the set of statements: neither their order of arrival nor a copy
//! of one changes what comes of them.

use super::{Evidence, Refund};
use crate::money::Amount;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one thing was last said to be worth. With `evidence` its `subject` is the statement's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Which kind of thing states it.
    pub evidence: Evidence,
    /// Its id: the order's, the invoice's or the transaction's.
    pub subject: String,
    /// What it is worth.
    pub value: Amount,
    /// When it was stated, by its sender's clock; none in what a row without statements was worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Statement {
    /// Of two on the same subject the later counts; of equal times the greater amount.
    fn standing(&self) -> (Option<Timestamp>, Decimal, Option<&'static str>) {
        (self.at, self.value.amount, self.value.currency.map(|currency| currency.code()))
    }
}

/// One line of a conversion's refund ledger. With `evidence` its `subject` is the line's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it was reported on, such as `4` for transaction 4.
    pub subject: String,
    /// Which kind of thing that is. Lines of different kinds report the same money and are never added.
    pub evidence: Evidence,
    /// How much; none where no report says.
    pub amount: Option<Decimal>,
    /// The sale transaction that a refund transaction gives back, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether `subject` is the sale itself, marked as refunded in full.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Whether it says that only a part went back, whatever it says of how much.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// When it was reported, by its sender's clock; none in rows that kept no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Line {
    /// A report that has an amount counts before one that has none, then the later one. Of equal times the
    /// greater amount counts, then the one that does not speak of a part.
    fn standing(&self) -> (bool, Option<Timestamp>, Option<Decimal>, bool) {
        (self.amount.is_some(), self.at, self.amount, !self.partial)
    }
}

/// Keeps a statement where nothing later was stated on its subject.
pub(super) fn state(statements: &mut Vec<Statement>, statement: Statement) {
    // What an old row was worth is some thing's statement, and nobody knows which: it would be added to the
    // statement of that same thing, so it goes when anything of its kind is stated.
    statements.retain(|old| old.at.is_some() || old.evidence != statement.evidence);
    let key = |statement: &Statement| (statement.evidence, statement.subject.clone());
    match statements.binary_search_by_key(&key(&statement), key) {
        Ok(index) if statement.standing() > statements[index].standing() => statements[index] = statement,
        Ok(_) => {}
        Err(index) => statements.insert(index, statement),
    }
}

/// Adds a line to the refunds, or what its line did not say before.
pub(super) fn record(lines: &mut Vec<Line>, refund: &Refund, at: Timestamp) {
    let new = Line {
        subject: refund.subject.clone(),
        evidence: refund.evidence,
        amount: refund.amount.map(|amount| amount.abs()),
        of: refund.of.clone(),
        whole: refund.whole,
        partial: refund.partial,
        at: Some(at),
    };
    let key = |line: &Line| (line.evidence, line.subject.clone());
    // Rows of before kept their lines in the order of arrival.
    lines.sort_by_key(key);
    match lines.binary_search_by_key(&key(&new), key) {
        Err(index) => lines.insert(index, new),
        Ok(index) => {
            let old = &mut lines[index];
            let of = old.of.clone().max(new.of.clone());
            let whole = old.whole || new.whole;
            if new.standing() > old.standing() {
                *old = new;
            }
            (old.of, old.whole) = (of, whole);
        }
    }
}

/// What a sale is worth, by the weightiest kind of evidence that there is: the sum of its transactions, or
/// of its invoices, or what was last said of its order. Nobody converts currencies here: where the subjects
/// are of several, those of the latest statement's currency are added, and the others are left out.
pub fn value(statements: &[Statement]) -> Option<(Evidence, Amount)> {
    let evidence = statements.iter().map(|statement| statement.evidence).max()?;
    let of_kind = || statements.iter().filter(|statement| statement.evidence == evidence);
    if evidence == Evidence::Order {
        return of_kind().max_by_key(|statement| statement.standing()).map(|last| (evidence, last.value));
    }
    let priced = of_kind().filter(|statement| statement.value.currency.is_some());
    let currency = priced.max_by_key(|statement| statement.standing()).and_then(|last| last.value.currency);
    let added = of_kind().map(|statement| statement.value);
    let added = added.filter(|value| value.currency.is_none() || value.currency == currency);
    Some((evidence, Amount { amount: sum(added.map(|value| value.amount)), currency }))
}

fn sum(amounts: impl Iterator<Item = Decimal>) -> Decimal {
    amounts.fold(Decimal::ZERO, Decimal::saturating_add)
}

/// What has been refunded in all, by the weightiest kind of report that says how much; none where none does.
/// A sale that is marked as refunded in full and names no amount has given back what it was worth.
pub fn refunded(lines: &[Line], statements: &[Statement]) -> Option<Decimal> {
    let known = |evidence| {
        let of_kind = lines.iter().filter(move |line| line.evidence == evidence);
        let known = of_kind.filter_map(|line| Some((line, amount(line, statements)?)));
        known.collect::<Vec<_>>()
    };
    let transactions = known(Evidence::Transaction);
    if !transactions.is_empty() {
        return Some(by_transactions(&transactions));
    }
    let invoices = known(Evidence::Invoice);
    if !invoices.is_empty() {
        return Some(sum(invoices.into_iter().map(|(_, amount)| amount)));
    }
    known(Evidence::Order)
        .into_iter()
        .max_by_key(|(line, amount)| (line.at, *amount))
        .map(|(_, amount)| amount)
}

fn amount(line: &Line, statements: &[Statement]) -> Option<Decimal> {
    let same = |s: &&Statement| s.evidence == line.evidence && s.subject == line.subject;
    let worth = || statements.iter().find(same).filter(|_| line.whole).map(|s| s.value.amount);
    line.amount.or_else(worth).map(|amount| amount.abs())
}

/// Refund transactions, together with the sales that are marked as refunded in full: of each sale these are
/// the same money. A refund that does not say of which sale it is fills what the marked sales leave open.
fn by_transactions(known: &[(&Line, Decimal)]) -> Decimal {
    // By sale: how much of it is marked as refunded, and what refunds say that they are of it.
    let mut sales: BTreeMap<&str, (Decimal, Decimal)> = BTreeMap::new();
    let mut unassigned = Decimal::ZERO;
    for (line, amount) in known {
        if line.whole {
            let marked = &mut sales.entry(&line.subject).or_default().0;
            *marked = marked.saturating_add(*amount);
        } else if let Some(sale) = &line.of {
            let refunds = &mut sales.entry(sale).or_default().1;
            *refunds = refunds.saturating_add(*amount);
        } else {
            unassigned = unassigned.saturating_add(*amount);
        }
    }
    let assigned = sum(sales.values().map(|(marked, refunds)| *marked.max(refunds)));
    let open = sum(sales.values().map(|(marked, refunds)| (marked - refunds).max(Decimal::ZERO)));
    assigned.saturating_add(unassigned.saturating_sub(open).max(Decimal::ZERO))
}

#[cfg(test)]
mod tests;
