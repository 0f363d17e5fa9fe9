//! The connectors' consumers: one queue each, so that one slow destination is nobody else's trouble (G7).
//!
//! A connector that appears gets its queue and a consumer; one that is gone keeps its consumer while
//! anything of it is unfinished, which ends in the dead letters with that reason.

use crate::attend::{self, Attendance};
use crate::breaker::Breaker;
use crate::gate::Gate;
use crate::handover::per_message;
use crate::shared::Shared;
use carom_common::connector::limits::HOLD;
use carom_common::connector::{Authorization, Connector, Mode, Rate, Webhook};
use carom_common::id::ConnectorId;
use carom_common::topology;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// How often to look for unfinished deliveries of connectors that are gone.
const SWEEP: Duration = Duration::from_secs(5);
/// Messages of a connector's queue that are held at most, whatever it could settle.
const MOST_HELD: usize = 64;
/// Of a connector that is gone: there is nothing to wait for.
const GONE: Load = Load { concurrency: 64, rate: None, prefetch: 64, per_message: usize::MAX };

/// How much of a connector's queue is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    concurrency: u16,
    rate: Option<Rate>,
    prefetch: u16,
    per_message: usize,
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
    let mut breakers: BTreeMap<ConnectorId, Arc<Breaker>> = BTreeMap::new();
    let (mut roster, mut pauses) = (shared.roster.clone(), shared.pauses.known());
    loop {
        // What changes while we look is looked at again.
        roster.borrow_and_update();
        let paused = pauses.borrow_and_update().clone();
        let wanted = wanted(&shared, |connector| paused.contains_key(connector)).await;
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
                // It outlives its consumer: a connector that was changed still has the same destination,
                // and where it has another the first probe says so.
                let breaker = breakers.entry(connector.clone());
                let breaker =
                    breaker.or_insert_with(|| Arc::new(Breaker::new(shared.config.worker.breaker_failures)));
                let attendance = attendance(&shared, connector, *load, breaker.clone(), stop.clone());
                tasks.spawn(attend::run(shared.clone(), attendance));
                consumers.insert(connector.clone(), Consumer { load: *load, stop });
            }
        }
        consumers.retain(|connector, consumer| {
            let keep = wanted.contains_key(connector);
            if !keep {
                info!(connector = connector.as_str(), "connector.detached");
                consumer.stop.cancel();
                // What is queued for one that only rests comes back to its queue, which has to stand.
                if roster.borrow().resources().connector(connector).is_none() {
                    shared.link.forget_connector(connector);
                }
            }
            keep
        });
        breakers.retain(|connector, _| {
            let keep = wanted.contains_key(connector) || paused.contains_key(connector);
            if !keep {
                shared.metrics.forget_breaker(connector);
            }
            keep
        });
        let configured = shared.resources();
        for Connector { id, .. } in &configured.connectors {
            let paused = i64::from(paused.contains_key(id));
            shared.metrics.paused.with_label_values(&[id.as_str()]).set(paused);
        }
        shared.attending.store(true, Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => break,
            _ = roster.changed() => {}
            _ = pauses.changed() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn attendance(
    shared: &Shared,
    connector: &ConnectorId,
    load: Load,
    breaker: Arc<Breaker>,
    stop: CancellationToken,
) -> Attendance {
    let waits = shared.metrics.rate_limited.with_label_values(&[connector.as_str()]);
    Attendance {
        connector: connector.clone(),
        queue: topology::deliver_queue(connector),
        gate: Gate::new(load.concurrency, load.rate, shared.shares.of(connector), breaker, waits),
        rated: load.rate.is_some(),
        prefetch: load.prefetch,
        per_message: load.per_message,
        stop,
    }
}

/// The connectors to consume for: those configured, and those gone with something unfinished. What one that is
/// Disabled, paused or without its webhook has queued is held there.
async fn wanted(shared: &Shared, paused: impl Fn(&ConnectorId) -> bool) -> BTreeMap<ConnectorId, Load> {
    // Read before the resources themselves: where these are newer, we only look once more.
    let in_use = shared.metrics.resources_version.get();
    let resources = shared.resources();
    let mut wanted: BTreeMap<_, _> = resources
        .connectors
        .iter()
        .filter(|connector| connector.mode != Mode::Disabled && !paused(&connector.id))
        .filter_map(|connector| Some((connector.id.clone(), load(connector.live_webhook()?))))
        .collect();
    match shared.store.waiting(jiff::Timestamp::now()).await {
        Ok(waiting) => {
            // Whoever cannot read the newest resources cannot say who is gone: a newer worker may know them.
            // Nor can who has not looked since they were applied.
            let sure = shared.metrics.newest_invalid.get() == 0 && is_newest(shared, in_use).await;
            let unfinished: BTreeSet<_> =
                waiting.connectors.into_iter().map(|(connector, ..)| connector).filter(|_| sure).collect();
            // One that lost its webhook and kept its pixel is gone as far as its queue is concerned.
            let gone = |id: &ConnectorId| {
                resources.connector(id).is_none_or(|connector| connector.webhook.is_none())
            };
            for connector in unfinished.into_iter().filter(gone) {
                wanted.entry(connector).or_insert(GONE);
            }
        }
        Err(error) => warn!(%error, "connector.sweep_failed"),
    }
    wanted
}

/// Whether no version of the resources was applied after this one.
async fn is_newest(shared: &Shared, version: i64) -> bool {
    match shared.store.resources_version().await {
        Ok(newest) => i64::try_from(newest) == Ok(version),
        Err(error) => {
            warn!(%error, "connector.newest_not_known");
            false
        }
    }
}

/// As many attempts at once as the connector allows, and no more messages than they can settle in time.
fn load(webhook: &Webhook) -> Load {
    let per_message = per_message(webhook);
    let messages = (settleable(webhook) / per_message).min(begun(webhook)).clamp(1, MOST_HELD);
    Load {
        concurrency: webhook.concurrency,
        rate: webhook.rate,
        prefetch: u16::try_from(messages).unwrap_or(u16::MAX),
        per_message,
    }
}

/// How many attempts a rate lets begin while one takes all its time, and the next. Whoever holds more holds it from the
/// others that share the rate, for as many times as long as there are workers.
fn begun(webhook: &Webhook) -> usize {
    webhook.rate.map_or(usize::MAX, |rate| {
        let turns = longest_exchange(webhook).as_nanos() / rate.interval().as_nanos().max(1);
        usize::try_from(turns).unwrap_or(usize::MAX).saturating_add(1)
    })
}

/// Fetching a token may take as long as the attempt.
fn longest_exchange(webhook: &Webhook) -> Duration {
    let token = matches!(webhook.authorization, Some(Authorization::OAuth2 { .. }));
    webhook.timeout.0 * if token { 2 } else { 1 }
}

/// How many deliveries a connector can settle within a minute, at worst: when every attempt takes all its time.
pub fn settleable(webhook: &Webhook) -> usize {
    let rounds = HOLD.as_millis() / longest_exchange(webhook).as_millis().max(1);
    let by_time = usize::try_from(rounds.max(1))
        .unwrap_or(usize::MAX)
        .saturating_mul(usize::from(webhook.concurrency.max(1)));
    let by_rate = webhook.rate.map_or(usize::MAX, |rate| {
        let turns = HOLD.as_nanos() / rate.interval().as_nanos().max(1);
        usize::try_from(turns.max(1)).unwrap_or(usize::MAX)
    });
    by_time.min(by_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::time::Span;

    #[test]
    fn with_a_rate_only_what_goes_out_in_the_time_of_one_attempt_is_held() {
        for (rate, timeout, held) in [("30/m", 5, 3), ("1/m", 5, 1), ("10/s", 5, 51), ("60/m", 30, 31)] {
            let mut webhook: Webhook = serde_json::from_str(r#"{"url": "https://n.example/"}"#).unwrap();
            webhook.timeout = Span::from_secs(timeout);
            webhook.rate = Some(rate.parse().unwrap());
            assert_eq!(load(&webhook).prefetch, held, "{rate} at {timeout} s");
        }
    }

    #[test]
    fn what_a_consumer_holds_can_be_settled_in_a_minute() {
        for (concurrency, timeout, rate) in [
            (1, 5, None),
            (16, 5, None),
            (16, 60, None),
            (1, 60, None),
            (1000, 1, None),
            (16, 1, Some("1/m")),
            (16, 1, Some("100/h")),
            (1, 1, Some("30/s")),
            (1000, 1, Some("5000/s")),
        ] {
            let mut webhook: Webhook = serde_json::from_str(r#"{"url": "https://n.example/"}"#).unwrap();
            webhook.concurrency = concurrency;
            webhook.timeout = Span::from_secs(timeout);
            webhook.rate = rate.map(|rate| rate.parse().unwrap());
            let held = u64::from(load(&webhook).prefetch) * per_message(&webhook) as u64;
            let seconds = held.div_ceil(u64::from(concurrency)) * timeout;
            assert!(seconds <= 60, "{concurrency} at {timeout} s hold {seconds} s");
            if let Some(rate) = webhook.rate {
                assert_eq!(per_message(&webhook), 1, "a batch would wait whole for its last turn");
                assert!(rate.interval().as_secs() * held <= 60, "{rate} holds {held}");
            }
        }
    }
}
