//! The schema's version: `PRAGMA user_version`, counted up by numbered steps that only go forward.

use crate::store::Error;
use rusqlite::{Connection, TransactionBehavior};

/// The step at index n leads from version n to n + 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_foundation.sql"),
    include_str!("migrations/0002_identities.sql"),
    include_str!("migrations/0003_cursors.sql"),
    include_str!("migrations/0004_retention.sql"),
    include_str!("migrations/0005_touches.sql"),
    include_str!("migrations/0006_attempts.sql"),
    include_str!("migrations/0007_pauses.sql"),
];

/// The version that this binary reads and writes.
pub(super) const CURRENT: u32 = MIGRATIONS.len() as u32;

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Refuses any other schema than ours.
pub(super) fn require_current(connection: &Connection) -> Result<(), Error> {
    match version(connection)? {
        found if found < CURRENT => Err(Error::TooOld { found, known: CURRENT }),
        found if found > CURRENT => Err(Error::TooNew { found, known: CURRENT }),
        _ => Ok(()),
    }
}

/// Takes every step that is missing, each in a transaction of its own. The version is read under the
/// write lock: of two processes that migrate at once, the second finds the step taken.
pub(super) fn migrate(connection: &mut Connection) -> Result<(u32, u32), Error> {
    let mut from = None;
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        if found > CURRENT {
            return Err(Error::TooNew { found, known: CURRENT });
        }
        let from = *from.get_or_insert(found);
        let Some(step) = MIGRATIONS.get(found as usize) else {
            return Ok((from, found));
        };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", found + 1)?;
        transaction.commit()?;
    }
}
