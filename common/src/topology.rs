//! The broker's exchanges and queues, as data: what the design fixes, and nothing that connects.
//!
//! The reasons for every argument are in the "Measured" notes of ARCHITECTURE.md. Redeclaring with
//! other arguments is refused by the broker, so an argument here is for ever; tunables are policies.

mod definitions;

pub use definitions::definitions;

use crate::id::ConnectorId;
use crate::retry::{Schedule, Tier};
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// Where ingest puts intakes.
pub const EVENTS: &str = "carom.events";
/// Where ingest puts clicks.
pub const CLICKS: &str = "carom.clicks";
/// Where everything ends that was given up.
pub const DEAD: &str = "carom.dead";
/// Where the broker puts what it could not route, and what was returned to a queue too often.
pub const UNROUTED: &str = "carom.unrouted";
/// The direct exchange by which the tiers return messages to their queues. Only tiers publish to it.
pub const WORK: &str = "carom.work";

/// After this many deliveries without an ack the broker moves a message to `carom.unrouted`. It must be
/// set (4.0 drops after 20) and large: a consumer's crash counts, and poison is ours to decide.
const DELIVERY_LIMIT: i64 = 1_000;

/// `carom.dead` is read and rotated by every replay, so its messages may come and go for years.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// The queue of a connector.
pub fn deliver_queue(connector: &ConnectorId) -> String {
    format!("carom.deliver.{connector}")
}

/// The exchange of a tier, and its queue: both have this name.
pub fn retry(tier: Tier) -> String {
    format!("carom.retry.{tier}")
}

/// The label of a queue in metrics: its name without our prefix.
pub fn label(queue: &str) -> &str {
    queue.strip_prefix("carom.").unwrap_or(queue)
}

/// A quorum queue to declare.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: FieldTable,
    /// Whether `carom.work` routes its name to it.
    pub returned_to: bool,
}

/// An exchange to declare.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: lapin::ExchangeKind,
    /// Its arguments.
    pub arguments: FieldTable,
    /// The queue that gets everything published to it, for a fanout.
    pub feeds: Option<String>,
}

/// Everything but the connectors' queues.
#[derive(Clone, Debug)]
pub struct Topology {
    /// To be declared first.
    pub queues: Vec<Queue>,
    /// To be declared when the queues are there.
    pub exchanges: Vec<Exchange>,
}

/// The topology for a schedule.
pub fn topology(schedule: &Schedule) -> Topology {
    let mut queues = vec![
        work_queue(EVENTS),
        work_queue(CLICKS),
        kept_queue(DEAD, UNROUTED, DEAD_DELIVERY_LIMIT),
        kept_queue(UNROUTED, DEAD, DELIVERY_LIMIT),
    ];
    let mut exchanges = vec![
        Exchange {
            name: UNROUTED.into(),
            kind: lapin::ExchangeKind::Fanout,
            arguments: FieldTable::default(),
            feeds: Some(UNROUTED.into()),
        },
        Exchange {
            name: WORK.into(),
            kind: lapin::ExchangeKind::Direct,
            arguments: table(&[("alternate-exchange", text(UNROUTED))]),
            feeds: None,
        },
    ];
    for tier in schedule.tiers() {
        let name = retry(*tier);
        queues.push(tier_queue(&name, *tier));
        let feeds = Some(name.clone());
        exchanges.push(Exchange {
            name,
            kind: lapin::ExchangeKind::Fanout,
            arguments: FieldTable::default(),
            feeds,
        });
    }
    Topology { queues, exchanges }
}

/// The queue of a connector, to be declared when the connector appears.
pub fn connector_queue(connector: &ConnectorId) -> Queue {
    work_queue(&deliver_queue(connector))
}

/// A queue that binaries consume and tiers return to. What is delivered too often goes to
/// `carom.unrouted`, at least once.
fn work_queue(name: &str) -> Queue {
    Queue { returned_to: true, ..kept_queue(name, UNROUTED, DELIVERY_LIMIT) }
}

fn kept_queue(name: &str, dead_letters_to: &str, delivery_limit: i64) -> Queue {
    let arguments = table(&[
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongLongInt(delivery_limit)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(dead_letters_to)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]);
    Queue { name: name.to_owned(), arguments, returned_to: false }
}

/// A queue that holds each message for its tier's time and hands it back under its own routing key.
/// It has no delivery limit, as nobody consumes it, and never an expiry or a length.
fn tier_queue(name: &str, tier: Tier) -> Queue {
    let arguments = table(&[
        ("x-queue-type", text("quorum")),
        ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(tier.millis()).unwrap_or(i64::MAX))),
        ("x-dead-letter-exchange", text(WORK)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]);
    Queue { name: name.to_owned(), arguments, returned_to: false }
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(ShortString::from(*key), value.clone());
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_keeps_the_rules_that_make_a_tiers_hop_safe() {
        let topology = topology(&Schedule::default());
        assert_eq!(topology.queues.len(), 4 + 8);
        for queue in topology.queues.iter().chain([&connector_queue(&"a".parse().unwrap())]) {
            let argument = |name: &str| queue.arguments.inner().get(name).cloned();
            assert_eq!(argument("x-queue-type"), Some(text("quorum")), "{}", queue.name);
            assert_eq!(argument("x-dead-letter-strategy"), Some(text("at-least-once")), "{}", queue.name);
            assert_eq!(argument("x-overflow"), Some(text("reject-publish")), "{}", queue.name);
            for never in ["x-max-length", "x-max-length-bytes", "x-expires", "x-queue-mode"] {
                assert_eq!(argument(never), None, "{}", queue.name);
            }
        }
    }

    #[test]
    fn a_tier_is_returned_to_work_queues_only() {
        let returned: Vec<_> = topology(&Schedule::default())
            .queues
            .into_iter()
            .filter(|queue| queue.returned_to)
            .map(|queue| queue.name)
            .collect();
        assert_eq!(returned, [EVENTS, CLICKS]);
    }
}
