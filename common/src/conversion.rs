//! A conversion: events that count, gathered under one key, with a state that only moves forward.
//!
//! Pure: what an event claims, applied to what is known. Several events of one purchase (one order can
//! fire about eight) end in one conversion, whatever their order of arrival.

use crate::id::{AdvertiserId, ClickId};
use crate::money::Amount;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Where a conversion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Seen, not yet known to be paid or accepted.
    Pending,
    /// It counts.
    Approved,
    /// Some of its money went back.
    PartiallyRefunded,
    /// All of its money went back.
    Refunded,
    /// It was turned down before it was approved.
    Rejected,
    /// It was withdrawn before it was approved.
    Void,
    /// Of a test order: recorded, never sent.
    Test,
}

impl Status {
    /// The status as it is stored, shown and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Rejected => "rejected",
            Self::Void => "void",
            Self::Test => "test",
        }
    }
}

/// How much a statement about money weighs: a transaction's over an invoice's over an order's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The order, or a plain parameter.
    Order,
    /// An invoice.
    Invoice,
    /// A payment transaction.
    Transaction,
}

/// One line of a conversion's refund ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// What it was reported on, such as `4` for transaction 4. With `evidence` it is the line's key.
    pub subject: String,
    /// Which kind of thing that is. Lines of different kinds report the same money and are never added.
    pub evidence: Evidence,
    /// How much; none where the report does not say.
    pub amount: Option<Decimal>,
    /// The sale transaction that a refund transaction gives back, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether `subject` is the sale itself, now marked as refunded in full. Its refund transactions may be
    /// reported too, and are the same money.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// What one event claims about a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The conversion's key within the advertiser, such as `order:22642`.
    pub key: String,
    /// The event parameter under which it counts, where the claim opens or approves it.
    pub name: Option<String>,
    /// What is claimed.
    pub says: Says,
    /// What the sale is worth, by this event; also where the event reports its refund.
    pub value: Option<Amount>,
    /// How much that weighs.
    pub evidence: Evidence,
    /// The id of what states the value: of the order, the invoice or the transaction.
    pub subject: String,
    /// When it was stated, by its sender's clock. Of two statements on the same subject the later counts.
    pub at: Timestamp,
    /// Whether it is of a test order.
    pub test: bool,
}

/// The claims there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It exists.
    Pending,
    /// It is paid or accepted.
    Approved,
    /// Money went back.
    Refund(Refund),
    /// It was turned down.
    Rejected,
    /// It was withdrawn.
    Void,
    /// Nothing but, perhaps, its value.
    Nothing,
}

/// A conversion as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// Its key within the advertiser.
    pub key: String,
    /// The event parameter under which it counts.
    pub name: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// What it is worth, by the weightiest report so far.
    pub value: Option<Amount>,
    /// How much that report weighs.
    pub evidence: Evidence,
    /// Whether it has ever been approved. Its conversion step was selected then.
    pub approved: bool,
    /// What had been refunded when its last refund step was selected.
    pub refund_selected: Option<Decimal>,
    /// Its refund ledger.
    pub refunds: Vec<Refund>,
    /// The click that earned it, decided once.
    pub click: Option<ClickId>,
}

/// One thing to tell connectors about a conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is approved.
    Conversion,
    /// So much has been refunded in all.
    Refund(Decimal),
}

impl Step {
    /// The step's part of a delivery's stable id. `10.0` and `10.00` are the same step.
    pub fn id(&self) -> String {
        match self {
            Self::Conversion => "conversion".to_owned(),
            Self::Refund(amount) => format!("refund:{}", amount.normalize()),
        }
    }
}

/// A conversion after a claim, and what is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How it stands now.
    pub conversion: Conversion,
    /// What to tell, in this order.
    pub steps: Vec<Step>,
}

/// Applies a claim to what is known of its conversion. A late or weaker claim never lowers a state: a
/// sale that arrives after its refund stays refunded.
pub fn apply(
    known: Option<Conversion>,
    advertiser: &AdvertiserId,
    claim: &Claim,
    click: Option<ClickId>,
) -> Change {
    let mut conversion = known.unwrap_or_else(|| Conversion {
        advertiser: advertiser.clone(),
        key: claim.key.clone(),
        name: None,
        status: Status::Pending,
        value: None,
        evidence: claim.evidence,
        approved: false,
        refund_selected: None,
        refunds: Vec::new(),
        click: None,
    });
    let was_approved = conversion.approved;
    if conversion.name.is_none() || (claim.says == Says::Approved && !was_approved && claim.name.is_some()) {
        conversion.name = claim.name.clone().or(conversion.name);
    }
    if !was_approved {
        conversion.click = click.or(conversion.click);
    }
    let outweighs = conversion.value.is_none() || claim.evidence >= conversion.evidence;
    if let Some(value) = claim.value.filter(|_| outweighs && !matches!(claim.says, Says::Refund(_))) {
        conversion.value = Some(value);
        conversion.evidence = claim.evidence;
    }
    if claim.test || conversion.status == Status::Test {
        conversion.status = Status::Test;
        return Change { conversion, steps: Vec::new() };
    }
    match &claim.says {
        Says::Approved => conversion.approved = true,
        Says::Refund(refund) => record(&mut conversion.refunds, refund),
        Says::Pending | Says::Rejected | Says::Void | Says::Nothing => {}
    }
    let refunded = refunded(&conversion.refunds);
    conversion.status = status(&conversion, refunded, &claim.says);
    let mut steps = Vec::new();
    if conversion.approved && !was_approved {
        steps.push(Step::Conversion);
    }
    if let Some(amount) =
        refunded.filter(|amount| conversion.approved && conversion.refund_selected != Some(*amount))
    {
        conversion.refund_selected = Some(amount);
        steps.push(Step::Refund(amount));
    }
    Change { conversion, steps }
}

/// Adds a line, or what the line did not say before.
fn record(ledger: &mut Vec<Refund>, refund: &Refund) {
    let same = |line: &&mut Refund| line.subject == refund.subject && line.evidence == refund.evidence;
    match ledger.iter_mut().find(same) {
        Some(line) => line.amount = refund.amount.or(line.amount),
        None => ledger.push(refund.clone()),
    }
}

/// What has been refunded in all, by the weightiest kind of report; none where nobody said how much.
pub fn refunded(ledger: &[Refund]) -> Option<Decimal> {
    [Evidence::Transaction, Evidence::Invoice, Evidence::Order].into_iter().find_map(|evidence| {
        let lines = ledger.iter().filter(|line| line.evidence == evidence).filter_map(|line| line.amount);
        lines.map(|amount| amount.abs()).reduce(|sum, amount| sum.saturating_add(amount))
    })
}

fn status(conversion: &Conversion, refunded: Option<Decimal>, says: &Says) -> Status {
    if !conversion.refunds.is_empty() {
        let whole = conversion.value.map(|value| value.amount);
        return match (refunded, whole) {
            (Some(refunded), Some(whole)) if refunded < whole => Status::PartiallyRefunded,
            _ => Status::Refunded,
        };
    }
    if conversion.approved {
        return Status::Approved;
    }
    match (says, conversion.status) {
        (Says::Rejected, _) | (_, Status::Rejected) => Status::Rejected,
        (Says::Void, _) | (_, Status::Void) => Status::Void,
        _ => Status::Pending,
    }
}

#[cfg(test)]
mod tests;
