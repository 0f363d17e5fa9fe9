//! A conversion: events that count, gathered under one key, with a state that only moves forward.
//!
//! Pure: what an event claims, applied to what is known. Several events of one purchase (one order can
//! fire about eight) end in one conversion, whatever their order of arrival: what it is worth, what of that
//! went back and where it stands are functions of the set of claims. Only what was told of it, and when,
//! depends on their order. See `docs/conversions.md`.

pub mod ledger;

use crate::id::{AdvertiserId, ClickId, EventId};
use crate::money::Amount;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;

pub use ledger::{Line, Statement};

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
    /// How far it has come; it never comes back. Partly and wholly refunded are as far: which of them it is
    /// is read off the ledger, whatever came first. Money that came outranks a rejection, and nothing
    /// outranks a test.
    fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Void => 1,
            Self::Rejected => 2,
            Self::Approved => 3,
            Self::PartiallyRefunded | Self::Refunded => 4,
            Self::Test => 5,
        }
    }

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

/// What one event reports of a refund: a line for the ledger.
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
    /// Whether it says that only a part went back. It counts where no amount is known to tell by.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
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

impl Claim {
    /// Whether it is of a later payment of an order: those stand under their invoice's key, and follow the
    /// order's sale.
    pub fn is_rebill(&self) -> bool {
        self.key.starts_with("invoice:")
    }
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

/// A conversion as the store keeps it. Rows that were written before a field was there still read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversion {
    /// Whose it is.
    pub advertiser: AdvertiserId,
    /// Its key within the advertiser.
    pub key: String,
    /// The event parameter under which it counts: that of the claim which first approved it.
    pub name: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// What it is worth, by the weightiest evidence so far.
    pub value: Option<Amount>,
    /// How much that evidence weighs.
    pub evidence: Evidence,
    /// Every statement of its worth, the latest of each subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<Statement>,
    /// Whether anybody has said that it exists: its first step was offered then.
    #[serde(default)]
    pub opened: bool,
    /// Whether it has ever been approved. Its conversion step was selected then. A test never is.
    pub approved: bool,
    /// The event's own time of its approval: the earliest of those that approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// What was told of its worth when it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Amount>,
    /// What had been refunded in all when its last refund step was selected.
    pub refund_selected: Option<Decimal>,
    /// Its refund ledger.
    pub refunds: Vec<Line>,
    /// The click that earned it, decided once.
    pub click: Option<ClickId>,
    /// The event that it was decided by: that which first approved it; until then the newest. What follows
    /// the sale has that one's touches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<EventId>,
    /// What the offer's rule gives for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<Amount>,
    /// The rule that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_rule: Option<String>,
    /// What the offer's rule for refunds gives for what had been refunded at the last refund step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_payout: Option<Amount>,
    /// Whether its rule pays once per click, and has paid for another: it is told to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already_paid: bool,
    /// Whether its rule makes it a KPI: it fires no conversion trigger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kpi: bool,
}

impl Conversion {
    /// A conversion that nothing is known of yet.
    pub fn new(advertiser: AdvertiserId, key: impl Into<String>) -> Self {
        Self {
            advertiser,
            key: key.into(),
            name: None,
            status: Status::Pending,
            value: None,
            evidence: Evidence::Order,
            statements: Vec::new(),
            opened: false,
            approved: false,
            first_at: None,
            told: None,
            refund_selected: None,
            refunds: Vec::new(),
            click: None,
            decided_by: None,
            payout: None,
            payout_rule: None,
            refund_payout: None,
            already_paid: false,
            kpi: false,
        }
    }

    /// What has been refunded in all; none where nobody said how much.
    pub fn refunded(&self) -> Option<Decimal> {
        ledger::refunded(&self.refunds, &self.statements)
    }

    /// An amount of this conversion's money, in its currency.
    pub fn money(&self, amount: Decimal) -> Amount {
        Amount { amount, currency: self.value.and_then(|value| value.currency) }
    }

    /// A row of before kept only the value that had won, and told that.
    fn with_statements(mut self) -> Self {
        if let Some(value) = self.value.filter(|_| self.statements.is_empty()) {
            let evidence = self.evidence;
            self.statements.push(Statement { evidence, subject: String::new(), value, at: None });
            self.told = self.told.or(Some(value).filter(|_| self.approved));
        }
        self.opened |= self.approved;
        self
    }

    /// Where it stands, by all that is known and what is claimed now.
    fn status_by(&self, claim: &Claim) -> Status {
        if claim.test || self.status == Status::Test {
            return Status::Test;
        }
        if !self.refunds.is_empty() {
            return self.status_by_ledger();
        }
        if self.approved {
            return Status::Approved;
        }
        let claimed = match claim.says {
            Says::Rejected => Status::Rejected,
            Says::Void => Status::Void,
            _ => Status::Pending,
        };
        if claimed.rank() > self.status.rank() { claimed } else { self.status }
    }

    /// Part or whole: by the amounts where both are known, else by what the reports say. Most do not say,
    /// because most refunds are whole; so without a word of a part it is whole.
    fn status_by_ledger(&self) -> Status {
        let part = match (self.refunded(), self.value) {
            (Some(refunded), Some(value)) => refunded < value.amount,
            _ => self.refunds.iter().any(|line| line.partial) && !self.refunds.iter().any(|line| line.whole),
        };
        if part { Status::PartiallyRefunded } else { Status::Refunded }
    }
}

