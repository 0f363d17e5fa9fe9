//! Journeys worked out by hand, from the rules alone. The simple attribution is held against them, so that
//! two attributions that agree are not merely wrong in the same way.
//!
//! An expected decision reads `c1 custom_attribute`: the click and how it was found; `none`; `copy`. What
//! follows `after` is what the event waited for, and `in vain` says that it did not come. An expected
//! conversion reads `order:1 approved 100 back 40 told conversion, refund:40`; those that are not written
//! down are not looked at.

mod cases;
mod step;

use super::journey::Arrival;
use super::simple::{self, Conversion, Decision};
pub use cases::all;

/// A journey and what must come of it.
pub struct Case {
    /// A sentence.
    pub name: &'static str,
    /// What happens.
    pub arrivals: Vec<Arrival>,
    /// What is expected of each event, in the order of arrival.
    pub decisions: &'static [&'static str],
    /// What is expected of some conversions.
    pub conversions: &'static [&'static str],
}

/// A decision as cases write it.
pub fn decision(decision: &Decision) -> String {
    if decision.duplicate {
        return "copy".to_owned();
    }
    let mut text = match &decision.click {
        Some(click) => format!("{} {}", step::name(click), decision.found_by),
        None => decision.found_by.to_owned(),
    };
    if !decision.lacked.is_empty() {
        text += &format!(" after {}", decision.lacked.join(" and "));
    }
    if decision.in_vain {
        text += " in vain";
    }
    text
}

/// A conversion as cases write it.
pub fn conversion(conversion: &Conversion) -> String {
    let mut text = format!("{} {}", conversion.key, conversion.status);
    if let Some(value) = conversion.value {
        text += &format!(" {value}");
    }
    if let Some(refunded) = conversion.refunded {
        text += &format!(" back {refunded}");
    }
    if !conversion.told.is_empty() {
        text += &format!(" told {}", conversion.told.join(", "));
    }
    text
}

#[test]
fn the_simple_attribution_is_what_was_worked_out_by_hand() {
    let cases = all();
    assert!(cases.len() >= 30);
    let mut wrong = Vec::new();
    for case in cases {
        let outcome = simple::follow(&case.arrivals);
        let decisions: Vec<_> = outcome.decisions.iter().map(decision).collect();
        if decisions != case.decisions {
            wrong.push(format!("{}\n  is {decisions:?}\n  not {:?}", case.name, case.decisions));
        }
        let conversions: Vec<_> = outcome.conversions.iter().map(conversion).collect();
        for expected in case.conversions {
            if !conversions.iter().any(|conversion| conversion == expected) {
                wrong.push(format!("{}\n  is {conversions:?}\n  without {expected}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
