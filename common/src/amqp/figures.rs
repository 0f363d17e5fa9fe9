//! The figures of links: which node each is connected to, and how often it had to connect.

use super::Link;
use crate::telemetry::Metrics;
use prometheus::{IntCounterVec, IntGaugeVec};

/// Registered once in each process. Labels are bounded by the configuration: its links and its nodes.
pub struct Figures {
    node: IntGaugeVec,
    connections: IntCounterVec,
}

impl Figures {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            node: metrics.gauges(
                "broker_node",
                "Whether a connection stands to this node of the broker: 1 or 0, by the connection's use and the node's address.",
                &["link", "node"],
            ),
            connections: metrics.counters(
                "broker_connections_total",
                "Connections made to the broker, by use: each beyond the first is a reconnect.",
                &["link"],
            ),
        }
    }

    /// Shows where a link stands now, under the name of its use.
    pub fn show(&self, name: &str, link: &Link) {
        let (at, nodes) = link.whereabouts();
        for node in nodes.iter() {
            let here = at.as_ref() == Some(node);
            self.node.with_label_values(&[name, node]).set(i64::from(here));
        }
        let shown = self.connections.with_label_values(&[name]);
        shown.inc_by(link.connections().saturating_sub(shown.get()));
    }
}
