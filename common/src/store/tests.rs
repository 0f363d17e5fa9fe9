//! The store, on real files and a real PostgreSQL: one suite, which both pass, and what is of one alone.

mod on_postgres;
mod on_sqlite;
mod place;

use super::{Settings, Store};
use crate::attribution::{FoundBy, Named};
use crate::click::Click;
use crate::conversion::{Claim, Conversion, Evidence, Says, Status};
use crate::delivery::{Delivery, Reason};
use crate::event::{ConversionFacts, Envelope, Event, Facts, Kind, Origin};
use crate::id::{ClickId, ConnectorId, DeliveryId, EventId, VisitorId};
use crate::identity::{Hasher, Who};
use crate::intake::{Body, Intake, Parked};
use crate::retry::{Schedule, Tier};
use crate::store::{Candidate, Decided, End, ExchangeRecord, Known, Park, Resolution, Settlement, Verdict};
use crate::trace::{Code, Decision};
use jiff::Timestamp;
use place::Place;
use std::sync::Arc;
use std::time::Duration;

fn settings(place: &Place) -> Settings {
    place.settings.clone()
}

fn open(place: &Place) -> Store {
    Store::migrate(&settings(place)).unwrap();
    Store::open(&settings(place), |_, _| {}).unwrap()
}

/// Seconds after some noon.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_768_046_400 + seconds).unwrap()
}

fn tier() -> Tier {
    Schedule::default().tiers()[1]
}

fn park(keys: &[&str]) -> Park {
    let parked = Parked { since: at(2), times: 1, released: false };
    Park { keys: keys.iter().map(ToString::to_string).collect(), parked, tier: Some(tier()) }
}

fn connector(id: &str) -> ConnectorId {
    id.parse().unwrap()
}

fn event(key: &str) -> Event {
    Event {
        id: EventId::new(),
        advertiser: "acme".parse().unwrap(),
        source: "shop".parse().unwrap(),
        source_event_id: Some(format!("sender-{key}")),
        key: key.to_owned(),
        raw_type: "one-time-order.completed".to_owned(),
        name: Some("purchase".to_owned()),
        number: None,
        ledger_key: None,
        envelope: Envelope::V2,
        origin: Origin::default(),
        order: None,
        foreign_click: None,
        kind: Kind::Conversion,
        at: at(0),
        received_at: at(1),
        value: None,
        transaction: None,
        test: false,
        person: Default::default(),
        data: serde_json::json!({"id": 1}),
    }
}

fn click(visitor: VisitorId, at: Timestamp) -> Click {
    Click {
        parameters: vec![("utm_source".to_owned(), "mail".to_owned())],
        user_agent: Some("curl".to_owned()),
        ..Click::new("acme".parse().unwrap(), "summer".parse().unwrap(), visitor, at)
    }
}

fn conversion(key: &str) -> Conversion {
    Conversion {
        name: Some("purchase".to_owned()),
        status: Status::Approved,
        approved: true,
        ..Conversion::new("acme".parse().unwrap(), key)
    }
}

fn claim(key: &str) -> Claim {
    Claim {
        key: key.to_owned(),
        name: None,
        says: Says::Approved,
        value: None,
        evidence: Evidence::Order,
        subject: "1".into(),
        at: Timestamp::UNIX_EPOCH,
        test: false,
    }
}

fn candidate(event: &Event) -> Candidate {
    let event = event.clone();
    let intake = Intake {
        id: event.id,
        source: event.source.clone(),
        received_at: event.received_at,
        query: String::new(),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        verified: Default::default(),
        key: None,
        told: None,
    };
    Candidate {
        who: Who::of(&event, &Hasher::new(b"key")),
        event,
        named: Named::Nothing,
        found_by: FoundBy::None,
        claim: None,
        order: None,
        visits: Vec::new(),
        erases: false,
        trl_test: false,
        upsell_window: Duration::from_secs(3_600),
        spared: Vec::new(),
        intake: Arc::new(intake),
        decisions: Vec::new(),
    }
}

/// A delivery of the event's conversion, which has the event's key.
fn delivery(event: &Event, to: &str) -> Delivery {
    let conversion = ConversionFacts {
        key: event.key.clone(),
        name: None,
        status: Status::Approved,
        value: None,
        payout: None,
    };
    let id = DeliveryId::of_step(&connector(to), &event.key, "conversion");
    let facts = Facts { conversion: Some(conversion), ..Facts::new(event.clone()) };
    Delivery::new(id, connector(to), at(2), facts)
}

fn decision(code: Code) -> Decision {
    Decision::new(at(2), code, "")
}

fn decided(event: &Event, to: &[&str]) -> Resolution {
    let deliveries = to.iter().map(|to| delivery(event, to)).collect();
    let verdict = Verdict::Decide(Box::new(Decided {
        conversion: Some(conversion(&event.key)),
        deliveries,
        ..Decided::default()
    }));
    Resolution { verdict, decisions: vec![decision(Code::Selected)] }
}

/// The deciding that the worker does, as far as the store is concerned.
fn as_the_worker(to: &'static [&'static str]) -> impl Fn(&Candidate, &Known) -> Resolution + Send + 'static {
    use crate::store::Progress;
    move |candidate, known| match known.marker {
        Some(marker) if marker.event != candidate.event.id => Resolution {
            verdict: Verdict::Duplicate { first: marker.event },
            decisions: vec![decision(Code::Duplicate)],
        },
        Some(marker) if marker.progress != Progress::Parked => Resolution {
            verdict: Verdict::Resume(known.unsettled.clone()),
            decisions: vec![decision(Code::Resumed)],
        },
        _ => decided(&candidate.event, to),
    }
}

/// Stores an event with one delivery and gives back that.
async fn selected(store: &Store, event: &Event, to: &'static [&'static str]) -> Vec<Delivery> {
    let resolved = store.resolve(vec![candidate(event)], as_the_worker(to)).await.unwrap();
    store.handed_over(vec![event.id], at(3)).await.unwrap();
    resolved.into_iter().flat_map(|resolved| resolved.deliveries).collect()
}

fn settlement(delivery: &Delivery, end: End) -> Settlement {
    let exchange = ExchangeRecord {
        method: "GET".to_owned(),
        url: "https://t.example/?token=***".to_owned(),
        duration: Duration::from_millis(250),
        status: Some(if matches!(end, End::Delivered) { 200 } else { 500 }),
        failure: None,
        response: "answer".to_owned(),
        request_headers: "Idempotency-Key: 1".to_owned(),
        request_body: "value=1".to_owned(),
        unresolved: Vec::new(),
    };
    Settlement { delivery: delivery.clone(), at: at(10), exchange: Some(exchange), end }
}

fn letter(delivery: &Delivery, reason: Reason) -> crate::dead_letter::Letter {
    let letter = crate::dead_letter::Letter::of_delivery(delivery.clone(), reason, at(10));
    crate::dead_letter::Letter { last_status: Some(500), ..letter }
}

fn next(delivery: &Delivery, round: u32, attempt: u32) -> Delivery {
    Delivery { round, attempt, ..delivery.clone() }
}

async fn codes(store: &Store, event: &Event) -> Vec<Code> {
    let trace = store.trace_of_event(event.id).await.unwrap().unwrap();
    trace.decisions.iter().map(|decision| decision.code).collect()
}
