//! The spool's one thread: it owns the file and commits in groups. While a commit waits for the disk, jobs
//! gather; the next commit makes all of them durable with one sync.
//!
//! After an error the file is closed and opened again a second later, for as long as that takes: a disk that
//! was full has room again some time, and nobody should have to start us anew for that.

use super::file::{self, Error, File};
use super::{Held, Kept, Place, Queue, Refused, Shared, Spool};
use crate::parcel::Parcel;
use carom_common::config;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// The most jobs of one commit.
const GROUP: usize = 256;
/// The most bytes of one commit.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// How often a file that failed is tried again, and how long there must be nothing to do before an empty
/// spool is made small.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the first start waits for the process before it to let go of the file.
const HANDOVER: Duration = Duration::from_secs(3);
/// About how many bytes an item takes beside its own.
const OVERHEAD: u64 = 32;

/// What the writer is asked.
pub enum Job {
    /// To add an item, held for `spool` where there is one.
    Put {
        queue: Queue,
        item: Parcel,
        spool: Option<Spool>,
        answer: oneshot::Sender<Result<Option<Held>, Refused>>,
    },
    /// To remove items.
    Remove { queue: Queue, places: Vec<Place>, answer: Option<oneshot::Sender<bool>> },
    /// To read what is after a place and not held.
    Read { queue: Queue, after: Place, answer: oneshot::Sender<Option<(Place, Vec<Kept>)>> },
    /// To end.
    Close { answer: oneshot::Sender<()> },
}

/// The thread's own.
pub struct Writer {
    settings: config::Spool,
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// The file; none while it cannot be used.
    file: Option<File>,
    /// The places that come next, as of the file that failed. Drains and holds know places that have left the file,
    /// and what comes must not be taken for what was there.
    next: [Place; 2],
    tried: Instant,
    items: [u64; 2],
    /// Whether something was removed since it was last made small.
    dirty: bool,
}

/// A job whose fate hangs on the commit.
enum Done {
    Put(Queue, Result<Place, Refused>, Option<Spool>, oneshot::Sender<Result<Option<Held>, Refused>>),
    Removed(Option<oneshot::Sender<bool>>),
}

impl Writer {
    /// A writer of the file that `settings` name, not opened yet.
    pub fn new(settings: config::Spool, shared: Arc<Shared>, jobs: Receiver<Job>) -> Self {
        Self {
            settings,
            shared,
            jobs,
            file: None,
            next: [1; 2],
            tried: Instant::now(),
            items: [0; 2],
            dirty: true,
        }
    }

    /// Opens the file for the first time.
    ///
    /// # Errors
    /// Something is wrong that no waiting mends. What may pass (a full disk, a missing right) is none: it is
    /// tried again.
    pub fn open_first(&mut self) -> Result<(), Error> {
        match self.open(HANDOVER) {
            Ok(()) => Ok(()),
            Err(error @ (Error::Taken | Error::Foreign | Error::Newer(_))) => Err(error),
            Err(error) => {
                self.failed(&error);
                Ok(())
            }
        }
    }

