//! The configuration resources, one row per version.

use super::Store;
use super::column::{document, first, json, millis};
use crate::resources::{Resources, Versioned};
use crate::store::{Applied, Error};
use jiff::Timestamp;
use rusqlite::{Connection, Row};

impl Store {
    /// The current version; 0 before the first `apply`. Cheap: what both binaries ask again and again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resources_version(&self) -> Result<u64, Error> {
        self.read(|connection| {
            let newest = "SELECT coalesce(max(version), 0) FROM resources";
            let version: i64 = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
            Ok(version.unsigned_abs())
        })
        .await
    }

    /// The resources as they are now; empty, of version 0, before the first `apply`.
    ///
    /// # Errors
    /// The database failed, or the document cannot be read.
    pub async fn resources(&self) -> Result<Versioned, Error> {
        self.read(|connection| Ok(newest(connection)?.unwrap_or_default())).await
    }

    /// The newest resources of a version before this one that can be read; none where there are none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resources_before(&self, version: u64) -> Result<Option<Versioned>, Error> {
        self.read(move |connection| {
            let mut below = i64::try_from(version).unwrap_or(i64::MAX);
            loop {
                let sql = "SELECT max(version) FROM resources WHERE version < ?1";
                let older: Option<i64> =
                    connection.prepare_cached(sql)?.query_row([below], |row| row.get(0))?;
                let Some(older) = older else { return Ok(None) };
                match of_version(connection, older) {
                    Err(Error::Unreadable { .. }) => below = older,
                    found => return found,
                }
            }
        })
        .await
    }

    /// Makes these the current resources, without the text of any token. The same again changes nothing.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn apply(&self, resources: Resources) -> Result<Applied, Error> {
        let resources = resources.sealed();
        self.write(move |connection| {
            // A document that an older binary wrote and we cannot read is replaced, not obeyed.
            let version = match newest(connection) {
                Ok(Some(current)) if current.resources == resources => {
                    return Ok(Applied { version: current.version, changed: false });
                }
                Ok(_) | Err(Error::Unreadable { .. }) => next_version(connection)?,
                Err(error) => return Err(error),
            };
            let insert = "INSERT INTO resources (version, document, applied_at) VALUES (?1, ?2, ?3)";
            let document = json("set of resources", &resources)?;
            let now = millis(Timestamp::now());
            connection.prepare_cached(insert)?.execute((version, document, now))?;
            Ok(Applied { version: version.unsigned_abs(), changed: true })
        })
        .await
    }
}

fn next_version(connection: &Connection) -> rusqlite::Result<i64> {
    let next = "SELECT coalesce(max(version), 0) + 1 FROM resources";
    connection.prepare_cached(next)?.query_row([], |row| row.get(0))
}

fn newest(connection: &Connection) -> Result<Option<Versioned>, Error> {
    let sql = "SELECT version, document FROM resources ORDER BY version DESC LIMIT 1";
    first(&mut *connection.prepare_cached(sql)?, [], versioned)
}

fn of_version(connection: &Connection, version: i64) -> Result<Option<Versioned>, Error> {
    let sql = "SELECT version, document FROM resources WHERE version = ?1";
    first(&mut *connection.prepare_cached(sql)?, [version], versioned)
}

fn versioned(row: &Row<'_>) -> Result<Versioned, Error> {
    let version: i64 = row.get(0)?;
    let resources = document("set of resources", row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    Ok(Versioned { version: version.unsigned_abs(), resources })
}
