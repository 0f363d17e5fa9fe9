//! The spool's file: SQLite, locked for this process alone, with a table for each queue. The one file of
//! ingest that uses rusqlite.

use super::{Kept, Place};
use carom_common::click::Click;
use carom_common::envelope::{BATCH_BYTES, Item};
use carom_common::intake::Intake;
use carom_common::topology;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Says that a file is a spool: `Crmq` in ASCII.
const APPLICATION: i32 = 0x4372_6d71;
/// The version of its tables.
const VERSION: i32 = 1;
/// How many items one look takes at most.
const LOOK: i64 = crate::publish::BATCH_ITEMS as i64;
/// An empty file that is larger than this is made small again, in pages.
const SMALL: i64 = 256;

/// A queue that items of the spool are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Queue {
    /// `carom.clicks`
    Clicks,
    /// `carom.events`
    Events,
}

impl Queue {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Clicks, Self::Events];

    /// Its name in labels, and of its table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clicks => "clicks",
            Self::Events => "events",
        }
    }

    /// The broker's queue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clicks => topology::CLICKS,
            Self::Events => topology::EVENTS,
        }
    }

    /// What its items are called in an envelope.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Clicks => Click::KIND,
            Self::Events => Intake::KIND,
        }
    }
}

/// Why the spool's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("another process has it open: give each carom-ingest a spool of its own")]
    Taken,
    /// It is something else.
    #[error("it is no spool of carom-ingest: name another file, or move that one away")]
    Foreign,
    /// It was written by a later version.
    #[error("it is of a later version ({0}): let that version of carom-ingest drain it")]
    Newer(i32),
    /// The system refused.
    #[error(transparent)]
    System(#[from] std::io::Error),
    /// SQLite refused.
    #[error(transparent)]
    Database(rusqlite::Error),
    /// The thread that was to open it has died.
    #[error("it was not opened")]
    Gone,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Taken,
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Database(error),
        }
    }
}

/// An open spool.
pub struct File {
    connection: Connection,
    page_bytes: u64,
    next: [Place; 2],
}

