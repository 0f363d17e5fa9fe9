//! What a simulation came to.

use crate::commands::trial::{self, STAND_IN};
use carom_common::connector::{Connector, FireAt, Mode};
use carom_common::delivery::Delivery;
use carom_common::id::{ConnectorId, DeliveryId, EventId};
use carom_common::postback::{self, Credentials};
use carom_common::trace::Code;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many examples of a difference are named, and how many different details of one reason.
const EXAMPLES: usize = 5;
const DETAILS: usize = 50;

/// Which of the two connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// That of the file.
    New,
    /// That which is applied.
    Old,
}

/// What one connector would have done. `--json` prints it as it is.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    connector: Option<ConnectorId>,
    /// Its mode; it was simulated as if Enabled.
    mode: Mode,
    since: Option<Timestamp>,
    /// How many events were looked at.
    pub events: u64,
    /// How many requests it would have sent, in all and by step.
    pub sent: u64,
    steps: BTreeMap<&'static str, u64>,
    /// How many would have been too old by its `max_event_age`.
    pub expired: u64,
    /// Why how many could not have been rendered.
    pub unrenderable: BTreeMap<String, u64>,
    /// Which macros had no value in how many requests.
    pub unresolved: BTreeMap<String, u64>,
    /// Why how many events were skipped: by reason code, and by its detail.
    pub skipped: BTreeMap<String, BTreeMap<String, u64>>,
    /// What was told, by currency; `none` where the sender named none.
    pub money: BTreeMap<String, Money>,
    /// Against the connector as it is; none where it is new.
    pub difference: Option<Difference>,
    #[serde(skip)]
    refunds: HashMap<String, (String, Decimal)>,
    #[serde(skip)]
    once: Once,
}

/// Money of one currency.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Money {
    /// Of conversions and events.
    pub told: Decimal,
    /// Of refunds.
    pub refunded: Decimal,
}

/// What the new connector does otherwise.
#[derive(Debug, Default, Serialize)]
pub struct Difference {
    /// Requests that both would have sent.
    pub both: u64,
    /// Those that only the new one would.
    pub only_new: u64,
    /// Those that only the one that is applied would.
    pub only_old: u64,
    /// A few events of the one and of the other.
    pub examples_new: Vec<EventId>,
    pub examples_old: Vec<EventId>,
}

/// Deliveries that were told before: who is told of pending conversions is told at the approval under the same
/// id, and not again. Only then is anything kept.
#[derive(Debug, Default)]
struct Once {
    new: Option<HashSet<DeliveryId>>,
    old: Option<HashSet<DeliveryId>>,
}

impl Report {
    /// Of nothing yet.
    pub fn new(connector: &Connector, old: Option<&Connector>, since: Timestamp) -> Self {
        let early = |connector: &Connector| connector.fire_at == FireAt::Pending;
        let some = early(connector) || old.is_some_and(early);
        Self {
            connector: Some(connector.id.clone()),
            mode: connector.mode,
            since: Some(since),
            difference: old.map(|_| Difference::default()),
            once: Once { new: some.then(HashSet::new), old: some.then(HashSet::new) },
            ..Self::default()
        }
    }

    /// One more event.
    pub fn event(&mut self) {
        self.events += 1;
    }

    /// Notes why a connector was skipped.
    pub fn skipped(&mut self, connector: &Connector, decisions: Vec<(Code, String)>) {
        for (code, detail) in decisions.into_iter().filter(|(code, _)| *code != Code::Selected) {
            let why = why(connector, &detail);
            count(self.skipped.entry(code.as_str().to_owned()).or_default(), why);
        }
    }

    /// Which of these deliveries would have been sent. Those of the new connector are counted.
    pub fn sendable(
        &mut self,
        side: Side,
        connector: &Connector,
        deliveries: Vec<Delivery>,
        at: Timestamp,
    ) -> Vec<DeliveryId> {
        let credentials = Credentials { secret: &|_| Ok(STAND_IN.to_owned()), access_token: Some(STAND_IN) };
        let mut sent = Vec::new();
        for delivery in deliveries {
            let once = match side {
                Side::New => &mut self.once.new,
                Side::Old => &mut self.once.old,
            };
            if once.as_mut().is_some_and(|seen| !seen.insert(delivery.id)) {
                continue;
            }
            let counts = side == Side::New;
            // Whether it was when it came in.
            if connector.exceeded_age(delivery.facts.event.at, at).is_some() {
                self.expired += u64::from(counts);
                continue;
            }
            match postback::signed(connector, &delivery.id, &delivery.facts, &credentials, Timestamp::now()) {
                Ok(postback) => {
                    if counts {
                        postback.unresolved.iter().for_each(|name| count(&mut self.unresolved, name));
                        self.count(&delivery);
                    }
                    sent.push(delivery.id);
                }
                Err(error) if counts => count(&mut self.unrenderable, &error.to_string()),
                Err(_) => {}
            }
        }
        sent
    }

