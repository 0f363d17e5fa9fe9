//! News: what events were decided from and what there was to tell of them, kept with the events and read
//! again.
//!
//! Touches are kept by their ids: the details of clicks and visits stand in one place, where retention and
//! erasing find them. What is gone there is gone here.

use super::column::{document, json, millis};
use super::session::{Row, Session};
use super::{Store, clicks, deliveries, touches};
use crate::event::Event;
use crate::id::{ClickId, ConnectorId, EventId};
use crate::news::{News, Steps};
use crate::store::{Error, Known, Sale, TouchRef, Touches};
use crate::touch::History;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event's id is made by whoever takes it in, a moment before or after it notes the time.
const CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// What is kept of an event's news, besides the event.
#[derive(Serialize, Deserialize)]
struct Kept {
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<TouchRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<TouchRef>,
    conversions: u32,
    events: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<Steps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sale: Option<EventId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    trl_test: bool,
}

impl Store {
    /// What there was to tell of decided events that were received at or after `since`, in the order of their
    /// ids, which is about that of their coming: at most `limit`, after the event `after`. Selection over it
    /// decides as it was decided then, but for what retention has taken since: touches and the sender's data.
    /// Those of erased persons are left out.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn news(
        &self,
        since: Timestamp,
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<News>, Error> {
        self.read(move |session| {
            let from = after.map_or_else(|| before_all_of(since), |after| after.0);
            let sql = "SELECT document, click_id, news FROM events
                       WHERE id > ?1 AND received_at >= ?2 AND progress <> 'parked' AND erased = 0
                       ORDER BY id LIMIT ?3";
            let found = session.rows(sql, (from.as_bytes(), millis(since), limit), read)?;
            found.into_iter().map(|(event, click, kept)| full(session, event, click, kept)).collect()
        })
        .await
    }

    /// What there was to tell of one event; none where it is not stored or still waits, or its person was erased.
    ///
    /// # Errors
    /// As [`Store::news`].
    pub async fn news_of(&self, event: EventId) -> Result<Option<News>, Error> {
        self.read(move |session| {
            let sql = "SELECT document, click_id, news FROM events WHERE id = ?1 AND progress <> 'parked' AND erased = 0";
            let found = session.first(sql, [event.0.as_bytes()], read)?;
            found.map(|(event, click, kept)| full(session, event, click, kept)).transpose()
        })
        .await
    }
}

/// An id that is less than those of all events that were received at or after this.
fn before_all_of(since: Timestamp) -> Uuid {
    let from = since.checked_sub(CLOCKS).unwrap_or(Timestamp::UNIX_EPOCH).as_millisecond();
    Uuid::from_u128(u128::from(from.max(0).unsigned_abs()) << 80)
}

fn read(row: &Row<'_>) -> Result<(Event, Option<ClickId>, Option<Kept>), Error> {
    let event = document("event", &row.get::<_, String>("document")?)?;
    let click = row.get::<_, Option<[u8; 16]>>("click_id")?.map(|id| ClickId(Uuid::from_bytes(id)));
    let kept: Option<String> = row.get("news")?;
    Ok((event, click, kept.map(|kept| document("news", &kept)).transpose()?))
}

/// Puts an event's news together again.
fn full(
    session: &Session<'_>,
    event: Event,
    click: Option<ClickId>,
    kept: Option<Kept>,
) -> Result<News, Error> {
    let click = click.map_or(Ok(None), |id| clicks::find(session, id))?;
    let Some(kept) = kept else {
        // Of an event that was decided before news were kept, there is only itself.
        let history = History::empty(event.at);
        let inherited = BTreeMap::new();
        return Ok(News { event, click, conversion: None, history, sale: None, inherited, trl_test: false });
    };
    let touches = touches::find(session, event.advertiser.as_str(), kept.first.as_ref(), &kept.recent)?;
    let (conversions, events) = (kept.conversions, kept.events);
    let inherited = match kept.sale {
        Some(sale) => {
            let follows = kept_of(session, event.advertiser.as_str(), sale)?.and_then(|kept| kept.sale);
            matched_for(session, sale, follows)?
        }
        None => BTreeMap::new(),
    };
    Ok(News {
        event,
        click,
        conversion: kept.steps,
        history: History { conversions, events, ..touches.history(kept.at) },
        sale: kept.sale,
        inherited,
        trl_test: kept.trl_test,
    })
}

/// What there was to tell of an event; none where it is not stored.
pub(super) fn of_event(session: &Session<'_>, event: EventId) -> Result<Option<News>, Error> {
    let sql = "SELECT document, click_id, news FROM events WHERE id = ?1";
    let found = session.first(sql, [event.0.as_bytes()], read)?;
    found.map(|(event, click, kept)| full(session, event, click, kept)).transpose()
}

/// What a sale was decided from; none where that is not kept.
pub(super) fn sale(session: &Session<'_>, advertiser: &str, event: EventId) -> Result<Option<Sale>, Error> {
    let Some(kept) = kept_of(session, advertiser, event)? else { return Ok(None) };
    let touches = touches::find(session, advertiser, kept.first.as_ref(), &kept.recent)?;
    let matched = matched_for(session, event, kept.sale)?;
    Ok(Some(Sale { event, at: kept.at, touches, matched }))
}

fn kept_of(session: &Session<'_>, advertiser: &str, event: EventId) -> Result<Option<Kept>, Error> {
    let sql = "SELECT news FROM events WHERE id = ?1 AND advertiser = ?2 AND news IS NOT NULL";
    let key = (event.0.as_bytes(), advertiser);
    session.first(sql, key, |row| document("news", &row.get::<_, String>(0)?))
}

/// The click ids that were matched for a sale, by connector. One that follows a sale itself has that one's ids,
/// where it was not told under its own.
fn matched_for(
    session: &Session<'_>,
    sale: EventId,
    follows: Option<EventId>,
) -> Result<BTreeMap<ConnectorId, String>, Error> {
    let mut matched = match follows {
        Some(before) => deliveries::matched(session, before)?,
        None => BTreeMap::new(),
    };
    matched.extend(deliveries::matched(session, sale)?);
    Ok(matched)
}

/// An event's news as they are kept with it.
pub(super) fn kept(news: &News, known: &Known) -> Result<String, Error> {
    let none = Touches::default();
    let of_sale = news.sale.and_then(|sale| known.sales.iter().find(|known| known.event == sale));
    let touches = match (news.sale, of_sale) {
        (None, _) => &known.past.touches,
        (Some(_), Some(sale)) => &sale.touches,
        (Some(_), None) => &none,
    };
    let kept = Kept {
        at: news.history.at,
        first: touches.first.as_ref().map(|(place, _)| place.clone()),
        recent: touches.recent.iter().map(|(place, _)| place.clone()).collect(),
        conversions: news.history.conversions,
        events: news.history.events,
        steps: news.conversion.clone(),
        sale: news.sale,
        trl_test: news.trl_test,
    };
    json("news", &kept)
}