/// One thing to tell connectors about a conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It exists, and is not approved yet: for connectors that choose to be told then.
    Pending,
    /// It is approved.
    Conversion,
    /// So much has been refunded in all.
    Refund(Decimal),
}

impl Step {
    /// The step's part of a delivery's stable id. `10.0` and `10.00` are the same step; and so are pending
    /// and approved, so that whoever is told of a pending conversion is not told again (guarantee G4).
    pub fn id(&self) -> String {
        match self {
            Self::Pending | Self::Conversion => "conversion".to_owned(),
            Self::Refund(amount) => format!("refund:{}", amount.normalize()),
        }
    }
}

/// What was told, and is not what is known now. Nothing is sent for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrected {
    /// What was told; none where no amount was known then.
    pub before: Option<Amount>,
    /// What is known now.
    pub after: Option<Amount>,
}

impl fmt::Display for Corrected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |amount: Option<Amount>| amount.map_or("no amount".to_owned(), |known| known.to_string());
        write!(f, "{} was told and {} is known now", shown(self.before), shown(self.after))
    }
}

/// A conversion after a claim, and what is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How it stands now.
    pub conversion: Conversion,
    /// What to tell, in this order.
    pub steps: Vec<Step>,
    /// Whether this claim is the first to say that the conversion exists, pending or approved.
    pub first_seen: bool,
    /// The claim made its value another than what was told at its approval.
    pub corrected: Option<Corrected>,
    /// The claim made what was refunded less than what was told.
    pub refund_corrected: Option<Corrected>,
}

/// Applies a claim to what is known of its conversion. A late or weaker claim never lowers a state: a
/// sale that arrives after its refund stays refunded.
///
/// `click` is the one that the claim's event is attributed to. Until the conversion is approved the newest
/// stands; from then on it is decided.
pub fn apply(
    known: Option<Conversion>,
    advertiser: &AdvertiserId,
    claim: &Claim,
    click: Option<ClickId>,
) -> Change {
    let mut conversion = known
        .map_or_else(|| Conversion::new(advertiser.clone(), claim.key.clone()), Conversion::with_statements);
    let before = conversion.clone();
    let approves = claim.says == Says::Approved;
    if conversion.name.is_none() || (approves && !before.approved && claim.name.is_some()) {
        conversion.name = claim.name.clone().or(conversion.name);
    }
    if !before.approved {
        conversion.click = click.or(conversion.click);
    }
    take(&mut conversion, claim);
    let first_seen = conversion.opened && !before.opened;
    let mut change =
        Change { conversion, steps: Vec::new(), first_seen, corrected: None, refund_corrected: None };
    if change.conversion.status != Status::Test {
        correct(&mut change, &before);
        tell(&mut change, &before);
    }
    change
}

/// Takes in what is claimed. All of it comes out the same in any order of the claims.
fn take(conversion: &mut Conversion, claim: &Claim) {
    if let Some(value) = claim.value {
        let (evidence, subject) = (claim.evidence, claim.subject.clone());
        ledger::state(&mut conversion.statements, Statement { evidence, subject, value, at: Some(claim.at) });
    }
    if let Some((evidence, value)) = ledger::value(&conversion.statements) {
        conversion.evidence = evidence;
        conversion.value = Some(value);
    }
    conversion.opened |= matches!(claim.says, Says::Pending | Says::Approved);
    match &claim.says {
        Says::Approved => {
            conversion.approved = true;
            conversion.first_at =
                Some(conversion.first_at.map_or(claim.at, |earliest| earliest.min(claim.at)));
        }
        Says::Refund(refund) => ledger::record(&mut conversion.refunds, refund, claim.at),
        Says::Pending | Says::Rejected | Says::Void | Says::Nothing => {}
    }
    conversion.status = conversion.status_by(claim);
    if conversion.status == Status::Test {
        conversion.approved = false;
        conversion.first_at = None;
    }
}

/// Notes what this claim makes another than what was told. What is told of a refund only grows, so that
/// less was refunded than what was told is a correction, and no step.
fn correct(change: &mut Change, before: &Conversion) {
    let now = &change.conversion;
    if before.approved && before.value != now.value && now.told != now.value {
        change.corrected = Some(Corrected { before: now.told, after: now.value });
    }
    let refunded = now.refunded();
    if before.refunded() != refunded && refunded < now.refund_selected {
        let money = |amount: Option<Decimal>| amount.map(|amount| now.money(amount));
        change.refund_corrected =
            Some(Corrected { before: money(now.refund_selected), after: money(refunded) });
    }
}

/// Adds the steps that are new, with the money known now.
fn tell(change: &mut Change, before: &Conversion) {
    let conversion = &mut change.conversion;
    if conversion.approved && !before.approved {
        conversion.told = conversion.value;
        change.steps.push(Step::Conversion);
    } else if change.first_seen && conversion.status == Status::Pending {
        change.steps.push(Step::Pending);
    }
    let told = conversion.refund_selected.unwrap_or_default();
    if let Some(amount) = conversion.refunded().filter(|amount| conversion.approved && *amount > told) {
        conversion.refund_selected = Some(amount);
        change.steps.push(Step::Refund(amount));
    }
}

#[cfg(test)]
mod tests;
