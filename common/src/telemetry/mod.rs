//! What a process says of itself: logs, metrics, and whether it is alive and ready.
//!
//! Nothing here carries secrets or personal data, and no label is bounded by traffic.

mod lines;
pub mod ops;

use crate::config::{Log, LogFormat};
use anyhow::Context;
pub use lines::Guard;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts writing log lines to standard error: `human` for people, `json` with dotted fields for machines. Nobody
/// who logs waits for whoever reads. What comes back is kept until the process ends, and then waits for the last lines.
///
/// # Errors
/// `log.level` is no filter, or there is no thread to write with.
#[must_use = "dropped at once, it says that the process ends"]
pub fn log(settings: &Log) -> anyhow::Result<Guard> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        anyhow::anyhow!("log.level: {error}; write a level such as info, or info,carom_worker=debug")
    })?;
    // lapin tells every lost connection as an error of its own; ours says it once, where it is handled.
    let filter = match "lapin=off".parse() {
        Ok(quiet) if !settings.level.contains("lapin") => filter.add_directive(quiet),
        _ => filter,
    };
    let (lines, guard) = lines::start(std::io::stderr()).context("log lines cannot be written")?;
    // By default the library tells what it cannot write on standard error, and panics where that is closed.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false).with_writer(lines);
    match settings.format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(guard)
}

/// Makes metrics and registers them under the prefix `carom_`.
///
/// # Panics
/// The methods panic on an invalid or doubled name: a fault of the program, found by its first start.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
}

#[allow(clippy::expect_used, reason = "a metric's name is a constant of the program")]
impl Metrics {
    /// A registry with the process's own figures and the build's.
    pub fn new(binary: &str) -> Self {
        let registry = Registry::new_custom(Some("carom".to_owned()), None).expect("the prefix is valid");
        let metrics = Self { registry };
        let opts = Opts::new("build_info", "The running build; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("binary", binary);
        let info = IntGauge::with_opts(opts).expect("valid");
        info.set(1);
        metrics.register(info);
        metrics.register(lines::LOST.clone());
        metrics
    }

    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> C {
        self.registry.register(Box::new(collector.clone())).expect("a metric is registered once");
        collector
    }

    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help).expect("valid"))
    }

    /// A counter with labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help).expect("valid"))
    }

    /// A gauge in fractions.
    pub fn real_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(Gauge::new(name, help).expect("valid"))
    }

    /// A gauge with labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A gauge in fractions with labels.
    pub fn real_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A histogram of seconds.
    pub fn seconds(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts).expect("valid"))
    }

    /// A histogram of seconds with labels.
    pub fn seconds_by(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(opts, labels).expect("valid"))
    }

    /// Everything, in Prometheus' text format. Process figures keep their customary names.
    pub fn text(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(prometheus::default_registry().gather());
        prometheus::TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// Buckets for what takes milliseconds: confirms, commits, requests.
pub const FAST: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets for what may wait in a tier: from event to delivery.
pub const SLOW: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0, 90.0, 400.0, 1_500.0, 6_000.0, 50_000.0,
    150_000.0,
];
