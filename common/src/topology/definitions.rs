//! The topology in the form that RabbitMQ imports: for whoever makes queues before the binaries come, or gives
//! them no right to.

use super::{Exchange, Queue, Topology, WORK};
use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};

/// The policy of all our queues. Of all policies that match a queue only that of the highest priority applies, so
/// this one keeps everybody's catch-all policies, with their length limits, away from queues that need none.
const POLICY: &str = "carom";
const PRIORITY: i64 = 100;

/// Everything in `vhost`: the topology, and the queues of connectors. Importing it twice, or beside binaries that
/// have declared it, changes nothing.
pub fn definitions(vhost: &str, topology: &Topology, connectors: &[Queue]) -> Value {
    let queues: Vec<_> = topology.queues.iter().chain(connectors).collect();
    json!({
        "vhosts": [{ "name": vhost }],
        "policies": [{
            "vhost": vhost,
            "name": POLICY,
            "pattern": "^carom\\.",
            "apply-to": "queues",
            "priority": PRIORITY,
            "definition": { "queue-leader-locator": "balanced" },
        }],
        "queues": queues.iter().map(|given| queue(vhost, given)).collect::<Vec<_>>(),
        "exchanges": topology.exchanges.iter().map(|given| exchange(vhost, given)).collect::<Vec<_>>(),
        "bindings": bindings(vhost, topology, &queues),
    })
}

fn queue(vhost: &str, queue: &Queue) -> Value {
    json!({
        "vhost": vhost,
        "name": queue.name,
        "durable": true,
        "auto_delete": false,
        "arguments": arguments(&queue.arguments),
    })
}

fn exchange(vhost: &str, exchange: &Exchange) -> Value {
    json!({
        "vhost": vhost,
        "name": exchange.name,
        "type": match exchange.kind {
            ExchangeKind::Fanout => "fanout",
            _ => "direct",
        },
        "durable": true,
        "auto_delete": false,
        "internal": false,
        "arguments": arguments(&exchange.arguments),
    })
}

fn bindings(vhost: &str, topology: &Topology, queues: &[&Queue]) -> Vec<Value> {
    let fed = topology.exchanges.iter().filter_map(|exchange| {
        let queue = exchange.feeds.as_deref()?;
        Some((exchange.name.as_str(), queue, ""))
    });
    let returned_to = queues.iter().filter(|queue| queue.returned_to);
    let returned = returned_to.map(|queue| (WORK, queue.name.as_str(), queue.name.as_str()));
    let binding = |(source, queue, key)| {
        json!({
            "vhost": vhost,
            "source": source,
            "destination": queue,
            "destination_type": "queue",
            "routing_key": key,
            "arguments": {},
        })
    };
    fed.chain(returned).map(binding).collect()
}

fn arguments(table: &FieldTable) -> Map<String, Value> {
    let value = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Value::from(text.to_string()),
        AMQPValue::LongLongInt(number) => Value::from(*number),
        // The topology has no others.
        _ => Value::Null,
    };
    table.inner().iter().map(|(key, given)| (key.to_string(), value(given))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::Schedule;
    use crate::topology::{connector_queue, topology};

    fn all() -> Value {
        let connector = connector_queue(&"a".parse().unwrap());
        definitions("/", &topology(&Schedule::default()), &[connector])
    }

    #[test]
    fn the_file_in_the_repository_is_what_the_code_declares() {
        let file: Value =
            serde_json::from_str(include_str!("../../../deploy/rabbitmq/definitions.json")).unwrap();
        let code = definitions("/", &topology(&Schedule::default()), &[]);
        assert_eq!(file, code, "write it again: carom-worker topology > deploy/rabbitmq/definitions.json");
    }

    #[test]
    fn every_argument_has_a_value_and_nothing_limits_a_length() {
        let text = all().to_string();
        assert!(!text.contains("null") && !text.contains("max-length"), "{text}");
    }

    #[test]
    fn a_connectors_queue_comes_with_its_way_back_from_the_tiers() {
        let all = all();
        let bindings = all["bindings"].as_array().unwrap();
        let back =
            |binding: &&Value| binding["source"] == WORK && binding["destination"] == "carom.deliver.a";
        assert_eq!(bindings.iter().find(back).unwrap()["routing_key"], "carom.deliver.a");
        assert!(all["queues"].as_array().unwrap().iter().any(|queue| queue["name"] == "carom.deliver.a"));
    }
}
