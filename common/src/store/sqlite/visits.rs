//! Visits that a funnel recorded on its own pages: touches, without a click of ours.

use super::column::{json, millis};
use crate::event::{Event, Visit};
use crate::store::Error;
use rusqlite::Connection;

/// Keeps visits under the contact whose they are. The same visit comes with every event of the contact.
pub(super) fn keep(connection: &Connection, event: &Event, key: &str, visits: &[Visit]) -> Result<(), Error> {
    let sql = "INSERT INTO visits (advertiser, id, key, at, document) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (advertiser, id) DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    for visit in visits {
        let document = json("visit", visit)?;
        insert.execute((event.advertiser.as_str(), &visit.id, key, millis(visit.at), document))?;
    }
    Ok(())
}
