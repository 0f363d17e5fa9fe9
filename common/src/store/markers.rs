//! The markers of dedupe keys: how far an event has come, and for how long that is remembered.

use super::Store;
use super::column::{millis, uuid};
use super::reach::Reach;
use super::session::{Bind, Given, Session};
use super::trace;
use crate::id::EventId;
use crate::store::Error;
use crate::trace::{Code, Decision};
use jiff::Timestamp;

/// How many markers go in one transaction.
const STEP: i64 = 1_000;
/// How many events one statement marks.
const AT_ONCE: usize = 32;

impl Store {
    /// Notes that all deliveries of these events are on their queues. Twice is once; an event that is
    /// not stored, or not decided, is left alone.
    ///
    /// # Errors
    /// The database failed; none of them is noted.
    pub async fn handed_over(&self, events: Vec<EventId>, at: Timestamp) -> Result<(), Error> {
        self.write(Reach::nothing(), move |session| {
            events.chunks(AT_ONCE).try_for_each(|some| hand_over(session, some, at))
        })
        .await
    }

    /// Forgets the dedupe keys of events that were received before this, in steps that let others write
    /// in between, and says how many. The events themselves stay.
    ///
    /// # Errors
    /// The database failed; the steps before stay done.
    pub async fn prune(&self, markers_before: Timestamp) -> Result<u64, Error> {
        let before = millis(markers_before);
        let mut pruned = 0;
        loop {
            let step = self.write(Reach::nothing(), move |session| prune_step(session, before)).await?;
            pruned += step as u64;
            if step == 0 {
                return Ok(pruned);
            }
        }
    }
}

fn hand_over(session: &Session<'_>, events: &[EventId], at: Timestamp) -> Result<(), Error> {
    let mut given = Given::default();
    let ids = given.places(events.iter().map(|event| event.0.as_bytes().cell()));
    let sql = format!(
        "UPDATE events SET progress = 'handed_over' WHERE id IN ({ids}) AND progress = 'decided'
         RETURNING id, EXISTS (SELECT 1 FROM deliveries WHERE event_id = events.id)"
    );
    let advanced = session.rows(&sql, given, |row| Ok((EventId(uuid(row, "id")?), row.get(1)?)))?;
    for (event, told) in advanced {
        if told {
            let decision = Decision::new(at, Code::HandedOver, "");
            trace::append(session, event, &[decision])?;
        }
    }
    Ok(())
}

fn prune_step(session: &Session<'_>, before: i64) -> Result<usize, Error> {
    let sql = "UPDATE events SET dedupe_key = NULL WHERE id IN (
                   SELECT id FROM events WHERE dedupe_key IS NOT NULL AND received_at < ?1
                   ORDER BY received_at LIMIT ?2)";
    session.execute(sql, (before, STEP))
}
