//! Many events at once: plain purchases with a `txid` each, over kept connections, a bounded number at a
//! time. What is not accepted is sent again, as funnels do, under the same `txid`.

use crate::client::Client;
use crate::eventually::eventually;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long one event is tried.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long to wait before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Counts {
    next: AtomicUsize,
    unanswered: AtomicUsize,
    refused: AtomicUsize,
    broken: AtomicUsize,
    /// The ids that 202s gave, by `txid`.
    accepted: Mutex<BTreeMap<String, String>>,
}

/// A load that runs.
pub struct Load {
    count: usize,
    counts: Arc<Counts>,
    senders: JoinSet<Result<()>>,
    started: Instant,
}

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Event ids by `txid`.
    pub accepted: BTreeMap<String, String>,
    /// How many answers were neither 202 nor broken off.
    pub refused: usize,
    /// How many requests broke off.
    pub broken: usize,
    pub took: Duration,
}

impl Load {
    /// Starts to send `count` events to `url`, at most `at_once` at a time.
    pub fn start(client: &Client, url: &str, count: usize, at_once: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let mut senders = JoinSet::new();
        for _ in 0..at_once {
            senders.spawn(send(client.clone(), url.to_owned(), count, counts.clone()));
        }
        Self { count, counts, senders, started: Instant::now() }
    }

    /// Waits until at least this many were accepted.
    pub async fn accepted(&self, at_least: usize) -> Result<()> {
        eventually(PATIENCE, format!("{at_least} events are accepted"), async || {
            let accepted = self.accepted_count();
            ensure!(accepted >= at_least, "{accepted} are");
            Ok(())
        })
        .await
    }

    /// How many were accepted so far.
    pub fn accepted_count(&self) -> usize {
        self.counts.accepted.lock().unwrap().len()
    }

    /// How many requests are on their way and not answered.
    pub fn unanswered(&self) -> usize {
        self.counts.unanswered.load(SeqCst)
    }

    /// Waits for the end: every event must have been accepted.
    pub async fn finish(mut self) -> Result<Sent> {
        while let Some(sender) = self.senders.join_next().await {
            sender??;
        }
        let sent = self.told();
        ensure!(sent.accepted.len() == self.count, "{} of {} were accepted", sent.accepted.len(), self.count);
        Ok(sent)
    }

    /// Ends it now, with what was accepted so far.
    pub async fn cut(mut self) -> Sent {
        self.senders.shutdown().await;
        self.told()
    }

    fn told(&self) -> Sent {
        Sent {
            accepted: self.counts.accepted.lock().unwrap().clone(),
            refused: self.counts.refused.load(SeqCst),
            broken: self.counts.broken.load(SeqCst),
            took: self.started.elapsed(),
        }
    }
}

async fn send(client: Client, url: String, count: usize, counts: Arc<Counts>) -> Result<()> {
    loop {
        let index = counts.next.fetch_add(1, SeqCst);
        if index >= count {
            return Ok(());
        }
        let tx = format!("load-{index:05}");
        let pairs = [("event", "purchase"), ("txid", &tx), ("payout", "12.50"), ("currency", "USD")];
        let deadline = Instant::now() + PATIENCE;
        loop {
            counts.unanswered.fetch_add(1, SeqCst);
            let answered = client.form(&url, &pairs).await;
            counts.unanswered.fetch_sub(1, SeqCst);
            match answered {
                Ok(answer) if answer.status == 202 => {
                    let id = answer.accepted()?;
                    counts.accepted.lock().unwrap().insert(tx, id);
                    break;
                }
                Ok(_) => counts.refused.fetch_add(1, SeqCst),
                Err(_) => counts.broken.fetch_add(1, SeqCst),
            };
            ensure!(Instant::now() < deadline, "{tx} was not accepted within {PATIENCE:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Held by whoever loads the machine: two such scenarios at once would only slow each other, whatever
/// runs the tests.
pub struct Alone(#[allow(dead_code, reason = "held for its lock")] File);

impl Alone {
    /// Waits for its turn.
    pub async fn wait() -> Result<Self> {
        let path = std::env::temp_dir().join("carom-tests.lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await??;
        Ok(Self(locked))
    }
}
