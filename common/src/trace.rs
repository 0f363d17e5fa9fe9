//! A trace: each decision about an event, in order, with a stable reason code (guarantee G11).

use crate::condition;
use crate::connector::Connector;
use fixedbitset::FixedBitSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was taken.
    pub at: Timestamp,
    /// What was decided, for machines. Listed in `docs/reason-codes.md`; never renamed.
    pub code: Code,
    /// With what, for people. No personal data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The connectors that it is about, where it is one decision about many. What the store gives names each
    /// in a decision of its own.
    #[serde(skip)]
    pub passed_by: Option<PassedBy>,
}

impl Decision {
    /// A decision.
    pub fn new(at: Timestamp, code: Code, detail: impl Into<String>) -> Self {
        Self { at, code, detail: detail.into(), passed_by: None }
    }
}

/// Connectors that an event passed by, all for one reason. An event is not to cost a row for everything that it has
/// nothing to do with: where they are many, their decisions are kept together, by their places in the resources, which
/// the store has of every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedBy {
    /// The version of the resources.
    pub version: u64,
    /// Which of its conditions each of them failed by, counted from 0; none where it was no condition.
    pub condition: Option<u32>,
    /// Their places among the connectors of the event's advertiser.
    pub connectors: FixedBitSet,
}

impl PassedBy {
    /// The places as bits: that of place `n` is bit `n % 8` of byte `n / 8`.
    pub fn to_bits(&self) -> Vec<u8> {
        let mut bits = vec![0; self.connectors.maximum().map_or(0, |last| last / 8 + 1)];
        for place in self.connectors.ones() {
            bits[place / 8] |= 1 << (place % 8);
        }
        bits
    }

    /// The places that [`PassedBy::to_bits`] gave.
    pub fn places(bits: &[u8]) -> FixedBitSet {
        let mut places = FixedBitSet::with_capacity(bits.len() * 8);
        let is_set = |place: &usize| bits[place / 8] & (1 << (place % 8)) != 0;
        places.extend((0..bits.len() * 8).filter(is_set));
        places
    }

    /// The decision's detail for each connector. `own` are the advertiser's, of the same version.
    pub fn each<'a>(&'a self, why: &'a str, own: &'a [&Connector]) -> impl Iterator<Item = String> + 'a {
        let connectors = self.connectors.ones().filter_map(|place| own.get(place));
        connectors.map(move |connector| match self.condition {
            Some(index) => {
                let told = condition::told(&connector.conditions, index as usize);
                format!("{}: {told}", connector.id)
            }
            None if why.is_empty() => connector.id.to_string(),
            None => format!("{}: {why}", connector.id),
        })
    }
}

/// Up to so many connectors that were passed by for one reason, each has a line.
const PASSED_BY_SINGLY: usize = 16;

/// The reasons for which connectors are passed by in their hundreds.
const PASSED_BY: [Code; 8] = [
    Code::SkippedDisabled,
    Code::SkippedTrigger,
    Code::SkippedKpi,
    Code::AlreadyPaid,
    Code::SkippedCondition,
    Code::SkippedCurrency,
    Code::SkippedClickId,
    Code::HistoryUnknown,
];

/// Decisions with those connectors in one that were passed by for the same reason, each by its name, where they are
/// many.
pub fn folded<T: Coded>(decisions: Vec<(T, String)>) -> Vec<(T, String)> {
    let mut alike: HashMap<(Code, &str), Vec<&str>> = HashMap::new();
    for (of, detail) in decisions.iter().filter(|(of, _)| PASSED_BY.contains(&of.code())) {
        let (connector, why) = reason(detail);
        alike.entry((of.code(), why)).or_default().push(connector);
    }
    alike.retain(|_, connectors| connectors.len() > PASSED_BY_SINGLY);
    let mut told = Vec::new();
    for (of, detail) in &decisions {
        let (connector, why) = reason(detail);
        match alike.get(&(of.code(), why)) {
            None => told.push((*of, detail.clone())),
            Some(connectors) if connectors.first() == Some(&connector) => {
                let why = if why.is_empty() { String::new() } else { format!(": {why}") };
                told.push((*of, format!("{}{why}", connectors.join(", "))));
            }
            Some(_) => {}
        }
    }
    told
}

/// What has a code.
pub trait Coded: Copy {
    /// Its code.
    fn code(&self) -> Code;
}

impl Coded for Code {
    fn code(&self) -> Code {
        *self
    }
}

impl Coded for (Timestamp, Code) {
    fn code(&self) -> Code {
        self.1
    }
}

/// The connector that a decision's detail names, and why it was passed by.
fn reason(detail: &str) -> (&str, &str) {
    detail.split_once(": ").unwrap_or((detail, ""))
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The stable reason codes of decisions about events and deliveries.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code, in the order of an event's path.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            /// The code as it is stored, shown and documented.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),* }
            }
        }
    };
}

