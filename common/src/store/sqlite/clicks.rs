//! Clicks: recorded once each, found by id and by visitor.

use super::Store;
use super::column::{document, first, json, millis};
use crate::click::Click;
use crate::event::Event;
use crate::id::ClickId;
use crate::store::Error;
use rusqlite::Connection;

impl Store {
    /// Records clicks and says how many of them were new.
    ///
    /// # Errors
    /// The database failed; none of them is recorded.
    pub async fn record_clicks(&self, clicks: Vec<Click>) -> Result<usize, Error> {
        self.write(move |connection| {
            let mut new = 0;
            for click in &clicks {
                new += record(connection, click)?;
            }
            Ok(new)
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

/// The newest touch, at or before the event, of the visitor that it names, within its advertiser; of two
/// at the same time the one with the greater id.
pub(super) fn newest_touch(connection: &Connection, event: &Event) -> Result<Option<Click>, Error> {
    let Some(visitor) = event.person.visitor else {
        return Ok(None);
    };
    let sql = "SELECT document, at FROM clicks
               WHERE advertiser = ?1 AND visitor = ?2 AND touch = 1 AND at <= ?3 ORDER BY at DESC, id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((event.advertiser.as_str(), visitor.0.as_bytes(), millis(event.at)))?;
    let mut newest: Option<Click> = None;
    while let Some(row) = rows.next()? {
        // The column knows milliseconds only; within the first that has one, the click itself decides.
        let at: i64 = row.get(1)?;
        if newest.as_ref().is_some_and(|newest| millis(newest.at) != at) {
            break;
        }
        let click: Click = document("click", &row.get::<_, String>(0)?)?;
        let newer = newest.as_ref().is_none_or(|newest| (newest.at, newest.id) < (click.at, click.id));
        if newer && click.at <= event.at {
            newest = Some(click);
        }
    }
    Ok(newest)
}
