//! A few events a second, for as long as a bad day lasts: plain purchases with a `txid` each. What is not accepted is
//! sent again, as funnels do, under the same `txid`.

use crate::client::Client;
use crate::eventually::eventually;
use crate::load::Sent;
use anyhow::{Context, Result, ensure};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long one event is tried.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// A load that runs.
pub struct Steady {
    sent: Arc<Mutex<Sent>>,
    stop: CancellationToken,
    sender: JoinHandle<Result<()>>,
    began: Instant,
}

impl Steady {
    /// Starts to send an event every `interval`, one after another; `name` begins what they are known by.
    pub fn start(client: &Client, url: &str, interval: Duration, name: &'static str) -> Self {
        let nothing = Sent { accepted: Default::default(), refused: 0, broken: 0, took: Duration::ZERO };
        let (sent, stop) = (Arc::new(Mutex::new(nothing)), CancellationToken::new());
        let sender =
            tokio::spawn(send(client.clone(), url.to_owned(), (interval, name), sent.clone(), stop.clone()));
        Self { sent, stop, sender, began: Instant::now() }
    }

    /// How many were accepted so far.
    pub fn accepted(&self) -> usize {
        self.sent.lock().unwrap().accepted.len()
    }

    /// Waits until so many more are accepted: time passes, and ingest takes.
    pub async fn more(&self, count: usize) -> Result<()> {
        let wanted = self.accepted() + count;
        eventually(PATIENCE, format!("{count} more are accepted"), async || {
            ensure!(self.accepted() >= wanted, "{} of {wanted} are", self.accepted());
            Ok(())
        })
        .await
    }

    /// Ends it after the event that is on its way.
    pub async fn finish(self) -> Result<Sent> {
        self.stop.cancel();
        self.sender.await.context("the sender has panicked")??;
        let mut sent = self.sent.lock().unwrap().clone();
        sent.took = self.began.elapsed();
        Ok(sent)
    }
}

async fn send(
    client: Client,
    url: String,
    (interval, name): (Duration, &str),
    sent: Arc<Mutex<Sent>>,
    stop: CancellationToken,
) -> Result<()> {
    let mut ticks = tokio::time::interval(interval);
    for index in 0.. {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let tx = format!("{name}-{index:05}");
        let pairs = [("event", "purchase"), ("txid", &tx), ("payout", "12.50"), ("currency", "USD")];
        let deadline = Instant::now() + PATIENCE;
        loop {
            match client.form(&url, &pairs).await {
                Ok(answer) if answer.status == 202 => {
                    let id = answer.accepted()?;
                    sent.lock().unwrap().accepted.insert(tx, id);
                    break;
                }
                Ok(_) => sent.lock().unwrap().refused += 1,
                Err(_) => sent.lock().unwrap().broken += 1,
            }
            ensure!(Instant::now() < deadline, "{tx} was not accepted within {PATIENCE:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}
