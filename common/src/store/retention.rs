//! Retention: what was kept for long enough goes, in steps that let others write in between.
//!
//! What an audit needs is never pruned: ids, kinds, statuses, times, conversions, payouts and where
//! deliveries stand. Of the rest, rows that something refers to are blanked and others are deleted.

use super::attempts::blanked_exchange;
use super::column::{document, json, millis};
use super::reach::Reach;
use super::session::Session;
use super::{Store, deliveries, erase, identities, late};
use crate::click::Click;
use crate::id::EventId;
use crate::store::{Error, Perishable};
use jiff::Timestamp;
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
            let reach = match what {
                // What is read, changed and written again must not change in between.
                Perishable::Payloads | Perishable::Clicks | Perishable::Identities => Reach::everything(),
                _ => Reach::nothing(),
            };
            let step = self.write(reach, move |session| step(session, what, before)).await?;
            pruned += step as u64;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
}

fn step(session: &Session<'_>, what: Perishable, before: i64) -> Result<usize, Error> {
    match what {
        Perishable::Payloads => payloads(session, before),
        Perishable::Clicks => clicks(session, before),
        Perishable::Visits => execute(
            session,
            "DELETE FROM visits WHERE (advertiser, id) IN (
                 SELECT advertiser, id FROM visits WHERE at < ?1 ORDER BY at LIMIT ?2)",
            before,
        ),
        Perishable::Log => log(session, before),
        Perishable::Decisions => decisions(session, before),
        Perishable::Letters => letters(session, before),
        Perishable::Identities => people(session, before),
        Perishable::Tombstones => execute(
            session,
            "DELETE FROM tombstones WHERE (advertiser, key) IN (
                 SELECT advertiser, key FROM tombstones WHERE at < ?1 ORDER BY at LIMIT ?2)",
            before,
        ),
    }
}

/// Blanks what attempts said and were answered, and forgets what browsers reported of pixels.
fn log(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let attempts = concat!(
        "UPDATE attempts SET ",
        blanked_exchange!(),
        " WHERE sequence IN (
             SELECT sequence FROM attempts WHERE (url <> '' OR response <> '') AND at < ?1
             ORDER BY at LIMIT ?2)"
    );
    let reports = "DELETE FROM pixel_reports WHERE (event_id, source, delivery_id, outcome) IN (
                       SELECT event_id, source, delivery_id, outcome FROM pixel_reports WHERE at < ?1 ORDER BY at LIMIT ?2)";
    Ok(execute(session, attempts, before)? + execute(session, reports, before)?)
}

fn execute(session: &Session<'_>, sql: &str, before: i64) -> Result<usize, Error> {
    session.execute(sql, (before, STEP))
}

fn ids(session: &Session<'_>, sql: &str, before: i64) -> Result<Vec<[u8; 16]>, Error> {
    session.rows(sql, (before, FEW), |row| row.get(0))
}

/// Blanks events: the sender's data and the person. What else holds the same goes with it, whatever its own
/// time: the log, settled letters, and the hashes that the event is found by. Those stay as long as a dead
/// letter of it does, which holds the person too.
fn payloads(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM events WHERE blanked = 0 AND received_at < ?1 ORDER BY received_at LIMIT ?2";
    let events = ids(session, sql, before)?;
    for id in &events {
        let event = EventId(Uuid::from_bytes(*id));
        erase::blank_document(session, event)?;
        session.execute("UPDATE events SET blanked = 1 WHERE id = ?1", [id])?;
        erase::blank_exchanges(session, event)?;
        deliveries::blank(session, event)?;
        late::forget(session, event)?;
        let sql = "DELETE FROM letter_documents WHERE letter_id IN (
                       SELECT id FROM letters WHERE event_id = ?1 AND state <> 'dead')";
        session.execute(sql, [id])?;
        let sql = "UPDATE letters SET response = '', blanked = 1 WHERE event_id = ?1 AND state <> 'dead'";
        session.execute(sql, [id])?;
        let sql = "DELETE FROM subjects WHERE event_id = ?1
                   AND (substr(subject, 1, 6) IN ('email:', 'phone:') OR substr(subject, 1, 8) = 'visitor:')
                   AND NOT EXISTS (SELECT 1 FROM letters WHERE event_id = ?1 AND state = 'dead')";
        session.execute(sql, [id])?;
    }
    Ok(events.len())
}

fn clicks(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id, document FROM clicks WHERE blanked = 0 AND at < ?1 ORDER BY at LIMIT ?2";
    let clicks = session.rows(sql, (before, STEP), |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, document::<Click>("click", &row.get::<_, String>(1)?)?))
    })?;
    for (id, click) in &clicks {
        session.execute(
            "UPDATE clicks SET document = ?2, blanked = 1 WHERE id = ?1",
            (id, json("click", &click.clone().without_details())?),
        )?;
    }
    Ok(clicks.len())
}

fn decisions(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM events WHERE told = 1 AND received_at < ?1 ORDER BY received_at LIMIT ?2";
    let events = ids(session, sql, before)?;
    for id in &events {
        session.execute("DELETE FROM decisions WHERE event_id = ?1", [id])?;
        session.execute("UPDATE events SET told = 0 WHERE id = ?1", [id])?;
    }
    Ok(events.len())
}

fn letters(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "SELECT id FROM letters WHERE state <> 'dead' AND blanked = 0 AND at < ?1 ORDER BY at LIMIT ?2";
    let letters = ids(session, sql, before)?;
    for id in &letters {
        session.execute("DELETE FROM letter_documents WHERE letter_id = ?1", [id])?;
        let sql = "UPDATE letters SET response = '', blanked = 1 WHERE id = ?1";
        session.execute(sql, [id])?;
    }
    Ok(letters.len())
}

/// Forgets persons who were not seen, other trackers' click ids that were not named, and conversions and
/// events that were counted, for so long.
fn people(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "SELECT person FROM persons WHERE seen_at < ?1 ORDER BY seen_at LIMIT ?2";
    let persons = ids(session, sql, before)?;
    for person in &persons {
        identities::drop_person(session, person)?;
    }
    let sql = "DELETE FROM foreign_clicks WHERE (advertiser, key) IN (
                   SELECT advertiser, key FROM foreign_clicks WHERE at < ?1 ORDER BY at LIMIT ?2)";
    let foreign = execute(session, sql, before)?;
    let sql = "DELETE FROM counted WHERE (advertiser, holder, what, key) IN (
                   SELECT advertiser, holder, what, key FROM counted WHERE at < ?1 ORDER BY at LIMIT ?2)";
    Ok(persons.len() + foreign + execute(session, sql, before)?)
}
