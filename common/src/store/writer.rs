//! The writer: a thread that owns the process's write connection and commits in groups, as databases do. While
//! a commit waits for the disk, jobs gather; the next commit makes all of them durable with one sync.
//!
//! A job is answered only after the commit that holds it. One that fails takes nobody with it: where every job of a group
//! succeeds, as nearly always, none has a savepoint, whose undo log costs SQLite more than the job; where one does not, all
//! of them are undone and run again, each in a savepoint of its own. Nobody is left waiting: an answer that never comes
//! is `Closed`.

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
    /// Whether a transaction whose job has failed is known to be lost, so that jobs may run without savepoints.
    const TELLS: bool;
    /// After a job without a savepoint. Where this fails, the transaction is lost.
    fn stands(&self) -> Result<(), Failure>;
    /// Before a job, for a savepoint of its own. Where this fails, the transaction is lost.
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

/// What a job does, as often as it takes: what was undone with others is done again.
trait Work: Send {
    /// Does it, and says whether it failed.
    fn run(&mut self, session: &Session<'_>) -> bool;
    /// Answers whoever asked.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
    /// Answers that nothing was done.
    fn refuse(self: Box<Self>, error: Error);
}

struct Asked<T, W> {
    work: W,
    /// Nothing before it has run, and after it has panicked.
    result: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, W: Fn(&Session<'_>) -> Result<T, Error> + Send> Work for Asked<T, W> {
    fn run(&mut self, session: &Session<'_>) -> bool {
        self.result = None;
        // A panic in a decision that was handed in costs its own job, not the thread that everybody needs.
        let ran = catch_unwind(AssertUnwindSafe(|| (self.work)(session)));
        self.result = ran.ok();
        !matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        // What failed by itself hears why; whoever panicked hears nothing, which is `Closed`.
        if let Some(result) = self.result {
            // Whoever asked may have stopped waiting.
            let _ = self.answer.send(result.and_then(|value| committed.map(|()| value)));
        }
    }

    fn refuse(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

struct Job {
    scope: Reach,
    work: Box<dyn Work>,
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
        work: impl Fn(&Session<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, receiver) = oneshot::channel();
        let work = Box::new(Asked { work, result: None, answer });
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

fn run_group<E: Engine>(engine: &mut E, waiting: &mut Waiting, observe: &impl Fn(Duration, usize)) {
    let mut held = Reach::nothing();
    waiting.kept.iter().for_each(|job| held.add(&job.scope));
    if let Err(failure) = engine.begin(&held) {
        return refuse(waiting, &failure);
    }
    let started = Instant::now();
    let mut ran: Vec<Box<dyn Work>> = Vec::new();
    let mut careful = !E::TELLS;
    let mut done = Ok(());
    while done.is_ok() && ran.len() < GROUP && started.elapsed() < GROUP_TIME {
        let Some(mut job) = waiting.next(engine, &held) else { break };
        if careful {
            done = run_saved(engine, job.work.as_mut());
            ran.push(job.work);
            continue;
        }
        let failed = job.work.run(&engine.session()) || engine.stands().is_err();
        ran.push(job.work);
        if failed {
            careful = true;
            engine.roll_back();
            done = engine.begin(&held);
            for work in &mut ran {
                done = done.and_then(|()| run_saved(engine, work.as_mut()));
            }
        }
    }
    let committing = Instant::now();
    let done = done.and_then(|()| engine.commit());
    match &done {
        Ok(()) => observe(committing.elapsed(), ran.len()),
        // Where the transaction is gone already, this does nothing, and that is what was wanted.
        Err(_) => engine.roll_back(),
    }
    for work in ran {
        work.answer(done.as_ref().copied().map_err(|failure| failure.same().into()));
    }
}

/// Runs a job in a savepoint. An error here means that the whole transaction is lost.
fn run_saved(engine: &mut impl Engine, work: &mut dyn Work) -> Result<(), Failure> {
    engine.save()?;
    let failed = work.run(&engine.session());
    engine.release(failed)
}

/// No transaction could be begun: everybody who waits hears it now, not one time limit after another.
fn refuse(waiting: &mut Waiting, failure: &Failure) {
    while waiting.arrived() {}
    for job in waiting.kept.drain(..) {
        job.work.refuse(failure.same().into());
    }
}
