//! The worker's metrics. Labels are bounded by configuration: connectors, sources, tiers, outcomes.

use carom_common::amqp;
use carom_common::delivery::{Delivery, Outcome, Reason};
use carom_common::id::ConnectorId;
use carom_common::resources::Resources;
use carom_common::store::{ExchangeRecord, PixelReport};
use carom_common::telemetry::{self, FAST, SLOW};
use carom_common::topology;
use jiff::Timestamp;
use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use std::time::Duration;

/// Everything that the worker counts.
pub struct Metrics {
    /// Rows pruned, by kind of data.
    pub pruned: IntCounterVec,
    /// The registry behind them.
    pub registry: telemetry::Metrics,
    /// Events by source and what became of them.
    pub events: IntCounterVec,
    /// Clicks recorded.
    pub clicks: IntCounter,
    /// Deliveries selected by connector.
    pub selected: IntCounterVec,
    /// Deliveries under way by connector.
    pub in_flight: IntGaugeVec,
    /// Whether a connector is paused.
    pub paused: IntGaugeVec,
    /// Breakers that opened, by connector.
    pub breaker_opened: IntCounterVec,
    /// Messages put back on their queue untouched, by connector.
    pub given_back: IntCounterVec,
    /// Attempts that had to wait for their turn, by connector.
    pub rate_limited: IntCounterVec,
    /// Each worker's share of a connector's rate.
    pub rate_share: GaugeVec,
    /// Deliveries put back because their message was lost, by connector.
    pub put_back: IntCounterVec,
    /// How late deliveries in a tier are.
    pub tier_overdue: GaugeVec,
    /// Access tokens asked for, by connector and outcome.
    pub tokens: IntCounterVec,
    /// Copies that were recognised, by connector.
    pub copies: IntCounterVec,
    /// Retries by tier.
    pub retries: IntCounterVec,
    /// Consumers attached by queue.
    pub consumers: IntGaugeVec,
    /// Which node of the broker each link is connected to, and how often it had to connect.
    pub broker: amqp::Figures,
    /// Whether a link to the broker stands.
    pub broker_connected: IntGaugeVec,
    /// Whether the broker blocks a link.
    pub broker_blocked: IntGaugeVec,
    /// The time of confirms.
    pub confirms: Histogram,
    /// The time of store commits.
    pub commits: Histogram,
    /// The jobs in a commit.
    pub commit_jobs: Histogram,
    /// Whether the store does its work.
    pub store_reachable: IntGauge,
    /// Messages that came through `carom.unrouted`.
    pub unrouted: IntCounter,
    /// The resources' version.
    pub resources_version: IntGauge,
    /// Whether following the resources fails.
    pub follow_failing: IntGauge,
    /// Whether the broker limits the length of a queue that must not have a limit.
    pub queue_limited: IntGaugeVec,
    /// Whether the newest version of the resources cannot be used.
    pub newest_invalid: IntGauge,
    /// Messages by queue.
    pub queue_messages: IntGaugeVec,
    /// The age of the oldest message by queue.
    pub queue_oldest: GaugeVec,
    /// Deliveries that wait in a tier, by the store's account.
    pub tier_waiting: IntGaugeVec,
    /// Letters by connector and reason.
    pub letters: IntGaugeVec,
    /// Whether measuring failed last time.
    pub measure_failing: IntGauge,
    /// Reconciliations by source and how they ended.
    pub reconcile_runs: IntCounterVec,
    /// Events that never arrived and were fed by reconciling, by source.
    pub reconcile_missing: IntCounterVec,
    /// When a reconciliation last came to its end, by source.
    pub reconcile_last_success: IntGaugeVec,
    /// What browsers report of pixels, by connector and outcome.
    pixel_reports: IntCounterVec,
    lag: HistogramVec,
    attempts: IntCounterVec,
    attempt_duration: HistogramVec,
    end_to_end: HistogramVec,
    dead: IntCounterVec,
    breaker: IntGaugeVec,
    /// When the message last taken from a queue had come in; a bound on the age of the oldest one left.
    last_taken: std::sync::Mutex<std::collections::HashMap<&'static str, Timestamp>>,
}

