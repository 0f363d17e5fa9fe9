//! Clicks and events at a steady rate, whatever the answers do: as visitors and funnels come. How long each
//! took counts from when it was due, so that a pause is not hidden by whoever waits for it.

use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::load::{Accepted, Sent};
use crate::resources::PLAIN_TOKEN;
use crate::stack::Stack;
use anyhow::{Result, ensure};
use carom_common::store::{Settings, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

/// How many of each in a second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub clicks: u32,
    pub events: u32,
}

/// What one request came to.
#[derive(Clone, Debug)]
pub enum End {
    /// It was answered as it should be, with this id.
    Taken(String),
    /// It was answered otherwise.
    Refused(u16),
    /// It broke off.
    Broken,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of an event, its `txid`.
    pub name: String,
    pub due: Instant,
    pub took: Duration,
    pub end: End,
}

/// Traffic that runs.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    clicks: JoinHandle<Vec<Request>>,
    events: JoinHandle<Vec<Request>>,
    taken: Arc<Mutex<usize>>,
    began: Instant,
}

/// What traffic came to.
#[derive(Clone, Debug)]
pub struct Told {
    pub clicks: Vec<Request>,
    pub events: Vec<Request>,
    pub lasted: Duration,
}

impl Traffic {
    /// Starts it: clicks on the offer `demo`, plain purchases with a `txid` each that begins with `name`.
    pub fn start(stack: &Stack, name: &str, rates: Rates) -> Self {
        let (stop, taken) = (Arc::<AtomicBool>::default(), Arc::<Mutex<usize>>::default());
        let spawn = |rate: u32, label: String, url: String, click: bool| {
            let (client, stop, taken) = (stack.client().clone(), stop.clone(), taken.clone());
            tokio::spawn(paced(client, url, label, rate, click, stop, taken))
        };
        let clicks = spawn(rates.clicks, format!("{name}-c"), stack.click_url("demo"), true);
        let events = spawn(rates.events, format!("{name}-e"), stack.events_url(PLAIN_TOKEN), false);
        Self { stop, clicks, events, taken, began: Instant::now() }
    }

    /// How many were taken so far.
    pub fn taken(&self) -> usize {
        *self.taken.lock().unwrap()
    }

    /// Ends it, when every request that was begun has ended.
    pub async fn end(self) -> Result<Told> {
        self.stop.store(true, SeqCst);
        let (clicks, events) = (self.clicks.await?, self.events.await?);
        Ok(Told { clicks, events, lasted: self.began.elapsed() })
    }
}

async fn paced(
    client: Client,
    url: String,
    label: String,
    rate: u32,
    click: bool,
    stop: Arc<AtomicBool>,
    taken: Arc<Mutex<usize>>,
) -> Vec<Request> {
    let mut ticks = tokio::time::interval(secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    let mut ended = Vec::new();
    for index in 0.. {
        let due = ticks.tick().await.into_std();
        if stop.load(SeqCst) {
            break;
        }
        let (client, url, taken) = (client.clone(), url.clone(), taken.clone());
        let name = format!("{label}{index:06}");
        requests.spawn(async move {
            let end = if click { clicked(&client, &url).await } else { sent(&client, &url, &name).await };
            if matches!(end, End::Taken(_)) {
                *taken.lock().unwrap() += 1;
            }
            Request { name, due, took: due.elapsed(), end }
        });
        while let Some(request) = requests.try_join_next() {
            ended.extend(request);
        }
    }
    while let Some(request) = requests.join_next().await {
        ended.extend(request);
    }
    ended
}

async fn clicked(client: &Client, url: &str) -> End {
    match client.get(url).await {
        Err(_) => End::Broken,
        Ok(answer) if answer.status != 302 => End::Refused(answer.status),
        Ok(answer) => {
            let location = answer.headers.get("location").and_then(|location| location.to_str().ok());
            let id = location.and_then(|location| location.split_once("clickid="));
            id.map_or(End::Broken, |(_, id)| End::Taken(id.to_owned()))
        }
    }
}

async fn sent(client: &Client, url: &str, txid: &str) -> End {
    let pairs = [("event", "purchase"), ("txid", txid), ("payout", "12.50"), ("currency", "USD")];
    match client.form(url, &pairs).await {
        Err(_) => End::Broken,
        Ok(answer) => match answer.accepted() {
            Ok(id) => End::Taken(id),
            Err(_) => End::Refused(answer.status),
        },
    }
}

impl Told {
    fn all(&self) -> impl Iterator<Item = &Request> {
        self.clicks.iter().chain(&self.events)
    }

    /// How many were answered otherwise than they should be, by status.
    pub fn refused(&self) -> BTreeMap<u16, usize> {
        let mut refused = BTreeMap::new();
        for request in self.all() {
            if let End::Refused(status) = request.end {
                *refused.entry(status).or_default() += 1;
            }
        }
        refused
    }

    /// How many broke off.
    pub fn broken(&self) -> usize {
        self.all().filter(|request| matches!(request.end, End::Broken)).count()
    }

    /// The ids of the clicks that were redirected.
    pub fn redirected(&self) -> BTreeSet<String> {
        self.clicks.iter().filter_map(|click| taken(click).cloned()).collect()
    }

    /// The events that were accepted, for the account.
    pub fn sent(&self) -> Sent {
        let accepted = self.events.iter().filter_map(|event| {
            let id = taken(event)?.clone();
            Some((event.name.clone(), Accepted::plain(id)))
        });
        let refused = self.events.iter().filter(|event| matches!(event.end, End::Refused(_))).count();
        let broken = self.events.iter().filter(|event| matches!(event.end, End::Broken)).count();
        let clicks = self.redirected().into_iter().collect();
        Sent { accepted: accepted.collect(), clicks, refused, broken, took: self.lasted }
    }
}

fn taken(request: &Request) -> Option<&String> {
    match &request.end {
        End::Taken(id) => Some(id),
        _ => None,
    }
}

/// Waits until every one of these clicks is recorded (or `limit` is over); gives those that are not.
pub async fn unrecorded(
    stack: &Stack,
    clicks: BTreeSet<String>,
    limit: Duration,
) -> Result<BTreeSet<String>> {
    let store = Store::open_read_only(&Settings::Sqlite(stack.dir().join("carom.db")))?;
    let mut missing = clicks;
    let recorded = eventually(limit, "every redirected click is recorded", async || {
        for id in missing.clone() {
            if store.click(id.parse()?).await?.is_some() {
                missing.remove(&id);
            }
        }
        ensure!(missing.is_empty(), "{} are missing", missing.len());
        Ok(())
    })
    .await;
    if let Err(error) = recorded {
        println!("{error:#}");
    }
    Ok(missing)
}
