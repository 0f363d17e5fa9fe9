//! Group commit: what arrives while a confirm is outstanding goes out as one message.
//!
//! One task per queue. Idle, an item goes out at once and alone; under load a message carries up to
//! [`BATCH_ITEMS`] of them, so that the broker's disk is asked once for all. Everything is bounded: a full
//! line refuses, and the caller says so.

use carom_common::amqp::{Message, PublishError, Publisher};
use carom_common::backoff_policy::Reconnect;
use carom_common::envelope::{self, BATCH_BYTES, Item};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::warn;

/// How many items a message carries at most.
pub const BATCH_ITEMS: usize = 64;

/// How many messages of one queue may be without their confirm. Two keep the broker busy while the next
/// batch gathers; more would only make batches smaller.
const OUTSTANDING: usize = 2;

/// RabbitMQ 4 refuses messages of 16 MiB and more, and closes the channel over one.
const MESSAGE_BYTES: usize = 15 * 1024 * 1024;

/// How often to look whether a link that was down is back.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why an item is not known to be on its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpublished {
    /// No message can be as large as this item.
    TooLarge,
    /// The broker has not confirmed it.
    Broker(PublishError),
}

/// The answer for one item.
pub type Answer = Result<(), Unpublished>;

/// What a line does with an item that nobody waits for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forsaken {
    /// It is not sent: its sender was not told that we have it, and will send it again.
    Drop,
    /// It is sent all the same.
    Send,
}

struct Entry<T> {
    item: T,
    /// About how many bytes it takes in a message.
    weight: usize,
    answer: oneshot::Sender<Answer>,
    /// Its place in line, held until its fate is known.
    place: OwnedSemaphorePermit,
}

/// The line before one queue. Clones share it.
pub struct Line<T> {
    entries: mpsc::Sender<Entry<T>>,
    places: Arc<Semaphore>,
    capacity: usize,
}

impl<T> Clone for Line<T> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), places: self.places.clone(), capacity: self.capacity }
    }
}

impl<T: Item + Send + 'static> Line<T> {
    /// Starts the line's task, with room for `capacity` items. `publish` puts one message on the queue and
    /// returns when it is confirmed or not; `observe` hears how many items each message carries. The task
    /// ends with the last handle.
    pub fn start<P, F>(
        capacity: usize,
        forsaken: Forsaken,
        publish: P,
        observe: impl Fn(usize) + Send + 'static,
    ) -> Self
    where
        P: Fn(Vec<u8>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), PublishError>> + Send + 'static,
    {
        let capacity = capacity.clamp(1, u32::MAX as usize);
        let (entries, waiting) = mpsc::channel(capacity);
        tokio::spawn(Gathering { waiting, next: None, forsaken }.run(publish, observe));
        Self { entries, places: Arc::new(Semaphore::new(capacity)), capacity }
    }

    /// Puts an item in line. None when the line is full.
    pub fn push(&self, item: T, weight: usize) -> Option<oneshot::Receiver<Answer>> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (answer, answered) = oneshot::channel();
        self.entries.try_send(Entry { item, weight, answer, place }).ok()?;
        Some(answered)
    }

    /// How many items are in line or on their way.
    pub fn len(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Returns when nothing is in line any more. For a time when nothing is put there.
    pub async fn emptied(&self) {
        let all = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }
}

/// Publishes a message to `queue` until it is confirmed. After an outage it is there as soon as the link
/// is: a click that waits longer than it must is one more that a crash could lose.
///
/// # Errors
/// Only [`PublishError::Closed`].
pub async fn until_confirmed(publisher: Publisher, queue: &str, body: Vec<u8>) -> Result<(), PublishError> {
    let message = Message::to_queue(queue, body);
    let mut delays = Reconnect::new();
    loop {
        match publisher.publish(message.clone()).await {
            Ok(()) => return Ok(()),
            Err(PublishError::Closed) => return Err(PublishError::Closed),
            // The link tells of its own state, once.
            Err(PublishError::Unavailable | PublishError::Blocked) => {
                delays = Reconnect::new();
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => {
                warn!(%error, queue, "publish.again");
                tokio::time::sleep(delays.next()).await;
            }
        }
    }
}

/// Items that go out as one message.
struct Batch<T> {
    items: Vec<T>,
    answers: Vec<(oneshot::Sender<Answer>, OwnedSemaphorePermit)>,
}

struct Gathering<T> {
    waiting: mpsc::Receiver<Entry<T>>,
    /// What did not fit into the last batch.
    next: Option<Entry<T>>,
    forsaken: Forsaken,
}

impl<T: Item + Send + 'static> Gathering<T> {
    async fn run<P, F>(mut self, publish: P, observe: impl Fn(usize))
    where
        P: Fn(Vec<u8>) -> F,
        F: Future<Output = Result<(), PublishError>> + Send + 'static,
    {
        let mut outstanding = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some(()) = outstanding.next(), if !outstanding.is_empty() => {}
                first = self.first(), if outstanding.len() < OUTSTANDING => match first {
                    Some(first) => if let Some(batch) = self.gather(first) {
                        observe(batch.items.len());
                        outstanding.push(send(batch, &publish));
                    },
                    None => break,
                },
            }
        }
        while outstanding.next().await.is_some() {}
    }

    async fn first(&mut self) -> Option<Entry<T>> {
        match self.next.take() {
            Some(next) => Some(next),
            None => self.waiting.recv().await,
        }
    }

    /// Takes what waits, as far as it fits. Nothing when nobody wants any of it.
    fn gather(&mut self, first: Entry<T>) -> Option<Batch<T>> {
        let mut batch = Batch { items: Vec::new(), answers: Vec::new() };
        let mut bytes = 0;
        let mut candidate = Some(first);
        while let Some(entry) = candidate {
            if self.forsaken == Forsaken::Send || !entry.answer.is_closed() {
                let full = batch.items.len() == BATCH_ITEMS || bytes + entry.weight > BATCH_BYTES;
                if full && !batch.items.is_empty() {
                    self.next = Some(entry);
                    break;
                }
                bytes += entry.weight;
                batch.items.push(entry.item);
                batch.answers.push((entry.answer, entry.place));
            }
            candidate = self.waiting.try_recv().ok();
        }
        (!batch.items.is_empty()).then_some(batch)
    }
}

async fn send<T, P, F>(batch: Batch<T>, publish: &P)
where
    T: Item,
    P: Fn(Vec<u8>) -> F,
    F: Future<Output = Result<(), PublishError>>,
{
    let message = envelope::encode(&batch.items);
    drop(batch.items);
    let answer = if message.len() > MESSAGE_BYTES {
        Err(Unpublished::TooLarge)
    } else {
        publish(message).await.map_err(Unpublished::Broker)
    };
    for (waiter, place) in batch.answers {
        // Whoever waited may have gone.
        let _ = waiter.send(answer);
        drop(place);
    }
}

#[cfg(test)]
mod tests;
