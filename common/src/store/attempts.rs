//! The webhook log: attempts in the order of settling.

use super::column::{Condition, millis, time, uuid, word};
use super::session::{Row, Session};
use super::{Store, pixels};
use crate::id::{DeliveryId, EventId};
use crate::store::{AttemptRecord, DeliveryRecord, Error, ExchangeRecord, LogFilter};
use std::time::Duration;

/// The longest page, whatever is asked for: a reading is to be short.
const PAGE: u32 = 1_000;

const COLUMNS: &str = "sequence, delivery_id, round, attempt, connector, event_id, event_type, at, outcome, \
                       detail, method, url, duration_us, status, failure, response, request_headers, \
                       request_body";

/// What becomes of an exchange whose content goes: the row stays, and says that there was one.
macro_rules! blanked_exchange {
    () => {
        "url = CASE WHEN url IS NOT NULL THEN '' END, response = CASE WHEN response IS NOT NULL THEN '' END, \
         request_headers = CASE WHEN request_headers IS NOT NULL THEN '' END, \
         request_body = CASE WHEN request_body IS NOT NULL THEN '' END"
    };
}
pub(super) use blanked_exchange;

impl Store {
    /// A page of attempts after a sequence number, in ascending order; at most 1,000. An empty page is
    /// the end.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn attempts(
        &self,
        filter: &LogFilter,
        after_sequence: i64,
        limit: u32,
    ) -> Result<Vec<AttemptRecord>, Error> {
        let filter = filter.clone();
        self.read(move |session| {
            let mut condition = condition(&filter);
            let start =
                start(session, &filter)?.map_or(after_sequence, |start| after_sequence.max(start - 1));
            condition.and("sequence > ?", start);
            if let Some(end) = end(session, &filter)? {
                condition.and("sequence <= ?", end);
            }
            page(session, &condition, "ASC", limit)
        })
        .await
    }

    /// The newest attempts, in ascending order; at most 1,000.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn last_attempts(&self, filter: &LogFilter, limit: u32) -> Result<Vec<AttemptRecord>, Error> {
        let filter = filter.clone();
        self.read(move |session| {
            let mut condition = condition(&filter);
            if let Some(start) = start(session, &filter)? {
                condition.and("sequence >= ?", start);
            }
            if let Some(end) = end(session, &filter)? {
                condition.and("sequence <= ?", end);
            }
            let mut newest = page(session, &condition, "DESC", limit)?;
            newest.reverse();
            Ok(newest)
        })
        .await
    }
}

/// Where to begin reading for `since`. Sequence follows time but for the attempts that were under way
/// together, far fewer than the 100,000 that are looked at.
fn start(session: &Session<'_>, filter: &LogFilter) -> Result<Option<i64>, Error> {
    let Some(since) = filter.since else {
        return Ok(None);
    };
    let sql = "SELECT min(sequence) FROM (SELECT sequence FROM attempts WHERE at >= ?1 ORDER BY at LIMIT 100000) AS since";
    let start = session.first(sql, [millis(since)], |row| row.get(0))?;
    // Nothing is that new.
    Ok(Some(start.flatten().unwrap_or(i64::MAX)))
}

/// The same for `until`, from its end.
fn end(session: &Session<'_>, filter: &LogFilter) -> Result<Option<i64>, Error> {
    let Some(until) = filter.until else {
        return Ok(None);
    };
    let sql = "SELECT max(sequence) FROM (SELECT sequence FROM attempts WHERE at < ?1 ORDER BY at DESC LIMIT 100000) AS until";
    let end = session.first(sql, [millis(until)], |row| row.get(0))?;
    // Nothing is that old.
    Ok(Some(end.flatten().unwrap_or(i64::MIN)))
}

