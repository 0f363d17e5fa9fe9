//! What a process says of itself: logs, metrics, and whether it is alive and ready.
//!
//! Nothing here carries secrets or personal data, and no label is bounded by traffic.

pub mod health;
mod lines;
mod memory_limit;
pub mod ops;

use crate::config::{Log, LogFormat};
use anyhow::Context;
pub use lines::Guard;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;

/// Starts writing log lines to standard error: `human` for people, `json` with dotted fields for machines. Nobody
/// who logs waits for whoever reads. What comes back is kept until the process ends, and then waits for the last lines.
///
/// # Errors
/// `log.level` is no filter, or there is no thread to write with.
#[must_use = "dropped at once, it says that the process ends"]
pub fn log(settings: &Log) -> anyhow::Result<Guard> {
    let filter = filter(&settings.level)?;
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

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let mut filter = EnvFilter::try_new(level).map_err(|error| {
        anyhow::anyhow!("log.level: {error}; write a level such as info, or info,carom_worker=debug")
    })?;
    // lapin tells every lost connection as an error of its own; ours says it once, where it is handled.
    if !level.contains("lapin") {
        filter = filter.add_directive("lapin=off".parse()?);
    }
    // Whatever else it may say, a message that came back it tells whole, with what is in it about people.
    Ok(filter.add_directive("lapin::returned_messages=off".parse()?))
}

/// Makes metrics and registers them under the prefix `carom_`.
///
/// # Panics
/// The methods panic on an invalid or doubled name: a fault of the program, found by its first start.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// What was registered. A metric with labels has no sample before its first event; it is named all the same,
    /// so that a page of all metrics can be held against a process that has just begun.
    declared: Arc<Mutex<Vec<Declared>>>,
    memory_limit: IntGauge,
}

/// The head of a metric in the text format.
struct Declared {
    name: String,
    help: String,
    kind: &'static str,
}

#[allow(clippy::expect_used, reason = "a metric's name is a constant of the program")]
impl Metrics {
    /// A registry with the process's own figures and the build's.
    pub fn new(binary: &str) -> Self {
        let registry = Registry::new_custom(Some("carom".to_owned()), None).expect("the prefix is valid");
        let memory_limit = IntGauge::new(
            "memory_limit_bytes",
            "The memory that the process may use by its control group (version 2), in bytes; 0 for no limit.",
        );
        let memory_limit = memory_limit.expect("valid");
        let metrics = Self { registry, declared: Arc::default(), memory_limit };
        metrics.register("gauge", metrics.memory_limit.clone());
        let opts = Opts::new("build_info", "The running build; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("binary", binary);
        let info = IntGauge::with_opts(opts).expect("valid");
        info.set(1);
        metrics.register("gauge", info);
        metrics.register("counter", lines::LOST.clone());
        metrics
    }

    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        collector: C,
    ) -> C {
        let declared = collector.desc().into_iter().map(|desc| Declared {
            name: format!("carom_{}", desc.fq_name),
            help: desc.help.clone(),
            kind,
        });
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).extend(declared);
        self.registry.register(Box::new(collector.clone())).expect("a metric is registered once");
        collector
    }

    /// Shows a metric that was made elsewhere, under our prefix.
    pub fn adopt<C: prometheus::core::Collector + Clone + 'static>(&self, kind: &'static str, collector: C) {
        self.register(kind, collector);
    }

    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register("counter", IntCounter::new(name, help).expect("valid"))
    }

    /// A counter with labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register("counter", IntCounterVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register("gauge", IntGauge::new(name, help).expect("valid"))
    }

    /// A gauge in fractions.
    pub fn real_gauge(&self, name: &str, help: &str) -> Gauge {
        self.register("gauge", Gauge::new(name, help).expect("valid"))
    }

    /// A gauge with labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register("gauge", IntGaugeVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A gauge in fractions with labels.
    pub fn real_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register("gauge", GaugeVec::new(Opts::new(name, help), labels).expect("valid"))
    }

    /// A histogram of seconds.
    pub fn seconds(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register("histogram", Histogram::with_opts(opts).expect("valid"))
    }

    /// A histogram of seconds with labels.
    pub fn seconds_by(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.register("histogram", HistogramVec::new(opts, labels).expect("valid"))
    }

    /// Everything, in Prometheus' text format. Process figures keep their customary names.
    pub fn text(&self) -> String {
        self.memory_limit.set(memory_limit::now().and_then(|limit| i64::try_from(limit).ok()).unwrap_or(0));
        let mut families = self.registry.gather();
        families.extend(prometheus::default_registry().gather());
        let mut text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap_or_default();
        for Declared { name, help, kind } in
            self.declared.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            if !families.iter().any(|family| family.name() == name) {
                text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            }
        }
        text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lapin_never_tells_what_is_in_a_message_that_came_back() {
        for (level, lapin) in
            [("info", false), ("info,lapin=warn", true), ("lapin::returned_messages=warn", false)]
        {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(level).unwrap())
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "lapin::returned_messages", "a body");
                tracing::warn!(target: "lapin::channels", "a loss");
            });
            let told = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!told.contains("a body"), "{level}: {told}");
            assert_eq!(told.contains("a loss"), lapin, "{level}: {told}");
        }
    }

    #[test]
    fn a_metric_is_named_before_it_has_a_sample_and_once_when_it_has_one() {
        let metrics = Metrics::new("a-test");
        let sold = metrics.counters("sold_total", "What was sold.", &["what"]);
        let heads = "# HELP carom_sold_total What was sold.\n# TYPE carom_sold_total counter\n";
        assert!(metrics.text().contains(heads));
        assert!(!metrics.text().contains("carom_sold_total{"));
        sold.with_label_values(&["tea"]).inc();
        assert_eq!(metrics.text().matches(heads).count(), 1);
        assert!(metrics.text().contains("carom_sold_total{what=\"tea\"} 1\n"));
    }
}
