//! Retention: what was kept for long enough goes, in steps that let others write in between.
//!
//! What an audit needs is never pruned: ids, kinds, statuses, times, conversions, payouts and where
//! deliveries stand. Of the rest, rows that something refers to are blanked and others are deleted.

use super::attempts::blanked_exchange;
use super::column::{document, json, millis, rows};
use super::{Store, deliveries, erase, identities, late};
use crate::click::Click;
use crate::id::EventId;
use crate::store::{Error, Perishable};
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

/// How many rows that stand alone go in one transaction.
const STEP: i64 = 1_000;
/// The same for rows that take others along.
const FEW: i64 = 200;

impl Store {
    /// Prunes everything of one kind that is older than this, and says how many rows that were.
    ///
    /// # Errors
    /// The database failed; the steps before stay done.
    pub async fn expire(&self, what: Perishable, before: Timestamp) -> Result<u64, Error> {
        let before = millis(before);
        let mut pruned = 0;
        loop {
            let step = self.write(move |connection| step(connection, what, before)).await?;
            pruned += step as u64;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
}

fn step(connection: &Connection, what: Perishable, before: i64) -> Result<usize, Error> {
    match what {
        Perishable::Payloads => payloads(connection, before),
        Perishable::Clicks => clicks(connection, before),
        Perishable::Visits => execute(
            connection,
            "DELETE FROM visits WHERE rowid IN (
                 SELECT rowid FROM visits WHERE at < ?1 ORDER BY at LIMIT ?2)",
            before,
        ),
        Perishable::Log => execute(
            connection,
            concat!(
                "UPDATE attempts SET ",
                blanked_exchange!(),
                " WHERE sequence IN (
                     SELECT sequence FROM attempts WHERE (url <> '' OR response <> '') AND at < ?1
                     ORDER BY at LIMIT ?2)"
            ),
            before,
        ),
        Perishable::Decisions => decisions(connection, before),
        Perishable::Letters => letters(connection, before),
        Perishable::Identities => people(connection, before),
        Perishable::Tombstones => execute(
            connection,
            "DELETE FROM tombstones WHERE (advertiser, key) IN (
                 SELECT advertiser, key FROM tombstones WHERE at < ?1 ORDER BY at LIMIT ?2)",
            before,
        ),
    }
}

fn execute(connection: &Connection, sql: &str, before: i64) -> Result<usize, Error> {
    Ok(connection.prepare_cached(sql)?.execute((before, STEP))?)
}

fn ids(connection: &Connection, sql: &str, before: i64) -> Result<Vec<[u8; 16]>, Error> {
    rows(&mut *connection.prepare_cached(sql)?, (before, FEW), |row| Ok(row.get(0)?))
}

/// Blanks events: the sender's data and the person. What else holds the same goes with it, whatever its own
/// time: the log, settled letters, and the hashes that the event is found by. Those stay as long as a dead
/// letter of it does, which holds the person too.
fn payloads(connection: &Connection, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM events WHERE blanked = 0 AND received_at < ?1 ORDER BY received_at LIMIT ?2";
    let events = ids(connection, sql, before)?;
    for id in &events {
        let sql =
            "UPDATE events SET document = json_remove(document, '$.person', '$.data', '$.foreign_click'),
                       blanked = 1 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([id])?;
        let event = EventId(Uuid::from_bytes(*id));
        erase::blank_exchanges(connection, event)?;
        deliveries::blank(connection, event)?;
        late::forget(connection, event)?;
        let sql = "DELETE FROM letter_documents WHERE letter_id IN (
                       SELECT id FROM letters WHERE event_id = ?1 AND state <> 'dead')";
        connection.prepare_cached(sql)?.execute([id])?;
        let sql = "UPDATE letters SET response = '', blanked = 1 WHERE event_id = ?1 AND state <> 'dead'";
        connection.prepare_cached(sql)?.execute([id])?;
        let sql = "DELETE FROM subjects WHERE event_id = ?1
                   AND (subject LIKE 'email:%' OR subject LIKE 'phone:%' OR subject LIKE 'visitor:%')
                   AND NOT EXISTS (SELECT 1 FROM letters WHERE event_id = ?1 AND state = 'dead')";
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(events.len())
}

fn clicks(connection: &Connection, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id, document FROM clicks WHERE blanked = 0 AND at < ?1 ORDER BY at LIMIT ?2";
    let clicks = rows(&mut *connection.prepare_cached(sql)?, (before, STEP), |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, document::<Click>("click", &row.get::<_, String>(1)?)?))
    })?;
    let mut update =
        connection.prepare_cached("UPDATE clicks SET document = ?2, blanked = 1 WHERE id = ?1")?;
    for (id, click) in &clicks {
        update.execute((id, json("click", &click.clone().without_details())?))?;
    }
    Ok(clicks.len())
}

fn decisions(connection: &Connection, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM events WHERE told = 1 AND received_at < ?1 ORDER BY received_at LIMIT ?2";
    let events = ids(connection, sql, before)?;
    for id in &events {
        connection.prepare_cached("DELETE FROM decisions WHERE event_id = ?1")?.execute([id])?;
        connection.prepare_cached("UPDATE events SET told = 0 WHERE id = ?1")?.execute([id])?;
    }
    Ok(events.len())
}

fn letters(connection: &Connection, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM letters WHERE state <> 'dead' AND blanked = 0 AND at < ?1 ORDER BY at LIMIT ?2";
    let letters = ids(connection, sql, before)?;
    for id in &letters {
        connection.prepare_cached("DELETE FROM letter_documents WHERE letter_id = ?1")?.execute([id])?;
        let sql = "UPDATE letters SET response = '', blanked = 1 WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(letters.len())
}

/// Forgets persons who were not seen, other trackers' click ids that were not named, and conversions and
/// events that were counted, for so long.
fn people(connection: &Connection, before: i64) -> Result<usize, Error> {
    let sql = "SELECT person FROM persons WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2";
    let persons = ids(connection, sql, before)?;
    for person in &persons {
        identities::drop_person(connection, person)?;
    }
    let sql = "DELETE FROM foreign_clicks WHERE (advertiser, key) IN (
                   SELECT advertiser, key FROM foreign_clicks WHERE at < ?1 ORDER BY at LIMIT ?2)";
    let foreign = execute(connection, sql, before)?;
    let sql = "DELETE FROM counted WHERE (advertiser, holder, what, key) IN (
                   SELECT advertiser, holder, what, key FROM counted WHERE at < ?1 ORDER BY at LIMIT ?2)";
    Ok(persons.len() + foreign + execute(connection, sql, before)?)
}