codes! {
    /// The intake was taken from its queue.
    Received = "received",
    /// Its sender proved who they are; the detail says how.
    Verified = "verified",
    /// It could be read as its source's kind says.
    Decoded = "decoded",
    /// Card numbers, passwords or tokens were masked before anything was stored.
    Redacted = "redacted",
    /// Its envelope or type is none that we know; recorded as it is.
    TypeUnknown = "type_unknown",
    /// A query parameter came more than once; the first value counts.
    ParameterRepeated = "parameter_repeated",
    /// The same event came before and is complete.
    Duplicate = "duplicate",
    /// The same intake came again before it was complete; it goes on where it stopped.
    Resumed = "resumed",
    /// The attributed click was found.
    ClickFound = "click_found",
    /// The click id is another tracker's, and its source says so; it is passed on as it is.
    ClickPassedThrough = "click_passed_through",
    /// The event names no click and no known visitor.
    ClickNone = "click_none",
    /// The click id names a click that is not recorded.
    ClickUnknown = "click_unknown",
    /// The click id is of no form that we give out.
    ClickForeign = "click_foreign",
    /// The click belongs to another advertiser.
    ClickOfOtherAdvertiser = "click_of_other_advertiser",
    /// What should be a click id is still a placeholder.
    UnresolvedMacro = "unresolved_macro",
    /// The event waits for its click to be recorded.
    Parked = "parked",
    /// What it waited for has come.
    Released = "released",
    /// It has waited long enough and goes on without.
    ParkingOver = "parking_over",
    /// A conversion was opened, changed or confirmed.
    Conversion = "conversion",
    /// What was told of the conversion before is not what is known now; nothing is sent for that.
    Corrected = "corrected",
    /// It follows a paid order of the same contact and funnel, and counts as an upsell.
    Upsell = "upsell",
    /// The order has a bump line, which is part of its total.
    OrderBump = "order_bump",
    /// A payout rule of the offer applied; the detail names it.
    Payout = "payout",
    /// No offer is known, so no payout rule applies.
    NoOffer = "no_offer",
    /// The rule pays once per click, and has.
    AlreadyPaid = "already_paid",
    /// The event changes no conversion.
    NoConversion = "no_conversion",
    /// The order is a test: recorded, nothing is sent.
    TestOrder = "test_order",
    /// The person that the event names was erased; the ledger is kept.
    Erased = "erased",
    /// A connector was selected; the detail names it and the delivery.
    Selected = "selected",
    /// A connector was skipped: none of its triggers is this event.
    SkippedTrigger = "skipped_trigger",
    /// A connector was skipped: it is Disabled, or its webhook is.
    SkippedDisabled = "skipped_disabled",
    /// A connector was skipped: this step was handed to it before.
    SkippedAlready = "skipped_already",
    /// A connector was skipped: it is in Test mode. Not written any more; stands in older traces.
    SkippedTestMode = "skipped_test_mode",
    /// A connector was skipped: the payout rule makes this a KPI, which fires no conversion.
    SkippedKpi = "skipped_kpi",
    /// A connector was skipped: one of its conditions does not hold; the detail names it.
    SkippedCondition = "skipped_condition",
    /// A connector was skipped: its click ID matching found no click id.
    SkippedClickId = "skipped_click_id",
    /// A connector was skipped: it is not told of values in this currency.
    SkippedCurrency = "skipped_currency",
    /// A connector was selected late: the click that it was skipped for the want of has come.
    SelectedLate = "selected_late",
    /// A connector's pixel was given to the browser to fire; the detail names it and the delivery.
    PixelGiven = "pixel_given",
    /// A connector's pixel was rendered and not given to the browser: the connector is in Test mode.
    PixelTested = "pixel_tested",
    /// A connector's pixel was not given to the browser: nobody has approved its code as it is now.
    PixelNotApproved = "pixel_not_approved",
    /// A connector's pixel was not given to the browser: its code cannot be filled in with this event's values.
    PixelUnrenderable = "pixel_unrenderable",
    /// A connector's pixel was not given to the browser: the event is older than the connector takes it.
    PixelExpired = "pixel_expired",
    /// No pixel was given to the browser: it asks that nobody be followed.
    PixelOptedOut = "pixel_opted_out",
    /// A connector's pixel was not given to the browser: what it depends on could not be looked up in time.
    HistoryUnknown = "history_unknown",
    /// A connector that has a pixel alone is told nothing: no browser of our tag's sent the event.
    PixelNoBrowser = "pixel_no_browser",
    /// All its deliveries are on their queues.
    HandedOver = "handed_over",
    /// An attempt was accepted by the receiver.
    Delivered = "delivered",
    /// What would have been sent was logged: the connector is in Test mode.
    Tested = "tested",
    /// An attempt failed and another was scheduled.
    Retry = "retry",
    /// A delivery was given up and lies in the dead letters.
    Dead = "dead",
    /// A dead letter was sent out again.
    Replayed = "replayed",
    /// A dead letter was removed by an operator.
    Purged = "purged",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn decisions(many: usize) -> Vec<(Code, String)> {
        let mut decisions: Vec<_> = (0..many).map(|n| (Code::SkippedTrigger, format!("t{n}"))).collect();
        decisions.extend((0..many).map(|n| (Code::SkippedCondition, format!("c{n}: it is of no campaign"))));
        decisions.insert(1, (Code::Selected, "network by delivery 1".to_owned()));
        decisions.push((Code::SkippedCondition, "other: it is too late".to_owned()));
        decisions
    }

    #[test]
    fn connectors_that_were_passed_by_for_one_reason_share_a_line_where_they_are_many() {
        assert_eq!(folded(decisions(PASSED_BY_SINGLY)), decisions(PASSED_BY_SINGLY));
        let named = |letter: char| (0..20).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(", ");
        let told = [
            (Code::SkippedTrigger, named('t')),
            (Code::Selected, "network by delivery 1".to_owned()),
            (Code::SkippedCondition, format!("{}: it is of no campaign", named('c'))),
            (Code::SkippedCondition, "other: it is too late".to_owned()),
        ];
        assert_eq!(folded(decisions(20)), told);
    }

    #[test]
    fn codes_are_unique_and_serialise_as_they_are_documented() {
        let texts: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn every_code_is_documented() {
        let docs = include_str!("../../docs/reason-codes.md");
        for code in Code::ALL {
            assert!(
                docs.contains(&format!("| `{}` |", code.as_str())),
                "{} is not in docs/reason-codes.md",
                code.as_str()
            );
        }
    }
}
