//! What became of every event that was answered 202: the one account of all scenarios that break something.
//!
//! Every accepted event ends as delivered, dead-lettered or skipped with a reason, or is still queued, by the
//! word of the store and by the broker's queues. What is none of these is lost. A delivery's end is believed
//! only where the other side agrees: a delivered one where the receiver took it, a dead one where its letter
//! lies in the listing and on the broker's queue, a queued one where a queue holds something.

pub mod ledger;
pub mod rules;

use crate::broker::Vhost;
use crate::eventually::eventually;
use crate::load::mix::End;
use crate::load::{Accepted, Sent};
use crate::metrics;
use crate::receiver::{Mark, Receiver};
use crate::stack::{Binary, Stack};
use anyhow::{Context, Result, ensure};
use ledger::{Event, Ledger};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

/// How many of a kind of fault are told by name.
const TOLD: usize = 5;

/// What was under way when something was killed.
#[derive(Clone, Copy, Debug, Default)]
pub struct InFlight {
    /// Requests that ingest had not answered.
    pub unanswered: usize,
    /// Events that were answered 202 and that the receiver was still to take.
    pub undelivered: usize,
}

/// Whether anything was lost or killed that makes copies of messages: a process, a connection, the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Nothing was: each delivery is taken once, and attempts stand in their order.
    Calm,
    /// Something was: a delivery may have been sent more than once, and nothing may be lost.
    Rough,
}

/// The account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub accepted: usize,
    /// Accepted events whose deliveries the receiver has all taken.
    pub delivered: usize,
    /// Accepted events that lie in the dead letters.
    pub dead: usize,
    /// Accepted events that no connector was told of, with a reason.
    pub skipped: usize,
    /// Accepted events that have not come to an end and that a queue may still hold.
    pub queued: usize,
    /// Postbacks that the receiver has taken beyond the first of their delivery.
    pub duplicates: usize,
    /// Accepted events that are nowhere.
    pub lost: Vec<String>,
    /// Events that ended otherwise than their kind does.
    pub astray: Vec<String>,
    /// Retries that did not keep their tier.
    pub early: Vec<String>,
    /// Traces whose states are out of order.
    pub disorder: Vec<String>,
    /// Clicks that were redirected, and those of them that are not recorded.
    pub clicks: usize,
    pub clicks_lost: usize,
    /// Whether ingest spools: then no click that was redirected may be lost.
    pub spools: bool,
    pub refused: usize,
    pub broken: usize,
    pub took: Duration,
    pub in_flight: Option<InFlight>,
}

/// Where one accepted event stands.
enum Standing {
    Ended(End),
    Queued,
    Lost(String),
}

impl Account {
    /// Waits until every accepted event has come to its end (or `limit` is over), and counts.
    pub async fn settle(
        stack: &Stack,
        receiver: &Receiver,
        sent: &Sent,
        weather: Weather,
        limit: Duration,
    ) -> Result<Self> {
        let ended = eventually(limit, "every accepted event comes to its end", async || {
            let spooled = spooled(stack).await;
            ensure!(spooled.unwrap_or(0.0) == 0.0, "{spooled:?} items are spooled");
            let on_their_way = Ledger::on_their_way(stack).await?;
            ensure!(on_their_way == 0, "{on_their_way} are on their way by the store");
            empty(stack.vhost()?).await?;
            // The broker's figures are up to a second old: what is not known yet may be on its queue.
            let ledger = Ledger::read(stack).await?;
            let unknown = sent.accepted.values().filter(|one| {
                ledger.event(&one.id).is_none()
                    && !Uuid::try_parse(&one.id).is_ok_and(|id| ledger.buried.contains(&id))
            });
            let unknown = unknown.count();
            ensure!(unknown == 0, "{unknown} are not known to the store");
            // Again, now that all are known: one may have become known in between.
            let on_their_way = ledger.unfinished();
            ensure!(on_their_way == 0, "{on_their_way} are on their way by the store");
            let buried = dead_letters(stack.vhost()?).await?;
            ensure!(buried >= ledger.letters, "{buried} of {} letters are on carom.dead", ledger.letters);
            let clicks = missing(&ledger, sent);
            ensure!(clicks == 0 || spooled.is_none(), "{clicks} clicks are not recorded");
            Ok(())
        })
        .await;
        if let Err(error) = ended {
            println!("{error:#}");
        }
        Self::now(stack, receiver, sent, weather).await
    }

