//! The writer: a thread that owns the process's write connection and commits in groups, as databases do. While
//! a commit waits for the disk, jobs gather; the next commit makes all of them durable with one sync.
//!
//! A job is answered only after the commit that holds it. It runs in a savepoint of its own, so that one
//! that fails takes nobody with it. Nobody is left waiting: an answer that never comes is `Closed`.

use super::reach::Reach;
use super::session::Session;
use super::{Error, Failure};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Jobs that wait before senders do.
const QUEUE: usize = 1_024;
/// The most jobs of one commit.
const GROUP: usize = 512;
/// No job joins a group that has worked for so long: the first of it is waiting.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// The transactions of a write connection.
pub(super) trait Engine {
    /// Begins one that holds the scope. Where this fails, none is under way.
    fn begin(&mut self, scope: &Reach) -> Result<(), Failure>;
    /// What its jobs write through.
    fn session(&self) -> Session<'_>;
    /// Before a job. Where this fails, the transaction is lost.
    fn save(&mut self) -> Result<(), Failure>;
    /// After a job: what it did stays, or not. Where this fails, the transaction is lost.
    fn release(&mut self, failed: bool) -> Result<(), Failure>;
    /// Makes it durable. After an error it may be, or not.
    fn commit(&mut self) -> Result<(), Failure>;
    /// Gives it up.
    fn roll_back(&mut self);
    /// Whether a job may still join a transaction that has begun.
    fn joins(&self, held: &Reach, job: &Reach) -> bool;
}

/// Does its work and says how it went, or takes the error it is handed instead of a session.
type Work = Box<dyn FnOnce(Result<&Session<'_>, Error>) -> Ran + Send>;

struct Job {
    scope: Reach,
    work: Work,
}

/// A job that has run and waits for the commit.
struct Ran {
    failed: bool,
    answer: Box<dyn FnOnce(Result<(), Error>)>,
}

enum Message {
    Job(Job),
    Close,
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    ended: watch::Receiver<()>,
}

impl Writer {
    /// Runs `work` and returns its result when it is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        scope: Reach,
        work: impl FnOnce(&Session<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let work: Work = Box::new(move |session| {
            let result = session.and_then(work);
            let failed = result.is_err();
            let answer = move |committed: Result<(), Error>| {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(result.and_then(|value| committed.map(|()| value)));
            };
            Ran { failed, answer: Box::new(answer) }
        });
        self.queue.send(Message::Job(Job { scope, work })).await.map_err(|_| Error::Closed)?;
        receiver.await.map_err(|_| Error::Closed)?
    }

    /// Returns when everything that was queued is done and the thread has ended.
    pub(super) async fn close(mut self) {
        // An error means that it has ended already.
        let _ = self.queue.send(Message::Close).await;
        let _ = self.ended.changed().await;
    }
}

/// Starts the thread. It ends when it is told to or nobody can send any more, after what is queued.
pub(super) fn spawn(
    mut engine: impl Engine + Send + 'static,
    observe: impl Fn(Duration, usize) + Send + 'static,
) -> Result<Writer, Error> {
    let (sender, queue) = mpsc::channel(QUEUE);
    let (alive, ended) = watch::channel(());
    let mut waiting = Waiting { queue, kept: VecDeque::new() };
    let run = move || {
        while waiting.some() {
            run_group(&mut engine, &mut waiting, &observe);
        }
        drop(engine);
        drop(alive);
    };
    let spawned = std::thread::Builder::new().name("carom-store".to_owned()).spawn(run);
    spawned.map_err(Error::Thread)?;
    Ok(Writer { queue: sender, ended })
}

/// What waits to be written: first what was taken from the queue and did not get into the last group.
struct Waiting {
    queue: mpsc::Receiver<Message>,
    kept: VecDeque<Job>,
}

impl Waiting {
    /// Waits for work, and gathers what there is; false when there will be no more.
    fn some(&mut self) -> bool {
        while self.kept.is_empty() {
            match self.queue.blocking_recv() {
                Some(Message::Job(job)) => self.kept.push_back(job),
                Some(Message::Close) => self.queue.close(),
                None => return false,
            }
        }
        while self.kept.len() < GROUP && self.arrived() {}
        true
    }

    /// Takes one more from the queue, if there is one.
    fn arrived(&mut self) -> bool {
        loop {
            match self.queue.try_recv() {
                Ok(Message::Job(job)) => {
                    self.kept.push_back(job);
                    return true;
                }
                Ok(Message::Close) => self.queue.close(),
                Err(_) => return false,
            }
        }
    }

    /// The next that may join the transaction.
    fn next(&mut self, engine: &impl Engine, held: &Reach) -> Option<Job> {
        if self.kept.is_empty() {
            self.arrived();
        }
        let joins = self.kept.front().is_some_and(|job| engine.joins(held, &job.scope));
        if joins { self.kept.pop_front() } else { None }
    }
}

fn run_group(engine: &mut impl Engine, waiting: &mut Waiting, observe: &impl Fn(Duration, usize)) {
    let mut held = Reach::nothing();
    waiting.kept.iter().for_each(|job| held.add(&job.scope));
    if let Err(failure) = engine.begin(&held) {
        return refuse(waiting, &failure);
    }
    let started = Instant::now();
    let mut ran = Vec::new();
    let mut done = Ok(());
    while done.is_ok() && ran.len() < GROUP && started.elapsed() < GROUP_TIME {
        let Some(job) = waiting.next(engine, &held) else { break };
        done = run_job(engine, job, &mut ran);
    }
    let committing = Instant::now();
    let done = done.and_then(|()| engine.commit());
    match &done {
        Ok(()) => observe(committing.elapsed(), ran.len()),
        // Where the transaction is gone already, this does nothing, and that is what was wanted.
        Err(_) => engine.roll_back(),
    }
    for job in ran {
        (job.answer)(done.as_ref().copied().map_err(|failure| failure.same().into()));
    }
}

/// Runs a job in its savepoint. An error here means that the whole transaction is lost.
fn run_job(engine: &mut impl Engine, job: Job, ran: &mut Vec<Ran>) -> Result<(), Failure> {
    if let Err(failure) = engine.save() {
        let lost = failure.same();
        ran.push((job.work)(Err(lost.into())));
        return Err(failure);
    }
    // A panic in a decision that was handed in costs its own job, not the thread that everybody needs.
    let outcome = catch_unwind(AssertUnwindSafe(|| (job.work)(Ok(&engine.session()))));
    let failed = outcome.as_ref().map_or(true, |job| job.failed);
    if let Ok(job) = outcome {
        ran.push(job);
    }
    engine.release(failed)
}

/// No transaction could be begun: everybody who waits hears it now, not one time limit after another.
fn refuse(waiting: &mut Waiting, failure: &Failure) {
    while waiting.arrived() {}
    for job in waiting.kept.drain(..) {
        ((job.work)(Err(failure.same().into())).answer)(Ok(()));
    }
}
