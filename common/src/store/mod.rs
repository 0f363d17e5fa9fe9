//! The store: clicks, events with their traces, conversions, deliveries, attempts, dead letters and the
//! configuration resources.
//!
//! One `Store`, named by what the business does; behind it is SQLite, or PostgreSQL where one machine is not
//! enough. Nothing is acked to the broker before the store says that it is durable, and the store says so only
//! after a commit. It never calls back into the network and never decides: decisions are handed in as pure
//! functions.
//!
//! One file per step of the business, each with its own SQL, written once for both databases (`session`). A
//! thread writes and commits in groups (`writer`), holding what its jobs need nobody else to decide on
//! (`reach`); a few read-only connections answer everything else (`readers`).

mod approvals;
mod attempts;
mod clicks;
mod column;
mod conversions;
mod counted;
mod cursors;
mod deliveries;
mod erase;
mod failure;
mod foreign;
mod horizon;
mod identities;
mod late;
mod leases;
mod letters;
mod markers;
mod news;
mod orders;
mod overdue;
mod parking;
mod pauses;
mod payouts;
mod pixels;
mod postgres;
mod reach;
mod readers;
mod records;
mod resolve;
mod resources;
mod retention;
mod samples;
mod schema;
mod seen;
mod session;
mod settings;
mod settle;
mod sqlite;
mod subjects;
mod touches;
mod trace;
mod visits;
mod waiting;
mod writer;

pub use failure::{Failure, PostgresFailure};
pub use horizon::Horizon;
pub use postgres::{BadUrl, Url};
pub use records::*;
pub use settings::Settings;

use jiff::Timestamp;
use reach::Reach;
use readers::Readers;
use session::Session;
use std::sync::Arc;
use std::time::Duration;
use writer::Writer;

/// The store. Clones share its connections; it ends with the last of them, after what is queued.
#[derive(Clone)]
pub struct Store {
    readers: Reading,
    writer: Option<Writer>,
}

#[derive(Clone)]
enum Reading {
    Sqlite(Arc<Readers<sqlite::File>>),
    Postgres(Arc<Readers<postgres::Server>>),
}

impl Store {
    /// Opens the store to read and write. `observe` is called on the writer's thread after each commit,
    /// with how long the commit took and how many jobs it made durable.
    ///
    /// # Errors
    /// The file or the server cannot be opened, or its schema does not serve this binary: `migrate` comes first.
    pub fn open(
        settings: &Settings,
        observe: impl Fn(Duration, usize) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (readers, writer) = match settings {
            Settings::Sqlite(path) => {
                let engine = sqlite::Engine::open(path)?;
                let readers = Readers::new(sqlite::File::new(path));
                (Reading::Sqlite(Arc::new(readers)), writer::spawn(engine, observe)?)
            }
            Settings::Postgres(server) => {
                let engine = postgres::Engine::open(server)?;
                let readers = Readers::new(postgres::Server::new(server));
                (Reading::Postgres(Arc::new(readers)), writer::spawn(engine, observe)?)
            }
        };
        Ok(Self { readers, writer: Some(writer) })
    }

    /// Opens the store to read only, beside a worker that writes it. Whatever writes is refused with
    /// [`Error::ReadOnly`].
    ///
    /// # Errors
    /// There is no such file (it is not made) or server, or its schema does not serve this binary.
    pub fn open_read_only(settings: &Settings) -> Result<Self, Error> {
        let readers = match settings {
            Settings::Sqlite(path) => {
                let readers = Readers::new(sqlite::File::new(path));
                readers.with_connection(schema::require)?;
                Reading::Sqlite(Arc::new(readers))
            }
            Settings::Postgres(server) => {
                let readers = Readers::new(postgres::Server::new(server));
                postgres::apart(|| readers.with_connection(schema::require))?;
                Reading::Postgres(Arc::new(readers))
            }
        };
        Ok(Self { readers, writer: None })
    }

    /// Brings the store to this binary's schema, making the file if there is none, and says from which
    /// version to which. Safe to run twice, and at once; a newer schema that serves this binary stays as it is.
    ///
    /// # Errors
    /// The file or the server cannot be opened, or is of a newer schema that does not serve this binary.
    pub fn migrate(settings: &Settings) -> Result<(u32, u32), Error> {
        migrate_to(settings, schema::STEPS)
    }

    /// Reads something and, unless the store is read-only, writes something: whether it would do its work.
    ///
    /// # Errors
    /// It would not.
    pub async fn check(&self) -> Result<(), Error> {
        self.read(schema::require).await?;
        if self.writer.is_none() {
            return Ok(());
        }
        let now = column::millis(Timestamp::now());
        self.write(Reach::nothing(), move |session| session.execute("UPDATE pulse SET at = ?1", [now]))
            .await?;
        Ok(())
    }

    /// Empties SQLite's write-ahead log, where pages lie as they were before something was erased, and says
    /// whether that was possible: somebody may have been reading all the time. PostgreSQL's is its own affair.
    ///
    /// # Errors
    /// The file cannot be opened, or the database failed.
    pub fn empty_log(settings: &Settings) -> Result<bool, Error> {
        match settings {
            Settings::Sqlite(path) => sqlite::empty_log(path),
            Settings::Postgres(_) => Ok(true),
        }
    }

    /// Waits until everything that is queued is durable, and ends the store for all its clones.
    pub async fn close(self) {
        // Readers go first, so that the writer is the last to leave and empties the write-ahead log.
        match &self.readers {
            Reading::Sqlite(readers) => readers.close().await,
            Reading::Postgres(readers) => readers.close().await,
        }
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }

    /// Runs `work` in a snapshot on one of the read-only connections.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match &self.readers {
            Reading::Sqlite(readers) => readers.run(work).await,
            Reading::Postgres(readers) => readers.run(work).await,
        }
    }

    /// Runs `work` on the writer, while it holds the scope, and returns when it is durable.
    async fn write<T: Send + 'static>(
        &self,
        scope: Reach,
        work: impl Fn(&Session<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.as_ref().ok_or(Error::ReadOnly)?.run(scope, work).await
    }
}

/// Takes these steps.
fn migrate_to(settings: &Settings, steps: &[schema::Step]) -> Result<(u32, u32), Error> {
    match settings {
        Settings::Sqlite(path) => sqlite::migrate(path, steps),
        Settings::Postgres(server) => postgres::migrate(server, steps),
    }
}

#[cfg(test)]
mod tests;
