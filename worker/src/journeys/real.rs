//! The same journeys, through what the worker really does: bodies are decoded, decided, and kept in SQLite.
//!
//! The broker alone is played: what is released comes back at once, and a timer when its time is over.

use super::body;
use super::generate::{WINDOWS, advertiser};
use super::journey::{Arrival, Event, Input};
use super::simple;
use carom_common::click::{Click, NotATouch};
use carom_common::conversion::Step;
use carom_common::id::EventId;
use carom_common::identity::Hasher;
use carom_common::intake::{Body, Intake};
use carom_common::pipeline::roster::Roster;
use carom_common::pipeline::{self, Read, Rules};
use carom_common::resources::Resources;
use carom_common::retry::Schedule;
use carom_common::store::{RecordedClicks, Resolved, Store, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PARKING: Duration = Duration::from_secs(15 * 60);

/// Advertisers, each with a funnel, a shop, an offer for each window and somebody to tell.
pub fn rules(store_hasher: Hasher) -> Rules {
    let names: Vec<String> = (0..super::generate::ADVERTISERS).map(advertiser).collect();
    let of_each = |make: &dyn Fn(&String) -> Vec<Value>| names.iter().flat_map(make).collect::<Vec<_>>();
    let resources = json!({
        "advertiser": of_each(&|id| vec![json!({"id": id})]),
        "source": of_each(&|id| ["clickfunnels", "plain"].map(|kind| json!({
            "id": format!("{kind}-{id}"), "advertiser": id, "kind": kind, "open": true,
        })).into()),
        "offer": of_each(&|id| WINDOWS.map(|window| json!({
            "id": format!("{id}-{window}"), "advertiser": id, "tracking_url": "https://f.example/",
            "attribution_window": format!("{}s", window / 1_000),
        })).into()),
        "connector": of_each(&|id| vec![json!({
            "id": format!("to-{id}"), "advertiser": id, "triggers": ["conversion", "refund"],
            "webhook": {"url": "https://n.example/"},
        })]),
    });
    let resources: Resources = serde_json::from_value(resources).unwrap();
    let (roster, schedule) = (Arc::new(Roster::new(1, Arc::new(resources))), Schedule::default());
    Rules { roster, schedule, parking: PARKING, hasher: store_hasher }
}

/// What came of a journey, in the words of the simple attribution.
#[derive(Debug, Default)]
pub struct Outcome {
    pub decisions: Vec<simple::Decision>,
    pub conversions: Vec<simple::Conversion>,
}

struct World<'a> {
    store: &'a Store,
    rules: &'a Rules,
    /// What waits in tiers: until when, and what comes back then.
    timers: Vec<(Timestamp, Intake)>,
    decisions: BTreeMap<EventId, simple::Decision>,
    told: BTreeMap<(String, String), Vec<String>>,
    last: BTreeMap<(String, String), EventId>,
}

/// Goes through a journey to its end, until nothing waits any more.
pub async fn follow(store: &Store, rules: &Rules, arrivals: &[Arrival]) -> Outcome {
    let mut world = World {
        store,
        rules,
        timers: Vec::new(),
        decisions: BTreeMap::new(),
        told: BTreeMap::new(),
        last: BTreeMap::new(),
    };
    for (number, arrival) in arrivals.iter().enumerate() {
        let now = Timestamp::from_millisecond(arrival.at).unwrap();
        world.time_is(now).await;
        match &arrival.input {
            Input::Click(click) => {
                let RecordedClicks { released, .. } =
                    store.record_clicks(vec![recorded(click)]).await.unwrap();
                world.take(released.into(), now).await;
            }
            Input::Event(event) => {
                let intake = intake(event, now);
                let arrived = simple::Decision { arrival: number, found_by: "none", ..Default::default() };
                world.decisions.insert(intake.id, arrived);
                world.take(VecDeque::from([intake]), now).await;
            }
        }
    }
    world.time_is(Timestamp::MAX - SignedDuration::from_hours(1)).await;
    world.outcome().await
}

