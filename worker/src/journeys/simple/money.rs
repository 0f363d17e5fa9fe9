//! What conversions come to: everything that was said under a key, read anew each time.

use crate::journeys::journey::{Event, What};

/// A conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Whose it is.
    pub advertiser: String,
    /// Its key.
    pub key: String,
    /// Where it stands.
    pub status: &'static str,
    /// What it is worth.
    pub value: Option<i64>,
    /// What went back in all; none where nothing did.
    pub refunded: Option<i64>,
    /// What was told of it, in order: `conversion`, and `refund:` with what had gone back by then.
    pub told: Vec<String>,
}

/// The kinds of papers that state money, the weightiest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Paper {
    Order,
    Invoice,
    Transaction,
}

/// An amount, on which paper it stands, and when that was written.
#[derive(Clone, Debug)]
struct Line {
    paper: Paper,
    number: String,
    at: i64,
    amount: i64,
    /// Of a refund transaction: the sale that it gives back.
    of: Option<String>,
}

/// The key that an event is about, if that is a conversion's.
fn key(event: &Event) -> Option<String> {
    match &event.what {
        What::Lead { .. } => event.contact.as_ref().map(|contact| format!("lead:{contact}")),
        What::Rebill { invoice, .. } => Some(format!("invoice:{invoice}")),
        What::Plain { transaction, .. } => Some(format!("txid:{transaction}")),
        What::Identity | What::Shipped { .. } => None,
        what => what.order().map(|order| format!("order:{order}")),
    }
}

/// Whether an event says that its conversion is paid.
pub fn approves(event: &Event) -> bool {
    match &event.what {
        What::Order { paid, .. } => *paid,
        What::Lead { .. }
        | What::Invoice { .. }
        | What::Rebill { .. }
        | What::Sale { .. }
        | What::Plain { .. } => true,
        _ => false,
    }
}

