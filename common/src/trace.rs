//! A trace: each decision about an event, in order, with a stable reason code (guarantee G11).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
