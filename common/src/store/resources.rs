//! The configuration resources, one row per version.

use super::column::{document, json, millis};
use super::reach::Reach;
use super::session::{Row, Session};
use super::{Store, approvals};
use crate::resources::{Resources, Versioned};
use crate::store::{Applied, Error};
use jiff::Timestamp;

impl Store {
    /// The current version; 0 before the first `apply`. Cheap: what both binaries ask again and again.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resources_version(&self) -> Result<u64, Error> {
        self.read(|session| {
            let newest = "SELECT coalesce(max(version), 0) FROM resources";
            let version: i64 = session.one(newest, (), |row| row.get(0))?;
            Ok(version.unsigned_abs())
        })
        .await
    }

    /// The resources as they are now; empty, of version 0, before the first `apply`.
    ///
    /// # Errors
    /// The database failed, or the document cannot be read.
    pub async fn resources(&self) -> Result<Versioned, Error> {
        self.read(|session| Ok(newest(session)?.unwrap_or_default())).await
    }

    /// The newest resources of a version before this one that can be read; none where there are none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn resources_before(&self, version: u64) -> Result<Option<Versioned>, Error> {
        self.read(move |session| {
            let mut below = i64::try_from(version).unwrap_or(i64::MAX);
            loop {
                let sql = "SELECT max(version) FROM resources WHERE version < ?1";
                let older: Option<i64> = session.one(sql, [below], |row| row.get(0))?;
                let Some(older) = older else { return Ok(None) };
                match of_version(session, older) {
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
        self.write(Reach::everything(), move |session| {
            // A document that an older binary wrote and we cannot read is replaced, not obeyed.
            let version = match newest(session) {
                Ok(Some(current)) if current.resources == resources => {
                    return Ok(Applied { version: current.version, changed: false });
                }
                Ok(_) | Err(Error::Unreadable { .. }) => next_version(session)?,
                Err(error) => return Err(error),
            };
            let insert = "INSERT INTO resources (version, document, applied_at) VALUES (?1, ?2, ?3)";
            let document = json("set of resources", &resources)?;
            let now = millis(Timestamp::now());
            session.execute(insert, (version, document, now))?;
            Ok(Applied { version: version.unsigned_abs(), changed: true })
        })
        .await
    }
}

fn next_version(session: &Session<'_>) -> Result<i64, Error> {
    let next = "SELECT coalesce(max(version), 0) + 1 FROM resources";
    session.one(next, (), |row| row.get(0))
}

fn newest(session: &Session<'_>) -> Result<Option<Versioned>, Error> {
    let sql = "SELECT version, document FROM resources ORDER BY version DESC LIMIT 1";
    whole(session, session.first(sql, (), versioned)?)
}

fn of_version(session: &Session<'_>, version: i64) -> Result<Option<Versioned>, Error> {
    let sql = "SELECT version, document FROM resources WHERE version = ?1";
    whole(session, session.first(sql, [version], versioned)?)
}

/// The resources of a version; none where it was never applied, or cannot be read any more.
pub(super) fn as_they_were(session: &Session<'_>, version: u64) -> Result<Option<Resources>, Error> {
    match of_version(session, i64::try_from(version).unwrap_or(i64::MAX)) {
        Ok(found) => Ok(found.map(|found| found.resources)),
        Err(Error::Unreadable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// With the approvals of the same moment.
fn whole(session: &Session<'_>, found: Option<Versioned>) -> Result<Option<Versioned>, Error> {
    let Some(found) = found else { return Ok(None) };
    Ok(Some(Versioned { approvals: approvals::all(session)?, ..found }))
}

fn versioned(row: &Row<'_>) -> Result<Versioned, Error> {
    let version: i64 = row.get(0)?;
    let resources = document("set of resources", &row.get::<_, String>(1)?)?;
    Ok(Versioned { version: version.unsigned_abs(), resources, ..Versioned::default() })
}
