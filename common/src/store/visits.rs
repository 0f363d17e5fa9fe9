//! Visits that a funnel recorded on its own pages: touches, without a click of ours.

use super::column::{document, json, millis};
use super::session::Session;
use crate::event::{Event, Visit};
use crate::store::Error;

/// Keeps visits under the contact whose they are. The same visit comes with every event of the contact; where
/// one tells more of it, that stands.
pub(super) fn keep(session: &Session<'_>, event: &Event, key: &str, visits: &[Visit]) -> Result<(), Error> {
    let sql = "INSERT INTO visits (advertiser, id, key, at, document) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (advertiser, id) DO UPDATE SET document = excluded.document
               WHERE length(excluded.document) > length(visits.document)";
    for visit in visits {
        let document = json("visit", visit)?;
        session.execute(sql, (event.advertiser.as_str(), &visit.id, key, millis(visit.at), document))?;
    }
    Ok(())
}

/// A contact's visits at or before the event: the newest, and the oldest.
pub(super) fn of(
    session: &Session<'_>,
    event: &Event,
    contact: &str,
    most: usize,
) -> Result<Vec<Visit>, Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut found: Vec<Visit> = Vec::new();
    for (order, most) in [("DESC", most), ("ASC", 1)] {
        let sql = format!(
            "SELECT document FROM visits WHERE advertiser = ?1 AND key = ?2 AND at <= ?3
             ORDER BY at {order}, id {order} LIMIT ?4"
        );
        let of_contact = (event.advertiser.as_str(), contact, millis(event.at), most);
        found.extend(
            session.rows(&sql, of_contact, |row| document::<Visit>("visit", &row.get::<_, String>(0)?))?,
        );
        if i64::try_from(found.len()).is_ok_and(|found| found < most) {
            break;
        }
    }
    found.retain(|visit| visit.at <= event.at);
    Ok(found)
}