    fn count(&mut self, delivery: &Delivery) {
        let step = trial::step(delivery);
        self.sent += 1;
        *self.steps.entry(step).or_default() += 1;
        let facts = &delivery.facts;
        let of_conversion = facts.conversion.as_ref().and_then(|conversion| conversion.value);
        let Some(value) = of_conversion.or(facts.event.value) else { return };
        let currency = value.currency.map_or("none", |currency| currency.code()).to_owned();
        let money = self.money.entry(currency.clone()).or_default();
        match &facts.conversion {
            // A refund's step tells all that has been refunded: of several, the last one's increase counts.
            Some(conversion) if step == "refund" => {
                let before = self.refunds.insert(conversion.key.clone(), (currency, value.amount));
                let before = before.map_or(Decimal::ZERO, |(_, amount)| amount);
                money.refunded = money.refunded.saturating_add(value.amount - before);
            }
            _ => money.told = money.told.saturating_add(value.amount),
        }
    }

    /// Notes what only one of the two would have sent for an event.
    pub fn compare(&mut self, event: EventId, new: &[DeliveryId], old: &[DeliveryId]) {
        let Some(difference) = &mut self.difference else { return };
        // Where one is told early and the other is not, a delivery may stand with another event.
        let (all_new, all_old) = (&self.once.new, &self.once.old);
        let has = |ids: &[DeliveryId], all: &Option<HashSet<DeliveryId>>, id: &DeliveryId| {
            ids.contains(id) || all.as_ref().is_some_and(|all| all.contains(id))
        };
        for id in new {
            if has(old, all_old, id) {
                difference.both += 1;
                if !old.contains(id) {
                    difference.only_old = difference.only_old.saturating_sub(1);
                }
            } else {
                difference.only_new += 1;
                example(&mut difference.examples_new, event);
            }
        }
        for id in old.iter().filter(|id| !new.contains(id)) {
            if has(new, all_new, id) {
                difference.both += 1;
                difference.only_new = difference.only_new.saturating_sub(1);
            } else {
                difference.only_old += 1;
                example(&mut difference.examples_old, event);
            }
        }
    }

    /// For people.
    pub fn print(&self) {
        let connector = self.connector.as_ref().map_or("", ConnectorId::as_str);
        let since = self.since.map(|since| since.to_string()).unwrap_or_default();
        let mode = match self.mode {
            Mode::Enabled => "",
            Mode::Test => "; it is in Test mode, and simulated as if Enabled",
            Mode::Disabled => "; it is Disabled, and simulated as if Enabled",
        };
        println!("{connector}, over {} events since {since}{mode}", self.events);
        let steps: Vec<_> = self.steps.iter().map(|(step, count)| format!("{count} {step}")).collect();
        println!("  would be sent    {:>8}  {}", self.sent, steps.join(", "));
        if self.expired > 0 {
            println!("  expired          {:>8}  older than its max_event_age", self.expired);
        }
        for (why, count) in &self.unrenderable {
            println!("  unrenderable     {count:>8}  {why}");
        }
        for (code, details) in &self.skipped {
            for (detail, count) in details {
                println!("  {code:<16} {count:>8}  {detail}");
            }
        }
        for (currency, money) in &self.money {
            println!("  {currency:<16} {:>8}  refunded {}", money.told, money.refunded);
        }
        for (name, count) in &self.unresolved {
            println!("  without a value  {count:>8}  {name}");
        }
        if let Some(difference) = &self.difference {
            println!(
                "  as it is now: {} are sent by both, {} only by the new one, {} only by the one that is applied",
                difference.both, difference.only_new, difference.only_old
            );
            for (what, examples) in [
                ("only by the new one", &difference.examples_new),
                ("only as applied", &difference.examples_old),
            ] {
                for event in examples {
                    println!("    {what}: event {event}");
                }
            }
        } else {
            println!("  it is new: there is none of its id to compare it with");
        }
    }
}

/// What a decision's detail says besides which connector it is of: `network: why`, or `network` alone. An id
/// may be how another word begins.
fn why<'a>(connector: &Connector, detail: &'a str) -> &'a str {
    match detail.strip_prefix(connector.id.as_str()) {
        Some("") => "",
        Some(rest) => rest.strip_prefix(": ").unwrap_or(detail),
        None => detail,
    }
}

fn count(counts: &mut BTreeMap<String, u64>, what: &str) {
    let what = if counts.len() < DETAILS || counts.contains_key(what) { what } else { "others" };
    *counts.entry(what.to_owned()).or_default() += 1;
}

fn example(examples: &mut Vec<EventId>, event: EventId) {
    if examples.len() < EXAMPLES && !examples.contains(&event) {
        examples.push(event);
    }
}
