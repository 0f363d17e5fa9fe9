//! Cursors: how far something has been read; and which of the events that should be here are.

use super::Store;
use super::column::millis;
use super::reach::Reach;
use crate::id::AdvertiserId;
use crate::store::Error;
use jiff::Timestamp;
use std::collections::HashSet;

impl Store {
    /// What is noted under this name.
    ///
    /// # Errors
    /// The database failed.
    pub async fn cursor(&self, name: &str) -> Result<Option<String>, Error> {
        let name = name.to_owned();
        self.read(move |session| {
            let sql = "SELECT value FROM cursors WHERE name = ?1";
            session.first(sql, [name], |row| row.get(0))
        })
        .await
    }

    /// Notes this under the name, whatever was there.
    ///
    /// # Errors
    /// The database failed; what was there stays.
    pub async fn set_cursor(&self, name: &str, value: &str) -> Result<(), Error> {
        let (name, value, now) = (name.to_owned(), value.to_owned(), millis(Timestamp::now()));
        self.write(Reach::nothing(), move |session| {
            let sql = "INSERT INTO cursors (name, value, updated_at) VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at";
            session.execute(sql, (&name, &value, now))?;
            Ok(())
        })
        .await
    }

    /// Notes that everything up to this number has been read. Of several who read at once the farthest
    /// counts, so nobody sets it back.
    ///
    /// # Errors
    /// The database failed; what was there stays.
    pub async fn advance_cursor(&self, name: &str, to: u64) -> Result<(), Error> {
        let (name, value, now) = (name.to_owned(), to.to_string(), millis(Timestamp::now()));
        self.write(Reach::nothing(), move |session| {
            let sql = "INSERT INTO cursors (name, value, updated_at) VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
                       WHERE CAST(cursors.value AS BIGINT) < CAST(excluded.value AS BIGINT)";
            session.execute(sql, (&name, &value, now))?;
            Ok(())
        })
        .await
    }

    /// Those of these dedupe keys whose events are here: waiting, decided or done.
    ///
    /// # Errors
    /// The database failed.
    pub async fn known_events(
        &self,
        advertiser: &AdvertiserId,
        keys: Vec<String>,
    ) -> Result<HashSet<String>, Error> {
        let advertiser = advertiser.clone();
        self.read(move |session| {
            let sql = "SELECT EXISTS (SELECT 1 FROM events WHERE dedupe_key = ?1 AND advertiser = ?2)";
            let mut known = HashSet::new();
            for key in keys {
                if session.one(sql, (&key, advertiser.as_str()), |row| row.get(0))? {
                    known.insert(key);
                }
            }
            Ok(known)
        })
        .await
    }
}
