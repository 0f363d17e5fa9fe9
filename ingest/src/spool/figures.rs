//! What is known of the spool: kept by its thread, read by whoever shows it.

use super::{Queue, Refused};
use carom_common::telemetry::{FAST, Metrics};
use jiff::Timestamp;
use prometheus::{Gauge, Histogram, IntCounterVec, IntGauge, IntGaugeVec};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A spool with less left than this is as good as full.
const ROOM: u64 = 256 * 1024;
/// Stands for no time at all.
const NEVER: i64 = i64::MAX;

/// The figures. Clones share them.
#[derive(Clone)]
pub struct Figures {
    now: Arc<Now>,
    max: u64,
    items: IntGaugeVec,
    bytes: IntGauge,
    oldest: Gauge,
    failing: IntGauge,
    spooled: IntCounterVec,
    drained: IntCounterVec,
    withdrawn: IntCounterVec,
    refused: IntCounterVec,
    write: Histogram,
}

#[derive(Default)]
struct Now {
    items: [AtomicU64; 2],
    /// When the oldest item of each queue came, in milliseconds of the Unix epoch.
    oldest: [AtomicI64; 2],
    used: AtomicU64,
    failing: AtomicBool,
}

impl Figures {
    /// Registers them, for a spool of at most `max` bytes.
    pub fn new(metrics: &Metrics, max: u64) -> Self {
        let limit = metrics.gauge("spool_max_bytes", "How large the spool may become, in bytes.");
        limit.set(i64::try_from(max).unwrap_or(i64::MAX));
        let now = Now { oldest: [AtomicI64::new(NEVER), AtomicI64::new(NEVER)], ..Now::default() };
        let figures = Self {
            now: Arc::new(now),
            max,
            items: metrics.gauges(
                "spool_items",
                "Items that wait on disk for the broker, by queue.",
                &["queue"],
            ),
            bytes: metrics.gauge("spool_bytes", "How much of the spool is in use, in bytes."),
            oldest: metrics.real_gauge(
                "spool_oldest_seconds",
                "How long the oldest item has been in the spool; 0 when it is empty.",
            ),
            failing: metrics
                .gauge("spool_failing", "Whether the spool's file cannot be written now: 1 or 0."),
            spooled: metrics.counters(
                "spool_spooled_total",
                "Items that went into the spool because the broker did not confirm them in time, by queue.",
                &["queue"],
            ),
            drained: metrics.counters(
                "spool_drained_total",
                "Items that the broker confirmed out of the spool, by queue.",
                &["queue"],
            ),
            withdrawn: metrics.counters(
                "spool_withdrawn_total",
                "Items that were spooled while their confirm was late and confirmed after all, by queue.",
                &["queue"],
            ),
            refused: metrics.counters(
                "spool_refused_total",
                "Items that the spool did not take, by queue and reason.",
                &["queue", "reason"],
            ),
            write: metrics.seconds(
                "spool_write_duration_seconds",
                "From the first item of a group to its being on the disk.",
                FAST,
            ),
        };
        for queue in Queue::ALL.map(Queue::as_str) {
            for counters in [&figures.spooled, &figures.drained, &figures.withdrawn] {
                counters.with_label_values(&[queue]);
            }
            for reason in [Refused::Full, Refused::Failing, Refused::Busy] {
                figures.refused.with_label_values(&[queue, reason.as_str()]);
            }
        }
        figures
    }

    /// How many items of a queue wait.
    pub fn items(&self, queue: Queue) -> u64 {
        self.now.items[queue as usize].load(Ordering::Relaxed)
    }

    /// How many bytes are in use.
    pub fn used(&self) -> u64 {
        self.now.used.load(Ordering::Relaxed)
    }

    /// Whether its file cannot be written.
    pub fn failing(&self) -> bool {
        self.now.failing.load(Ordering::Relaxed)
    }

    /// Whether there is next to no room left.
    pub fn full(&self) -> bool {
        self.max.saturating_sub(self.used()) < ROOM
    }

    /// Shows what only is now.
    pub fn show(&self) {
        let mut oldest = NEVER;
        for queue in Queue::ALL {
            let items = i64::try_from(self.items(queue)).unwrap_or(i64::MAX);
            self.items.with_label_values(&[queue.as_str()]).set(items);
            oldest = oldest.min(self.now.oldest[queue as usize].load(Ordering::Relaxed));
        }
        self.bytes.set(i64::try_from(self.used()).unwrap_or(i64::MAX));
        self.failing.set(self.failing().into());
        let age =
            if oldest == NEVER { 0 } else { Timestamp::now().as_millisecond().saturating_sub(oldest).max(0) };
        self.oldest.set(Duration::from_millis(age.unsigned_abs()).as_secs_f64());
    }

    /// Counts items that the broker has confirmed.
    pub fn drained(&self, queue: Queue, items: usize) {
        self.drained.with_label_values(&[queue.as_str()]).inc_by(items as u64);
    }

    pub(super) fn withdrawn(&self, queue: Queue) {
        self.withdrawn.with_label_values(&[queue.as_str()]).inc();
    }

    pub(super) fn spooled(&self, queue: Queue) {
        self.spooled.with_label_values(&[queue.as_str()]).inc();
    }

    pub(super) fn refused(&self, queue: Queue, refused: Refused) {
        self.refused.with_label_values(&[queue.as_str(), refused.as_str()]).inc();
    }

    pub(super) fn wrote(&self, took: Duration) {
        self.write.observe(took.as_secs_f64());
    }

    pub(super) fn set_used(&self, bytes: u64) {
        self.now.used.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn set_items(&self, queue: Queue, items: u64, oldest: Option<i64>) {
        self.now.items[queue as usize].store(items, Ordering::Relaxed);
        self.now.oldest[queue as usize].store(oldest.unwrap_or(NEVER), Ordering::Relaxed);
    }

    /// Sets it, and says how it was.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        self.now.failing.swap(failing, Ordering::Relaxed)
    }
}
