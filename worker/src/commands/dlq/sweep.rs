//! A sweep: one turn of `carom.dead`, each letter replayed, purged, or rotated to the tail.
//!
//! Every step is publish → confirm → note in the store → ack, so that a sweep can be cut off anywhere and
//! run again: what was done is known by the store, what was not comes again. What a sweep died over, published
//! and not noted, may be published twice: as the same attempt of the same round, of which the worker knows the
//! second for a copy.

use super::room::Room;
use super::swept::{Act, End, Swept};
use crate::passive::{self, PATIENCE};
use anyhow::Context;
use carom_common::amqp::{Address, Message, PublishError, Publisher, Taken, consume, greet, link::Link};
use carom_common::backoff_policy::Reconnect;
use carom_common::config::Config;
use carom_common::dead_letter::{Content, Letter};
use carom_common::delivery::Delivery;
use carom_common::envelope;
use carom_common::resources::Resources;
use carom_common::store::{Error, LetterFilter, LetterStanding, Store};
use carom_common::topology;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many letters are in hand at once. Those that wait for the store are noted in one commit: the more there are,
/// the less often a sweep and the workers wait for each other.
const IN_HAND: u16 = 256;
/// How long something is noted again, where the store says that it cannot.
const NOTING: Duration = Duration::from_secs(60);
/// When nothing more comes for so long to whoever listens, the turn is over: another sweep holds the rest.
const QUIET: Duration = Duration::from_secs(5);
/// When nothing more comes for so long, be it that the broker is away, it is over as well.
const AWAY: Duration = Duration::from_secs(60);

/// A sweep, ready to run.
pub struct Sweep {
    act: Act,
    filter: LetterFilter,
    store: Store,
    resources: Resources,
    link: Link,
    publisher: Publisher,
    stop: CancellationToken,
    /// What is not begun is not begun any more.
    halt: CancellationToken,
    /// The rate at which letters go out.
    pace: Option<Mutex<Interval>>,
    /// The room on the queues that they go back to.
    room: Room,
}

/// What is to become of one letter.
enum Fate {
    Send(Message),
    Drop,
    Copy,
    Stay,
    Homeless,
}