    /// Works until it is told to close.
    pub fn run(mut self) {
        loop {
            match self.jobs.recv_timeout(PAUSE) {
                Ok(Job::Close { answer }) => {
                    self.tidy();
                    self.file = None;
                    let _ = answer.send(());
                    return;
                }
                Ok(Job::Read { queue, after, answer }) => {
                    let _ = answer.send(self.read(queue, after));
                }
                Ok(first) => {
                    if let Some(closed) = self.group(first) {
                        let _ = closed.send(());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.try_again();
                    self.tidy();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn open(&mut self, patience: Duration) -> Result<(), Error> {
        self.tried = Instant::now();
        let mut file = File::open(&self.settings.path, patience)?;
        file.not_before(self.next);
        for queue in Queue::ALL {
            self.items[queue as usize] = file.count(queue)?;
        }
        self.file = Some(file);
        self.tell()?;
        let [clicks, events] = self.items;
        info!(clicks, events, "spool.open");
        Ok(())
    }

    fn try_again(&mut self) {
        if self.file.is_some() || self.tried.elapsed() < PAUSE {
            return;
        }
        match self.open(Duration::ZERO) {
            Ok(()) => self.wake(),
            Err(error) => self.failed(&error),
        }
    }

    /// A failure is told once, not with every attempt.
    fn failed(&mut self, error: &Error) {
        if let Some(file) = self.file.take() {
            self.next = file.next();
        }
        self.tried = Instant::now();
        if !self.shared.figures.set_failing(true) {
            error!(error = file::named(&self.settings.path, error), "spool.failing");
        }
    }

    /// As if the file had failed and worked again at once.
    #[cfg(test)]
    pub(super) fn reopen(&mut self) {
        self.failed(&Error::Gone);
        self.open(Duration::ZERO).expect("it works");
    }

    /// An empty spool is made small when nothing is to be done.
    fn tidy(&mut self) {
        if !self.dirty || self.items != [0, 0] {
            return;
        }
        let Some(file) = &self.file else { return };
        match file.shrink().and_then(|()| self.tell()) {
            Ok(()) => self.dirty = false,
            Err(error) => self.failed(&error),
        }
    }

    pub(super) fn read(&mut self, queue: Queue, after: Place) -> Option<(Place, Vec<Kept>)> {
        // A copy: whoever lets go meanwhile does not wait for the disk, and only this thread gives holds.
        let held = self.shared.held().clone();
        let read = self.file.as_ref()?.read(queue, after, |place| !held.contains(&(queue, place)));
        read.unwrap_or_else(|error| {
            self.failed(&error);
            None
        })
    }

    /// Does a job and those that wait with it, and answers when they are on the disk. Gives whom to tell when
    /// it was told to close meanwhile, and has.
    pub(super) fn group(&mut self, first: Job) -> Option<oneshot::Sender<()>> {
        self.try_again();
        let began = Instant::now();
        let mut done = Vec::new();
        let mut later = None;
        let mut puts = [0, 0];
        let committed = match &mut self.file {
            None => return refuse(first),
            Some(file) => {
                let used = self.shared.figures.used();
                let mut left = self.settings.max_bytes.saturating_sub(used);
                let now = Timestamp::now().as_millisecond();
                (|| {
                    file.begin()?;
                    let mut bytes = 0;
                    let mut next = Some(first);
                    while let Some(job) = next.take() {
                        match job {
                            Job::Put { queue, item, spool, answer } => {
                                let weight = item.as_ref().len() as u64 + OVERHEAD;
                                let put = if weight > left {
                                    Err(Refused::Full)
                                } else {
                                    left -= weight;
                                    puts[queue as usize] += 1;
                                    bytes += item.as_ref().len();
                                    // Should this fail, the answer is dropped, which says so as well.
                                    Ok(file.put(queue, now, item.as_ref())?)
                                };
                                done.push(Done::Put(queue, put, spool, answer));
                            }
                            Job::Remove { queue, places, answer } => {
                                for place in places {
                                    if file.remove(queue, place)? {
                                        self.items[queue as usize] -= 1;
                                    }
                                }
                                self.dirty = true;
                                done.push(Done::Removed(answer));
                            }
                            // Not amid what may be undone.
                            other => {
                                later = Some(other);
                                break;
                            }
                        }
                        if done.len() < GROUP && bytes < GROUP_BYTES {
                            next = self.jobs.try_recv().ok();
                        }
                    }
                    file.commit()
                })()
            }
        };
        let is_safe = committed.is_ok();
        // Figures first: whoever hears of an item finds it counted.
        let told = committed.and_then(|()| {
            if puts != [0, 0] {
                self.shared.figures.wrote(began.elapsed());
            }
            for queue in Queue::ALL {
                self.items[queue as usize] += puts[queue as usize];
            }
            self.tell()
        });
        if let Err(error) = told {
            self.failed(&error);
        }
        for job in done {
            self.answer(job, is_safe);
        }
        match later {
            Some(Job::Read { queue, after, answer }) => {
                let _ = answer.send(self.read(queue, after));
                None
            }
            Some(Job::Close { answer }) => {
                self.tidy();
                self.file = None;
                Some(answer)
            }
            _ => None,
        }
    }

    fn answer(&self, job: Done, committed: bool) {
        match job {
            Done::Put(queue, put, spool, answer) => {
                let put = if committed { put } else { put.and(Err(Refused::Failing)) };
                if put.is_ok() {
                    self.shared.figures.spooled(queue);
                }
                let held = put.map(|place| spool.map(|spool| Held::new(spool, queue, place)));
                // Whoever asked may have gone, and their hold goes with the answer.
                let _ = answer.send(held);
                if put.is_ok() {
                    self.shared.wake[queue as usize].notify_one();
                }
            }
            Done::Removed(answer) => {
                if let Some(answer) = answer {
                    let _ = answer.send(committed);
                }
            }
        }
    }

    /// Tells the figures.
    fn tell(&self) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let figures = &self.shared.figures;
        figures.set_used(file.used()?);
        for queue in Queue::ALL {
            figures.set_items(queue, self.items[queue as usize], file.oldest(queue)?);
        }
        if figures.set_failing(false) {
            warn!("spool.works_again");
        }
        Ok(())
    }

    fn wake(&self) {
        for wake in &self.shared.wake {
            wake.notify_one();
        }
    }
}

/// Answers a job that cannot be done. A hold that is given up is nobody's loss.
fn refuse(job: Job) -> Option<oneshot::Sender<()>> {
    match job {
        Job::Put { answer, .. } => drop(answer.send(Err(Refused::Failing))),
        Job::Remove { answer, .. } => drop(answer.map(|answer| answer.send(false))),
        Job::Read { answer, .. } => drop(answer.send(None)),
        Job::Close { answer } => return Some(answer),
    }
    None
}
