//! Parked events: kept under the keys that they wait for, and released by whatever brings one.
//!
//! A released event stays here until it is decided. Whoever brought its key may die before it is on its
//! queue again; then the next one releases it, or its tier's time is up.

use super::Store;
use super::column::{document, json, millis};
use super::session::Session;
use crate::id::EventId;
use crate::intake::Intake;
use crate::store::Error;
use jiff::Timestamp;
use std::collections::HashSet;

/// How many events are released by one key at once.
const AT_ONCE: i64 = 500;

/// Keeps an event under the keys that it waits for, instead of those that it waited for before.
pub(super) fn park(
    session: &Session<'_>,
    advertiser: &str,
    intake: &Intake,
    keys: &[String],
    at: Timestamp,
) -> Result<(), Error> {
    unpark(session, intake.id)?;
    session.execute(
        "INSERT INTO parked (event_id, parked_at, intake) VALUES (?1, ?2, ?3)",
        (intake.id.0.as_bytes(), millis(at), json("intake", intake)?),
    )?;
    let sql = "INSERT INTO awaited (advertiser, key, event_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    for key in keys {
        session.execute(sql, (advertiser, key, intake.id.0.as_bytes()))?;
    }
    Ok(())
}

/// Forgets a parked event: it is decided.
pub(super) fn unpark(session: &Session<'_>, event: EventId) -> Result<(), Error> {
    for sql in ["DELETE FROM parked WHERE event_id = ?1", "DELETE FROM awaited WHERE event_id = ?1"] {
        session.execute(sql, [event.0.as_bytes()])?;
    }
    Ok(())
}

impl Store {
    /// Events that have been parked since before this, and whose timer must be lost: it would have come back.
    /// They are to be put onto their queue again, where their time is over. At most 500, the oldest first.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn overdue(&self, parked_before: Timestamp) -> Result<Vec<Intake>, Error> {
        let before = millis(parked_before);
        self.read(move |session| {
            let sql = "SELECT intake FROM parked WHERE parked_at < ?1 ORDER BY parked_at LIMIT ?2";
            session.rows(sql, (before, AT_ONCE), |row| document("parked intake", &row.get::<_, String>(0)?))
        })
        .await
    }
}

/// The events that wait for one of these keys, the oldest first. Of very many only the first are given: what
/// is left is released by the next that brings a key, or by its timer.
pub(super) fn waiting_for(
    session: &Session<'_>,
    advertiser: &str,
    keys: &[String],
) -> Result<Vec<Intake>, Error> {
    let sql = "SELECT parked.intake FROM awaited JOIN parked USING (event_id)
               WHERE awaited.advertiser = ?1 AND awaited.key = ?2 ORDER BY awaited.event_id LIMIT ?3";
    let mut waiting: Vec<Intake> = Vec::new();
    let mut seen = HashSet::new();
    for key in keys {
        for intake in session.rows(sql, (advertiser, key, AT_ONCE), |row| {
            document::<Intake>("parked intake", &row.get::<_, String>(0)?)
        })? {
            if seen.insert(intake.id) {
                waiting.push(intake);
            }
        }
    }
    // In the order in which they came: what was first is decided first.
    waiting.sort_by_key(|intake| intake.id);
    Ok(waiting)
}
