//! What was decided once, to be decided again: past events with what they were decided from.
//!
//! The one place where `preview`, `test-webhook` and `simulate` meet selection.

use carom_common::connector::Connector;
use carom_common::news::News;
use carom_common::pipeline::select::{self, Selection};
use jiff::Timestamp;

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
