//! Late clicks: an event was decided without the click that it names, and that click has come.
//!
//! Connectors that were skipped only for the want of it are selected now, under their deliveries' usual ids,
//! and nothing else changes: not the conversion, not the payouts, not what was sent.

use crate::handover;
use crate::shared::Shared;
use carom_common::amqp::PublishError;
use carom_common::connector::Connector;
use carom_common::delivery::Delivery;
use carom_common::pipeline::select;
use carom_common::resources::Resources;
use carom_common::store::Late;
use carom_common::trace::{Code, Decision};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Selects what is late, hands it over, and only then forgets that it was wanted. Whoever records the click
/// again after a crash goes on where this stopped.
///
/// # Errors
/// We are being shut down.
pub async fn tell(shared: &Shared, late: Vec<Late>) -> Result<(), PublishError> {
    let mut late = late;
    while !late.is_empty() {
        let clicks: BTreeMap<_, _> =
            late.iter().filter_map(|one| one.news.click.clone()).map(|click| (click.id, click)).collect();
        tell_some(shared, late).await?;
        late = Vec::new();
        for click in clicks.into_values() {
            late.extend(crate::settle::surely("late", || shared.store.late(click.clone())).await);
        }
    }
    Ok(())
}

async fn tell_some(shared: &Shared, late: Vec<Late>) -> Result<(), PublishError> {
    let resources = shared.resources();
    let now = Timestamp::now();
    let (mut deliveries, mut again, mut done) = (Vec::new(), Vec::new(), Vec::new());
    for one in late {
        let (selected, decisions) = choose(&one, &resources, now);
        let chosen = crate::settle::surely("choose_late", || {
            shared.store.choose_late(one.news.clone(), selected.clone(), decisions.clone())
        })
        .await;
        for delivery in &chosen {
            shared.metrics.selected.with_label_values(&[delivery.connector.as_str()]).inc();
        }
        // What has another time than ours was chosen by another, whose clock may be ahead. The store keeps
        // milliseconds.
        let (ours, others): (Vec<_>, Vec<_>) = chosen
            .into_iter()
            .partition(|delivery| delivery.due_since.as_millisecond() == now.as_millisecond());
        deliveries.extend(ours);
        again.extend(others);
        done.extend(one.news.click.as_ref().map(|click| (one.news.event.id, click.id)));
    }
    handover::deliveries(&shared.publisher, &resources, deliveries, false).await?;
    handover::deliveries(&shared.publisher, &resources, again, true).await?;
    crate::settle::surely("late_handed_over", || shared.store.late_handed_over(done.clone())).await;
    Ok(())
}

/// Selects among the connectors that wanted the click, with it; and the same for the trace.
pub fn choose(late: &Late, resources: &Resources, now: Timestamp) -> (Vec<Delivery>, Vec<Decision>) {
    let of_advertiser = |connector: &&Connector| connector.advertiser == late.news.event.advertiser;
    let all: Vec<&Connector> = resources.connectors.iter().filter(of_advertiser).collect();
    let wanting: Vec<&Connector> =
        all.iter().copied().filter(|connector| late.connectors.contains(&connector.id)).collect();
    let selection = select::select_among(&late.news, &wanting, &all, now);
    let click = late.news.click.as_ref().map(|click| click.id.to_string()).unwrap_or_default();
    let decision = |(code, detail): (Code, String)| match code {
        Code::Selected => Decision::new(now, Code::SelectedLate, format!("{detail}, with click {click}")),
        code => Decision::new(now, code, detail),
    };
    (selection.deliveries, selection.decisions.into_iter().map(decision).collect())
}