impl Sweep {
    /// Connects. `rate` is letters in a second; `ahead`, how many messages may lie on a queue before one goes back
    /// there, 0 for any number.
    ///
    /// # Errors
    /// The broker or the store cannot be used.
    pub async fn new(
        config: &Config,
        filter: LetterFilter,
        act: Act,
        rate: Option<u32>,
        ahead: u32,
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
            Mutex::new(pace)
        });
        let room = Room::new(link.clone(), ahead);
        let halt = CancellationToken::new();
        Ok(Self { act, filter, store, resources, link, publisher, stop, halt, pace, room })
    }

    /// Goes round the queue once, and says what was done, be it that it could not be done to the end.
    ///
    /// # Errors
    /// The broker's queue cannot be looked at.
    pub async fn run(self) -> anyhow::Result<(Swept, anyhow::Result<()>)> {
        let began = Instant::now();
        let total = self.waiting().await?;
        let bar = ProgressBar::new(u64::from(total)).with_style(style());
        let consuming = self.stop.child_token();
        let listening = Arc::new(AtomicBool::new(false));
        let told = listening.clone();
        let attached = move |on| told.store(on, Ordering::Relaxed);
        let mut taken =
            consume(self.link.clone(), topology::DEAD.to_owned(), IN_HAND, consuming.clone(), attached);
        let mut swept = Swept::new(self.act);
        let mut in_hand = FuturesUnordered::new();
        // The turn ends with as many messages as lay there when it began: what was rotated is behind them, and
        // so is what has died since.
        let mut turned = 0;
        let mut open = total > 0;
        // A crash leaves copies of letters, and so does a second sweep that rotates. One waits while the first is
        // in hand; then the store knows what became of it.
        let (mut seen, mut held) = (HashSet::new(), HashSet::new());
        let mut copies: HashMap<Uuid, Vec<(Taken, Letter)>> = HashMap::new();
        let mut waiting = 0;
        let mut failed = None;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        while open || !in_hand.is_empty() {
            tokio::select! {
                _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } }, if !swept.interrupted => {
                    swept.interrupted = true;
                    open = false;
                    self.halt.cancel();
                }
                Some((id, end)) = in_hand.next(), if !in_hand.is_empty() => {
                    bar.inc(1);
                    match end {
                        Ok(end) => swept.count(id, end),
                        // What is in hand is finished first: it may have been sent and not noted yet.
                        Err(error) => {
                            failed = failed.or(Some(error));
                            open = false;
                            self.halt.cancel();
                        }
                    }
                    match copies.get_mut(&id).and_then(Vec::pop) {
                        Some((message, letter)) => {
                            waiting -= 1;
                            in_hand.push(self.settle(message, letter));
                        }
                        None => {
                            held.remove(&id);
                            copies.remove(&id);
                        }
                    }
                }
                message = next(&mut taken, &listening), if open && in_hand.len() + waiting < usize::from(IN_HAND) => {
                    let Some(message) = message else { open = false; continue };
                    if !message.is_current() {
                        continue;
                    }
                    let letter = read(&message);
                    // What a lost connection brings again was counted before.
                    if seen.insert(letter.id) || !message.redelivered {
                        turned += 1;
                        open = turned < total;
                    }
                    if held.insert(letter.id) {
                        in_hand.push(self.settle(message, letter));
                    } else {
                        waiting += 1;
                        copies.entry(letter.id).or_default().push((message, letter));
                    }
                }
            }
        }
        drop(in_hand);
        drop(copies);
        bar.finish_and_clear();
        swept.unseen = total.saturating_sub(turned);
        swept.took = began.elapsed();
        // The broker answers on the connection of the acks, so it has read them all: what it has not read
        // when we go comes again, as copies.
        let _ = tokio::time::timeout(QUIET, self.waiting()).await;
        drop(taken);
        self.stop.cancel();
        self.store.close().await;
        Ok((swept, failed.map_or(Ok(()), Err)))
    }

    async fn waiting(&self) -> anyhow::Result<u32> {
        // A letter that is taken before the publishing connection stands could not be sent.
        self.publisher.link().channel().await.close(200, "connected".into()).await?;
        let channel = self.link.channel().await;
        // The channel ends when it is dropped.
        let queue = passive::look(&channel, topology::DEAD, PATIENCE).await.context(topology::DEAD)?;
        Ok(queue.message_count())
    }

    /// Does to a letter what is to be done, and says what became of which.
    async fn settle(&self, message: Taken, letter: Letter) -> (Uuid, anyhow::Result<End>) {
        let id = letter.id;
        (id, self.settled(message, letter).await)
    }

    async fn settled(&self, message: Taken, letter: Letter) -> anyhow::Result<End> {
        let fate = if !matches(&self.filter, &letter) {
            Fate::Stay
        } else if self.may_go(&letter).await && message.is_current() {
            self.fate(&letter).await?
        } else {
            return Ok(End::Untouched);
        };
        let end = match fate {
            // Also of a letter that the broker gives out again: by the store's word it was not sent before. To flag all
            // that an interrupted sweep had in hand would make workers wait for each.
            Fate::Send(send) => match self.publisher.publish(send).await {
                Ok(()) => {
                    self.noted(|| self.store.replayed(vec![letter.clone()], Timestamp::now())).await?;
                    End::Done
                }
                // It is not known to have gone: it stays in our hands, and comes again.
                Err(error) => {
                    return Err(error).context("a letter could not be replayed; run it again to go on");
                }
            },
            Fate::Drop => {
                self.noted(|| self.store.purged(vec![letter.clone()], Timestamp::now())).await?;
                End::Done
            }
            Fate::Copy => {
                self.noted(|| self.store.were_copies(vec![letter.id])).await?;
                End::Copy
            }
            Fate::Stay | Fate::Homeless => {
                self.rotate(&message).await?;
                if matches!(fate, Fate::Stay) { End::Left } else { End::Homeless }
            }
        };
        message.ack().await;
        Ok(end)
    }

    /// Notes something. The workers write too, and a busy store is not yet one that is away; nor is one that is
    /// started again.
    async fn noted<F: Future<Output = Result<usize, Error>>>(
        &self,
        note: impl Fn() -> F,
    ) -> Result<usize, Error> {
        let (began, mut delays) = (Instant::now(), Reconnect::new());
        loop {
            match note().await {
                Err(error) if !matches!(error, Error::Closed) && began.elapsed() < NOTING => {
                    tracing::warn!(%error, "dlq.note_again");
                }
                done => return done,
            }
            tokio::time::sleep(delays.next()).await;
        }
    }

    async fn rotate(&self, message: &Taken) -> Result<(), PublishError> {
        let to_the_tail = Message::to_queue(topology::DEAD, message.body.clone());
        self.publisher.publish_surely(to_the_tail).await
    }

    /// Waits for the letter's turn: by the rate, and until there is room on its queue. False where the sweep has
    /// ended before that.
    async fn may_go(&self, letter: &Letter) -> bool {
        let turn = async {
            // Held until its turn by the rate: room that was found long before is none.
            let _room = match self.act {
                Act::Replay => self.room.wait(target(letter)).await,
                Act::Purge => None,
            };
            if let Some(pace) = &self.pace {
                pace.lock().await.tick().await;
            }
        };
        tokio::select! {
            biased;
            () = self.halt.cancelled() => false,
            () = turn => true,
        }
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
                self.link.ensure_connector(&delivery.connector).await?;
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

/// A fresh schedule under the same id.
fn next_round(delivery: &Delivery) -> Delivery {
    Delivery { round: delivery.round + 1, attempt: 1, due_since: Timestamp::now(), ..delivery.clone() }
}

/// The queue that a letter goes back to.
fn target(letter: &Letter) -> &str {
    match &letter.content {
        Content::Intake(_) => topology::EVENTS,
        Content::Click(_) => topology::CLICKS,
        Content::Delivery(_) | Content::Message(_) => &letter.queue,
    }
}

/// The next message; none where none comes for [`QUIET`], of which only the time counts in which we listen: a
/// connection that is lost is made again.
async fn next<T>(taken: &mut mpsc::Receiver<T>, listening: &AtomicBool) -> Option<T> {
    let (began, mut quiet) = (Instant::now(), Instant::now());
    loop {
        if let Ok(message) = tokio::time::timeout(QUIET / 20, taken.recv()).await {
            return message;
        }
        if !listening.load(Ordering::Relaxed) {
            quiet = Instant::now();
        }
        if quiet.elapsed() >= QUIET || began.elapsed() >= AWAY {
            return None;
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_listen_is_not_told_that_it_is_quiet() {
        let (sender, mut taken) = mpsc::channel(1);
        let listening = AtomicBool::new(false);
        let sent = async {
            tokio::time::sleep(QUIET + QUIET / 5).await;
            listening.store(true, Ordering::Relaxed);
            sender.send(1).await.unwrap();
        };
        let (next, ()) = tokio::join!(next(&mut taken, &listening), sent);
        assert_eq!(next, Some(1));
    }
}
