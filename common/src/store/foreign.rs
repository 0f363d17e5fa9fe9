//! Other trackers' click ids, under what an event named them with: for the events of the same order, contact,
//! e-mail or phone number that name none.

use super::column::millis;
use super::session::Session;
use crate::attribution::FoundBy;
use crate::event::Event;
use crate::identity::Who;
use crate::store::Error;

/// The click id that was named with this event's order, else contact, else e-mail, else phone number.
pub(super) fn find(
    session: &Session<'_>,
    advertiser: &str,
    who: &Who,
) -> Result<Option<(String, FoundBy)>, Error> {
    let sql = "SELECT key, click FROM foreign_clicks WHERE advertiser = ?1 AND key IN (?2, ?3, ?4, ?5)";
    let named = (advertiser, &who.order, &who.contact, &who.email, &who.phone);
    let found: Vec<(String, String)> = session.rows(sql, named, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let keys = [
        (&who.order, FoundBy::Order),
        (&who.contact, FoundBy::Contact),
        (&who.email, FoundBy::Email),
        (&who.phone, FoundBy::Phone),
    ];
    for (key, found_by) in keys {
        if let Some((_, click)) = found.iter().find(|(found, _)| key.as_ref() == Some(found)) {
            return Ok(Some((click.clone(), found_by)));
        }
    }
    Ok(None)
}

/// Keeps a click id under all that the event names. The one of the newest event stands.
pub(super) fn keep(session: &Session<'_>, event: &Event, who: &Who, click: &str) -> Result<(), Error> {
    let sql = "INSERT INTO foreign_clicks (advertiser, key, at, click) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (advertiser, key) DO UPDATE SET at = excluded.at, click = excluded.click
               WHERE excluded.at > foreign_clicks.at";
    for key in [&who.order, &who.contact, &who.email, &who.phone].into_iter().flatten() {
        session.execute(sql, (event.advertiser.as_str(), key, millis(event.at), click))?;
    }
    Ok(())
}
