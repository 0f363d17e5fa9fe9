//! The store in one SQLite file: who may open it, its transactions, its schema's version.

use super::reach::Reach;
use super::readers::{Open, Read};
use super::schema::{self, Step};
use super::session::Session;
use super::{Error, Failure, writer};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, ffi};
use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a connection waits for another process's lock.
const BUSY: Duration = Duration::from_secs(5);

/// The file, to read from.
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }
}

impl Open for File {
    type Connection = Connection;

    fn open(&self) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        plan_once(&connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

impl Read for Connection {
    fn begin(&mut self) -> Result<(), Error> {
        Ok(self.execute_batch("BEGIN")?)
    }

    fn session(&self) -> Session<'_> {
        Session::Sqlite(self)
    }

    fn end(&mut self) -> bool {
        self.execute_batch("ROLLBACK").is_ok()
    }
}

/// The connection that writes. Before each transaction it makes sure that its file is still where it was: a file
/// that was moved, deleted or replaced by another goes on taking what is written, and nobody would ever find it again.
pub(super) struct Engine {
    connection: Connection,
    path: PathBuf,
    /// The file as it was when it was opened.
    file: (u64, u64),
}

impl Engine {
    /// Opens the file to write, where its schema serves us.
    ///
    /// # Errors
    /// It cannot be opened, or its schema does not.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = open_to_write(path)?;
        // What undoes a statement that fails half-way is kept in memory. Not while migrating: an index is sorted there.
        connection.pragma_update(None, "temp_store", "memory")?;
        schema::require(&Session::Sqlite(&connection))?;
        patiently(|| connection.pragma_update(None, "journal_mode", "wal"))?;
        Self::on(connection, path)
    }

    pub(super) fn on(connection: Connection, path: &Path) -> Result<Self, Error> {
        let file = identity(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Ok(Self { connection, path: path.to_owned(), file })
    }
}

impl writer::Engine for Engine {
    const TELLS: bool = true;

    fn begin(&mut self, _: &Reach) -> Result<(), Failure> {
        if !identity(&self.path).is_ok_and(|file| file == self.file) {
            return Err(Failure::Moved(self.path.clone()));
        }
        Ok(self.connection.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn session(&self) -> Session<'_> {
        Session::Sqlite(&self.connection)
    }

    fn stands(&self) -> Result<(), Failure> {
        if self.connection.is_autocommit() {
            // A full disk and its like make SQLite roll back everything; what follows would not be in a
            // transaction at all.
            let lost = "the transaction was rolled back for the failure of another job in it";
            let code = ffi::Error::new(ffi::SQLITE_ABORT);
            return Err(rusqlite::Error::SqliteFailure(code, Some(lost.to_owned())).into());
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Failure> {
        self.connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        Ok(())
    }

    fn release(&mut self, failed: bool) -> Result<(), Failure> {
        self.stands()?;
        if failed {
            self.connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        self.connection.prepare_cached("RELEASE job")?.execute([])?;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        Ok(self.connection.execute_batch("COMMIT")?)
    }

    fn roll_back(&mut self) {
        drop(self.connection.execute_batch("ROLLBACK"));
    }

    fn joins(&self, _: &Reach, _: &Reach) -> bool {
        true
    }
}

/// Takes every step that is missing, each in a transaction of its own. The version is read under the
/// write lock: of two processes that migrate at once, the second finds the step taken.
///
/// # Errors
/// The file cannot be opened or made, or a step failed, or its schema does not serve us.
pub(super) fn migrate(path: &Path, steps: &[Step]) -> Result<(u32, u32), Error> {
    let mut connection = open_to_write(path)?;
    patiently(|| connection.pragma_update(None, "journal_mode", "wal"))?;
    let mut from = None;
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let session = Session::Sqlite(&transaction);
        let (found, to) = schema::take_step(&session, steps, |step| step.sqlite)?;
        let from = *from.get_or_insert(found);
        if to == found {
            return Ok((from, found));
        }
        transaction.commit()?;
    }
}

/// Empties the write-ahead log, and says whether nobody held it.
///
/// # Errors
/// The file cannot be opened, or the database failed.
pub(super) fn empty_log(path: &Path) -> Result<bool, Error> {
    let connection = open_to_write(path)?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

fn open_to_write(path: &Path) -> Result<Connection, Error> {
    make_private(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // Where the file or its disk can only be read, SQLite opens it so and says nothing; and so it would stay, after
    // the disk has long been mended.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        let only_read = ffi::Error::new(ffi::SQLITE_READONLY);
        let text = "the file, or the disk that it is on, can only be read".to_owned();
        return Err(rusqlite::Error::SqliteFailure(only_read, Some(text)).into());
    }
    connection.busy_timeout(BUSY)?;
    plan_once(&connection)?;
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

/// A statement is planned when it is prepared, and not again for the values that it is given: with partial indexes SQLite
/// would look whether these values fit one, and prepare most of our statements anew each time they run.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
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
