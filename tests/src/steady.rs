//! A load by the clock: so many events a second, whatever becomes of each. What is not accepted is sent again, under
//! the same `txid`. It knows when something was accepted, and so for how long nothing was.

use crate::client::Client;
use crate::eventually::eventually;
use crate::load::{Accepted, Sent};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How long one event is tried.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait before it is sent again, at first; twice as long each time, up to the second.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(1);
/// How many events may be without an answer. More would not be a load but a siege.
const UNANSWERED: usize = 400;

/// A load that runs.
pub struct Steady {
    shared: Arc<Shared>,
    sender: tokio::task::JoinHandle<Result<()>>,
    started: Instant,
}

struct Shared {
    client: Client,
    url: String,
    name: &'static str,
    ended: AtomicBool,
    refused: AtomicUsize,
    broken: AtomicUsize,
    /// The ids that 202s gave, by `txid`.
    accepted: Mutex<BTreeMap<String, String>>,
    /// When each request that was answered 202 began and ended.
    answered: Mutex<Vec<(Instant, Instant)>>,
}

/// How bad it was for whoever sent.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// The longest time in which nothing was answered 202.
    pub accepting: Duration,
    /// The longest single request of those that were answered 202 in the end.
    pub request: Duration,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepting, request) = (self.accepting.as_secs_f64(), self.request.as_secs_f64());
        write!(f, "longest pause in accepting {accepting:.2} s, longest request {request:.2} s")
    }
}

impl Steady {
    /// Starts to send `per_second` events a second to `url`, until [`Steady::finish`]; `name` begins what they are
    /// known by.
    pub fn start(client: &Client, url: &str, per_second: u32, name: &'static str) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            url: url.to_owned(),
            name,
            ended: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
            accepted: Mutex::default(),
            answered: Mutex::default(),
        });
        let sender = tokio::spawn(send_all(shared.clone(), Duration::from_secs(1) / per_second));
        Self { shared, sender, started: Instant::now() }
    }

    /// How many were accepted so far.
    pub fn accepted_count(&self) -> usize {
        self.shared.accepted.lock().unwrap().len()
    }

    /// Waits until so many more are accepted: time passes, and ingest takes.
    pub async fn more(&self, count: usize) -> Result<()> {
        let wanted = self.accepted_count() + count;
        eventually(PATIENCE, format!("{count} more are accepted"), async || {
            let accepted = self.accepted_count();
            ensure!(accepted >= wanted, "{accepted} of {wanted} are");
            Ok(())
        })
        .await
    }

    /// Fails where the load has ended by itself, and with why.
    pub fn must_run(&self) -> Result<()> {
        ensure!(!self.sender.is_finished(), "the load has ended by itself");
        Ok(())
    }

    /// How many requests were refused and broken off so far.
    pub fn troubles(&self) -> (usize, usize) {
        (self.shared.refused.load(SeqCst), self.shared.broken.load(SeqCst))
    }

    /// How bad it was since then.
    pub fn pause_since(&self, since: Instant) -> Pause {
        let answered = self.shared.answered.lock().unwrap();
        let of_it: Vec<_> = answered.iter().filter(|(_, end)| *end >= since).collect();
        let mut ends: Vec<_> = of_it.iter().map(|(_, end)| *end).chain([since, Instant::now()]).collect();
        ends.sort();
        let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
        let requests = of_it.iter().map(|(begin, end)| *end - *begin);
        Pause { accepting: gaps.max().unwrap_or_default(), request: requests.max().unwrap_or_default() }
    }

    /// Sends no more, and waits until everything that was begun is accepted.
    pub async fn finish(self) -> Result<Sent> {
        self.shared.ended.store(true, SeqCst);
        self.sender.await??;
        let accepted = self.shared.accepted.lock().unwrap().clone();
        let accepted = accepted.into_iter().map(|(tx, id)| (tx, Accepted::plain(id)));
        Ok(Sent {
            accepted: accepted.collect(),
            clicks: Vec::new(),
            refused: self.shared.refused.load(SeqCst),
            broken: self.shared.broken.load(SeqCst),
            took: self.started.elapsed(),
        })
    }
}

async fn send_all(shared: Arc<Shared>, interval: Duration) -> Result<()> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut senders = JoinSet::new();
    for index in 0.. {
        ticks.tick().await;
        if shared.ended.load(SeqCst) {
            break;
        }
        if senders.len() < UNANSWERED {
            senders.spawn(send(shared.clone(), format!("{}-{index:06}", shared.name)));
        }
        while let Some(sent) = senders.try_join_next() {
            sent??;
        }
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    Ok(())
}

async fn send(shared: Arc<Shared>, tx: String) -> Result<()> {
    let pairs = [("event", "purchase"), ("txid", tx.as_str()), ("payout", "12.50"), ("currency", "USD")];
    let deadline = Instant::now() + PATIENCE;
    let mut again = AGAIN;
    loop {
        let begun = Instant::now();
        match shared.client.form(&shared.url, &pairs).await {
            Ok(answer) if answer.status == 202 => {
                shared.answered.lock().unwrap().push((begun, Instant::now()));
                shared.accepted.lock().unwrap().insert(tx, answer.accepted()?);
                return Ok(());
            }
            Ok(_) => shared.refused.fetch_add(1, SeqCst),
            Err(_) => shared.broken.fetch_add(1, SeqCst),
        };
        ensure!(Instant::now() < deadline, "{tx} was not accepted within {PATIENCE:?}");
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_AT_MOST);
    }
}
