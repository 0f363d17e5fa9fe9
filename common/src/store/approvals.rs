//! Approvals of pixels: a list of decisions that only grows.

use super::Store;
use super::column::{millis, time, word};
use super::reach::Reach;
use super::session::{Row, Session};
use crate::id::ConnectorId;
use crate::pixel::{Approval, Approvals, CodeHash, Decision};
use crate::store::Error;
use std::collections::BTreeMap;

impl Store {
    /// How many decisions there are: what changes when one is made. Cheap.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pixel_approvals_version(&self) -> Result<u64, Error> {
        self.read(version).await
    }

    /// The approvals that count: the newest decision of each connector, where it is one.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn pixel_approvals(&self) -> Result<Approvals, Error> {
        self.read(all).await
    }

    /// Every decision about a connector's pixel, the oldest first; of all connectors where none is named.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn pixel_decisions(&self, of: Option<&ConnectorId>) -> Result<Vec<Decision>, Error> {
        let of = of.cloned();
        self.read(move |session| {
            let mut all = decisions(session)?;
            all.retain(|decision| of.as_ref().is_none_or(|of| decision.connector == *of));
            Ok(all)
        })
        .await
    }

    /// Approves a pixel's code, and says whether that is news: what is approved already stays as it was.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn approve_pixel(&self, approval: Approval) -> Result<bool, Error> {
        self.write(Reach::everything(), move |session| {
            let standing = newest(session, &approval.connector)?;
            if standing.is_some_and(|standing| standing.approved && standing.hash == approval.hash) {
                return Ok(false);
            }
            let Approval { connector, hash, by, at } = approval.clone();
            append(session, &Decision { connector, hash, approved: true, by, at })?;
            Ok(true)
        })
        .await
    }

    /// Takes a connector's approval back, and says which; none where there was none.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn revoke_pixel(
        &self,
        connector: &ConnectorId,
        by: &str,
        at: jiff::Timestamp,
    ) -> Result<Option<Approval>, Error> {
        let (connector, by) = (connector.clone(), by.to_owned());
        self.write(Reach::everything(), move |session| {
            let Some(standing) = newest(session, &connector)?.filter(|standing| standing.approved) else {
                return Ok(None);
            };
            append(session, &Decision { approved: false, by: by.clone(), at, ..standing.clone() })?;
            let Decision { connector, hash, by, at, .. } = standing;
            Ok(Some(Approval { connector, hash, by, at }))
        })
        .await
    }
}

/// The approvals that count.
pub(super) fn all(session: &Session<'_>) -> Result<Approvals, Error> {
    let mut newest = BTreeMap::new();
    for decision in decisions(session)? {
        newest.insert(decision.connector.clone(), decision);
    }
    let given = newest.into_values().filter(|decision| decision.approved);
    let given = given.map(|Decision { connector, hash, by, at, .. }| Approval { connector, hash, by, at });
    Ok(Approvals { version: version(session)?, given: given.collect() })
}

const COLUMNS: &str = "SELECT connector, hash, approved, who, at FROM pixel_approvals";

fn version(session: &Session<'_>) -> Result<u64, Error> {
    let newest = "SELECT coalesce(max(sequence), 0) FROM pixel_approvals";
    let version: i64 = session.one(newest, (), |row| row.get(0))?;
    Ok(version.unsigned_abs())
}

fn decisions(session: &Session<'_>) -> Result<Vec<Decision>, Error> {
    session.rows(&format!("{COLUMNS} ORDER BY sequence"), (), decision)
}

fn newest(session: &Session<'_>, connector: &ConnectorId) -> Result<Option<Decision>, Error> {
    let sql = format!("{COLUMNS} WHERE connector = ?1 ORDER BY sequence DESC LIMIT 1");
    session.first(&sql, [connector.as_str()], decision)
}

fn decision(row: &Row<'_>) -> Result<Decision, Error> {
    Ok(Decision {
        connector: word("connector", row.get(0)?)?,
        hash: word::<CodeHash>("hash of a pixel's code", row.get(1)?)?,
        approved: row.get(2)?,
        by: row.get(3)?,
        at: time(row.get(4)?)?,
    })
}

fn append(session: &Session<'_>, decision: &Decision) -> Result<(), Error> {
    let next = "SELECT coalesce(max(sequence), 0) + 1 FROM pixel_approvals";
    let sequence: i64 = session.one(next, (), |row| row.get(0))?;
    let sql = "INSERT INTO pixel_approvals (sequence, connector, hash, approved, who, at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let Decision { connector, hash, approved, by, at } = decision;
    session.execute(sql, (sequence, connector.as_str(), hash.as_str(), *approved, by, millis(*at)))?;
    Ok(())
}
