//! What `trace` and `forget` find an event by, besides its own ids: orders, contacts, people, click ids as given.

use super::Store;
use super::column::rows;
use crate::event::Event;
use crate::id::EventId;
use crate::identity::{Hasher, Who};
use crate::store::Error;
use rusqlite::Connection;
use uuid::Uuid;

/// How many events one subject may name in an answer.
const SHOWN: i64 = 200;

impl Store {
    /// The events about an order, contact, e-mail, phone number or click id as it was given, oldest first;
    /// at most 200.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_about(&self, given: &str) -> Result<Vec<EventId>, Error> {
        let hasher = self.hasher().await?;
        let mut subjects: Vec<_> =
            ["order", "contact", "click", "intake"].iter().map(|what| format!("{what}:{given}")).collect();
        subjects.extend(hasher.email(given));
        subjects.extend(hasher.phone(given));
        self.read(move |connection| {
            let sql = "SELECT DISTINCT events.id, events.rowid FROM subjects
                       JOIN events ON events.id = subjects.event_id
                       WHERE subjects.subject = ?1 LIMIT ?2";
            let mut found: Vec<(i64, EventId)> = Vec::new();
            for subject in &subjects {
                found.extend(rows(&mut *connection.prepare_cached(sql)?, (subject, SHOWN), |row| {
                    Ok((row.get(1)?, EventId(Uuid::from_bytes(row.get(0)?))))
                })?);
            }
            found.sort_by_key(|(row, _)| *row);
            found.dedup();
            Ok(found.into_iter().map(|(_, id)| id).collect())
        })
        .await
    }

    /// The hasher that this store's persons are joined by.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hasher(&self) -> Result<Hasher, Error> {
        self.read(hasher).await
    }
}

pub(super) fn hasher(connection: &Connection) -> Result<Hasher, Error> {
    let sql = "SELECT value FROM settings WHERE name = 'hash_key'";
    let key: Vec<u8> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(Hasher::new(&key))
}

/// Notes what an event is about.
pub(super) fn note(
    connection: &Connection,
    event: &Event,
    who: &Who,
    click: Option<&str>,
) -> Result<(), Error> {
    let named = |what: &str, id: Option<&str>| id.map(|id| format!("{what}:{id}"));
    let subjects = [
        named("order", event.order.as_deref()),
        named("contact", event.person.contact.as_deref()),
        named("click", click),
        who.email.clone(),
        who.phone.clone(),
        who.visitor.clone(),
    ];
    let sql = "INSERT OR IGNORE INTO subjects (subject, event_id) VALUES (?1, ?2)";
    let mut insert = connection.prepare_cached(sql)?;
    for subject in subjects.into_iter().flatten() {
        insert.execute((subject, event.id.0.as_bytes()))?;
    }
    Ok(())
}

/// Notes that an event came by another intake as well, whose id its sender was told.
pub(super) fn also_came_as(connection: &Connection, event: EventId, intake: EventId) -> Result<(), Error> {
    let sql = "INSERT OR IGNORE INTO subjects (subject, event_id) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((format!("intake:{intake}"), event.0.as_bytes()))?;
    Ok(())
}
