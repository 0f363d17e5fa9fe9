//! What each source has received at least once: by this a trigger is known that will never fire.

use super::Store;
use super::column::{millis, time, word};
use super::session::Session;
use crate::event::Event;
use crate::id::SourceId;
use crate::store::{Error, Seen};

/// How many kinds of events of a source are kept. A plain event's type is whatever its sender writes.
const MOST: i64 = 1_000;
/// How many characters of a type or name are kept.
const LONGEST: usize = 100;

impl Store {
    /// What has been received at least once, of one source or of all, by source and type.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn seen(&self, source: Option<SourceId>) -> Result<Vec<Seen>, Error> {
        self.read(move |session| {
            let sql = "SELECT source, type, name, number, first_at, last_at, count FROM seen
                       WHERE CAST(?1 AS TEXT) IS NULL OR source = ?1 ORDER BY source, type, name, number";
            let source = source.as_ref().map(SourceId::as_str);
            session.rows(sql, [source], |row| {
                let (name, number): (String, u8) = (row.get(2)?, row.get(3)?);
                let count: i64 = row.get(6)?;
                Ok(Seen {
                    source: word("source", row.get(0)?)?,
                    raw_type: row.get(1)?,
                    name: Some(name).filter(|name| !name.is_empty()),
                    number: Some(number).filter(|number| *number > 0),
                    first_at: time(row.get(4)?)?,
                    last_at: time(row.get(5)?)?,
                    count: count.unsigned_abs(),
                })
            })
        })
        .await
    }
}

/// Notes that an event was received.
pub(super) fn note(session: &Session<'_>, event: &Event) -> Result<(), Error> {
    let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
    let key = (
        event.source.as_str(),
        short(&event.raw_type),
        event.name.as_deref().map(short).unwrap_or_default(),
        event.number.unwrap_or_default(),
        millis(event.received_at),
    );
    let again = "UPDATE seen SET count = count + 1,
                     first_at = CASE WHEN first_at < ?5 THEN first_at ELSE ?5 END,
                     last_at = CASE WHEN last_at > ?5 THEN last_at ELSE ?5 END
                 WHERE source = ?1 AND type = ?2 AND name = ?3 AND number = ?4";
    if session.execute(again, (key.0, &key.1, &key.2, key.3, key.4))? == 0 {
        let kinds = "SELECT count(*) FROM seen WHERE source = ?1";
        let kinds: i64 = session.one(kinds, [key.0], |row| row.get(0))?;
        if kinds < MOST {
            let first = "INSERT INTO seen (source, type, name, number, first_at, last_at, count)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1) ON CONFLICT DO NOTHING";
            session.execute(first, (key.0, &key.1, &key.2, key.3, key.4))?;
        }
    }
    Ok(())
}
