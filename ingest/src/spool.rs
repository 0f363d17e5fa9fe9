//! The spool: what the broker does not confirm, on our own disk until it does.
//!
//! One file, one thread that owns it (`writer`), one drain per queue. An item is in the spool when its commit
//! is on the disk; it leaves when the broker has confirmed it. A crash in between publishes it twice, under
//! the same id, and the worker knows the copy. Idle and healthy, nothing here touches the disk.

mod drain;
mod figures;
mod file;
mod writer;

pub use drain::Drain;
pub use figures::Figures;
pub use file::{Error, Queue, named};

use crate::parcel::Parcel;
use carom_common::config;
use std::collections::HashSet;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use writer::{Job, Writer};

/// Jobs that may wait for the writer. One more is refused: its sender waits for the broker instead.
const JOBS: usize = 4_096;

/// Why the spool has not taken an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is as large as it may become.
    Full,
    /// Its file cannot be written.
    Failing,
    /// More than it can take wants in at once.
    Busy,
}

impl Refused {
    /// Its name in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "spool_full",
            Self::Failing => "spool_failing",
            Self::Busy => "spool_busy",
        }
    }
}

/// A place in a queue's order.
pub type Place = i64;

/// An item of the spool.
pub type Kept = (Place, Vec<u8>);

/// A handle to the spool. Clones share it.
#[derive(Clone)]
pub struct Spool {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

/// What handles and the writer's thread share.
struct Shared {
    /// Items whose publishing is under way elsewhere: no drain takes them.
    held: Mutex<HashSet<(Queue, Place)>>,
    /// Woken when there may be something to drain.
    wake: [Notify; 2],
    figures: Figures,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, HashSet<(Queue, Place)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool {
    /// Opens the spool's file and starts its thread. A file that cannot be opened now is tried again and
    /// again: until then the spool takes nothing, and says so in its figures.
    ///
    /// # Errors
    /// The file is another process's, or no spool at all: nothing that waiting mends.
    pub async fn open(settings: &config::Spool, figures: Figures) -> Result<Self, Error> {
        let settings = settings.clone();
        let opened = tokio::task::spawn_blocking(move || Self::open_now(settings, figures));
        opened.await.unwrap_or_else(|_| Err(Error::Gone))
    }

    fn open_now(settings: config::Spool, figures: Figures) -> Result<Self, Error> {
        let (jobs, queue) = sync_channel(JOBS);
        let shared = Arc::new(Shared { held: Mutex::default(), wake: Default::default(), figures });
        let mut writer = Writer::new(settings, shared.clone(), queue);
        writer.open_first()?;
        std::thread::Builder::new().name("carom-spool".to_owned()).spawn(move || writer.run())?;
        Ok(Self { jobs, shared })
    }

    /// Puts an item into the spool; returns when it is on the disk. With `hold`, no drain takes it while the
    /// returned hold lasts.
    ///
    /// # Errors
    /// It is not in the spool.
    pub async fn put(&self, queue: Queue, item: Parcel, hold: bool) -> Result<Option<Held>, Refused> {
        let (answer, answered) = oneshot::channel();
        let spool = hold.then(|| self.clone());
        let done = match self.jobs.try_send(Job::Put { queue, item, spool, answer }) {
            Ok(()) => answered.await.unwrap_or(Err(Refused::Failing)),
            Err(TrySendError::Full(_)) => Err(Refused::Busy),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Failing),
        };
        if let Err(refused) = done {
            self.shared.figures.refused(queue, refused);
        }
        done
    }

    /// What there is in a queue after a place, in order, for one message: without what is held. The place
    /// is that up to which was looked. Nothing when there is nothing behind it.
    async fn read(&self, queue: Queue, after: Place) -> Option<(Place, Vec<Kept>)> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send(Job::Read { queue, after, answer }).ok()?;
        answered.await.ok()?
    }

    /// Takes items out, and says whether that is on the disk.
    async fn remove(&self, queue: Queue, places: Vec<Place>) -> bool {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.try_send(Job::Remove { queue, places, answer: Some(answer) });
        sent.is_ok() && answered.await.unwrap_or(false)
    }

    /// What is known of it.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Ends it: what was put is on the disk, and the file can be opened by another.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.clone();
        // The queue may be full, and this must not be refused.
        let sent = tokio::task::spawn_blocking(move || jobs.send(Job::Close { answer })).await;
        if matches!(sent, Ok(Ok(()))) {
            let _ = answered.await;
        }
    }
}

/// An item in the spool whose publishing is under way. Dropped, it is the drain's.
pub struct Held {
    spool: Spool,
    queue: Queue,
    place: Place,
}

impl Held {
    fn new(spool: Spool, queue: Queue, place: Place) -> Self {
        spool.shared.held().insert((queue, place));
        Self { spool, queue, place }
    }

    /// The broker has confirmed it after all, so it need not be drained.
    pub fn confirmed(self) {
        let job = Job::Remove { queue: self.queue, places: vec![self.place], answer: None };
        if self.spool.jobs.try_send(job).is_ok() {
            self.spool.shared.figures.withdrawn(self.queue);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.spool.shared.held().remove(&(self.queue, self.place));
        self.spool.shared.wake[self.queue as usize].notify_one();
    }
}

#[cfg(test)]
pub mod tests;
