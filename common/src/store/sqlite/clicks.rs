//! Clicks: recorded once each, found by id and by visitor.

use super::column::{document, first, json, millis};
use super::{Store, late, parking};
use crate::click::Click;
use crate::event::Event;
use crate::id::{ClickId, VisitorId};
use crate::store::{Error, RecordedClicks};
use rusqlite::Connection;

impl Store {
    /// Records clicks, and says how many of them were new, which events waited for them, and which were
    /// decided without them.
    ///
    /// # Errors
    /// The database failed; none of them is recorded.
    pub async fn record_clicks(&self, clicks: Vec<Click>) -> Result<RecordedClicks, Error> {
        self.write(move |connection| {
            let mut recorded = RecordedClicks::default();
            for click in &clicks {
                recorded.new += record(connection, click)?;
                // Asked of a click that was recorded before as well: whoever brought it then may have died
                // before what waited was on its queue again.
                let key = [format!("click:{}", click.id)];
                let waiting = parking::waiting_for(connection, click.advertiser.as_str(), &key)?;
                recorded.released.extend(waiting);
                recorded.late.extend(late::wanting(connection, click)?);
            }
            Ok(recorded)
        })
        .await
    }

    /// The click with this id.
    ///
    /// # Errors
    /// The database failed, or the click cannot be read.
    pub async fn click(&self, id: ClickId) -> Result<Option<Click>, Error> {
        self.read(move |connection| find(connection, id)).await
    }
}

fn record(connection: &Connection, click: &Click) -> Result<usize, Error> {
    let sql = "INSERT INTO clicks (id, advertiser, visitor, at, touch, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
    let inserted = connection.prepare_cached(sql)?.execute((
        click.id.0.as_bytes(),
        click.advertiser.as_str(),
        click.visitor.0.as_bytes(),
        millis(click.at),
        click.not_a_touch.is_none(),
        json("click", click)?,
    ))?;
    Ok(inserted)
}

pub(super) fn find(connection: &Connection, id: ClickId) -> Result<Option<Click>, Error> {
    let mut statement = connection.prepare_cached("SELECT document FROM clicks WHERE id = ?1")?;
    first(&mut statement, [id.0.as_bytes()], |row| document("click", &row.get::<_, String>(0)?))
}

/// The newest touches of a browser at or before the event, within its advertiser; of two at the same time
/// the one with the greater id comes first.
pub(super) fn newest_touches(
    connection: &Connection,
    event: &Event,
    visitor: VisitorId,
    most: usize,
) -> Result<Vec<Click>, Error> {
    let sql = "SELECT document, at FROM clicks
               WHERE advertiser = ?1 AND visitor = ?2 AND touch = 1 AND at <= ?3 ORDER BY at DESC, id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((event.advertiser.as_str(), visitor.0.as_bytes(), millis(event.at)))?;
    let mut newest: Vec<Click> = Vec::new();
    while let Some(row) = rows.next()? {
        // The column knows milliseconds only; among those of one, the clicks themselves decide.
        let at: i64 = row.get(1)?;
        if newest.len() >= most && newest.last().is_some_and(|last| millis(last.at) != at) {
            break;
        }
        let click: Click = document("click", &row.get::<_, String>(0)?)?;
        if click.at <= event.at {
            newest.push(click);
        }
    }
    newest.sort_by_key(|click| std::cmp::Reverse((click.at, click.id)));
    newest.truncate(most);
    Ok(newest)
}

/// The oldest touch of a browser, within the event's advertiser, if it is at or before the event.
pub(super) fn oldest_touch(
    connection: &Connection,
    event: &Event,
    visitor: VisitorId,
) -> Result<Option<Click>, Error> {
    let sql = "SELECT document FROM clicks
               WHERE advertiser = ?1 AND visitor = ?2 AND touch = 1 AND at <= ?3 ORDER BY at, id LIMIT 1";
    let of_browser = (event.advertiser.as_str(), visitor.0.as_bytes(), millis(event.at));
    let oldest: Option<Click> = first(&mut *connection.prepare_cached(sql)?, of_browser, |row| {
        document("click", &row.get::<_, String>(0)?)
    })?;
    Ok(oldest.filter(|click| click.at <= event.at))
}
