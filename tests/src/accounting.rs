//! What became of every event that was answered 202.

use crate::broker::Vhost;
use crate::eventually::eventually;
use crate::load::Sent;
use crate::receiver::Receiver;
use crate::stack::Stack;
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What was under way when something was killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlight {
    /// Requests that ingest had not answered.
    pub unanswered: usize,
    /// Events that were answered 202 and that the receiver had not taken.
    pub undelivered: usize,
}

/// The account.
#[derive(Clone, Debug)]
pub struct Account {
    pub accepted: usize,
    pub in_flight: InFlight,
    /// Accepted events whose postback the receiver has taken.
    pub delivered: usize,
    /// Accepted events that lie in the dead letters.
    pub dead: usize,
    /// Postbacks that the receiver has taken beyond the first of their purchase.
    pub duplicates: usize,
    /// Accepted events that are nowhere.
    pub lost: Vec<String>,
    pub refused: usize,
    pub broken: usize,
    pub took: Duration,
}

impl Account {
    /// Waits until every accepted event has reached the receiver (or `limit` is over), and counts.
    pub async fn settle(
        stack: &Stack,
        receiver: &Receiver,
        sent: &Sent,
        in_flight: InFlight,
        limit: Duration,
    ) -> Result<Self> {
        let arrived = eventually(limit, "every accepted event reaches the receiver", async || {
            ensure!(receiver.taken_count() >= sent.accepted.len(), "{} have", receiver.taken_count());
            let taken = receiver.taken();
            let missing = sent.accepted.keys().filter(|tx| !taken.contains_key(*tx)).count();
            ensure!(missing == 0, "{missing} are missing");
            Ok(())
        })
        .await;
        if let Err(error) = arrived {
            println!("{error:#}");
        }
        let taken = receiver.taken();
        let dead: BTreeSet<String> = stack
            .letters(&[])
            .await?
            .iter()
            .filter_map(|letter| Some(letter["event"].as_str()?.to_owned()))
            .collect();
        let delivered: BTreeSet<_> = sent.accepted.keys().filter(|tx| taken.contains_key(*tx)).collect();
        let dead_events = sent.accepted.iter().filter(|(_, id)| dead.contains(*id)).count();
        let lost = sent.accepted.iter();
        let lost = lost.filter(|(tx, id)| !delivered.contains(tx) && !dead.contains(*id));
        Ok(Self {
            accepted: sent.accepted.len(),
            in_flight,
            delivered: delivered.len(),
            dead: dead_events,
            duplicates: taken.values().map(|count| count - 1).sum(),
            lost: lost.map(|(tx, id)| format!("{tx} ({id})")).collect(),
            refused: sent.refused,
            broken: sent.broken,
            took: sent.took,
        })
    }

    /// Every accepted event was delivered, and none is anywhere else.
    pub fn must_be_whole(&self) -> Result<()> {
        let some: Vec<_> = self.lost.iter().take(5).collect();
        ensure!(self.lost.is_empty(), "{} events are lost, among them {some:?}", self.lost.len());
        ensure!(self.delivered == self.accepted, "{} of {} were delivered", self.delivered, self.accepted);
        Ok(())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {}, in flight at the kill {} ({} unanswered requests, {} accepted and not delivered), \
             delivered {}, dead {}, duplicates {}, lost {}; {} requests refused and {} broken off were sent again; \
             sent in {:.1} s",
            self.accepted,
            self.in_flight.unanswered + self.in_flight.undelivered,
            self.in_flight.unanswered,
            self.in_flight.undelivered,
            self.delivered,
            self.dead,
            self.duplicates,
            self.lost.len(),
            self.refused,
            self.broken,
            self.took.as_secs_f64(),
        )
    }
}

/// Waits until every queue of a vhost is empty, dead letters not counted.
pub async fn drained(vhost: &Vhost, limit: Duration) -> Result<()> {
    eventually(limit, "every queue is empty", async || {
        let depths = vhost.depths().await?;
        let full: Vec<_> =
            depths.iter().filter(|(name, depth)| *name != "carom.dead" && depth.messages > 0).collect();
        ensure!(full.is_empty(), "{full:?}");
        Ok(())
    })
    .await
}
