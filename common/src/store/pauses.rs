//! Pauses: which connectors nothing is taken for, and what a listing of connectors needs besides.

use super::Store;
use super::column::{millis, time, word};
use super::reach::Reach;
use crate::id::ConnectorId;
use crate::store::{Error, Pause};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// In how many of a connector's newest attempts its last delivery is looked for: a reading is to be short.
const LOOKED_AT: u32 = 10_000;

impl Store {
    /// The connectors that are paused. Cheap: what every worker asks again and again.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn pauses(&self) -> Result<BTreeMap<ConnectorId, Pause>, Error> {
        self.read(|session| {
            let all = session.rows("SELECT connector, since, why FROM pauses", (), |row| {
                let pause = Pause { since: time(row.get(1)?)?, why: row.get(2)? };
                Ok((word("connector", row.get(0)?)?, pause))
            })?;
            Ok(all.into_iter().collect())
        })
        .await
    }

    /// Pauses a connector, and says whether that is news: one that is paused already keeps its reason.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn pause(&self, connector: &ConnectorId, pause: Pause) -> Result<bool, Error> {
        let connector = connector.as_str().to_owned();
        self.write(Reach::nothing(), move |session| {
            let sql = "INSERT INTO pauses (connector, since, why) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            let parameters = (&connector, millis(pause.since), &pause.why);
            Ok(session.execute(sql, parameters)? == 1)
        })
        .await
    }

    /// Resumes a connector, and says how it was paused; none where it was not.
    ///
    /// # Errors
    /// The database failed; nothing was changed.
    pub async fn resume(&self, connector: &ConnectorId) -> Result<Option<Pause>, Error> {
        let connector = connector.as_str().to_owned();
        self.write(Reach::nothing(), move |session| {
            let sql = "DELETE FROM pauses WHERE connector = ?1 RETURNING since, why";
            session.first(sql, [&connector], |row| Ok(Pause { since: time(row.get(0)?)?, why: row.get(1)? }))
        })
        .await
    }

    /// When a connector's receiver last took something, as far as its newest 10,000 attempts tell.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn last_delivered(&self, connector: &ConnectorId) -> Result<Option<Timestamp>, Error> {
        let connector = connector.as_str().to_owned();
        self.read(move |session| {
            let sql = "SELECT at FROM (SELECT at, outcome FROM attempts WHERE connector = ?1
                                       ORDER BY sequence DESC LIMIT ?2) AS newest
                       WHERE outcome = 'delivered' LIMIT 1";
            let parameters = (connector, LOOKED_AT);
            session.first(sql, parameters, |row| time(row.get(0)?))
        })
        .await
    }
}
