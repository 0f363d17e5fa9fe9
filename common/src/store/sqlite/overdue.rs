//! What is overdue: deliveries that should be on their queue, or back on it, for long.
//!
//! A message is the only thing that makes an attempt. Where somebody empties a tier or a queue, what lay there is
//! still known here, and can be put together again.

use super::column::{document, millis, rows, time, uuid, word};
use super::{Store, news};
use crate::delivery::Delivery;
use crate::event::Facts;
use crate::id::{ConnectorId, DeliveryId, EventId};
use crate::retry::Tier;
use crate::store::Error;
use jiff::Timestamp;
use rusqlite::{Connection, Row};

/// A delivery's row, as far as its next message needs it.
struct Found {
    delivery: DeliveryId,
    event: EventId,
    conversion: Option<String>,
    round: u32,
    attempt: u32,
    due_at: Timestamp,
    test: bool,
    matched_click_id: Option<String>,
}

impl Store {
    /// Per tier and connector: how many deliveries are due again by the store's account and not settled since, and
    /// since when the first of them is. Where their queue is empty, they are still in their tier, or nowhere.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn due_from_tiers(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(Tier, ConnectorId, u64, Timestamp)>, Error> {
        let now = millis(now);
        self.read(move |connection| {
            let sql = "SELECT tier, connector, count(*), min(due_at) FROM deliveries
                       WHERE standing = 'retrying' AND due_at <= ?1 GROUP BY tier, connector";
            rows(&mut *connection.prepare_cached(sql)?, [now], |row| {
                let count: i64 = row.get(2)?;
                let tier = word("tier", row.get(0)?)?;
                Ok((tier, word("connector", row.get(1)?)?, count.unsigned_abs(), time(row.get(3)?)?))
            })
        })
        .await
    }

    /// The connectors with a delivery that was due, or queued, before this.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn connectors_overdue(&self, due_before: Timestamp) -> Result<Vec<ConnectorId>, Error> {
        let before = millis(due_before);
        self.read(move |connection| {
            let sql = "SELECT connector FROM deliveries WHERE standing = 'queued' AND queued_at < ?1
                       UNION SELECT connector FROM deliveries WHERE standing = 'retrying' AND due_at < ?1";
            rows(&mut *connection.prepare_cached(sql)?, [before], |row| word("connector", row.get(0)?))
        })
        .await
    }

    /// A connector's deliveries that were due, or queued, before this, as the messages that they would be: the
    /// same id, round and attempt. At most `limit`.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn overdue_deliveries(
        &self,
        connector: &ConnectorId,
        due_before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, Error> {
        let (connector, before) = (connector.clone(), millis(due_before));
        self.read(move |connection| {
            // Each half has its index.
            let sql =
                "SELECT id, event_id, conversion, round, attempt, queued_at AS due, test, matched_click_id
                       FROM deliveries WHERE standing = 'queued' AND connector = ?1 AND queued_at < ?2
                       UNION ALL
                       SELECT id, event_id, conversion, round, attempt, due_at AS due, test, matched_click_id
                       FROM deliveries WHERE standing = 'retrying' AND connector = ?1 AND due_at < ?2
                       LIMIT ?3";
            let found =
                rows(&mut *connection.prepare_cached(sql)?, (connector.as_str(), before, limit), found)?;
            let mut deliveries = Vec::new();
            for one in found {
                deliveries.extend(put_together(connection, &connector, one)?);
            }
            Ok(deliveries)
        })
        .await
    }
}

fn found(row: &Row<'_>) -> Result<Found, Error> {
    Ok(Found {
        delivery: DeliveryId(uuid(row, "id")?),
        event: EventId(uuid(row, "event_id")?),
        conversion: row.get("conversion")?,
        round: row.get("round")?,
        attempt: row.get("attempt")?,
        due_at: time(row.get("due")?)?,
        test: row.get("test")?,
        matched_click_id: row.get("matched_click_id")?,
    })
}

/// The message of a delivery; none where its event is gone.
fn put_together(
    connection: &Connection,
    connector: &ConnectorId,
    found: Found,
) -> Result<Option<Delivery>, Error> {
    let Some(news) = news::of_event(connection, found.event)? else { return Ok(None) };
    let conversion = found.conversion.map(|text| document("conversion", &text)).transpose()?;
    let facts = Facts {
        conversion,
        touch: news.touch().cloned(),
        matched_click_id: found.matched_click_id,
        trl_test: news.sends_for_real(),
        event: news.event,
        click: news.click,
    };
    let delivery = Delivery::new(found.delivery, connector.clone(), found.due_at, facts);
    Ok(Some(Delivery { round: found.round, attempt: found.attempt + 1, test: found.test, ..delivery }))
}
