//! Measuring what waits, for `/metrics`: depths as the broker counts them, ages as the store knows them.

use crate::management::{Depth, Management};
use crate::metrics::age;
use crate::shared::Shared;
use carom_common::id::ConnectorId;
use carom_common::retry::Tier;
use carom_common::store::Waiting;
use carom_common::topology::{self, CLICKS, DEAD, EVENTS, UNROUTED};
use jiff::Timestamp;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use prometheus::core::{Atomic, GenericGaugeVec, Number};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Figures by their labels.
type Figures<T> = BTreeMap<Vec<String>, T>;

/// For one measuring.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many measurings go by until the broker is asked for its policies again, which is more work for it.
const BETWEEN_LIMITS: u32 = 6;

/// Measures every `worker.measure_interval` until `stop`.
pub async fn run(shared: Arc<Shared>, management: Option<Management>, stop: CancellationToken) {
    let metrics = &shared.metrics;
    let mut queues = Board::new(&metrics.queue_messages);
    let mut oldest = Board::new(&metrics.queue_oldest);
    let mut tiers = Board::new(&metrics.tier_waiting);
    let mut letters = Board::new(&metrics.letters);
    let mut limited = Board::new(&metrics.queue_limited);
    let mut turns = (0..BETWEEN_LIMITS).cycle();
    let mut overdue = Board::new(&metrics.tier_overdue);
    loop {
        if let Some(management) = management.as_ref().filter(|_| turns.next() == Some(0)) {
            match management.limited().await {
                Ok(limits) => limited.show(limits_of_ours(limits)),
                Err(error) => warn!(error = format!("{error:#}"), "measure.limits_unknown"),
            }
        }
        // A queue that has lost most of its members never answers.
        let measured = tokio::time::timeout(PATIENCE, measure(&shared, management.as_ref())).await;
        match measured
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the broker did not answer within {PATIENCE:?}")))
        {
            Ok(measured) => {
                metrics.measure_failing.set(0);
                queues.show(measured.queues);
                oldest.show(measured.oldest);
                tiers.show(measured.tiers);
                letters.show(measured.letters);
                overdue.show(measured.overdue);
            }
            Err(error) => {
                metrics.measure_failing.set(1);
                warn!(error = format!("{error:#}"), "measure.failed");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shared.config.worker.measure_interval.0) => {}
        }
    }
}

/// A gauge whose labels come and go. What is gone is taken off, and nothing that stays is ever missing
/// from a scrape in between.
struct Board<'a, P: Atomic> {
    gauge: &'a GenericGaugeVec<P>,
    shown: BTreeSet<Vec<String>>,
}

impl<'a, P: Atomic> Board<'a, P>
where
    P::T: Number,
{
    fn new(gauge: &'a GenericGaugeVec<P>) -> Self {
        Self { gauge, shown: BTreeSet::new() }
    }

    fn show(&mut self, figures: Figures<P::T>) {
        for (labels, figure) in &figures {
            self.gauge.with_label_values(labels).set(*figure);
        }
        for gone in self.shown.iter().filter(|labels| !figures.contains_key(*labels)) {
            let _ = self.gauge.remove_label_values(gone);
        }
        self.shown = figures.into_keys().collect();
    }
}

#[derive(Default)]
struct Measured {
    queues: Figures<i64>,
    oldest: Figures<f64>,
    tiers: Figures<i64>,
    letters: Figures<i64>,
    overdue: Figures<f64>,
}

async fn measure(shared: &Shared, management: Option<&Management>) -> anyhow::Result<Measured> {
    let messages = match management {
        Some(management) => management.depths().await?,
        None => passively(shared).await?,
    };
    let now = Timestamp::now();
    let waiting = shared.store.waiting(now).await?;
    let mut measured = Measured::default();
    for (queue, depth) in messages.iter().filter(|(queue, _)| queue.starts_with("carom.")) {
        measured.queues.insert(by_queue(queue), count(depth.messages));
        let oldest = if depth.messages == 0 { None } else { shared.metrics.oldest_at_most(queue, now) };
        measured.oldest.insert(by_queue(queue), oldest.unwrap_or(0.0));
    }
    for tier in shared.config.retry.schedule.tiers() {
        measured.tiers.insert(vec![tier.to_string()], 0);
        measured.overdue.insert(vec![tier.to_string()], 0.0);
    }
    late(&mut measured, &messages, shared.store.due_from_tiers(now).await?, now);
    account(&mut measured, waiting, now);
    Ok(measured)
}

