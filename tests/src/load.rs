//! Many events at once, of all kinds, over kept connections, a bounded number at a time. What is not accepted is
//! sent again, as funnels do, under the same `txid`.

pub mod mix;

use crate::client::Client;
use crate::eventually::eventually;
use crate::resources::PLAIN_TOKEN;
use crate::stack::Stack;
use anyhow::{Result, ensure};
use mix::{End, Kind};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long one event is tried.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long to wait before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// So many, as fast as they are answered.
    Of(usize),
    /// So many per second, until it is enough.
    PerSecond(u32),
}

/// An event that was answered 202.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The id that the answer gave.
    pub id: String,
    pub kind: Kind,
}

impl Accepted {
    /// One that is to be delivered.
    pub fn plain(id: String) -> Self {
        Self { id, kind: Kind::Plain }
    }
}

#[derive(Default)]
struct Counts {
    next: AtomicUsize,
    unanswered: AtomicUsize,
    deliverable: AtomicUsize,
    refused: AtomicUsize,
    broken: AtomicUsize,
    enough: AtomicBool,
    /// What was accepted, by `txid`.
    accepted: Mutex<BTreeMap<String, Accepted>>,
    /// The ids of the clicks that were redirected.
    clicks: Mutex<Vec<String>>,
}

/// A load that runs.
pub struct Load {
    amount: Amount,
    counts: Arc<Counts>,
    senders: JoinSet<Result<()>>,
    started: Instant,
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// What was accepted, by `txid`.
    pub accepted: BTreeMap<String, Accepted>,
    /// The ids of the clicks that were redirected.
    pub clicks: Vec<String>,
    /// How many answers were neither 202 nor broken off.
    pub refused: usize,
    /// How many requests broke off.
    pub broken: usize,
    pub took: Duration,
}

/// Who sends: what all senders of a load share.
struct Sender {
    client: Client,
    label: String,
    events_url: String,
    click_url: String,
    amount: Amount,
    counts: Arc<Counts>,
    started: Instant,
}

impl Load {
    /// Starts to send to a stack, at most `at_once` events at a time. Their `txid`s begin with `label`, which no
    /// other load of this stack has.
    pub fn start(stack: &Stack, label: &str, amount: Amount, at_once: usize) -> Self {
        Self::of(stack, label, amount, at_once, Kind::of)
    }

    /// The same with purchases alone, each to be delivered.
    pub fn plain(stack: &Stack, label: &str, amount: Amount, at_once: usize) -> Self {
        Self::of(stack, label, amount, at_once, |_| Kind::Plain)
    }

    fn of(stack: &Stack, label: &str, amount: Amount, at_once: usize, kind: fn(usize) -> Kind) -> Self {
        let (sender, mut load) = Self::prepare(stack, label, amount);
        for _ in 0..at_once {
            let sender = sender.clone();
            load.senders.spawn(async move { sender.run(kind).await });
        }
        load
    }

    /// Sends one event of this kind.
    pub fn one(stack: &Stack, tx: &str, kind: Kind) -> Self {
        let (sender, mut load) = Self::prepare(stack, "", Amount::Of(1));
        let tx = tx.to_owned();
        load.senders.spawn(async move { sender.send(kind, tx).await });
        load
    }

    fn prepare(stack: &Stack, label: &str, amount: Amount) -> (Arc<Sender>, Self) {
        let (counts, started) = (Arc::new(Counts::default()), Instant::now());
        let sender = Sender {
            client: stack.client().clone(),
            label: label.to_owned(),
            events_url: stack.events_url(PLAIN_TOKEN),
            click_url: stack.click_url("demo"),
            amount,
            counts: counts.clone(),
            started,
        };
        (Arc::new(sender), Self { amount, counts, senders: JoinSet::new(), started })
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

    /// How many of them must be delivered.
    pub fn deliverable_count(&self) -> usize {
        self.counts.deliverable.load(SeqCst)
    }

    /// How many requests are on their way and not answered.
    pub fn unanswered(&self) -> usize {
        self.counts.unanswered.load(SeqCst)
    }

    /// Waits for the end: every event that was begun must have been accepted. A paced load begins no more.
    pub async fn finish(mut self) -> Result<Sent> {
        if let Amount::PerSecond(_) = self.amount {
            self.counts.enough.store(true, SeqCst);
        }
        while let Some(sender) = self.senders.join_next().await {
            sender??;
        }
        let sent = self.told();
        if let Amount::Of(count) = self.amount {
            ensure!(sent.accepted.len() == count, "{} of {count} were accepted", sent.accepted.len());
        }
        Ok(sent)
    }

    fn told(&self) -> Sent {
        Sent {
            accepted: self.counts.accepted.lock().unwrap().clone(),
            clicks: self.counts.clicks.lock().unwrap().clone(),
            refused: self.counts.refused.load(SeqCst),
            broken: self.counts.broken.load(SeqCst),
            took: self.started.elapsed(),
        }
    }
}

impl Sender {
    async fn run(&self, kind: fn(usize) -> Kind) -> Result<()> {
        loop {
            let index = self.counts.next.fetch_add(1, SeqCst);
            match self.amount {
                Amount::Of(count) if index >= count => return Ok(()),
                Amount::Of(_) => {}
                Amount::PerSecond(rate) => {
                    let due = Duration::from_secs_f64(index as f64 / f64::from(rate.max(1)));
                    tokio::time::sleep_until((self.started + due).into()).await;
                    if self.counts.enough.load(SeqCst) {
                        return Ok(());
                    }
                }
            }
            self.send(kind(index), format!("{}-{index:05}", self.label)).await?;
        }
    }

    async fn send(&self, kind: Kind, tx: String) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let click = if kind == Kind::Joined { Some(self.click(deadline).await?) } else { None };
        let mut pairs = kind.pairs(&tx);
        pairs.extend(click.as_deref().map(|click| ("click_id", click)));
        loop {
            self.counts.unanswered.fetch_add(1, SeqCst);
            let answered = self.client.form(&self.events_url, &pairs).await;
            self.counts.unanswered.fetch_sub(1, SeqCst);
            match answered {
                Ok(answer) if answer.status == 202 => {
                    let id = answer.accepted()?;
                    if kind.end() == End::Delivered {
                        self.counts.deliverable.fetch_add(1, SeqCst);
                    }
                    self.counts.accepted.lock().unwrap().insert(tx.clone(), Accepted { id, kind });
                    return Ok(());
                }
                Ok(_) => self.counts.refused.fetch_add(1, SeqCst),
                Err(_) => self.counts.broken.fetch_add(1, SeqCst),
            };
            ensure!(Instant::now() < deadline, "{tx} was not accepted within {PATIENCE:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A click that leads on, as soon as there is one.
    async fn click(&self, deadline: Instant) -> Result<String> {
        loop {
            match self.client.click(&self.click_url).await {
                Ok(clicked) => {
                    self.counts.clicks.lock().unwrap().push(clicked.id.clone());
                    return Ok(clicked.id);
                }
                Err(error) => ensure!(Instant::now() < deadline, "no click within {PATIENCE:?}: {error:#}"),
            }
            self.counts.broken.fetch_add(1, SeqCst);
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
