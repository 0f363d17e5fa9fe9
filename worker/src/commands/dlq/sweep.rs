//! A sweep: one turn of `carom.dead`, each letter replayed, purged, or rotated to the tail.
//!
//! Every step is publish → confirm → note in the store → ack, so that a sweep can be cut off anywhere and
//! run again: what was done is known by the store, what was not comes again.

use anyhow::Context;
use carom_common::amqp::{Address, Message, PublishError, Publisher, Taken, consume, greet, link::Link};
use carom_common::config::Config;
use carom_common::dead_letter::{Content, Letter};
use carom_common::delivery::Delivery;
use carom_common::envelope;
use carom_common::resources::Resources;
use carom_common::store::{LetterFilter, LetterStanding, Store};
use carom_common::topology;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many letters are in hand at once.
const IN_HAND: u16 = 64;
/// When nothing more comes for so long, the turn is over: another sweep holds the rest.
const QUIET: Duration = Duration::from_secs(5);

/// What a sweep does to the letters that it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sends them out again.
    Replay,
    /// Removes them.
    Purge,
}

impl Act {
    /// The word for what was done.
    pub fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Purge => "purged",
        }
    }
}

/// A sweep, ready to run.
pub struct Sweep {
    act: Act,
    filter: LetterFilter,
    store: Store,
    resources: Resources,
    link: Link,
    publisher: Publisher,
    stop: CancellationToken,
    pace: Option<Interval>,
}

/// What a sweep did.
#[derive(Default)]
pub struct Swept {
    act: Option<Act>,
    done: u64,
    copies: u64,
    left: u64,
    homeless: u64,
    interrupted: bool,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = self.act.map_or("done", Act::done);
        write!(f, "{} {done}, {} left where they were", self.done, self.left)?;
        if self.copies > 0 {
            write!(f, ", {} copies dropped", self.copies)?;
        }
        if self.homeless > 0 {
            write!(
                f,
                ", {} left because their connector is gone (apply it again, or purge them)",
                self.homeless
            )?;
        }
        if self.interrupted {
            write!(f, "; interrupted: run it again to go on")?;
        }
        Ok(())
    }
}

/// What is to become of one letter.
enum Fate {
    Send(Message),
    Drop,
    Copy,
    Stay,
    Homeless,
}

/// What became of one letter.
enum End {
    Done,
    Copy,
    Left,
    Homeless,
}

