//! The connectors' consumers: one queue each, so that one slow destination is nobody else's trouble (G7).
//!
//! A connector that appears gets its queue and a consumer; one that is gone keeps its consumer while
//! anything of it is unfinished, which ends in the dead letters with that reason.

use crate::deliver;
use crate::handover::per_message;
use crate::shared::Shared;
use carom_common::amqp::{Taken, consume};
use carom_common::connector::{Mode, Webhook};
use carom_common::id::ConnectorId;
use carom_common::topology;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

/// How often to look for unfinished deliveries of connectors that are gone.
const SWEEP: Duration = Duration::from_secs(5);
/// What a consumer holds must be settleable in this time.
const HOLD: Duration = Duration::from_secs(60);
/// Of a connector that is gone: there is nothing to wait for.
const GONE: Load = Load { concurrency: 64, prefetch: 64 };

/// How much a connector's consumer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    concurrency: u16,
    prefetch: u16,
}

struct Consumer {
    load: Load,
    stop: CancellationToken,
}

/// Keeps a consumer for every connector that has, or may have, something to do, until `stop`; then waits
/// for what is under way.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut consumers: BTreeMap<ConnectorId, Consumer> = BTreeMap::new();
    let mut resources = shared.resources.clone();
    loop {
        let wanted = wanted(&shared).await;
        for (connector, load) in &wanted {
            let same = consumers.get(connector).is_some_and(|consumer| consumer.load == *load);
            if !same {
                if let Some(old) = consumers.remove(connector) {
                    old.stop.cancel();
                }
                let stop = stop.child_token();
                let declared = tokio::select! {
                    () = stop.cancelled() => break,
                    declared = shared.link.declare_connector(connector) => declared,
                };
                if let Err(error) = declared {
                    warn!(%error, connector = connector.as_str(), "connector.declare_failed");
                    continue;
                }
                info!(connector = connector.as_str(), load.concurrency, "connector.attached");
                tasks.spawn(serve(shared.clone(), connector.clone(), *load, stop.clone()));
                consumers.insert(connector.clone(), Consumer { load: *load, stop });
            }
        }
        consumers.retain(|connector, consumer| {
            let keep = wanted.contains_key(connector);
            if !keep {
                info!(connector = connector.as_str(), "connector.detached");
                consumer.stop.cancel();
                shared.link.forget_connector(connector);
            }
            keep
        });
        shared.attending.store(true, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => break,
            _ = resources.changed() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// The connectors to consume for: those configured, and those gone with something unfinished.
async fn wanted(shared: &Shared) -> BTreeMap<ConnectorId, Load> {
    let resources = shared.resources.borrow().clone();
    let mut wanted: BTreeMap<_, _> = resources
        .connectors
        .iter()
        .filter(|connector| connector.mode != Mode::Disabled)
        .map(|connector| (connector.id.clone(), load(&connector.webhook)))
        .collect();
    match shared.store.waiting(jiff::Timestamp::now()).await {
        Ok(waiting) => {
            let unfinished: BTreeSet<_> =
                waiting.connectors.into_iter().map(|(connector, ..)| connector).collect();
            // What a Disabled connector has queued is held there.
            for connector in unfinished.into_iter().filter(|id| resources.connector(id).is_none()) {
                wanted.entry(connector).or_insert(GONE);
            }
        }
        Err(error) => warn!(%error, "connector.sweep_failed"),
    }
    wanted
}

/// As many attempts at once as the connector allows, and no more messages than they can settle in time.
fn load(webhook: &Webhook) -> Load {
    let messages = settleable(webhook) / per_message(webhook);
    Load { concurrency: webhook.concurrency, prefetch: u16::try_from(messages.clamp(1, 64)).unwrap_or(64) }
}

/// How many deliveries a connector can settle within a minute, at worst.
pub fn settleable(webhook: &Webhook) -> usize {
    let rounds = HOLD.as_millis() / webhook.timeout.0.as_millis().max(1);
    usize::try_from(rounds.max(1))
        .unwrap_or(usize::MAX)
        .saturating_mul(usize::from(webhook.concurrency.max(1)))
}

async fn serve(shared: Arc<Shared>, connector: ConnectorId, load: Load, stop: CancellationToken) {
    let queue = topology::deliver_queue(&connector);
    let attached = shared.metrics.consumers.with_label_values(&[topology::label(&queue)]);
    let taken = consume(shared.link.clone(), queue.clone(), load.prefetch, stop, move |on| {
        attached.set(i64::from(on))
    });
    work(shared, queue, load, taken).await;
}

async fn work(shared: Arc<Shared>, queue: String, load: Load, mut taken: mpsc::Receiver<Taken>) {
    let slots = Arc::new(Semaphore::new(usize::from(load.concurrency)));
    let tasks = TaskTracker::new();
    while let Some(message) = taken.recv().await {
        let (shared, queue, slots) = (shared.clone(), queue.clone(), slots.clone());
        tasks.spawn(async move {
            if let Err(error) = deliver::message(&shared, &queue, &slots, message).await {
                debug!(%error, queue, "deliver.left_unacked");
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::time::Span;

    #[test]
    fn what_a_consumer_holds_can_be_settled_in_a_minute() {
        for (concurrency, timeout) in [(1, 5), (16, 5), (16, 60), (1, 60), (1000, 1)] {
            let mut webhook: Webhook = serde_json::from_str(r#"{"url": "https://n.example/"}"#).unwrap();
            webhook.concurrency = concurrency;
            webhook.timeout = Span::from_secs(timeout);
            let held = u64::from(load(&webhook).prefetch) * per_message(&webhook) as u64;
            let seconds = held.div_ceil(u64::from(concurrency)) * timeout;
            assert!(seconds <= 60, "{concurrency} at {timeout} s hold {seconds} s");
        }
    }
}