impl Metrics {
    /// Registers them all.
    pub fn new() -> Self {
        let m = telemetry::Metrics::new("carom-worker");
        m.adopt("counter", crate::settle::AGAIN.clone());
        Self {
            events: m.counters("events_total", "Events taken from carom.events, by source and outcome.", &["source", "outcome"]),
            clicks: m.counter("clicks_recorded_total", "Clicks recorded in the store."),
            pixel_reports: m.counters("pixel_reports_total", "What browsers report of the pixels that they were given, by connector and outcome. A connector that is not configured is unknown.", &["connector", "outcome"]),
            pruned: m.counters("rows_pruned_total", "Rows of the store that were kept for long enough, by kind of data: deleted, or blanked where something refers to them.", &["kind"]),
            selected: m.counters("deliveries_selected_total", "Deliveries selected, by connector.", &["connector"]),
            in_flight: m.gauges("attempts_in_flight", "Attempts under way, by connector.", &["connector"]),
            paused: m.gauges("connector_paused", "Whether nothing is taken for a connector until it is resumed, by connector.", &["connector"]),
            breaker: m.gauges("breaker_state", "Which state a connector's breaker is in, in this worker: 1 for that one, 0 for the others.", &["connector", "state"]),
            breaker_opened: m.counters("breaker_opened_total", "Times that a connector's breaker opened, by connector.", &["connector"]),
            given_back: m.counters("deliveries_given_back_total", "Messages put back on their queue untouched, because a breaker opened or their consumer left, by connector.", &["connector"]),
            rate_limited: m.counters("rate_limited_total", "Attempts that waited for their turn by the connector's rate, by connector.", &["connector"]),
            rate_share: m.real_gauges("connector_rate_share", "The share of a connector's rate that this worker takes: 1 divided by the workers on its queue.", &["connector"]),
            put_back: m.counters("deliveries_put_back_total", "Deliveries put on their queue again because their message was lost with a tier or queue that somebody emptied, by connector.", &["connector"]),
            tier_overdue: m.real_gauges("tier_overdue_seconds", "How late the latest delivery of a retry tier is: due again by the store's account, and not on its connector's queue. 0 where none is.", &["tier"]),
            tokens: m.counters("access_tokens_total", "Access tokens asked for, by connector and outcome.", &["connector", "outcome"]),
            copies: m.counters("delivery_copies_total", "Copies of settled deliveries that were not sent again, by connector.", &["connector"]),
            retries: m.counters("retries_total", "Failed attempts put into a retry tier, by tier.", &["tier"]),
            consumers: m.gauges("consumers_attached", "Consumers attached to the broker, by queue.", &["queue"]),
            broker: amqp::Figures::new(&m),
            broker_connected: m.gauges("broker_connected", "Whether a connection to the broker stands, by its use.", &["link"]),
            broker_blocked: m.gauges("broker_blocked", "Whether the broker blocks a connection (memory or disk alarm), by its use.", &["link"]),
            confirms: m.seconds("confirm_duration_seconds", "Time from publish to the broker's confirm.", FAST),
            commits: m.seconds("store_commit_duration_seconds", "Time of a group commit of the store.", FAST),
            commit_jobs: m.seconds("store_commit_jobs", "Jobs in a group commit of the store.", &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            store_reachable: m.gauge("store_reachable", "Whether the store did its work when it was last asked to: 1 or 0. Without it nothing is taken."),
            unrouted: m.counter("unrouted_messages_total", "Messages taken from carom.unrouted: the broker could not route them, or they came back to their queue too often."),
            resources_version: m.gauge("resources_version", "The version of the resources in use."),
            follow_failing: m.gauge("resources_follow_failing", "Whether the last look for new resources failed; the last good ones stay in use."),
            queue_limited: m.gauges("queue_length_limited", "Whether the broker limits a queue's length, by argument or policy, though letters or tiers need it to take what comes, by queue: 1 where it does. Needs broker.management_url.", &["queue"]),
            newest_invalid: m.gauge("resources_newest_invalid", "Whether the newest version of the resources in the store cannot be used, so that an older one is in use: 1 or 0."),
            queue_messages: m.gauges("queue_messages", "Messages in a queue of the broker, by queue.", &["queue"]),
            queue_oldest: m.real_gauges("queue_oldest_age_seconds", "Age of the oldest message, by queue: of deliveries by the store's account, of intakes at most this.", &["queue"]),
            tier_waiting: m.gauges("tier_deliveries", "Deliveries that wait in a retry tier by the store's account, by tier.", &["tier"]),
            letters: m.gauges("dead_letters", "Dead letters that lie there now, by connector and reason.", &["connector", "reason"]),
            measure_failing: m.gauge("measure_failing", "Whether the last measuring of the queues failed."),
            reconcile_runs: m.counters("reconcile_runs_total", "Reconciliations with a sender's API, by source and outcome.", &["source", "outcome"]),
            reconcile_missing: m.counters("reconcile_missing_total", "Events that never arrived and were fed by reconciling, by source.", &["source"]),
            reconcile_last_success: m.gauges("reconcile_last_success_timestamp_seconds", "When a reconciliation last came to its end, in seconds since 1970, by source.", &["source"]),
            lag: m.seconds_by("event_lag_seconds", "Time from intake to being taken from its queue, by queue.", SLOW, &["queue"]),
            attempts: m.counters("attempts_total", "Attempts, by connector, outcome and class of answer or failure.", &["connector", "outcome", "class"]),
            attempt_duration: m.seconds_by("attempt_duration_seconds", "Time of an attempt, by connector.", FAST, &["connector"]),
            end_to_end: m.seconds_by("end_to_end_seconds", "Time from intake to delivered, retries included, by connector.", SLOW, &["connector"]),
            dead: m.counters("dead_letters_total", "Letters put into the dead letters, by connector and reason.", &["connector", "reason"]),
            last_taken: std::sync::Mutex::default(),
            registry: m,
        }
    }

    /// Counts what browsers report of pixels. Whoever knows a site key can name any connector.
    pub fn pixel_reports(&self, resources: &Resources, reports: &[PixelReport]) {
        for told in reports {
            let connector = &told.report.connector;
            let known = resources.connector(connector).map_or("unknown", |_| connector.as_str());
            self.pixel_reports.with_label_values(&[known, told.report.outcome.as_str()]).inc();
        }
    }

    /// A message of `queue`, received at `since`, was taken.
    pub fn taken(&self, queue: &'static str, since: Timestamp) {
        self.lag.with_label_values(&[topology::label(queue)]).observe(age(since, Timestamp::now()));
        let mut last = self.last_taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.insert(queue, since);
    }

    /// The most that the oldest message of `queue` can be old, by the one last taken.
    pub fn oldest_at_most(&self, queue: &str, now: Timestamp) -> Option<f64> {
        let last = self.last_taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.get(queue).map(|since| age(*since, now))
    }

    /// A letter was buried. `connector` is empty for what is no delivery.
    pub fn dead(&self, connector: &str, reason: Reason) {
        self.dead.with_label_values(&[connector, reason.as_str()]).inc();
    }

    /// An attempt was made, or there was a reason not to.
    pub fn attempt(
        &self,
        delivery: &Delivery,
        class: &str,
        exchange: Option<&ExchangeRecord>,
        outcome: &Outcome,
    ) {
        let connector = delivery.connector.as_str();
        let word = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Tested => "test",
            Outcome::Retry(_) => "retry",
            Outcome::Dead(_) => "dead",
        };
        self.attempts.with_label_values(&[connector, word, class]).inc();
        // In Test mode there was no exchange that took any time.
        if let Some(exchange) = exchange.filter(|_| *outcome != Outcome::Tested) {
            self.attempt_duration.with_label_values(&[connector]).observe(exchange.duration.as_secs_f64());
        }
        if *outcome == Outcome::Delivered {
            let since = delivery.facts.event.received_at;
            self.end_to_end.with_label_values(&[connector]).observe(age(since, Timestamp::now()));
        }
    }

