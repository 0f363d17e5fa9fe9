//! Housekeeping: measuring what waits, for `/metrics`, and dropping markers that are old enough.

use crate::management::Management;
use crate::metrics::age;
use crate::run::Shared;
use carom_common::topology::{self, CLICKS, DEAD, EVENTS, UNROUTED};
use jiff::{SignedDuration, Timestamp};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Measures every `worker.measure_interval` until `stop`.
pub async fn measure(shared: Arc<Shared>, management: Option<Management>, stop: CancellationToken) {
    let interval = shared.config.worker.measure_interval.0;
    loop {
        shared
            .metrics
            .broker_connected
            .with_label_values(&["consume"])
            .set(i64::from(shared.link.connected()));
        let measured = match &management {
            Some(management) => management.messages().await,
            None => passively(&shared).await,
        };
        let failed = match measured {
            Ok(messages) => by_queue(&shared, &messages).await,
            Err(error) => Err(error),
        };
        shared.metrics.measure_failing.set(i64::from(failed.is_err()));
        if let Err(error) = failed {
            warn!(error = format!("{error:#}"), "measure.failed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

async fn by_queue(shared: &Shared, messages: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let waiting = shared.store.waiting(now).await?;
    let metrics = &shared.metrics;
    metrics.queue_messages.reset();
    metrics.queue_oldest.reset();
    metrics.tier_waiting.reset();
    metrics.letters.reset();
    let oldest = |queue: &str, seconds: f64| {
        metrics
            .queue_oldest
            .with_label_values(&[topology::label(queue)])
            .set(seconds)
    };
    for (queue, messages) in messages.iter().filter(|(queue, _)| queue.starts_with("carom.")) {
        let count = i64::try_from(*messages).unwrap_or(i64::MAX);
        metrics
            .queue_messages
            .with_label_values(&[topology::label(queue)])
            .set(count);
        oldest(
            queue,
            if *messages == 0 {
                0.0
            } else {
                metrics.oldest_at_most(queue, now).unwrap_or(0.0)
            },
        );
    }
    for tier in shared.config.retry.schedule.tiers() {
        metrics
            .tier_waiting
            .with_label_values(&[&tier.to_string()])
            .set(0);
    }
    for (tier, count, since) in waiting.tiers {
        metrics
            .tier_waiting
            .with_label_values(&[&tier.to_string()])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        oldest(&topology::retry(tier), age(since, now));
    }
    for (connector, _, since) in waiting.connectors {
        oldest(&topology::deliver_queue(&connector), age(since, now));
    }
    let mut oldest_letter = None;
    for (connector, reason, count, since) in waiting.dead {
        let connector = connector.as_ref().map_or("", |connector| connector.as_str());
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics
            .letters
            .with_label_values(&[connector, reason.as_str()])
            .set(count);
        oldest_letter = oldest_letter.into_iter().chain([since]).min();
    }
    if let Some(since) = oldest_letter {
        oldest(DEAD, age(since, now));
    }
    Ok(())
}

/// Without the management API: what a passive declare sees.
async fn passively(shared: &Shared) -> anyhow::Result<BTreeMap<String, u64>> {
    anyhow::ensure!(shared.link.connected(), "the broker is not connected");
    let channel = shared.link.channel().await;
    let mut queues: Vec<String> = [EVENTS, CLICKS, DEAD, UNROUTED].map(String::from).into();
    queues.extend(
        shared
            .config
            .retry
            .schedule
            .tiers()
            .iter()
            .map(|tier| topology::retry(*tier)),
    );
    let resources = shared.resources.borrow().clone();
    queues.extend(
        resources
            .connectors
            .iter()
            .map(|connector| topology::deliver_queue(&connector.id)),
    );
    let mut messages = BTreeMap::new();
    for queue in queues {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare(queue.as_str().into(), options, FieldTable::default())
            .await?;
        messages.insert(queue, u64::from(declared.message_count()));
    }
    channel.close(200, "measured".into()).await?;
    Ok(messages)
}

/// Drops markers older than `worker.marker_retention`, every hour until `stop`.
pub async fn prune(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let retention = SignedDuration::try_from(shared.config.worker.marker_retention.0).unwrap_or_default();
        match shared.store.prune(Timestamp::now() - retention).await {
            Ok(0) => {}
            Ok(dropped) => info!(dropped, "markers.pruned"),
            Err(error) => warn!(%error, "markers.prune_failed"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}
