//! What was decided once, to be decided again: past events with what they were decided from.
//!
//! The one place where `preview`, `test-webhook` and `simulate` meet selection and the store's history.

use crate::select::{self, Selection};
use carom_common::connector::Connector;
use carom_common::conversion::{Conversion, Step};
use carom_common::id::EventId;
use carom_common::news::{News, Steps};
use carom_common::store::Store;
use carom_common::touch::History;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What there was to tell of a past event; none where it is not known, or its person was erased.
pub async fn of_event(store: &Store, id: EventId) -> anyhow::Result<Option<News>> {
    let Some(trace) = store.trace_of_event(id).await? else { return Ok(None) };
    let mut steps = Vec::new();
    for facts in trace.deliveries.into_iter().filter_map(|delivery| delivery.conversion) {
        let step = match (facts.name.as_deref(), facts.value) {
            (Some("refund"), Some(value)) => Step::Refund(value.amount),
            _ => Step::Conversion,
        };
        if !steps.contains(&(step.clone(), facts.clone())) {
            steps.push((step, facts));
        }
    }
    let name = steps.first().and_then(|(_, facts)| facts.name.clone());
    let some = !steps.is_empty();
    Ok(Some(News {
        history: History::empty(trace.event.at),
        event: trace.event,
        click: trace.click.recorded,
        conversion: some.then_some(Steps { name, kpi: false, already_paid: false, steps }),
        sale: None,
        inherited: BTreeMap::new(),
        trl_test: false,
    }))
}

/// A page of what there was to tell of events that were received at or after `since`, after the event `after`.
pub async fn page(
    _store: &Store,
    _since: Timestamp,
    _after: Option<EventId>,
    _limit: u32,
) -> anyhow::Result<Vec<News>> {
    anyhow::bail!("the store keeps no history yet")
}

/// Selects one connector as the worker does, or not; `all` are those beside it, by whose parameters it is known
/// which touches are click sources. Of another advertiser's event it is told nothing.
pub fn select(news: &News, connector: &Connector, _all: &[Connector], now: Timestamp) -> Selection {
    let stands = news.conversion.as_ref().and_then(|steps| {
        let (_, facts) = steps.steps.first()?;
        Some(Conversion {
            name: steps.name.clone(),
            status: facts.status,
            value: facts.value,
            payout: facts.payout,
            refund_payout: facts.payout,
            kpi: steps.kpi,
            already_paid: steps.already_paid,
            ..Conversion::new(news.event.advertiser.clone(), facts.key.clone())
        })
    });
    let steps: Vec<Step> =
        news.conversion.iter().flat_map(|told| told.steps.iter().map(|(step, _)| step.clone())).collect();
    let news = select::News {
        event: &news.event,
        click: news.click.as_ref(),
        conversion: stands.as_ref().map(|conversion| (conversion, &steps[..])),
    };
    select::select(&news, std::slice::from_ref(connector), now)
}
