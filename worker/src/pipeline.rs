//! The pipeline: what happens to an event between its queue and its deliveries, a call per stage.
//!
//! Stages do not call each other, and what they decide they decide as functions of their arguments; the
//! store runs `decide` inside the transaction that makes the decision durable.

use crate::dedupe::{self, Judgement};
use crate::select::{self, News};
use carom_common::attribution;
use carom_common::conversion;
use carom_common::dead_letter::Letter;
use carom_common::decode;
use carom_common::delivery::Reason;
use carom_common::event::Kind;
use carom_common::intake::{Intake, Parked};
use carom_common::resources::Resources;
use carom_common::retry::{Schedule, Tier};
use carom_common::store::{Candidate, Decided, Known, Resolution, Verdict};
use carom_common::trace::{Code, Decision};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What decisions depend on besides the event and the store.
#[derive(Clone)]
pub struct Rules {
    /// The resources as they are now.
    pub resources: Arc<Resources>,
    /// The tiers to park in.
    pub schedule: Schedule,
    /// How long to wait for a click.
    pub parking: Duration,
}

/// An intake as read: on its way to be decided, or to the dead letters.
pub enum Read {
    /// To be decided.
    Candidate(Box<Candidate>),
    /// It cannot be.
    Letter(Box<Letter>),
}

/// Reads an intake: bytes become an event, or a letter that says why not.
pub fn read(intake: Intake, resources: &Resources, now: Timestamp) -> Read {
    let Some(source) = resources.source(&intake.source) else {
        let detail = format!("there is no source {}", intake.source);
        return Read::Letter(Box::new(Letter::of_intake(intake, Reason::SourceRemoved, now).because(detail)));
    };
    let decoded = match decode::decode(&intake, source) {
        Ok(decoded) => decoded,
        Err(error) => {
            let letter = Letter::of_intake(intake, Reason::UndecodableBody, now).because(error.to_string());
            return Read::Letter(Box::new(letter));
        }
    };
    let mut decisions = Vec::new();
    if intake.parked.is_none() {
        decisions.push(note(intake.received_at, Code::Received, format!("from source {}", intake.source)));
        decisions.extend(intake.verified.told().map(|how| note(intake.received_at, Code::Verified, how)));
        let detail = format!(
            "{} as {}; click id by {}",
            decoded.event.raw_type,
            decoded.event.kind.as_str(),
            decoded.found_by.as_str()
        );
        decisions.push(note(now, Code::Decoded, detail));
        decisions.extend(decoded.notes.into_iter().map(|(code, detail)| note(now, code, detail)));
    }
    let candidate = Candidate {
        event: decoded.event,
        named: decoded.named,
        claim: decoded.claim,
        parked: intake.parked,
        decisions,
    };
    Read::Candidate(Box::new(candidate))
}

/// Decides an event: dedupe → attribute → conversion → select.
pub fn decide(candidate: &Candidate, known: &Known, rules: &Rules, now: Timestamp) -> Resolution {
    let event = &candidate.event;
    let mut decisions = candidate.decisions.clone();
    let mut tell = |code, detail: String| decisions.push(note(now, code, detail));

    match dedupe::judge(event.id, known.marker) {
        Judgement::Duplicate(first) => {
            // The first intake's trace has all the rest; this one only adds that it came.
            let detail = format!("intake {} of the same event", event.id);
            return Resolution {
                verdict: Verdict::Duplicate { first },
                decisions: vec![note(now, Code::Duplicate, detail)],
            };
        }
        Judgement::Resume => {
            let deliveries = known.unsettled.clone();
            let detail = format!("{} deliveries to hand over again", deliveries.len());
            let decisions = vec![note(now, Code::Resumed, detail)];
            return Resolution { verdict: Verdict::Resume(deliveries), decisions };
        }
        Judgement::Decide => {}
    }

    let window = |click: &carom_common::click::Click| {
        let offer = rules.resources.offer(&click.offer);
        offer.map_or(carom_common::offer::default_window().0, |offer| offer.attribution_window.0)
    };
    let found = attribution::attribute(
        event,
        &candidate.named,
        known.named_click.clone(),
        known.last_click.clone(),
        window,
    );
    // What follows a sale inherits its click, and so does a sale whose later reports name none.
    let approved = known.conversion.as_ref().is_some_and(|conversion| conversion.approved);
    let inherits = approved || found.click.is_none();
    let inherited =
        known.conversion_click.clone().filter(|click| inherits && found.click.as_ref() != Some(click));

    if found.code == Code::ClickUnknown && inherited.is_none() && waits(event.kind) {
        match park(candidate.parked, rules, now) {
            Some(tier) => {
                if candidate.parked.is_none() {
                    tell(Code::Parked, found.detail);
                }
                return Resolution { verdict: Verdict::Park(tier), decisions };
            }
            None => tell(Code::ParkingOver, "it goes on without its click".to_owned()),
        }
    }
    tell(found.code, found.detail);
    let click = match inherited {
        Some(click) => {
            tell(Code::ClickFound, format!("click {} of the conversion counts", click.id));
            Some(click)
        }
        None => found.click,
    };

    let change = candidate.claim.as_ref().map(|claim| {
        conversion::apply(
            known.conversion.clone(),
            &event.advertiser,
            claim,
            click.as_ref().map(|click| click.id),
        )
    });
    match &change {
        Some(change) => tell(Code::Conversion, told(change)),
        None => tell(Code::NoConversion, event.kind.as_str().to_owned()),
    }

    let conversion = change.as_ref().map(|change| (&change.conversion, &change.steps[..]));
    let news = News { event, click: click.as_ref(), conversion };
    let selection = select::select(&news, &rules.resources.connectors, now);
    for (code, detail) in selection.decisions {
        tell(code, detail);
    }
    let decided = Decided {
        click,
        conversion: change.map(|change| change.conversion),
        deliveries: selection.deliveries,
    };
    Resolution { verdict: Verdict::Decide(Box::new(decided)), decisions }
}

fn note(at: Timestamp, code: Code, detail: String) -> Decision {
    Decision { at, code, detail }
}

/// Which events are worth waiting for a click: those that may be sent to somebody for it.
fn waits(kind: Kind) -> bool {
    !matches!(kind, Kind::Identity | Kind::Ignored)
}

/// The tier to park in next; none when the event has waited long enough. The waits grow like retries, and
/// the last is no longer than what is left, rounded up to a tier.
fn park(parked: Option<Parked>, rules: &Rules, now: Timestamp) -> Option<Tier> {
    let (since, times) = parked.map_or((now, 0), |parked| (parked.since, parked.times));
    let waited = Duration::try_from(now.duration_since(since).max(SignedDuration::ZERO)).unwrap_or_default();
    let left = rules.parking.checked_sub(waited).filter(|left| !left.is_zero())?;
    let next = rules.schedule.after(times + 1, None).or(rules.schedule.tiers().last().copied())?;
    rules.schedule.at_least(left).map(|longest| next.min(longest))
}

fn told(change: &conversion::Change) -> String {
    let conversion = &change.conversion;
    let value = conversion.value.map_or_else(String::new, |value| {
        let currency = value.currency.map_or("", |currency| currency.code());
        format!(" {} {currency}", value.amount)
    });
    let steps: Vec<_> = change.steps.iter().map(conversion::Step::id).collect();
    let steps = if steps.is_empty() {
        "nothing new to tell".to_owned()
    } else {
        format!("to tell: {}", steps.join(", "))
    };
    format!("{} {}{value}; {steps}", conversion.key, conversion.status.as_str())
}

#[cfg(test)]
mod tests;