    /// Counts what there is now.
    pub async fn now(stack: &Stack, receiver: &Receiver, sent: &Sent, weather: Weather) -> Result<Self> {
        let held = empty(stack.vhost()?).await.is_err() || spooled(stack).await.unwrap_or(0.0) > 0.0;
        let letters_held = dead_letters(stack.vhost()?).await?;
        let ledger = Ledger::read(stack).await?;
        let mut marks: HashMap<Uuid, Vec<Mark>> = HashMap::new();
        for mark in receiver.marks() {
            marks.entry(mark.delivery).or_default().push(mark);
        }
        let mut account = Self {
            accepted: sent.accepted.len(),
            clicks: sent.clicks.len(),
            clicks_lost: missing(&ledger, sent),
            spools: spooled(stack).await.is_some(),
            refused: sent.refused,
            broken: sent.broken,
            took: sent.took,
            ..Self::default()
        };
        let schedule = stack.schedule()?;
        for (tx, accepted) in &sent.accepted {
            let of_event = ledger.event(&accepted.id);
            account.enter(tx, accepted, standing(&ledger, &marks, accepted, held));
            let Some((_, event)) = of_event else { continue };
            let wrong = rules::disorder(&event.decisions, weather == Weather::Calm);
            account.disorder.extend(wrong.into_iter().map(|wrong| format!("{tx}: {wrong}")));
            for id in &event.deliveries {
                let marks = marks.get(id).map_or(&[][..], Vec::as_slice);
                account.duplicates += marks.iter().filter(|mark| mark.taken).count().saturating_sub(1);
                let mut failed: Vec<_> =
                    marks.iter().filter(|mark| !mark.taken).map(|mark| mark.answered_at).collect();
                failed.sort_unstable();
                let wrong = rules::early(&schedule, &ledger.deliveries[id].attempts, &failed);
                account.early.extend(wrong.into_iter().map(|wrong| format!("{tx}: {wrong}")));
            }
        }
        let strangers = marks.keys().filter(|id| !ledger.deliveries.contains_key(*id)).count();
        ensure!(
            strangers == 0,
            "the receiver was told of {strangers} deliveries that the store does not know"
        );
        if letters_held < ledger.letters {
            let missing = ledger.letters - letters_held;
            account.lost.push(format!("{missing} dead letters are listed and not on carom.dead"));
        }
        if weather == Weather::Calm && account.duplicates > 0 {
            account.astray.push(format!("{} were sent twice though nothing was lost", account.duplicates));
        }
        Ok(account)
    }

    fn enter(&mut self, tx: &str, accepted: &Accepted, standing: Standing) {
        match standing {
            Standing::Ended(end) => {
                match end {
                    End::Delivered => self.delivered += 1,
                    End::Dead => self.dead += 1,
                    End::Skipped => self.skipped += 1,
                }
                if end != accepted.kind.end() {
                    let kind = accepted.kind;
                    self.astray.push(format!("{tx} ({}, {kind:?}) ended as {end:?}", accepted.id));
                }
            }
            Standing::Queued => self.queued += 1,
            Standing::Lost(why) => self.lost.push(format!("{tx} ({}): {why}", accepted.id)),
        }
    }

    /// Nothing is lost or left over, retries kept their tiers, and states their order. A loss is told to `deploy/test`.
    pub fn must_be_whole(&self) -> Result<()> {
        let whole = self.whole();
        if let Err(lost) = &whole
            && (!self.lost.is_empty() || self.clicks_missed() > 0)
        {
            tell_of_loss(&format!("{lost:#}"))?;
        }
        whole
    }

    /// The same, for whoever makes a loss to see it found.
    pub fn whole(&self) -> Result<()> {
        let some = |all: &[String]| all.iter().take(TOLD).cloned().collect::<Vec<_>>().join("\n  ");
        ensure!(self.lost.is_empty(), "{} are lost:\n  {}", self.lost.len(), some(&self.lost));
        ensure!(self.queued == 0, "{} have come to no end", self.queued);
        ensure!(self.early.is_empty(), "{} retries were early:\n  {}", self.early.len(), some(&self.early));
        ensure!(self.disorder.is_empty(), "out of order:\n  {}", some(&self.disorder));
        ensure!(self.clicks_missed() == 0, "{} clicks are lost", self.clicks_missed());
        Ok(())
    }

    /// Clicks that were redirected, and had to be kept.
    fn clicks_missed(&self) -> usize {
        if self.spools { self.clicks_lost } else { 0 }
    }

    /// And each event has ended as its kind does.
    pub fn must_be_whole_and_as_sent(&self) -> Result<()> {
        self.must_be_whole()?;
        let some: Vec<_> = self.astray.iter().take(TOLD).collect();
        ensure!(self.astray.is_empty(), "{} have gone astray: {some:#?}", self.astray.len());
        Ok(())
    }

    /// The events of both.
    pub fn and(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.dead += other.dead;
        self.skipped += other.skipped;
        self.queued += other.queued;
        self.duplicates += other.duplicates;
        self.lost.extend(other.lost);
        self.astray.extend(other.astray);
        self.early.extend(other.early);
        self.disorder.extend(other.disorder);
        self.clicks += other.clicks;
        self.clicks_lost += other.clicks_lost;
        self.spools |= other.spools;
        self.refused += other.refused;
        self.broken += other.broken;
        self.took += other.took;
    }
}

