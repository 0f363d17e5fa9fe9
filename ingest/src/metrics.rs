//! The figures of ingest. Every label is bounded by configuration: what a stranger names is `unknown`.

use carom_common::amqp;
use carom_common::id::ConnectorId;
use carom_common::source::Source;
use carom_common::telemetry::{FAST, Metrics};
use carom_common::trace::Code;
use carom_common::track::Says;
use http::StatusCode;
use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge};
use std::time::Duration;

/// The label of whatever no configuration names.
pub const UNKNOWN: &str = "unknown";

/// All of them.
pub struct Ingest {
    /// Intakes by source and outcome.
    pub intakes: IntCounterVec,
    /// Requests whose signature was refused, by source and reason.
    pub signatures_refused: IntCounterVec,
    /// Clicks by offer and outcome.
    pub clicks: IntCounterVec,
    /// Clicks that are nobody's touch, by reason.
    pub clicks_not_touches: IntCounterVec,
    /// From publish to confirm.
    pub confirm: Histogram,
    /// Items per message.
    pub batch: HistogramVec,
    /// Requests, by route.
    pub requests: Requests,
    /// What pages report, and what their browsers are given.
    pub track: Track,
    /// Bytes of memory that events take.
    pub bytes_in_flight: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
    /// Connections that ended in an error, by reason.
    pub connections_failed: IntCounterVec,
    /// Which node of the broker is connected, and how often one had to be.
    pub broker: amqp::Figures,
    /// Whether the broker is connected.
    pub broker_connected: IntGauge,
    /// Whether the broker has blocked us.
    pub broker_blocked: IntGauge,
    /// The version of the resources in use.
    pub resources_version: IntGauge,
    /// Whether the last look for new resources failed.
    pub resources_stale: IntGauge,
    /// Whether the store answered the last look.
    pub store_reachable: IntGauge,
    /// Whether the newest version of the resources cannot be used.
    pub newest_invalid: IntGauge,
    /// Whether the resources in use could not be kept on disk.
    pub snapshot_failing: IntGauge,
    /// Tokens that are configured and cannot be read.
    pub tokens_unreadable: IntGauge,
    /// Whether the country database is as it should be.
    pub country_database: IntGauge,
    /// Signing secrets that are configured and cannot be read.
    pub secrets_unreadable: IntGauge,
}

impl Ingest {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            intakes: metrics.counters(
                "intakes_total",
                "Requests to the events endpoints, by source and outcome.",
                &["source", "outcome"],
            ),
            signatures_refused: metrics.counters(
                "signatures_refused_total",
                "Requests to signed sources that were refused for their signature, by source and reason.",
                &["source", "reason"],
            ),
            clicks: metrics.counters(
                "clicks_total",
                "Requests to the redirect, by offer and outcome.",
                &["offer", "outcome"],
            ),
            clicks_not_touches: metrics.counters(
                "clicks_not_touches_total",
                "Requests to the redirect that are no person's click, by reason. They are redirected all the same.",
                &["reason"],
            ),
            confirm: metrics.seconds(
                "confirm_duration_seconds",
                "From publishing a message to the broker's confirm.",
                FAST,
            ),
            batch: metrics.seconds_by(
                "publish_batch_items",
                "Items that went out as one message, by queue.",
                &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
                &["queue"],
            ),
            requests: Requests::new(metrics),
            track: Track::new(metrics),
            bytes_in_flight: metrics.gauge("bytes_in_flight", "Memory that events in work take, in bytes."),
            connections: metrics.gauge("connections_open", "Open connections to the public listener."),
            connections_failed: metrics.counters(
                "connections_failed_total",
                "Connections to the public listener that ended in an error, by reason.",
                &["reason"],
            ),
            broker: amqp::Figures::new(metrics),
            broker_connected: metrics.gauge("broker_connected", "Whether the broker is connected: 1 or 0."),
            broker_blocked: metrics.gauge(
                "broker_blocked",
                "Whether the broker has stopped reading from us (memory or disk alarm): 1 or 0.",
            ),
            resources_version: metrics.gauge(
                "resources_version",
                "The version of the resources in use; 0 for none.",
            ),
            resources_stale: metrics.gauge(
                "resources_stale",
                "Whether the last look for new resources failed, so that the last good ones are in use: 1 or 0.",
            ),
            store_reachable: metrics.gauge(
                "store_reachable",
                "Whether the store answered when it was last looked at: 1 or 0. Without it the last good resources are in use.",
            ),
            newest_invalid: metrics.gauge(
                "resources_newest_invalid",
                "Whether the newest version of the resources in the store cannot be used, so that an older one is in use: 1 or 0.",
            ),
            snapshot_failing: metrics.gauge(
                "resources_snapshot_failing",
                "Whether the resources in use are not in ingest.snapshot_path, because it could not be written: 1 or 0.",
            ),
            tokens_unreadable: metrics.gauge(
                "source_tokens_unreadable",
                "Tokens of sources that are configured and cannot be read.",
            ),
            country_database: metrics.gauge(
                "country_database_usable",
                "Whether ingest.country_database is in use as it is on the disk: 1; 0 where there is none, or it cannot be read.",
            ),
            secrets_unreadable: metrics.gauge(
                "source_secrets_unreadable",
                "Signing secrets of sources that are configured and cannot be read.",
            ),
        }
    }

    /// Counts an intake.
    pub fn intake(&self, source: &str, outcome: &str) {
        self.intakes.with_label_values(&[source, outcome]).inc();
    }

    /// Counts a signature that was refused.
    pub fn signature_refused(&self, source: &str, reason: &str) {
        self.signatures_refused.with_label_values(&[source, reason]).inc();
    }

    /// Counts a request to the redirect.
    pub fn click(&self, offer: &str, outcome: &str) {
        self.clicks.with_label_values(&[offer, outcome]).inc();
    }
}

