//! Group commit: what arrives while a confirm is outstanding goes out as one message.
//!
//! One task per queue. Idle, an item goes out at once and alone; under load a message carries up to
//! [`BATCH_ITEMS`] of them, so that the broker's disk is asked once for all. Everything is bounded: a full
//! line refuses, and the item goes to the spool instead.

use crate::parcel::Parcel;
use carom_common::amqp::PublishError;
use carom_common::envelope::{self, BATCH_BYTES};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// How many items a message carries at most.
pub const BATCH_ITEMS: usize = 64;

/// How many messages of one queue may be without their confirm. Two keep the broker busy while the next
/// batch gathers; more would only make batches smaller.
const OUTSTANDING: usize = 2;

/// With how many items a message goes out beside one that is not confirmed yet.
const WORTH_ITEMS: usize = BATCH_ITEMS / 2;

/// For how long items wait for that at most: several confirms. A confirm that is late, or never comes, is no reason not to
/// try with the next.
const COMPANY: Duration = Duration::from_millis(10);

/// The answer for one item.
pub type Answer = Result<(), PublishError>;

struct Entry {
    item: Parcel,
    answer: oneshot::Sender<Answer>,
    /// Whether it was published before.
    again: bool,
    /// Its place in line, held until its fate is known.
    place: OwnedSemaphorePermit,
}

/// The line before one queue. Clones share it; its task ends with the last of them.
#[derive(Clone)]
pub struct Line {
    entries: mpsc::Sender<Entry>,
    places: Arc<Semaphore>,
    trouble: Trouble,
}

/// Whether the broker's last word on messages for this queue was a no, or none at all. What it says of the
/// connection itself does not count: the link tells that.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<AtomicBool>);

impl Trouble {
    /// Whether there is any.
    pub fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Hears what became of a message.
    pub fn hear(&self, answer: Answer) {
        match answer {
            Ok(()) => self.0.store(false, Ordering::Relaxed),
            Err(PublishError::Unavailable | PublishError::Blocked | PublishError::Closed) => {}
            Err(_) => self.0.store(true, Ordering::Relaxed),
        }
    }
}

impl Line {
    /// Starts the line's task, with room for `capacity` items of `kind`. `publish` puts one message on the
    /// queue, told whether anything in it was published before, and returns when it is confirmed or not; `observe` hears how many items each message carries.
    pub fn start<P, F>(
        kind: &'static str,
        capacity: usize,
        publish: P,
        observe: impl Fn(usize) + Send + 'static,
    ) -> Self
    where
        P: Fn(Vec<u8>, bool) -> F + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        let (entries, waiting) = mpsc::channel(capacity);
        let trouble = Trouble::default();
        let taken = VecDeque::with_capacity(BATCH_ITEMS);
        tokio::spawn(
            Gathering { kind, waiting, taken, since: None, trouble: trouble.clone() }.run(publish, observe),
        );
        Self { entries, places: Arc::new(Semaphore::new(capacity)), trouble }
    }

    /// Puts an item in line. None when the line is full. An item that nobody waits for any more when its
    /// turn comes is not sent. `again` says that it was published before.
    pub fn push(&self, item: Parcel, again: bool) -> Option<oneshot::Receiver<Answer>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (answer, answered) = oneshot::channel();
        self.entries.try_send(Entry { item, answer, again, place }).ok()?;
        Some(answered)
    }

    /// Whether the queue takes messages, as far as is known.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }
}

/// Items that go out as one message.
struct Batch {
    items: Vec<Parcel>,
    /// Whether any of them was published before.
    again: bool,
    answers: Vec<(oneshot::Sender<Answer>, OwnedSemaphorePermit)>,
}

struct Gathering {
    kind: &'static str,
    waiting: mpsc::Receiver<Entry>,
    /// What was taken from the line and is in no message yet.
    taken: VecDeque<Entry>,
    /// Since when the first of it has been waiting.
    since: Option<Instant>,
    trouble: Trouble,
}

impl Gathering {
    async fn run<P, F>(mut self, publish: P, observe: impl Fn(usize))
    where
        P: Fn(Vec<u8>, bool) -> F,
        F: Future<Output = Answer> + Send + 'static,
    {
        let (kind, trouble) = (self.kind, self.trouble.clone());
        let mut outstanding = FuturesUnordered::new();
        let mut open = true;
        loop {
            while self.goes(outstanding.len()) {
                if let Some(batch) = self.gather() {
                    observe(batch.items.len());
                    outstanding.push(send(kind, batch, &publish, &trouble));
                }
            }
            if !open && outstanding.is_empty() {
                break;
            }
            let mut new = Vec::new();
            let room = BATCH_ITEMS.saturating_sub(self.taken.len());
            let waits_since = self.since.filter(|_| outstanding.len() < OUTSTANDING);
            tokio::select! {
                biased;
                Some(()) = outstanding.next(), if !outstanding.is_empty() => {}
                () = tokio::time::sleep_until(waits_since.unwrap_or_else(Instant::now) + COMPANY), if waits_since.is_some() => {}
                count = self.waiting.recv_many(&mut new, room), if open && room > 0 => {
                    open = count > 0;
                    if self.taken.is_empty() && open {
                        self.since = Some(Instant::now());
                    }
                    self.taken.extend(new);
                }
            }
        }
    }

    /// Whether the next message goes out now: at once where nothing is outstanding, and beside others when it is worth
    /// its own confirm. A message costs the broker about the same whatever it carries.
    fn goes(&self, outstanding: usize) -> bool {
        match outstanding {
            0 => !self.taken.is_empty(),
            OUTSTANDING.. => false,
            _ => {
                let bytes = || self.taken.iter().map(|entry| entry.item.as_ref().len()).sum::<usize>();
                let long = || self.since.is_some_and(|since| since.elapsed() >= COMPANY);
                !self.taken.is_empty()
                    && (self.taken.len() >= WORTH_ITEMS || long() || bytes() >= BATCH_BYTES)
            }
        }
    }

    /// Takes as much as fits into a message. Nothing when nobody wants any of it any more.
    fn gather(&mut self) -> Option<Batch> {
        let mut batch = Batch { items: Vec::new(), again: false, answers: Vec::new() };
        let mut bytes = 0;
        while let Some(entry) = self.taken.pop_front() {
            if entry.answer.is_closed() {
                continue;
            }
            let weight = entry.item.as_ref().len();
            let full = batch.items.len() == BATCH_ITEMS || bytes + weight > BATCH_BYTES;
            if full && !batch.items.is_empty() {
                self.taken.push_front(entry);
                break;
            }
            bytes += weight;
            batch.items.push(entry.item);
            batch.again |= entry.again;
            batch.answers.push((entry.answer, entry.place));
        }
        // What is left came later, at an unknown time; it waits from now on.
        self.since = (!self.taken.is_empty()).then(Instant::now);
        (!batch.items.is_empty()).then_some(batch)
    }
}

async fn send<P, F>(kind: &str, batch: Batch, publish: &P, trouble: &Trouble)
where
    P: Fn(Vec<u8>, bool) -> F,
    F: Future<Output = Answer>,
{
    let message = envelope::batch(kind, &batch.items);
    drop(batch.items);
    let answer = publish(message, batch.again).await;
    trouble.hear(answer);
    for (waiter, place) in batch.answers {
        // Whoever waited may have gone.
        let _ = waiter.send(answer);
        drop(place);
    }
}

#[cfg(test)]
mod tests;
