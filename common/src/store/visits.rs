//! Visits that a funnel recorded on its own pages, or a tag on an advertiser's: touches, without a click of ours.

use super::column::{document, json, millis};
use super::reach::{Hold, Reach};
use super::session::Session;
use super::{Store, clicks, erase, identities};
use crate::event::{Event, Visit};
use crate::id::EventId;
use crate::store::{Candidate, Error};

impl Store {
    /// Records visits that a tag has reported, each a candidate about which nothing is to be decided. The same visit
    /// again is no other.
    ///
    /// # Errors
    /// The database failed; none of them is recorded.
    pub async fn record_visits(&self, visits: Vec<Candidate>) -> Result<(), Error> {
        // Whoever joins persons holds their advertiser alone.
        let reach = Reach::of(visits.iter().map(|visit| &visit.event.advertiser), Hold::Alone);
        self.write(reach, move |session| visits.iter().try_for_each(|visit| record(session, visit))).await
    }
}

fn record(session: &Session<'_>, visit: &Candidate) -> Result<(), Error> {
    let (event, who) = (&visit.event, &visit.who);
    // A visit of somebody who is not followed leads to nothing that could be found again.
    let Some(visitor) = &who.visitor else { return Ok(()) };
    if erase::is_of_the_erased(session, visit, true)? {
        return Ok(());
    }
    keep(session, event, visitor, &visit.visits)?;
    let named = visit.names_click().map_or(Ok(None), |id| clicks::find(session, id))?;
    let own = named.filter(|click| click.advertiser == event.advertiser);
    identities::link(session, event, who, own.as_ref()).map(|_| ())
}

/// Whether visits may stand under a holder: a contact of a funnel's, or a tag's visitor.
pub(super) fn may_have(holder: &str) -> bool {
    holder.starts_with("contact:") || holder.starts_with("visitor:")
}

/// The key of visits that only one event tells of, by somebody who is not known.
pub(super) fn key_of_nobody(event: EventId) -> String {
    format!("event:{event}")
}

/// Keeps visits under the contact or visitor whose they are. The same visit comes with every event of the contact; where
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

/// A contact's or visitor's visits at or before the event: the newest, and the oldest.
pub(super) fn of(
    session: &Session<'_>,
    event: &Event,
    holder: &str,
    most: usize,
) -> Result<Vec<Visit>, Error> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut found: Vec<Visit> = Vec::new();
    for (order, most) in [("DESC", most), ("ASC", 1)] {
        let sql = format!(
            "SELECT document FROM visits WHERE advertiser = ?1 AND key = ?2 AND at <= ?3
             ORDER BY at {order}, id {order} LIMIT ?4"
        );
        let of_holder = (event.advertiser.as_str(), holder, millis(event.at), most);
        found.extend(
            session.rows(&sql, of_holder, |row| document::<Visit>("visit", &row.get::<_, String>(0)?))?,
        );
        if i64::try_from(found.len()).is_ok_and(|found| found < most) {
            break;
        }
    }
    found.retain(|visit| visit.at <= event.at);
    Ok(found)
}