/// What every request is counted by. Looked up once: a request would look up each of them by its labels.
pub struct Requests {
    /// `/c/{offer}`.
    pub click: Route,
    /// `/api/v1/events` and what is below it.
    pub events: Route,
    /// `/api/v1/track`.
    pub track: Route,
    /// The tag's script.
    pub tag: Route,
    /// Anything else.
    pub other: Route,
}

impl Requests {
    fn new(metrics: &Metrics) -> Self {
        let in_flight = metrics.gauges("requests_in_flight", "Requests in work, by route.", &["route"]);
        let took = metrics.seconds_by(
            "request_duration_seconds",
            "From a request's head to its answer, the wait for the confirm included, by route and status class.",
            FAST,
            &["route", "status"],
        );
        let route = |name| Route {
            in_flight: in_flight.with_label_values(&[name]),
            took: ["2xx", "3xx", "4xx", "5xx"].map(|class| took.with_label_values(&[name, class])),
        };
        Self {
            click: route("click"),
            events: route("events"),
            track: route("track"),
            tag: route("tag"),
            other: route("other"),
        }
    }
}

/// What pages report, and what their browsers are given.
pub struct Track {
    said: IntCounterVec,
    pixels: IntCounterVec,
    looks: IntCounterVec,
    look: Histogram,
}

impl Track {
    fn new(metrics: &Metrics) -> Self {
        Self {
            said: metrics.counters(
                "track_requests_total",
                "What tags reported from pages, by source and by what that was: visit, event or reports.",
                &["source", "says"],
            ),
            pixels: metrics.counters(
                "track_pixels_total",
                "Pixels that were selected for a browser, by connector and by what was decided then.",
                &["connector", "decision"],
            ),
            looks: metrics.counters(
                "track_lookups_total",
                "Events of tags that were looked up in the store, by outcome: known, or unknown where it was away, failed or slow.",
                &["outcome"],
            ),
            look: metrics.seconds(
                "track_lookup_duration_seconds",
                "How long an event of a tag waited for the store.",
                FAST,
            ),
        }
    }

    /// Counts a request.
    pub fn said(&self, source: &Source, says: &Says) {
        let says = match says {
            Says::Visit => "visit",
            Says::Event { .. } => "event",
            Says::Reports(_) => "reports",
        };
        self.said.with_label_values(&[source.id.as_str(), says]).inc();
    }

    /// Counts what was decided about a pixel.
    pub fn pixel(&self, connector: &ConnectorId, decision: Code) {
        self.pixels.with_label_values(&[connector.as_str(), decision.as_str()]).inc();
    }

    /// Counts a look into the store.
    pub fn looked(&self, outcome: &str, took: Duration) {
        self.looks.with_label_values(&[outcome]).inc();
        self.look.observe(took.as_secs_f64());
    }
}

/// The requests of one route.
pub struct Route {
    /// Those in work.
    pub in_flight: IntGauge,
    /// From head to answer, by the class of the status, from 2xx on.
    took: [Histogram; 4],
}

impl Route {
    /// Counts a request that was answered.
    pub fn took(&self, status: StatusCode, time: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.took[class].observe(time.as_secs_f64());
    }
}
