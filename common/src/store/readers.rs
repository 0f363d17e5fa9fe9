//! The readers: a few read-only connections, opened when they are first needed and used on threads that
//! may block. Each reading sees one snapshot. It must be short: while it lasts, SQLite's write-ahead log grows,
//! and PostgreSQL keeps every row that was replaced.

use super::Error;
use super::session::Session;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many read at once.
const CONNECTIONS: u32 = 4;

/// Where connections come from.
pub(super) trait Open: Send + Sync + 'static {
    type Connection: Read + Send + 'static;
    fn open(&self) -> Result<Self::Connection, Error>;
}

/// A read-only connection.
pub(super) trait Read {
    /// Begins a snapshot.
    fn begin(&mut self) -> Result<(), Error>;
    /// What is read through.
    fn session(&self) -> Session<'_>;
    /// Ends the snapshot, and says whether the connection is worth keeping.
    fn end(&mut self) -> bool;
}

/// The idle connections, and leave to use one.
pub(super) struct Readers<O: Open> {
    pool: Arc<Pool<O>>,
    leave: Arc<Semaphore>,
}

struct Pool<O: Open> {
    from: O,
    idle: Mutex<Vec<O::Connection>>,
}

impl<O: Open> Readers<O> {
    pub(super) fn new(from: O) -> Self {
        let leave = Arc::new(Semaphore::new(CONNECTIONS as usize));
        Self { pool: Arc::new(Pool { from, idle: Mutex::default() }), leave }
    }

    /// Runs `work` on this thread, on a connection that is kept for the next.
    pub(super) fn with_connection<T>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.pool.with_connection(work)
    }

    /// Runs `work` on a thread that may block, when one of the connections is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let leave = Arc::clone(&self.leave).acquire_owned().await.map_err(|_| Error::Closed)?;
        let pool = Arc::clone(&self.pool);
        let reading = tokio::task::spawn_blocking(move || {
            let _leave = leave;
            pool.with_connection(work)
        });
        // It is cancelled only when the runtime goes.
        reading.await.map_err(|_| Error::Closed)?
    }

    /// Waits for those who read, and closes.
    pub(super) async fn close(&self) {
        if self.leave.acquire_many(CONNECTIONS).await.is_ok() {
            self.leave.close();
        }
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<O: Open> Pool<O> {
    fn with_connection<T>(&self, work: impl FnOnce(&Session<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.begun()?;
        let result = work(&connection.session());
        // A connection whose work panicked is not kept.
        if connection.end() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        result
    }

    /// A connection with a snapshot. One that lay idle may have been cut off meanwhile: then another is opened.
    fn begun(&self) -> Result<O::Connection, Error> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let idle = kept.is_some();
            let mut connection = kept.map_or_else(|| self.from.open(), Ok)?;
            match connection.begin() {
                Ok(()) => return Ok(connection),
                Err(_) if idle => {}
                Err(error) => return Err(error),
            }
        }
    }
}
