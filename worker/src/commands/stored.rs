//! What was decided once, to be decided again: past events with what they were decided from.
//!
//! The one place where `preview`, `test-webhook` and `simulate` meet selection and the store's history.

use crate::select::{self, Selection};
use carom_common::connector::Connector;
use carom_common::id::EventId;
use carom_common::news::News;
use carom_common::store::Store;
use jiff::Timestamp;

/// What there was to tell of a past event; none where it is not known or still waits, or its person was erased.
pub async fn of_event(store: &Store, id: EventId) -> anyhow::Result<Option<News>> {
    Ok(store.news_of(id).await?)
}

/// A page of what there was to tell of events that were received at or after `since`, after the event `after`.
pub async fn page(
    store: &Store,
    since: Timestamp,
    after: Option<EventId>,
    limit: u32,
) -> anyhow::Result<Vec<News>> {
    Ok(store.news(since, after, limit).await?)
}

/// Selects one connector as the worker does, or not; `all` are those beside it, by whose parameters it is known
/// which touches are click sources; it stands in the place of the one with its id. Of another advertiser's event
/// it is told nothing.
pub fn select(news: &News, connector: &Connector, all: &[Connector], now: Timestamp) -> Selection {
    let of_advertiser = |connector: &&Connector| connector.advertiser == news.event.advertiser;
    let only = [connector];
    let only = if of_advertiser(&connector) { &only[..] } else { &[] };
    let others = all.iter().filter(of_advertiser).filter(|other| other.id != connector.id);
    let all: Vec<_> = others.chain([connector]).collect();
    select::select_among(news, only, &all, now)
}
