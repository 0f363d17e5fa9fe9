//! What `trace` and `forget` find an event by, besides its own ids: orders, contacts, people, click ids as given.

use super::Store;
use super::column::fit;
use super::session::{Bind, Given, Row, Session};
use crate::event::Event;
use crate::id::EventId;
use crate::identity::{Hasher, Who};
use crate::store::Error;
use std::collections::BTreeSet;
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
        self.read(move |session| {
            let sql = "SELECT events.id FROM subjects
                       JOIN events ON events.id = subjects.event_id
                       WHERE subjects.subject = ?1 ORDER BY events.id LIMIT ?2";
            // By their ids, which are in the order of their coming.
            let mut found = BTreeSet::new();
            for subject in &subjects {
                let read = |row: &Row<'_>| Ok(EventId(Uuid::from_bytes(row.get(0)?)));
                found.extend(session.rows(sql, (fit(subject), SHOWN), read)?);
            }
            Ok(found.into_iter().collect())
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

pub(super) fn hasher(session: &Session<'_>) -> Result<Hasher, Error> {
    let sql = "SELECT value FROM settings WHERE name = 'hash_key'";
    let key: Vec<u8> = session.one(sql, (), |row| row.get(0))?;
    Ok(Hasher::new(&key))
}

/// Notes what an event is about.
pub(super) fn note(
    session: &Session<'_>,
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
    // Of two that are cut to the same, one is enough.
    let subjects: BTreeSet<_> = subjects.iter().flatten().map(|subject| fit(subject)).collect();
    if subjects.is_empty() {
        return Ok(());
    }
    let mut given = Given::default();
    let id = given.place(event.id.0.as_bytes().cell());
    let rows: Vec<_> =
        subjects.iter().map(|subject| format!("({}, {id})", given.place(subject.cell()))).collect();
    let sql =
        format!("INSERT INTO subjects (subject, event_id) VALUES {} ON CONFLICT DO NOTHING", rows.join(", "));
    session.execute(&sql, given)?;
    Ok(())
}

/// Notes that an event came by another intake as well, whose id its sender was told.
pub(super) fn also_came_as(session: &Session<'_>, event: EventId, intake: EventId) -> Result<(), Error> {
    let sql = "INSERT INTO subjects (subject, event_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    session.execute(sql, (format!("intake:{intake}"), event.0.as_bytes()))?;
    Ok(())
}