impl World<'_> {
    /// Lets the timers come back that have run out by now, in their order.
    async fn time_is(&mut self, now: Timestamp) {
        loop {
            let due = self.timers.iter().enumerate().filter(|(_, (until, _))| *until <= now);
            let Some((next, _)) = due.min_by_key(|(_, (until, intake))| (*until, intake.id)) else { return };
            let (until, intake) = self.timers.remove(next);
            self.take(VecDeque::from([intake]), until).await;
        }
    }

    async fn take(&mut self, mut queue: VecDeque<Intake>, now: Timestamp) {
        while let Some(intake) = queue.pop_front() {
            queue.extend(self.resolve(intake, now).await);
        }
    }

    /// Decides one intake, and gives back what that released.
    async fn resolve(&mut self, intake: Intake, now: Timestamp) -> Vec<Intake> {
        let Read::Candidate(candidate) = pipeline::read(intake, self.rules, now) else {
            panic!("unreadable")
        };
        let (rules, seen) = (self.rules.clone(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&seen);
        let decide = move |candidate: &_, known: &_| {
            let resolution = pipeline::decide(candidate, known, &rules, now);
            *told.lock().unwrap() = Some(resolution.clone());
            resolution
        };
        let resolved = self.store.resolve(vec![*candidate], decide).await.unwrap().remove(0);
        let resolution = seen.lock().unwrap().take().unwrap();
        self.note(&resolved, &resolution.verdict);
        let in_vain = resolution.decisions.iter().any(|decision| decision.code.as_str() == "parking_over");
        if let Some(decision) = self.decisions.get_mut(&resolved.event) {
            decision.in_vain |= in_vain;
        }
        if let Some((_, timer)) = resolved.timer {
            let since = timer.parked.unwrap().since;
            self.timers.push((since + PARKING, timer));
        }
        resolved.released
    }

    fn note(&mut self, resolved: &Resolved, verdict: &Verdict) {
        let Some(decision) = self.decisions.get_mut(&resolved.event) else { return };
        match verdict {
            Verdict::Duplicate { .. } => decision.duplicate = true,
            // The timer of an event that was released and decided. Nothing is handed over here, so it is
            // not told apart from one that a crash interrupted.
            Verdict::Resume(_) => {}
            Verdict::Park(park) if decision.lacked.is_empty() => {
                let kinds = park.keys.iter().map(|key| key.split(':').next().unwrap_or_default());
                // Beside a click, the order is another way to one, and not what the event lacks.
                let by_click = kinds.clone().any(|kind| kind == "click");
                let kinds = kinds.filter(|kind| !(by_click && *kind == "order"));
                decision.lacked = ["click", "order", "contact", "sale"]
                    .into_iter()
                    .filter(|kind| kinds.clone().any(|own| own == *kind))
                    .collect();
            }
            Verdict::Park(_) => {}
            Verdict::Decide(decided) => {
                decision.click = decided.click.as_ref().map(|click| click.id.to_string());
                decision.found_by = decided.click.as_ref().map_or("none", |_| decided.found_by.as_str());
                if let Some(conversion) = &decided.conversion {
                    let key = (conversion.advertiser.to_string(), conversion.key.clone());
                    self.last.insert(key, resolved.event);
                }
                for delivery in &resolved.deliveries {
                    let facts = delivery.facts.conversion.as_ref().unwrap();
                    let key = (delivery.facts.event.advertiser.to_string(), facts.key.clone());
                    let step = match facts.name.as_deref() {
                        Some("refund") => {
                            let amount = facts.value.unwrap().amount;
                            Step::Refund(amount * rust_decimal::Decimal::ONE_HUNDRED).id()
                        }
                        _ => Step::Conversion.id(),
                    };
                    self.told.entry(key).or_default().push(step);
                }
            }
        }
    }

    async fn outcome(mut self) -> Outcome {
        let mut conversions = Vec::new();
        for ((advertiser, key), event) in std::mem::take(&mut self.last) {
            let trace = self.store.trace_of_event(event).await.unwrap().unwrap();
            let record = trace.conversion.unwrap();
            let cents = |text: &String| {
                let amount: rust_decimal::Decimal = text.parse().unwrap();
                (amount * rust_decimal::Decimal::ONE_HUNDRED).normalize().to_string().parse::<i64>().unwrap()
            };
            conversions.push(simple::Conversion {
                told: self.told.remove(&(advertiser.clone(), key.clone())).unwrap_or_default(),
                advertiser,
                key,
                status: record.status.unwrap().as_str(),
                value: record.amount.as_ref().map(cents),
                refunded: record.refunded.as_ref().map(cents),
            });
        }
        let mut decisions: Vec<_> = self.decisions.into_values().collect();
        decisions.sort_by_key(|decision| decision.arrival);
        Outcome { decisions, conversions }
    }
}

fn recorded(click: &super::journey::Click) -> Click {
    let offer = format!("{}-{}", click.advertiser, click.window).parse().unwrap();
    let at = Timestamp::from_millisecond(click.at).unwrap();
    Click {
        id: click.id.parse().unwrap(),
        not_a_touch: click.bot.then_some(NotATouch::Bot),
        ..Click::new(click.advertiser.parse().unwrap(), offer, click.cookie.parse().unwrap(), at)
    }
}

fn intake(event: &Event, now: Timestamp) -> Intake {
    let (query, sent) = body::request(event);
    let kind = if sent.is_empty() { "plain" } else { "clickfunnels" };
    Intake {
        id: EventId::new(),
        source: format!("{kind}-{}", event.advertiser).parse().unwrap(),
        received_at: now,
        query,
        content_type: None,
        body: Body(sent.into_bytes()),
        visitor: event.cookie.as_ref().map(|cookie| cookie.parse().unwrap()),
        parked: None,
        verified: Default::default(),
        key: None,
        told: None,
    }
}
