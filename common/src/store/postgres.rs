//! The store in a PostgreSQL database: its transactions, the locks that stand in for SQLite's one writer, and
//! its schema's version.
//!
//! Each process has one connection that writes and a few that read. A connection that fails is thrown away, and
//! the next job opens another; every wait has a limit, so that a server that stands still holds nobody for ever.

mod link;
mod tls;
mod url;

pub(super) use link::Link;
pub use url::{BadUrl, Url};

use super::reach::{Hold, Reach};
use super::readers::{Open, Read};
use super::schema::{self, Step};
use super::session::Session;
use super::{Error, Failure, writer};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

/// How long migrating goes on trying for a table that others use.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one step waits for a table. Whoever comes after it for the same table waits behind it, so not long.
const TABLE: &str = "2s";
/// How long a step of migrating may take: a table may be large, and whoever else migrates comes first. A server
/// that is gone is noticed by its connection.
const STEP: Duration = Duration::from_secs(24 * 3_600);

/// The server, to read from.
pub(super) struct Server {
    url: Url,
}

impl Server {
    pub(super) fn new(url: &Url) -> Self {
        Self { url: url.clone() }
    }
}

impl Open for Server {
    type Connection = Link;

    fn open(&self) -> Result<Link, Error> {
        Ok(Link::open(&self.url)?)
    }
}

impl Read for Link {
    fn begin(&mut self) -> Result<(), Error> {
        Ok(self.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?)
    }

    fn session(&self) -> Session<'_> {
        Session::Postgres(self)
    }

    fn end(&mut self) -> bool {
        self.batch("ROLLBACK").is_ok()
    }
}

/// The connection that writes, opened again when it is lost.
pub(super) struct Engine {
    url: Url,
    link: Option<Link>,
    /// Whether the next savepoint goes along with the release of the last.
    saved: bool,
    /// What a session is given where there is no connection.
    lost: Link,
}

impl Engine {
    /// Connects, where the schema serves us.
    ///
    /// # Errors
    /// The server cannot be reached, or its schema does not.
    pub(super) fn open(url: &Url) -> Result<Self, Error> {
        let link = apart(|| -> Result<Link, Error> {
            let link = Link::open(url)?;
            schema::require(&Session::Postgres(&link))?;
            Ok(link)
        })?;
        Ok(Self { url: url.clone(), link: Some(link), saved: false, lost: Link::lost() })
    }

    fn link(&self) -> &Link {
        self.link.as_ref().unwrap_or(&self.lost)
    }

    /// Forgets a connection that is of no more use.
    fn kept<T>(&mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        if self.link.as_ref().is_some_and(Link::is_broken) {
            self.link = None;
        }
        result
    }

    /// Begins on the connection that there is, or on a new one.
    fn begin_once(&mut self, scope: &Reach) -> Result<(), Failure> {
        if self.link.is_none() {
            self.link = Some(Link::open(&self.url)?);
        }
        // With its id from the beginning: see `horizon`.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}SELECT pg_current_xact_id(); SAVEPOINT job",
            locks(self.link().schema(), scope)
        );
        let begun = self.link().batch(&begin);
        self.saved = begun.is_ok();
        match &begun {
            Ok(()) => {}
            Err(failure) if may_pass(failure) => writer::Engine::roll_back(self),
            // A server that can begin nothing may be none that writes, as after a failover: the next connection
            // finds the one that does.
            Err(_) => self.link = None,
        }
        begun
    }
}

/// Whether whoever begins failed for what others did just then, and the connection is well: a lock was not to
/// be had, the statement was cancelled, or it was in a deadlock or a conflict.
fn may_pass(failure: &Failure) -> bool {
    let passing = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ];
    failure.code().is_some_and(|code| passing.contains(code))
}

impl writer::Engine for Engine {
    // A statement that failed spoils the transaction without a word, and its commit rolls back and succeeds.
    const TELLS: bool = false;

    fn begin(&mut self, scope: &Reach) -> Result<(), Failure> {
        self.kept(Ok(()))?;
        let (idle, asked) = (self.link.is_some(), Instant::now());
        match self.begin_once(scope) {
            // It may have been cut off while nobody used it: nothing was asked of it yet, so another will do.
            // But from a server that does not answer in time, nobody waits twice for an answer.
            Err(Failure::Away(_)) if idle && asked.elapsed() < link::ANSWER => self.begin_once(scope),
            begun => begun,
        }
    }

    fn session(&self) -> Session<'_> {
        Session::Postgres(self.link())
    }

    fn stands(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn save(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.saved, false) {
            return Ok(());
        }
        self.link().batch("SAVEPOINT job")
    }

    fn release(&mut self, failed: bool) -> Result<(), Failure> {
        // Released and set again at once: one way to the server and back instead of two.
        let go_on = if failed { "ROLLBACK TO job" } else { "RELEASE job; SAVEPOINT job" };
        self.link().batch(go_on)?;
        self.saved = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let done = self.link().batch("COMMIT");
        self.kept(done)
    }

    fn roll_back(&mut self) {
        let rolled = self.link().batch("ROLLBACK");
        if rolled.is_err() {
            self.link = None;
        }
    }

    fn joins(&self, held: &Reach, job: &Reach) -> bool {
        held.covers(job)
    }
}

/// The statements that take a scope's locks. All take them in one order: the store's, then the advertisers' by
/// their ids. They go with the transaction.
fn locks(schema: &str, scope: &Reach) -> String {
    let lock = |hold: &Hold, name: &str| {
        let shared = if *hold == Hold::Shared { "_shared" } else { "" };
        format!("SELECT pg_advisory_xact_lock{shared}({}); ", lock_key(schema, name))
    };
    let mut all = lock(&scope.store, "store");
    if scope.store == Hold::Shared {
        all.extend(scope.advertisers.iter().map(|(id, hold)| lock(hold, &format!("advertiser:{id}"))));
    }
    all
}

/// The number of a lock: advisory locks are a whole database's, and it may hold several of us, a schema each.
fn lock_key(schema: &str, name: &str) -> i64 {
    let digest = Sha256::digest(format!("carom\n{schema}\n{name}"));
    i64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

/// Takes every step that is missing, each in a transaction of its own, under a lock that whoever migrates takes.
///
/// # Errors
/// The server cannot be reached, or a step failed, or the schema does not serve us.
pub(super) fn migrate(url: &Url, steps: &[Step]) -> Result<(u32, u32), Error> {
    apart(|| {
        let link = Link::open(url)?.answering_within(STEP);
        let deadline = Instant::now() + PATIENCE;
        let mut from = None;
        loop {
            match step(&link, steps) {
                Ok((found, to)) => {
                    let from = *from.get_or_insert(found);
                    if to == found {
                        return Ok((from, found));
                    }
                }
                // Somebody uses the table: whoever waits behind us goes first, and then we try again.
                Err(Error::Database(failure))
                    if failure.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(500));
                }
                Err(error) => return Err(error),
            }
        }
    })
}

fn step(link: &Link, steps: &[Step]) -> Result<(u32, u32), Error> {
    let lock = lock_key(link.schema(), "migrate");
    // Migrating waits for another who migrates; its statements may take their time, but not wait for tables.
    link.batch(&format!(
        "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
         SELECT pg_advisory_xact_lock({lock}); SET LOCAL lock_timeout = '{TABLE}'"
    ))?;
    let taken = schema::take_step(&Session::Postgres(link), steps, |step| step.postgres);
    link.batch(if taken.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    taken
}

/// Runs something that waits for the server on a thread of its own: a thread that drives tasks must not.
pub(super) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
