//! What waits, for metrics: counted from indexes that hold only what waits.

use super::Store;
use super::column::{millis, time, word};
use crate::store::{Error, Waiting};
use jiff::Timestamp;

impl Store {
    /// How much waits in tiers, on connectors' queues and in the dead letters, by the store's account.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn waiting(&self, now: Timestamp) -> Result<Waiting, Error> {
        let now = millis(now);
        self.read(move |session| {
            let tiers = "SELECT tier, count(*), min(parked_at) FROM deliveries
                         WHERE standing = 'retrying' AND due_at > ?1 GROUP BY tier";
            let connectors = "SELECT connector, CAST(sum(waiting) AS BIGINT), min(since) FROM (
                                  SELECT connector, count(*) AS waiting, min(queued_at) AS since
                                  FROM deliveries WHERE standing = 'queued' GROUP BY connector
                                  UNION ALL
                                  SELECT connector, count(*), min(due_at)
                                  FROM deliveries WHERE standing = 'retrying' AND due_at <= ?1 GROUP BY connector
                              ) AS both_kinds GROUP BY connector";
            let dead = "SELECT connector, reason, count(*), min(at) FROM letters
                        WHERE state = 'dead' GROUP BY connector, reason";
            Ok(Waiting {
                tiers: session.rows(tiers, [now], |row| {
                    let count: i64 = row.get(1)?;
                    Ok((word("tier", row.get(0)?)?, count.unsigned_abs(), time(row.get(2)?)?))
                })?,
                connectors: session.rows(connectors, [now], |row| {
                    let count: i64 = row.get(1)?;
                    Ok((word("connector", row.get(0)?)?, count.unsigned_abs(), time(row.get(2)?)?))
                })?,
                dead: session.rows(dead, (), |row| {
                    let connector: Option<String> = row.get(0)?;
                    let connector = connector.map(|connector| word("connector", connector)).transpose()?;
                    let count: i64 = row.get(2)?;
                    Ok((connector, word("reason", row.get(1)?)?, count.unsigned_abs(), time(row.get(3)?)?))
                })?,
            })
        })
        .await
    }
}
