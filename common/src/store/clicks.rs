//! Clicks: recorded once each, found by id and by visitor.

use super::column::{document, json, millis};
use super::reach::{Hold, Reach};
use super::session::Session;
use super::{Store, late, parking};
use crate::click::Click;
use crate::event::Event;
use crate::id::{ClickId, VisitorId};
use crate::store::{Error, RecordedClicks};

impl Store {
    /// Records clicks, and says how many of them were new, which events waited for them, and which were
    /// decided without them.
    ///
    /// # Errors
    /// The database failed; none of them is recorded.
    pub async fn record_clicks(&self, clicks: Vec<Click>) -> Result<RecordedClicks, Error> {
        let reach = Reach::of(clicks.iter().map(|click| &click.advertiser), Hold::Shared);
        self.write(reach, move |session| {
            let mut recorded = RecordedClicks::default();
            for click in &clicks {
                recorded.new += record(session, click)?;
                // Asked of a click that was recorded before as well: whoever brought it then may have died
                // before what waited was on its queue again.
                let key = [format!("click:{}", click.id)];
                let waiting = parking::waiting_for(session, click.advertiser.as_str(), &key)?;
                recorded.released.extend(waiting);
                recorded.late.extend(late::wanting(session, click)?);
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
        self.read(move |session| find(session, id)).await
    }
}

fn record(session: &Session<'_>, click: &Click) -> Result<usize, Error> {
    let sql = "INSERT INTO clicks (id, advertiser, visitor, at, touch, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";
    let inserted = session.execute(
        sql,
        (
            click.id.0.as_bytes(),
            click.advertiser.as_str(),
            click.visitor.0.as_bytes(),
            millis(click.at),
            click.not_a_touch.is_none(),
            json("click", click)?,
        ),
    )?;
    Ok(inserted)
}

pub(super) fn find(session: &Session<'_>, id: ClickId) -> Result<Option<Click>, Error> {
    session.first("SELECT document FROM clicks WHERE id = ?1", [id.0.as_bytes()], |row| {
        document("click", &row.get::<_, String>(0)?)
    })
}

/// The newest touches of a browser at or before the event, within its advertiser; of two at the same time
/// the one with the greater id comes first.
pub(super) fn newest_touches(
    session: &Session<'_>,
    event: &Event,
    visitor: VisitorId,
    most: usize,
) -> Result<Vec<Click>, Error> {
    let sql = "SELECT document FROM clicks
               WHERE advertiser = ?1 AND visitor = ?2 AND touch = 1 AND (at, id) < (?3, ?4)
               ORDER BY at DESC, id DESC LIMIT ?5";
    let page = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let mut newest: Vec<Click> = Vec::new();
    let mut before = (millis(event.at).saturating_add(1), [0; 16]);
    'pages: loop {
        let of_browser = (event.advertiser.as_str(), visitor.0.as_bytes(), before.0, before.1, page);
        let clicks: Vec<Click> =
            session.rows(sql, of_browser, |row| document("click", &row.get::<_, String>(0)?))?;
        let full = i64::try_from(clicks.len()) == Ok(page);
        for click in clicks {
            before = (millis(click.at), click.id.0.into_bytes());
            // The column knows milliseconds only; among those of one, the clicks themselves decide.
            if newest.len() >= most && newest.last().is_some_and(|last| millis(last.at) != before.0) {
                break 'pages;
            }
            if click.at <= event.at {
                newest.push(click);
            }
        }
        if !full {
            break;
        }
    }
    newest.sort_by_key(|click| std::cmp::Reverse((click.at, click.id)));
    newest.truncate(most);
    Ok(newest)
}

/// The oldest touch of a browser, within the event's advertiser, if it is at or before the event.
pub(super) fn oldest_touch(
    session: &Session<'_>,
    event: &Event,
    visitor: VisitorId,
) -> Result<Option<Click>, Error> {
    let sql = "SELECT document FROM clicks
               WHERE advertiser = ?1 AND visitor = ?2 AND touch = 1 AND at <= ?3 ORDER BY at, id LIMIT 1";
    let of_browser = (event.advertiser.as_str(), visitor.0.as_bytes(), millis(event.at));
    let oldest: Option<Click> =
        session.first(sql, of_browser, |row| document("click", &row.get::<_, String>(0)?))?;
    Ok(oldest.filter(|click| click.at <= event.at))
}