    /// A connector's breaker is in this state now.
    pub fn breaker(&self, connector: &ConnectorId, state: BreakerState) {
        for one in BreakerState::ALL {
            let gauge = self.breaker.with_label_values(&[connector.as_str(), one.as_str()]);
            gauge.set(i64::from(one == state));
        }
    }

    /// A connector is gone, and its breaker with it.
    pub fn forget_breaker(&self, connector: &ConnectorId) {
        for one in BreakerState::ALL {
            // An error means that it was never shown.
            let _ = self.breaker.remove_label_values(&[connector.as_str(), one.as_str()]);
        }
        let _ = self.paused.remove_label_values(&[connector.as_str()]);
    }

    /// A group commit of the store took so long and held so many jobs.
    pub fn committed(&self, took: Duration, jobs: usize) {
        self.commits.observe(took.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a group is at most a few hundred jobs")]
        self.commit_jobs.observe(jobs as f64);
    }
}

/// The states of a breaker, for its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything goes.
    Closed,
    /// Nothing does, until the next probe.
    Open,
    /// One delivery is tried.
    Probing,
}

impl BreakerState {
    const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Probing];

    fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Probing => "probing",
        }
    }
}

/// Seconds between two times; 0 where clocks disagree.
pub fn age(since: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(since).as_secs_f64().max(0.0)
}
