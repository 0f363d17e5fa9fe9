//! Who sends: a number of connections, as fast as they are answered (a closed loop) or at a fixed rate (an open one).
//!
//! In an open loop a request that is late is counted from when it was to be sent: whoever waits for a free connection
//! waits, and a system that stands still for a second is not measured as one slow request.

use crate::clock::Clock;
use crate::http::Connection;
use crate::mix::Mix;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How a load is paced.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many connections, each with its next request as soon as the last one is answered.
    Closed { connections: usize },
    /// So many requests a second, over at most so many connections.
    Open { rate: f64, connections: usize },
}

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many requests.
    Count(usize),
    /// After this time.
    Over(Duration),
}

/// What a load was answered otherwise than it should be, by status.
pub type Refused = BTreeMap<u16, usize>;

/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a number of requests may take that come as fast as they are answered.
const LONGEST: Duration = Duration::from_secs(900);

struct Shared {
    address: SocketAddr,
    mix: Mix,
    clock: Arc<Clock>,
    next: AtomicUsize,
    /// The first number that is not sent.
    end: usize,
    over: AtomicBool,
    refused: Mutex<Refused>,
}

/// Sends until it is over; every request that was begun is answered then. Numbers go up from `first`.
///
/// # Errors
/// A connection broke, or there are fewer numbers than there were requests.
pub async fn send(
    address: SocketAddr,
    mix: &Mix,
    clock: &Arc<Clock>,
    pace: Pace,
    until: Until,
    first: usize,
) -> Result<Refused> {
    let (end, limit) = match until {
        Until::Count(count) => (first + count, None),
        Until::Over(limit) => (clock.most(), Some(limit)),
    };
    ensure!(end <= clock.most(), "the clock has {} numbers, and {end} are wanted", clock.most());
    let shared = Arc::new(Shared {
        address,
        mix: mix.clone(),
        clock: clock.clone(),
        next: AtomicUsize::new(first),
        end,
        over: AtomicBool::new(false),
        refused: Mutex::default(),
    });
    let mut senders = JoinSet::new();
    match pace {
        Pace::Closed { connections } => {
            for _ in 0..connections {
                senders.spawn(closed(shared.clone()));
            }
            if let Some(limit) = limit {
                tokio::time::sleep(limit).await;
                shared.over.store(true, Relaxed);
            }
        }
        Pace::Open { rate, connections } => {
            let (due, waiting) = mpsc::channel(clock.most().max(1));
            let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
            for _ in 0..connections {
                senders.spawn(open(shared.clone(), waiting.clone()));
            }
            let pacer = shared.clone();
            // A thread of its own: the runtime's timers are a millisecond coarse.
            std::thread::Builder::new()
                .name("load-pacer".to_owned())
                .spawn(move || paced(&pacer, rate, limit, &due))?;
        }
    }
    let ended = async {
        while let Some(sender) = senders.join_next().await {
            sender??;
        }
        anyhow::Ok(())
    };
    let usual = match (limit, pace) {
        (Some(limit), _) => limit,
        (None, Pace::Open { rate, .. }) => Duration::from_secs_f64((end - first) as f64 / rate),
        (None, Pace::Closed { .. }) => LONGEST,
    };
    tokio::time::timeout(usual + PATIENCE, ended).await.context("requests are not answered")??;
    let refused = shared.refused.lock().map(|refused| refused.clone()).unwrap_or_default();
    Ok(refused)
}

async fn closed(shared: Arc<Shared>) -> Result<()> {
    let mut connection = Connection::open(shared.address).await?;
    let mut request = Vec::new();
    while !shared.over.load(Relaxed) {
        let number = shared.next.fetch_add(1, Relaxed);
        if number >= shared.end {
            return Ok(());
        }
        shared.one(&mut connection, &mut request, number, Instant::now()).await?;
    }
    Ok(())
}

async fn open(
    shared: Arc<Shared>,
    due: Arc<tokio::sync::Mutex<mpsc::Receiver<(usize, Instant)>>>,
) -> Result<()> {
    let mut connection = Connection::open(shared.address).await?;
    let mut request = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((number, at)) = next else { return Ok(()) };
        shared.one(&mut connection, &mut request, number, at).await?;
    }
}

/// Hands out each number when it is due.
fn paced(shared: &Shared, rate: f64, limit: Option<Duration>, due: &mpsc::Sender<(usize, Instant)>) {
    let begun = Instant::now();
    let first = shared.next.load(Relaxed);
    for number in first..shared.end {
        let after = Duration::from_secs_f64((number - first) as f64 / rate);
        if limit.is_some_and(|limit| after >= limit) {
            return;
        }
        let at = begun + after;
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if due.blocking_send((number, at)).is_err() {
            return;
        }
    }
}

impl Shared {
    async fn one(
        &self,
        connection: &mut Connection,
        request: &mut Vec<u8>,
        number: usize,
        due: Instant,
    ) -> Result<()> {
        let kind = self.mix.kind(number);
        kind.journey.write(number, request);
        self.clock.due(number, due);
        let status = connection.exchange(request).await?;
        // Kept, but of no use: no body of ours is so.
        ensure!(
            !connection.answer().windows(9).any(|word| word == b"\"warning\""),
            "an event was accepted with a warning"
        );
        if status == kind.expected {
            self.clock.accepted(number);
        } else if let Ok(mut refused) = self.refused.lock() {
            *refused.entry(status).or_default() += 1;
        }
        Ok(())
    }
}