impl Sweep {
    /// Connects.
    ///
    /// # Errors
    /// The broker or the store cannot be used.
    pub async fn new(
        config: &Config,
        filter: LetterFilter,
        act: Act,
        rate: Option<u32>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            rate != Some(0),
            super::Usage("--rate 0 would never end; leave it out for no limit".to_owned())
        );
        let store = Store::open(&super::super::settings(config), |_, _| {}).context("the store")?;
        let resources = store.resources().await?.resources;
        let broker = Address::new(config);
        greet(&broker).await.context("the broker")?;
        let stop = CancellationToken::new();
        let link = Link::start(&broker, "carom-worker dlq", &config.retry.schedule, stop.clone());
        let publishing = link.sibling("carom-worker dlq publish", stop.clone());
        let publisher = Publisher::start(publishing, config.broker.confirm_timeout.0, stop.clone(), |_| {});
        let pace = rate.map(|rate| {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        });
        Ok(Self { act, filter, store, resources, link, publisher, stop, pace })
    }

    /// Goes round the queue once.
    ///
    /// # Errors
    /// The store failed, or the broker's queue cannot be looked at.
    pub async fn run(mut self) -> anyhow::Result<Swept> {
        let total = self.waiting().await?;
        let bar = ProgressBar::new(u64::from(total)).with_style(style());
        let consuming = self.stop.child_token();
        let mut taken =
            consume(self.link.clone(), topology::DEAD.to_owned(), IN_HAND, consuming.clone(), |_| {});
        let mut swept = Swept { act: Some(self.act), ..Swept::default() };
        let mut pace = self.pace.take();
        let mut in_hand = FuturesUnordered::new();
        // The turn ends with as many messages as lay there when it began: what was rotated is behind them.
        let mut turned = 0;
        let mut open = total > 0;
        // A crash leaves copies of letters. They wait until the first is done; then the store knows.
        let mut seen = HashSet::new();
        let mut copies = Vec::new();
        let mut failed = None;
        // The letter whose turn by the rate is next. While it waits, those in hand go on.
        let mut waits = None;
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        while open || waits.is_some() || !in_hand.is_empty() {
            tokio::select! {
                _ = &mut interrupted, if !swept.interrupted => {
                    swept.interrupted = true;
                    open = false;
                    waits = None;
                }
                Some(end) = in_hand.next(), if !in_hand.is_empty() => {
                    bar.inc(1);
                    match end {
                        Ok(end) => swept.count(end),
                        // What is in hand is finished first: it may have been sent and not noted yet.
                        Err(error) => {
                            failed = failed.or(Some(error));
                            open = false;
                            waits = None;
                        }
                    }
                }
                () = turn(&mut pace), if waits.is_some() => {
                    in_hand.extend(waits.take().map(|(message, letter)| self.settle(message, letter, true)));
                }
                message = next(&mut taken), if open && waits.is_none() && in_hand.len() < usize::from(IN_HAND) => {
                    let Some(message) = message else { open = false; continue };
                    turned += 1;
                    open = turned < total;
                    let letter = read(&message);
                    if !seen.insert(letter.id) {
                        copies.push((message, letter));
                        continue;
                    }
                    let matches = matches(&self.filter, &letter);
                    if matches && pace.is_some() {
                        waits = Some((message, letter));
                    } else {
                        in_hand.push(self.settle(message, letter, matches));
                    }
                }
            }
        }
        drop(in_hand);
        for (message, letter) in copies {
            if failed.is_some() || swept.interrupted {
                break;
            }
            let matches = matches(&self.filter, &letter);
            match self.settle(message, letter, matches).await {
                Ok(end) => swept.count(end),
                Err(error) => failed = Some(error),
            }
        }
        bar.finish_and_clear();
        // The broker answers on the connection of the acks, so it has read them all: what it has not read
        // when we go comes again, as copies.
        let _ = tokio::time::timeout(QUIET, self.waiting()).await;
        drop(taken);
        self.stop.cancel();
        self.store.close().await;
        failed.map_or(Ok(swept), Err)
    }

    async fn waiting(&self) -> anyhow::Result<u32> {
        // A letter that is taken before the publishing connection stands could not be sent.
        self.publisher.link().channel().await.close(200, "connected".into()).await?;
        let channel = self.link.channel().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(topology::DEAD.into(), options, FieldTable::default()).await?;
        channel.close(200, "counted".into()).await?;
        Ok(queue.message_count())
    }

    async fn settle(&self, message: Taken, letter: Letter, matches: bool) -> anyhow::Result<End> {
        let fate = if matches { self.fate(&letter).await? } else { Fate::Stay };
        let end = match fate {
            Fate::Send(send) => match self.publisher.publish(send).await {
                Ok(()) => {
                    self.store.replayed(vec![letter], Timestamp::now()).await?;
                    End::Done
                }
                // It is not known to have gone: it stays in our hands, and comes again.
                Err(error) => {
                    return Err(error).context("a letter could not be replayed; run it again to go on");
                }
            },
            Fate::Drop => {
                self.store.purged(vec![letter], Timestamp::now()).await?;
                End::Done
            }
            Fate::Copy => End::Copy,
            Fate::Stay | Fate::Homeless => {
                self.rotate(&message).await?;
                if matches!(fate, Fate::Stay) { End::Left } else { End::Homeless }
            }
        };
        message.ack().await;
        Ok(end)
    }

    async fn rotate(&self, message: &Taken) -> Result<(), PublishError> {
        self.publisher.publish_surely(Message::to_queue(topology::DEAD, message.body.clone())).await
    }

    async fn fate(&self, letter: &Letter) -> anyhow::Result<Fate> {
        let standing = self.store.letter_standings(std::slice::from_ref(letter)).await?;
        if standing.first() == Some(&LetterStanding::Settled) {
            return Ok(Fate::Copy);
        }
        if self.act == Act::Purge {
            return Ok(Fate::Drop);
        }
        Ok(match &letter.content {
            Content::Delivery(delivery) if self.resources.connector(&delivery.connector).is_none() => {
                Fate::Homeless
            }
            Content::Delivery(delivery) => {
                self.link.declare_connector(&delivery.connector).await?;
                let next = next_round(delivery);
                Fate::Send(Message::to_queue(&letter.queue, envelope::encode(std::slice::from_ref(&next))))
            }
            Content::Intake(intake) => {
                let fresh = carom_common::intake::Intake { parked: None, ..(**intake).clone() };
                Fate::Send(Message::to_queue(
                    topology::EVENTS,
                    envelope::encode(std::slice::from_ref(&fresh)),
                ))
            }
            Content::Click(click) => Fate::Send(Message::to_queue(
                topology::CLICKS,
                envelope::encode(std::slice::from_ref(&**click)),
            )),
            Content::Message(body) if self.is_ours(&letter.queue) => {
                Fate::Send(Message::to_queue(&letter.queue, body.0.clone()))
            }
            Content::Message(_) => Fate::Homeless,
        })
    }

    /// Whether a queue that a message came from is one that somebody consumes.
    fn is_ours(&self, queue: &str) -> bool {
        let of_connector =
            |connector: &carom_common::connector::Connector| topology::deliver_queue(&connector.id) == queue;
        [topology::EVENTS, topology::CLICKS].contains(&queue)
            || self.resources.connectors.iter().any(of_connector)
    }
}

