//! Payouts: what the offer's rules give for the steps of a conversion, claimed with the decision where a
//! rule pays once per click.

use crate::click::Click;
use crate::conversion::{Change, Step};
use crate::event::Event;
use crate::money::Amount;
use crate::offer::Offer;
use crate::payout::{self, Case, Settled};
use crate::resources::Resources;
use crate::store::{Known, PayoutClaim};
use crate::trace::Code;

/// What came of it.
#[derive(Debug, Default)]
pub struct Paid {
    /// What a rule that pays once per click has paid now.
    pub claim: Option<PayoutClaim>,
    /// What was decided.
    pub decisions: Vec<(Code, String)>,
}

/// Settles the new steps of a conversion by the rules of the click's offer, or of the offer that the source
/// names where there is no click of ours.
pub fn settle(
    change: &mut Change,
    event: &Event,
    click: Option<&Click>,
    known: &Known,
    resources: &Resources,
) -> Paid {
    let mut paid = Paid::default();
    if change.steps.is_empty() {
        return paid;
    }
    let of_source = || resources.source(&event.source).and_then(|source| source.offer.as_ref());
    let offer = click.map(|click| &click.offer).or_else(of_source).and_then(|id| resources.offer(id));
    let Some(offer) = offer else {
        // Whoever has no rules at all is not told that none applies.
        let mut own = resources.offers.iter().filter(|offer| offer.advertiser == event.advertiser);
        if own.any(|offer| offer.payout_default.is_some()) {
            paid.decisions.push((Code::NoOffer, "no payout rule applies".to_owned()));
        }
        return paid;
    };
    for step in change.steps.clone() {
        let (name, value) = match step {
            Step::Pending | Step::Conversion => {
                (change.conversion.name.clone().unwrap_or_default(), change.conversion.value)
            }
            Step::Refund(amount) => ("refund".to_owned(), Some(change.conversion.money(amount))),
        };
        let case = Case {
            event: &name,
            country: click.and_then(|click| click.country.as_deref()),
            device: click.and_then(|click| click.device).map(|device| device.as_str()),
            source: event.source.as_str(),
            value,
        };
        let settled = payout::decide(offer, &case);
        if settled.rule != payout::NONE {
            paid.decisions.push((Code::Payout, told(offer, &settled)));
        }
        if step == Step::Pending && settled.once {
            // Which of several pending conversions the rule pays for is known at an approval: all are told then.
            change.steps.retain(|step| *step != Step::Pending);
        }
        if matches!(step, Step::Refund(_)) {
            change.conversion.refund_payout = settled.payout;
            continue;
        }
        let claim = settled.once.then(|| claim(offer, &settled, event, click, change)).flatten();
        let another = claim.as_ref().is_some_and(|claim| paid_for_another(claim, &known.payouts));
        if another {
            let detail = format!("rule {} has paid for another conversion of this click", settled.rule);
            paid.decisions.push((Code::AlreadyPaid, detail));
        }
        settled.enter(&mut change.conversion, another);
        if step == Step::Conversion && !another {
            paid.claim = claim;
        }
    }
    paid
}

/// What a rule that pays once would pay for; none without a click to count by.
fn claim(
    offer: &Offer,
    settled: &Settled,
    event: &Event,
    click: Option<&Click>,
    change: &Change,
) -> Option<PayoutClaim> {
    let click = click.map(|click| click.id.to_string()).or_else(|| event.foreign_click.clone())?;
    Some(PayoutClaim {
        click,
        offer: offer.id.clone(),
        rule: settled.rule.clone(),
        conversion: change.conversion.key.clone(),
    })
}

fn paid_for_another(claim: &PayoutClaim, paid: &[PayoutClaim]) -> bool {
    paid.iter().any(|paid| {
        paid.click == claim.click
            && paid.offer == claim.offer
            && paid.rule == claim.rule
            && paid.conversion != claim.conversion
    })
}

fn told(offer: &Offer, settled: &Settled) -> String {
    let gives = match (settled.payout, settled.payable) {
        (Some(payout), _) => shown(payout),
        (None, true) => "nothing".to_owned(),
        (None, false) => "nothing: it is a KPI".to_owned(),
    };
    format!("rule {} of offer {} gives {gives}", settled.rule, offer.id)
}

fn shown(amount: Amount) -> String {
    let currency = amount.currency.map_or("", |currency| currency.code());
    format!("{} {currency}", amount.amount).trim_end().to_owned()
}
