//! What a source's newest events carried, for whoever writes templates for it.

use super::Store;
use super::column::document;
use crate::event::Event;
use crate::id::SourceId;
use crate::store::Error;
use serde_json::Value;

/// How far back among all sources' events it is looked. Events are not indexed by their source, and a rare
/// one's must not make a reader walk the whole table.
const LOOKED_AT: u32 = 20_000;

impl Store {
    /// The data of a source's newest events, the newest first. What was erased or has outlived its retention has
    /// none.
    ///
    /// # Errors
    /// The database failed, or an event cannot be read.
    pub async fn newest_data(&self, source: SourceId, limit: u32) -> Result<Vec<Value>, Error> {
        self.read(move |session| {
            let sql = "SELECT document FROM events
                       WHERE source = ?1 AND id IN (SELECT id FROM events ORDER BY id DESC LIMIT ?3)
                       ORDER BY id DESC LIMIT ?2";
            let events: Vec<Event> = session.rows(sql, (source.as_str(), limit, LOOKED_AT), |row| {
                document("event", &row.get::<_, String>(0)?)
            })?;
            Ok(events.into_iter().map(|event| event.data).collect())
        })
        .await
    }
}
