//! A desk that clicks and events come over: the pipeline and the store, without a broker.

use crate::late;
use carom_common::click::Click;
use carom_common::delivery::Delivery;
use carom_common::id::{ClickId, EventId, VisitorId};
use carom_common::intake::{Body, Intake, Parked};
use carom_common::news::News;
use carom_common::pipeline::roster::Roster;
use carom_common::pipeline::{self, Read, Rules};
use carom_common::resources::Resources;
use carom_common::retry::Schedule;
use carom_common::store::{Settings, Store, Verdict};
use carom_common::trace::{Code, Decision};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Days after some noon.
pub fn at(days: i64) -> Timestamp {
    let noon: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
    noon + SignedDuration::from_hours(24 * days)
}

pub struct Desk {
    folder: TempDir,
    pub store: Store,
    pub rules: Rules,
}

/// What was decided, and what is to be handed over.
pub struct Decided {
    pub id: EventId,
    pub now: Timestamp,
    intake: Option<Intake>,
    news: Option<News>,
    pub deliveries: Vec<Delivery>,
    pub again: bool,
    decisions: Vec<Decision>,
}

impl Decided {
    pub fn news(&self) -> &News {
        self.news.as_ref().unwrap()
    }

    /// Each delivery: to whom, with which matched click id, and whether in Test mode.
    pub fn selected(&self) -> Vec<String> {
        let shown = |delivery: &Delivery| {
            let id = delivery.facts.matched_click_id.as_deref().unwrap_or("-");
            let test = if delivery.test { " (test mode)" } else { "" };
            format!("{} {id}{test}", delivery.connector)
        };
        self.deliveries.iter().map(shown).collect()
    }

    pub fn says(&self, code: Code, detail: &str) -> bool {
        self.decisions.iter().any(|decision| decision.code == code && decision.detail.starts_with(detail))
    }
}

impl Desk {
    pub async fn new(connectors: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::Sqlite(folder.path().join("carom.db"));
        Store::migrate(&settings).unwrap();
        let store = Store::open(&settings, |_, _| {}).unwrap();
        let resources: Resources = serde_json::from_value(json!({
            "advertiser": [{"id": "acme"}],
            "source": [{"id": "shop", "advertiser": "acme", "kind": "plain", "open": true}],
            "offer": [{"id": "demo", "advertiser": "acme", "tracking_url": "https://f.example/"}],
            "connector": connectors,
        }))
        .unwrap();
        let rules = Rules {
            roster: Arc::new(Roster::new(1, Arc::new(resources))),
            schedule: Schedule::default(),
            parking: Duration::from_secs(900),
            hasher: store.hasher().await.unwrap(),
        };
        Self { folder, store, rules }
    }

    /// Somebody clicks, so many days after the noon.
    pub async fn click(&mut self, visitor: VisitorId, day: i64, query: &str) -> ClickId {
        let click = clicked(ClickId::new(), visitor, day, query);
        self.store.record_clicks(vec![click.clone()]).await.unwrap();
        click.id
    }

    /// A plain event comes in on that day, and is decided.
    pub async fn event(&mut self, day: i64, query: &str) -> Decided {
        self.take(intake(day, query, None)).await
    }

    /// One that waited in vain.
    pub async fn unparked(&mut self, day: i64, query: &str) -> Decided {
        let parked = Parked { since: at(day) - SignedDuration::from_hours(1), times: 1, released: false };
        self.take(intake(day, query, Some(parked))).await
    }

    /// The same again, as after a crash.
    pub async fn again(&mut self, decided: &Decided) -> Decided {
        self.take(decided.intake.clone().unwrap()).await
    }

    async fn take(&mut self, intake: Intake) -> Decided {
        let now = intake.received_at;
        let Read::Candidate(candidate) = pipeline::read(intake.clone(), &self.rules, now) else { panic!() };
        let (rules, seen) = (self.rules.clone(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&seen);
        let decide = move |candidate: &_, known: &_| {
            let resolution = pipeline::decide(candidate, known, &rules, now);
            *told.lock().unwrap() = Some(resolution.clone());
            resolution
        };
        let resolved = self.store.resolve(vec![*candidate], decide).await.unwrap().remove(0);
        let resolution = seen.lock().unwrap().take().unwrap();
        let news = match resolution.verdict {
            Verdict::Decide(decided) => decided.news,
            _ => None,
        };
        let (deliveries, again, decisions) = (resolved.deliveries, resolved.again, resolution.decisions);
        Decided { id: resolved.event, now, intake: Some(intake), news, deliveries, again, decisions }
    }

    /// A click that an event may have named comes late; nothing of what that brings is on its queue yet.
    pub async fn late_click(&mut self, id: ClickId, visitor: VisitorId, day: i64, query: &str) -> Decided {
        let recorded = self.store.record_clicks(vec![clicked(id, visitor, day, query)]).await.unwrap();
        let (mut deliveries, mut all) = (Vec::new(), Vec::new());
        for one in recorded.late {
            let (selected, decisions) = late::choose(&one, self.rules.roster.resources(), at(day));
            let chosen = self.store.choose_late(one.news, selected, decisions.clone()).await.unwrap();
            deliveries.extend(chosen);
            all.extend(decisions);
        }
        Decided {
            id: EventId::new(),
            now: at(day),
            intake: None,
            news: None,
            deliveries,
            again: false,
            decisions: all,
        }
    }

    /// What the store holds in its tables, as text.
    pub async fn raw(&self) -> String {
        let settings = Settings::Sqlite(self.folder.path().join("carom.db"));
        Store::empty_log(&settings).unwrap();
        String::from_utf8_lossy(&std::fs::read(settings.file().unwrap()).unwrap()).into_owned()
    }
}

fn clicked(id: ClickId, visitor: VisitorId, day: i64, query: &str) -> Click {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let click = Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), visitor, at(day));
    Click { id, parameters, ..click }
}

fn intake(day: i64, query: &str, parked: Option<Parked>) -> Intake {
    Intake {
        id: EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: at(day),
        query: query.into(),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked,
        key: None,
        told: None,
    }
}
