//! The one writer: a thread that owns the write connection and commits in groups, as databases do. While
//! a commit waits for the disk, jobs gather; the next commit makes all of them durable with one sync.
//!
//! Before each group it makes sure that its file is still where it was: a file that was moved, deleted or replaced by
//! another goes on taking what is written, and nobody would ever find it again.
//!
//! A job is answered only after the commit that holds it. It runs in a savepoint of its own, so that one
//! that fails takes nobody with it. Nobody is left waiting: an answer that never comes is `Closed`.

use crate::store::Error;
use rusqlite::{Connection, ffi};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Jobs that wait before senders do.
const QUEUE: usize = 1_024;
/// The most jobs of one commit.
const GROUP: usize = 512;
/// No job joins a group that has worked for so long: the first of it is waiting.
const GROUP_TIME: Duration = Duration::from_millis(100);

/// Does its work and says how it went, or takes the error it is handed instead of a connection.
type Job = Box<dyn FnOnce(Result<&Connection, Error>) -> Ran + Send>;

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
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.and_then(work);
            let failed = result.is_err();
            let answer = move |committed: Result<(), Error>| {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(result.and_then(|value| committed.map(|()| value)));
            };
            Ran { failed, answer: Box::new(answer) }
        });
        self.queue.send(Message::Job(job)).await.map_err(|_| Error::Closed)?;
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
    connection: Connection,
    path: &Path,
    observe: impl Fn(Duration, usize) + Send + 'static,
) -> Result<Writer, Error> {
    let file = Opened::at(path)?;
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let (alive, ended) = watch::channel(());
    let run = move || {
        while let Some(message) = queue.blocking_recv() {
            match message {
                Message::Job(first) => run_group(&connection, &file, first, &mut queue, &observe),
                Message::Close => queue.close(),
            }
        }
        drop(connection);
        drop(alive);
    };
    let spawned = std::thread::Builder::new().name("carom-store".to_owned()).spawn(run);
    spawned.map_err(Error::Thread)?;
    Ok(Writer { queue: sender, ended })
}

/// The file as it was when it was opened.
struct Opened {
    path: PathBuf,
    file: (u64, u64),
}

impl Opened {
    fn at(path: &Path) -> Result<Self, Error> {
        let file = identity(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn still_there(&self) -> Result<(), Error> {
        match identity(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            _ => Err(Error::Moved { path: self.path.clone() }),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn run_group(
    connection: &Connection,
    file: &Opened,
    first: Job,
    queue: &mut mpsc::Receiver<Message>,
    observe: &impl Fn(Duration, usize),
) {
    if file.still_there().is_err() {
        return refuse_waiting(first, queue, || Error::Moved { path: file.path.clone() });
    }
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        return refuse_waiting(first, queue, || Error::Database(same(&error)));
    }
    let started = Instant::now();
    let mut ran = Vec::new();
    let mut next = Some(first);
    let mut done = Ok(());
    while let Some(job) = next.take() {
        done = run_job(connection, job, &mut ran);
        if done.is_ok() && ran.len() < GROUP && started.elapsed() < GROUP_TIME {
            next = waiting(queue);
        }
    }
    let committing = Instant::now();
    let done = done.and_then(|()| connection.execute_batch("COMMIT"));
    match &done {
        Ok(()) => observe(committing.elapsed(), ran.len()),
        // Where the transaction is gone already, this says so, and that is what was wanted.
        Err(_) => drop(connection.execute_batch("ROLLBACK")),
    }
    for job in ran {
        (job.answer)(done.as_ref().copied().map_err(|error| Error::Database(same(error))));
    }
}

/// Runs a job in its savepoint. An error here means that the whole transaction is lost.
fn run_job(connection: &Connection, job: Job, ran: &mut Vec<Ran>) -> rusqlite::Result<()> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    // A panic in a decision that was handed in costs its own job, not the thread that everybody needs.
    let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(connection))));
    let failed = outcome.as_ref().map_or(true, |job| job.failed);
    if let Ok(job) = outcome {
        ran.push(job);
    }
    if connection.is_autocommit() {
        // A full disk and its like make SQLite roll back everything; what follows would not be in a
        // transaction at all.
        let lost = "the transaction was rolled back for the failure of another job in it";
        return Err(rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_ABORT),
            Some(lost.to_owned()),
        ));
    }
    if failed {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}

fn waiting(queue: &mut mpsc::Receiver<Message>) -> Option<Job> {
    loop {
        match queue.try_recv() {
            Ok(Message::Job(job)) => return Some(job),
            Ok(Message::Close) => queue.close(),
            Err(_) => return None,
        }
    }
}

/// No transaction could be begun: everybody who waits hears it now, not one busy timeout after another.
fn refuse_waiting(first: Job, queue: &mut mpsc::Receiver<Message>, error: impl Fn() -> Error) {
    let mut next = Some(first);
    while let Some(job) = next {
        (job(Err(error())).answer)(Ok(()));
        next = waiting(queue);
    }
}

/// An error for each who must hear it.
fn same(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(other.to_string())),
    }
}