impl Swept {
    fn count(&mut self, end: End) {
        match end {
            End::Done => self.done += 1,
            End::Copy => self.copies += 1,
            End::Left => self.left += 1,
            End::Homeless => self.homeless += 1,
        }
    }
}

/// A fresh schedule under the same id.
fn next_round(delivery: &Delivery) -> Delivery {
    Delivery { round: delivery.round + 1, attempt: 1, due_since: Timestamp::now(), ..delivery.clone() }
}

/// The next turn by the rate, if there is one.
async fn turn(pace: &mut Option<Interval>) {
    if let Some(pace) = pace {
        pace.tick().await;
    }
}

async fn next(taken: &mut mpsc::Receiver<Taken>) -> Option<Taken> {
    tokio::time::timeout(QUIET, taken.recv()).await.ok().flatten()
}

/// Reads a message of `carom.dead`. One that is no letter is shown as one, so that it can be purged.
fn read(message: &Taken) -> Letter {
    match envelope::decode::<Letter>(&message.body) {
        Ok(letters) if letters.len() == 1 => letters.into_iter().next(),
        _ => None,
    }
    .unwrap_or_else(|| {
        let reason = carom_common::delivery::Reason::UndecodableMessage;
        Letter {
            id: Uuid::now_v7(),
            ..Letter::of_message(topology::DEAD, &message.body, reason, Timestamp::now())
        }
    })
}

/// Whether a letter is one that a filter means.
fn matches(filter: &LetterFilter, letter: &Letter) -> bool {
    let delivery = match &letter.content {
        Content::Delivery(delivery) => Some(delivery),
        _ => None,
    };
    let event = delivery.map(|delivery| &delivery.facts.event);
    let is = |wanted: &str| {
        event.is_some_and(|event| event.raw_type == wanted || event.name.as_deref() == Some(wanted))
    };
    filter.id.is_none_or(|id| letter.id == id)
        && filter
            .connector
            .as_ref()
            .is_none_or(|connector| delivery.is_some_and(|delivery| delivery.connector == *connector))
        && filter.reason.is_none_or(|reason| letter.reason == reason)
        && filter.status.is_none_or(|status| letter.last_status == Some(status))
        && filter.event_type.as_deref().is_none_or(is)
        && filter.since.is_none_or(|since| letter.at >= since)
        && filter.before.is_none_or(|before| letter.at < before)
}

/// A bar on a terminal, and nothing elsewhere.
#[allow(clippy::expect_used, reason = "the template is a constant of the program")]
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} letters, {per_sec}, {eta} left").expect("valid")
}
