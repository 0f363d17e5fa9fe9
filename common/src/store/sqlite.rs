//! The store in one SQLite file: who may open it, who writes, who reads.
//!
//! One thread writes and commits in groups (`writer`); a few read-only connections answer everything
//! else (`readers`). The rest is one file per step of the business, each with its own SQL.

mod attempts;
mod clicks;
mod column;
mod conversions;
mod counted;
mod cursors;
mod deliveries;
mod erase;
mod foreign;
mod identities;
mod late;
mod letters;
mod markers;
mod news;
mod orders;
mod overdue;
mod parking;
mod pauses;
mod payouts;
mod readers;
mod resolve;
mod resources;
mod retention;
mod samples;
mod schema;
mod seen;
mod settle;
mod subjects;
mod touches;
mod trace;
mod visits;
mod waiting;
mod writer;

use super::Error;
use jiff::Timestamp;
use readers::Readers;
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use writer::Writer;

/// How long a connection waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database file. SQLite keeps a `-wal` and a `-shm` file beside it.
    pub path: PathBuf,
}

/// The store. Clones share its connections; it ends with the last of them, after what is queued.
#[derive(Clone)]
pub struct Store {
    readers: Arc<Readers>,
    writer: Option<Writer>,
}

impl Store {
    /// Opens the store to read and write. `observe` is called on the writer's thread after each commit,
    /// with how long the commit took and how many jobs it made durable.
    ///
    /// # Errors
    /// The file cannot be opened or made, or its schema is not ours: `migrate` comes first.
    pub fn open(
        settings: &Settings,
        observe: impl Fn(Duration, usize) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let connection = open_to_write(&settings.path)?;
        schema::require_current(&connection)?;
        patiently(|| connection.pragma_update(None, "journal_mode", "wal"))?;
        let writer = writer::spawn(connection, observe)?;
        Ok(Self { readers: Arc::new(Readers::new(&settings.path)), writer: Some(writer) })
    }

    /// Opens the store to read only, beside a worker that writes it. Whatever writes is refused with
    /// [`Error::ReadOnly`].
    ///
    /// # Errors
    /// There is no such file (it is not made), or its schema is not ours.
    pub fn open_read_only(settings: &Settings) -> Result<Self, Error> {
        let readers = Readers::new(&settings.path);
        readers.with_connection(schema::require_current)?;
        Ok(Self { readers: Arc::new(readers), writer: None })
    }

    /// Brings the store to this binary's schema, making the file if there is none, and says from which
    /// version to which. Safe to run twice, and at once.
    ///
    /// # Errors
    /// The file cannot be opened or made, or is of a newer schema.
    pub fn migrate(settings: &Settings) -> Result<(u32, u32), Error> {
        let mut connection = open_to_write(&settings.path)?;
        patiently(|| connection.pragma_update(None, "journal_mode", "wal"))?;
        schema::migrate(&mut connection)
    }

    /// Reads something and, unless the store is read-only, writes something: whether it would do its work.
    ///
    /// # Errors
    /// It would not.
    pub async fn check(&self) -> Result<(), Error> {
        self.read(schema::require_current).await?;
        if self.writer.is_none() {
            return Ok(());
        }
        let now = column::millis(Timestamp::now());
        self.write(move |connection| {
            Ok(connection.prepare_cached("UPDATE pulse SET at = ?1")?.execute([now])?)
        })
        .await?;
        Ok(())
    }

    /// Empties the write-ahead log, where pages lie as they were before something was erased, and says
    /// whether that was possible: somebody may have been reading all the time.
    ///
    /// # Errors
    /// The file cannot be opened, or the database failed.
    pub fn empty_log(settings: &Settings) -> Result<bool, Error> {
        let connection = open_to_write(&settings.path)?;
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    /// Waits until everything that is queued is durable, and ends the store for all its clones.
    pub async fn close(self) {
        // Readers go first, so that the writer is the last to leave and empties the write-ahead log.
        self.readers.close().await;
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }

    /// Runs `work` in a snapshot on one of the read-only connections.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.readers.run(work).await
    }

    /// Runs `work` on the writer and returns when it is durable.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.as_ref().ok_or(Error::ReadOnly)?.run(work).await
    }
}

fn open_to_write(path: &Path) -> Result<Connection, Error> {
    make_private(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    // What is deleted is overwritten: an erased person is not to be found in the file's free pages.
    connection.pragma_update(None, "secure_delete", "on")?;
    // A checkpoint syncs twice and writes all over the file: worth it every 32 MiB, not every 4. The log
    // is cut back after a reader has held one up.
    connection.pragma_update(None, "wal_autocheckpoint", 8_192)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

/// Makes the file where there is none, for its owner only: it holds what people did. SQLite gives the
/// files beside it the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).create(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Tries again while another process holds the lock. Changing the journal's mode does not wait by itself.
fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let deadline = Instant::now() + BUSY;
    loop {
        match attempt() {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if matches!(
                    error.code,
                    rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked
                ) && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests;