fn condition(filter: &LogFilter) -> Condition {
    let mut condition = Condition::new("1 = 1");
    if let Some(connector) = &filter.connector {
        condition.and("connector = ?", connector.as_str().to_owned());
    }
    if let Some(delivery) = filter.delivery {
        condition.and("delivery_id = ?", delivery.0.as_bytes().to_vec());
    }
    if let Some(event) = filter.event {
        // Who has a pixel alone has no delivery.
        let of_event = "delivery_id IN (SELECT id FROM deliveries WHERE event_id = ?
                            UNION SELECT delivery_id FROM attempts WHERE attempt = 0 AND event_id = ?)";
        condition.and(of_event, event.0.as_bytes().to_vec());
    }
    if let Some(sequence) = filter.sequence {
        condition.and("sequence = ?", sequence);
    }
    if let Some(before) = filter.before {
        condition.and("sequence < ?", before);
    }
    if let Some(outcome) = &filter.outcome {
        condition.and("outcome = ?", outcome.clone());
    }
    if let Some(since) = filter.since {
        // Unary plus keeps this from the index on time, which would sort all that is newer for each page.
        condition.and("+at >= ?", millis(since));
    }
    if let Some(until) = filter.until {
        condition.and("+at < ?", millis(until));
    }
    condition
}

fn page(
    session: &Session<'_>,
    condition: &Condition,
    order: &str,
    limit: u32,
) -> Result<Vec<AttemptRecord>, Error> {
    let (matching, limit) = (&condition.sql, limit.min(PAGE));
    let sql =
        format!("SELECT {COLUMNS} FROM attempts WHERE {matching} ORDER BY sequence {order} LIMIT {limit}");
    pixels::with_reports(session, session.rows(&sql, condition.values.as_slice(), record)?)
}

/// What was tried for an event, in the order of settling, its pixels among it.
pub(super) fn of_event(
    session: &Session<'_>,
    event: EventId,
    deliveries: &[DeliveryRecord],
) -> Result<Vec<AttemptRecord>, Error> {
    let of_pixels =
        format!("SELECT {COLUMNS} FROM attempts WHERE attempt = 0 AND event_id = ?1 LIMIT {PAGE}");
    let mut tried = session.rows(&of_pixels, [event.0.as_bytes()], record)?;
    for delivery in deliveries {
        tried.extend(of_delivery(session, delivery.id)?);
    }
    tried.sort_by_key(|attempt| attempt.sequence);
    // A pixel whose connector has a webhook as well was found twice.
    tried.dedup_by_key(|attempt| attempt.sequence);
    pixels::with_reports(session, tried)
}

/// The attempts of one delivery, for its event's trace.
fn of_delivery(session: &Session<'_>, delivery: DeliveryId) -> Result<Vec<AttemptRecord>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM attempts WHERE delivery_id = ?1 ORDER BY round, attempt LIMIT {PAGE}");
    session.rows(&sql, [delivery.0.as_bytes()], record)
}

fn record(row: &Row<'_>) -> Result<AttemptRecord, Error> {
    let method: Option<String> = row.get("method")?;
    let exchange = method.map(|method| exchange(row, method)).transpose()?;
    Ok(AttemptRecord {
        sequence: row.get("sequence")?,
        at: time(row.get("at")?)?,
        delivery: DeliveryId(uuid(row, "delivery_id")?),
        connector: word("connector", row.get("connector")?)?,
        event: EventId(uuid(row, "event_id")?),
        event_type: row.get("event_type")?,
        round: row.get("round")?,
        attempt: row.get("attempt")?,
        outcome: row.get("outcome")?,
        detail: row.get("detail")?,
        exchange,
        reports: Vec::new(),
    })
}

/// What an older binary did not write is nothing.
fn text(row: &Row<'_>, column: &str) -> Result<String, Error> {
    Ok(row.get::<_, Option<String>>(column)?.unwrap_or_default())
}

fn exchange(row: &Row<'_>, method: String) -> Result<ExchangeRecord, Error> {
    let micros: i64 = row.get("duration_us")?;
    Ok(ExchangeRecord {
        method,
        url: row.get("url")?,
        duration: Duration::from_micros(micros.unsigned_abs()),
        status: row.get("status")?,
        failure: row.get("failure")?,
        response: row.get("response")?,
        request_headers: text(row, "request_headers")?,
        request_body: text(row, "request_body")?,
        unresolved: Vec::new(),
    })
}