impl File {
    /// Opens the file, making it where there is none, and waits up to `patience` for another process to let
    /// go of it. Writes to it once, so that a file that cannot be written is not opened.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, Error> {
        make_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(patience)?;
        // Before the journal's mode, so that there is no shared memory and never a second process.
        connection.pragma_update(None, "locking_mode", "exclusive")?;
        connection.pragma_update(None, "synchronous", "full")?;
        // What has left is overwritten: it is about people.
        connection.pragma_update(None, "secure_delete", "on")?;
        // A checkpoint syncs twice, and everybody waits for it.
        connection.pragma_update(None, "wal_autocheckpoint", 8_192)?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
        connection.pragma_update(None, "cache_size", -16_384)?;
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let objects: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, version, objects) {
            (APPLICATION, version, _) if version > VERSION => return Err(Error::Newer(version)),
            (APPLICATION, _, _) | (0, 0, 0) => {}
            _ => return Err(Error::Foreign),
        }
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION};
             PRAGMA user_version = {VERSION};
             CREATE TABLE IF NOT EXISTS clicks (place INTEGER PRIMARY KEY, at INTEGER NOT NULL, item BLOB NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS events (place INTEGER PRIMARY KEY, at INTEGER NOT NULL, item BLOB NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS pulse (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL) STRICT;
             INSERT INTO pulse VALUES (1, 0) ON CONFLICT DO UPDATE SET count = count + 1;
             COMMIT;"
        ))?;
        let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let page_bytes = page_bytes.unsigned_abs();
        let mut file = Self { connection, page_bytes, next: [1, 1] };
        for queue in Queue::ALL {
            let last: Option<Place> = file.connection.query_row(
                &format!("SELECT max(place) FROM {}", queue.as_str()),
                [],
                |row| row.get(0),
            )?;
            file.next[queue as usize] = last.unwrap_or(0) + 1;
        }
        Ok(file)
    }

    /// The places that come next.
    pub fn next(&self) -> [Place; 2] {
        self.next
    }

    /// Gives no place before these, though they may be free.
    pub fn not_before(&mut self, next: [Place; 2]) {
        for (mine, least) in self.next.iter_mut().zip(next) {
            *mine = (*mine).max(least);
        }
    }

    /// Begins a group of changes.
    pub fn begin(&self) -> Result<(), Error> {
        Ok(self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?)
    }

    /// Makes the group durable.
    pub fn commit(&self) -> Result<(), Error> {
        Ok(self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)?)
    }

    /// Adds an item that came at `at` (milliseconds of the Unix epoch); gives its place.
    pub fn put(&mut self, queue: Queue, at: i64, item: &[u8]) -> Result<Place, Error> {
        let place = self.next[queue as usize];
        let sql = match queue {
            Queue::Clicks => "INSERT INTO clicks (place, at, item) VALUES (?1, ?2, ?3)",
            Queue::Events => "INSERT INTO events (place, at, item) VALUES (?1, ?2, ?3)",
        };
        self.connection.prepare_cached(sql)?.execute((place, at, item))?;
        self.next[queue as usize] += 1;
        Ok(place)
    }

    /// Removes an item; says whether it was there.
    pub fn remove(&self, queue: Queue, place: Place) -> Result<bool, Error> {
        let sql = match queue {
            Queue::Clicks => "DELETE FROM clicks WHERE place = ?1",
            Queue::Events => "DELETE FROM events WHERE place = ?1",
        };
        Ok(self.connection.prepare_cached(sql)?.execute([place])? > 0)
    }

    /// What a queue holds after a place and `wanted` says yes to, as much as goes into one message, and the
    /// place up to which was looked. None where nothing is behind it.
    pub fn read(
        &self,
        queue: Queue,
        after: Place,
        wanted: impl Fn(Place) -> bool,
    ) -> Result<Option<(Place, Vec<Kept>)>, Error> {
        let sql = match queue {
            Queue::Clicks => "SELECT place, item FROM clicks WHERE place > ?1 ORDER BY place LIMIT ?2",
            Queue::Events => "SELECT place, item FROM events WHERE place > ?1 ORDER BY place LIMIT ?2",
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((after, LOOK))?;
        let (mut looked, mut found, mut bytes) = (None, Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let place: Place = row.get(0)?;
            if wanted(place) {
                let item: Vec<u8> = row.get(1)?;
                bytes += item.len();
                if bytes > BATCH_BYTES && !found.is_empty() {
                    break;
                }
                found.push((place, item));
            }
            looked = Some(place);
        }
        Ok(looked.map(|looked| (looked, found)))
    }

    /// How many items a queue holds. It reads the whole table.
    pub fn count(&self, queue: Queue) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {}", queue.as_str());
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// When the oldest item of a queue came, in milliseconds of the Unix epoch.
    pub fn oldest(&self, queue: Queue) -> Result<Option<i64>, Error> {
        let sql = match queue {
            Queue::Clicks => "SELECT at FROM clicks ORDER BY place LIMIT 1",
            Queue::Events => "SELECT at FROM events ORDER BY place LIMIT 1",
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
    }

    /// How many bytes of the file are in use: without its log, and without pages that are free again.
    pub fn used(&self) -> Result<u64, Error> {
        let mut sum = 0;
        for (pragma, sign) in [("PRAGMA page_count", 1), ("PRAGMA freelist_count", -1)] {
            let pages: i64 = self.connection.prepare_cached(pragma)?.query_row([], |row| row.get(0))?;
            sum += sign * pages;
        }
        Ok(u64::try_from(sum).unwrap_or(0) * self.page_bytes)
    }

    /// Gives the disk back what an empty spool needs no more, and overwrites the log, where items lie as they
    /// were.
    pub fn shrink(&self) -> Result<(), Error> {
        let pages: i64 = self.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        if pages > SMALL {
            self.connection.execute_batch("VACUUM")?;
        }
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Makes the file where there is none, for its owner only. SQLite gives its log the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The path of a spool, as errors name it.
pub fn named(path: &Path, error: &Error) -> String {
    let shown: PathBuf = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("spool.path: {}: {error}", shown.display())
}