/// Leaves word of a loss for `deploy/test`, which fails on it even if the test passes when it is tried again.
fn tell_of_loss(lost: &str) -> Result<()> {
    let Ok(dir) = std::env::var("CAROM_TEST_LOSSES") else { return Ok(()) };
    let test = std::thread::current().name().unwrap_or("a test").replace("::", ".");
    let file = Path::new(&dir).join(format!("{test}-{}", std::process::id()));
    std::fs::write(&file, lost).with_context(|| format!("{} cannot be written", file.display()))
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {}, delivered {}, dead {}, skipped {}, queued {}, duplicates {}, lost {}",
            self.accepted,
            self.delivered,
            self.dead,
            self.skipped,
            self.queued,
            self.duplicates,
            self.lost.len(),
        )?;
        if self.clicks > 0 {
            write!(f, "; clicks {}, lost {}", self.clicks, self.clicks_lost)?;
        }
        if self.refused + self.broken > 0 {
            write!(
                f,
                "; sent again {} (refused {}, broken off {})",
                self.refused + self.broken,
                self.refused,
                self.broken
            )?;
        }
        if let Some(InFlight { unanswered, undelivered }) = self.in_flight {
            write!(f, "; in flight {unanswered} unanswered and {undelivered} undelivered")?;
        }
        Ok(())
    }
}

/// Where an event stands, by the store, the receiver and the queues.
fn standing(ledger: &Ledger, marks: &HashMap<Uuid, Vec<Mark>>, accepted: &Accepted, held: bool) -> Standing {
    let open = |why: &str| match held {
        true => Standing::Queued,
        false => Standing::Lost(format!("{why}, and no queue holds anything")),
    };
    let Some((id, event)) = ledger.event(&accepted.id) else {
        let buried = Uuid::try_parse(&accepted.id).is_ok_and(|id| ledger.buried.contains(&id));
        return if buried { Standing::Ended(End::Dead) } else { open("the store does not know it") };
    };
    if event.progress != "handed_over" {
        return open(&format!("it is {}", event.progress));
    }
    if event.deliveries.is_empty() {
        return match skipped(event) {
            true => Standing::Ended(End::Skipped),
            false => Standing::Lost("no connector was told, and no reason is given".to_owned()),
        };
    }
    let mut end = End::Delivered;
    for delivery in &event.deliveries {
        let known = &ledger.deliveries[delivery];
        let taken = marks.get(delivery).is_some_and(|marks| marks.iter().any(|mark| mark.taken));
        match known.standing.as_str() {
            "delivered" if taken => {}
            "delivered" => return Standing::Lost("delivered, but the receiver never took it".to_owned()),
            "dead" if ledger.buried.contains(&id) => end = End::Dead,
            "dead" => return Standing::Lost(format!("dead ({}), but it has no letter", known.reason)),
            other => return open(&format!("{delivery} is {other}")),
        }
    }
    Standing::Ended(end)
}

fn skipped(event: &Event) -> bool {
    event.decisions.iter().any(|(code, _)| code.starts_with("skipped_"))
}

/// How many of the redirected clicks are not recorded.
fn missing(ledger: &Ledger, sent: &Sent) -> usize {
    let recorded = |click: &&String| Uuid::try_parse(click).is_ok_and(|id| ledger.clicks.contains(&id));
    sent.clicks.len() - sent.clicks.iter().filter(recorded).count()
}

/// How many items lie in ingest's spool; none where it has none.
async fn spooled(stack: &Stack) -> Option<f64> {
    let text = stack.metrics(Binary::Ingest).await.ok()?;
    metrics::sum(&text, "carom_spool_items", &[])
}

/// How many messages are on `carom.dead`.
async fn dead_letters(vhost: &Vhost) -> Result<u64> {
    Ok(vhost.depth("carom.dead").await?.unwrap_or_default().messages)
}

/// Fails while a queue holds anything, dead letters not counted.
async fn empty(vhost: &Vhost) -> Result<()> {
    let depths: BTreeMap<_, _> = vhost.depths().await.context("the broker's queues")?;
    let full: Vec<_> =
        depths.iter().filter(|(name, depth)| *name != "carom.dead" && depth.messages > 0).collect();
    ensure!(full.is_empty(), "{full:?}");
    Ok(())
}

/// Waits until every queue of a vhost is empty, dead letters not counted.
pub async fn drained(vhost: &Vhost, limit: Duration) -> Result<()> {
    eventually(limit, "every queue is empty", async || empty(vhost).await).await
}