/// Every conversion that these events, in the order in which they were decided, make.
pub fn conversions(decided: &[&Event]) -> Vec<Conversion> {
    let mut keys: Vec<(String, String)> = Vec::new();
    for event in decided {
        if let Some(key) = key(event) {
            let key = (event.advertiser.clone(), key);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys.into_iter().map(|(advertiser, key)| conversion(decided, advertiser, key)).collect()
}

fn conversion(decided: &[&Event], advertiser: String, of: String) -> Conversion {
    let about: Vec<&Event> = decided
        .iter()
        .copied()
        .filter(|event| event.advertiser == advertiser && key(event).as_ref() == Some(&of))
        .collect();
    let mut told: Vec<String> = Vec::new();
    // What is told depends on what was known when; so each step of the way is looked at.
    for known in 1..=about.len() {
        let about = &about[..known];
        if !about.iter().any(|event| approves(event)) {
            continue;
        }
        if told.is_empty() {
            told.push("conversion".to_owned());
        }
        if let Some(refunded) = refunded(about) {
            let step = format!("refund:{refunded}");
            if told.last() != Some(&step) {
                told.push(step);
            }
        }
    }
    let (value, refunded) = (value(&about), refunded(&about));
    let status = match (refunded, value) {
        (Some(refunded), Some(value)) if refunded < value => "partially_refunded",
        (Some(_), _) => "refunded",
        (None, _) if about.iter().any(|event| approves(event)) => "approved",
        (None, _) => "pending",
    };
    Conversion { advertiser, key: of, status, value, refunded, told }
}

/// What the sale is worth: by its transactions, else by its invoices, else by the order's latest total.
fn value(about: &[&Event]) -> Option<i64> {
    let lines: Vec<Line> = about.iter().filter_map(|event| worth(event)).collect();
    total(&lines, Paper::Transaction)
        .or_else(|| total(&lines, Paper::Invoice))
        .or_else(|| total(&lines, Paper::Order))
}

fn worth(event: &Event) -> Option<Line> {
    let line = |paper, number: &str, amount: &i64| {
        Some(Line { paper, number: number.to_owned(), at: event.at, amount: *amount, of: None })
    };
    match &event.what {
        What::Order { order, amount, .. } | What::RefundedOrder { order, amount } => {
            line(Paper::Order, order, amount)
        }
        What::Invoice { invoice, amount, .. }
        | What::Rebill { invoice, amount, .. }
        | What::RefundedInvoice { invoice, amount, .. } => line(Paper::Invoice, invoice, amount),
        What::Sale { transaction, amount, .. } | What::RefundedSale { transaction, amount, .. } => {
            line(Paper::Transaction, transaction, amount)
        }
        What::Plain { transaction, amount } => line(Paper::Order, transaction, amount),
        What::Lead { .. } | What::Identity | What::Shipped { .. } | What::Refund { .. } => None,
    }
}

/// What went back. Refunded sales and refund transactions are the same money told twice; only where there
/// are none do refunded invoices count, and only where there are none of those the refunded order.
fn refunded(about: &[&Event]) -> Option<i64> {
    let line = |event: &Event, paper, number: &str, amount: i64, of: Option<&String>| Line {
        paper,
        number: number.to_owned(),
        at: event.at,
        amount,
        of: of.cloned(),
    };
    let mut marked = Vec::new();
    let mut returned = Vec::new();
    let mut weaker = Vec::new();
    for event in about {
        match &event.what {
            What::RefundedSale { transaction, amount, .. } => {
                marked.push(line(event, Paper::Transaction, transaction, *amount, None));
            }
            What::Refund { transaction, of, amount, .. } => {
                returned.push(line(event, Paper::Transaction, transaction, *amount, of.as_ref()));
            }
            What::RefundedInvoice { invoice, amount, .. } => {
                weaker.push(line(event, Paper::Invoice, invoice, *amount, None));
            }
            What::RefundedOrder { order, amount } => {
                weaker.push(line(event, Paper::Order, order, *amount, None))
            }
            _ => {}
        }
    }
    if marked.is_empty() && returned.is_empty() {
        return total(&weaker, Paper::Invoice).or_else(|| total(&weaker, Paper::Order));
    }
    let mut sales: Vec<String> = marked.iter().map(|line| line.number.clone()).collect();
    sales.extend(returned.iter().filter_map(|line| line.of.clone()));
    sales.sort();
    sales.dedup();
    let mut sum = 0;
    let mut not_yet_explained = 0;
    for sale in sales {
        let of_sale = |lines: &[Line], number: fn(&Line) -> Option<&String>| {
            let lines: Vec<Line> = lines.iter().filter(|line| number(line) == Some(&sale)).cloned().collect();
            total(&lines, Paper::Transaction).unwrap_or(0)
        };
        let in_full = of_sale(&marked, |line| Some(&line.number));
        let in_parts = of_sale(&returned, |line| line.of.as_ref());
        sum += in_full.max(in_parts);
        not_yet_explained += (in_full - in_parts).max(0);
    }
    let of_no_sale: Vec<Line> = returned.iter().filter(|line| line.of.is_none()).cloned().collect();
    let of_no_sale = total(&of_no_sale, Paper::Transaction).unwrap_or(0);
    Some(sum + (of_no_sale - not_yet_explained).max(0))
}

/// The sum of what stands on papers of a kind, each counted once as it was last written. Of an order there
/// is one paper.
fn total(lines: &[Line], paper: Paper) -> Option<i64> {
    let lines: Vec<&Line> = lines.iter().filter(|line| line.paper == paper).collect();
    let last = |number: &str| {
        let same = lines.iter().filter(|line| line.number == number);
        same.max_by_key(|line| (line.at, line.amount)).map_or(0, |line| line.amount)
    };
    let mut numbers: Vec<&String> = lines.iter().map(|line| &line.number).collect();
    numbers.sort();
    numbers.dedup();
    (!numbers.is_empty()).then(|| numbers.iter().map(|number| last(number)).sum())
}
