//! The readers: a few read-only connections, opened when they are first needed and used on threads that
//! may block. Each reading sees one snapshot. It must be short: while it lasts, the write-ahead log grows.

use super::BUSY;
use crate::store::Error;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many read at once.
const CONNECTIONS: u32 = 4;

/// The idle connections, and leave to use one.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    leave: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        let leave = Arc::new(Semaphore::new(CONNECTIONS as usize));
        Self { path: path.to_owned(), idle: Arc::default(), leave }
    }

    /// Runs `work` on this thread, on a connection that is kept for the next.
    pub(super) fn with_connection<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        with_connection(&self.path, &self.idle, work)
    }

    /// Runs `work` on a thread that may block, when one of the connections is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let leave = Arc::clone(&self.leave).acquire_owned().await.map_err(|_| Error::Closed)?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let reading = tokio::task::spawn_blocking(move || {
            let _leave = leave;
            with_connection(&path, &idle, work)
        });
        // It is cancelled only when the runtime goes.
        reading.await.map_err(|_| Error::Closed)?
    }

    /// Waits for those who read, and closes.
    pub(super) async fn close(&self) {
        if self.leave.acquire_many(CONNECTIONS).await.is_ok() {
            self.leave.close();
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn with_connection<T>(
    path: &Path,
    idle: &Mutex<Vec<Connection>>,
    work: impl FnOnce(&Connection) -> Result<T, Error>,
) -> Result<T, Error> {
    let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let connection = kept.map_or_else(|| open(path), Ok)?;
    let snapshot = connection.unchecked_transaction()?;
    let result = work(&snapshot);
    drop(snapshot);
    // A connection whose work panicked is not kept.
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    result
}

fn open(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