/// Every queue of ours is one that a tier returns to, or keeps letters, or is a tier: none may have a limit.
fn limits_of_ours(limits: BTreeMap<String, bool>) -> Figures<i64> {
    let ours = limits.into_iter().filter(|(queue, _)| queue.starts_with("carom."));
    ours.map(|(queue, limited)| (by_queue(&queue), i64::from(limited))).collect()
}

/// Adds what the store knows: since when each thing waits.
fn account(measured: &mut Measured, waiting: Waiting, now: Timestamp) {
    for (tier, number, since) in waiting.tiers {
        measured.tiers.insert(vec![tier.to_string()], count(number));
        measured.oldest.insert(by_queue(&topology::retry(tier)), age(since, now));
    }
    for (connector, _, since) in waiting.connectors {
        measured.oldest.insert(by_queue(&topology::deliver_queue(&connector)), age(since, now));
    }
    let oldest_letter = waiting.dead.iter().map(|(.., since)| *since).min();
    if let Some(since) = oldest_letter {
        measured.oldest.insert(by_queue(DEAD), age(since, now));
    }
    for (connector, reason, number, _) in waiting.dead {
        let connector = connector.map_or_else(String::new, |connector| connector.to_string());
        measured.letters.insert(vec![connector, reason.as_str().to_owned()], count(number));
    }
}

/// Adds how late the tiers are. What is due and lies on its connector's queue waits there for its turn.
fn late(
    measured: &mut Measured,
    depths: &BTreeMap<String, Depth>,
    due: Vec<(Tier, ConnectorId, u64, Timestamp)>,
    now: Timestamp,
) {
    for (tier, connector, _, since) in due {
        let queue = topology::deliver_queue(&connector);
        if depths.get(&queue).is_none_or(|depth| depth.ready == 0) {
            let latest = measured.overdue.entry(vec![tier.to_string()]).or_default();
            *latest = latest.max(age(since, now));
        }
    }
}

fn by_queue(queue: &str) -> Vec<String> {
    vec![topology::label(queue).to_owned()]
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Without the management API: what a passive declare sees.
async fn passively(shared: &Shared) -> anyhow::Result<BTreeMap<String, Depth>> {
    anyhow::ensure!(shared.link.connected(), "the broker is not connected");
    let channel = shared.link.channel().await;
    let mut queues: Vec<String> = [EVENTS, CLICKS, DEAD, UNROUTED].map(String::from).into();
    queues.extend(shared.config.retry.schedule.tiers().iter().map(|tier| topology::retry(*tier)));
    let resources = shared.resources();
    // A pixel alone has no queue, and asking for one that is not there ends the channel.
    let sending = resources.connectors.iter().filter(|connector| connector.webhook.is_some());
    queues.extend(sending.map(|connector| topology::deliver_queue(&connector.id)));
    let mut messages = BTreeMap::new();
    for queue in queues {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
        let ready = u64::from(declared.message_count());
        messages.insert(queue, Depth { messages: ready, ready });
    }
    channel.close(200, "measured".into()).await?;
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{IntGaugeVec, Opts};

    #[test]
    fn a_tier_is_late_by_what_is_due_and_not_on_its_queue() {
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let tiers = carom_common::retry::Schedule::default().tiers().to_vec();
        let ago = |seconds| now - jiff::SignedDuration::from_secs(seconds);
        let due = |tier: usize, connector: &str, seconds| {
            (tiers[tier], connector.parse::<ConnectorId>().unwrap(), 1, ago(seconds))
        };
        let depths = [("empty", 0), ("busy", 0), ("backlog", 5)]
            .map(|(connector, ready)| (format!("carom.deliver.{connector}"), Depth { messages: 5, ready }));
        let mut measured = Measured::default();
        let all = vec![due(0, "empty", 30), due(0, "busy", 90), due(1, "backlog", 900), due(2, "gone", 60)];
        late(&mut measured, &depths.into(), all, now);
        let expected = [(vec!["1m".to_owned()], 60.0), (vec!["1s".to_owned()], 90.0)];
        assert_eq!(measured.overdue, expected.into());
    }

    #[test]
    fn what_is_gone_is_taken_off_the_board_and_what_stays_is_kept() {
        let gauge = IntGaugeVec::new(Opts::new("g", "g"), &["queue"]).unwrap();
        let mut board = Board::new(&gauge);
        board.show([(vec!["a".to_owned()], 1), (vec!["b".to_owned()], 2)].into());
        board.show([(vec!["b".to_owned()], 3)].into());
        let families = prometheus::core::Collector::collect(&gauge);
        let shown: Vec<_> =
            families[0].get_metric().iter().map(|metric| metric.get_gauge().get_value()).collect();
        assert_eq!(shown, [3.0]);
    }
}
