//! The retry schedule as the broker keeps it, and a delivery that walks through all of it.

use crate::network;
use anyhow::{Context, Result, ensure};
use carom_tests::eventually::secs;
use carom_tests::metrics;
use carom_tests::receiver::{Received, always};
use carom_tests::stack::Binary;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What never stands among a queue's arguments.
const NEVER: [&str; 6] = [
    "x-expires",
    "x-max-length",
    "x-max-length-bytes",
    "x-queue-mode",
    "x-single-active-consumer",
    "x-ha-policy",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_holds_exactly_the_eight_tiers_of_the_schedule() -> Result<()> {
    let (broker, _receiver, _, setup) = network().await?;
    let stack = setup.start(&broker).await?;
    let queues = stack.vhost()?.list("queues").await?;
    let expected = [
        ("carom.retry.1s", 1_000),
        ("carom.retry.15s", 15_000),
        ("carom.retry.1m", 60_000),
        ("carom.retry.5m", 300_000),
        ("carom.retry.15m", 900_000),
        ("carom.retry.1h", 3_600_000),
        ("carom.retry.12h", 43_200_000),
        ("carom.retry.24h", 86_400_000),
    ];
    let is_tier =
        |queue: &&Value| queue["name"].as_str().is_some_and(|name| name.starts_with("carom.retry."));
    let tiers: BTreeSet<_> =
        queues.iter().filter(is_tier).filter_map(|queue| queue["name"].as_str()).collect();
    assert_eq!(tiers, expected.iter().map(|(name, _)| *name).collect());
    for (name, millis) in expected {
        let queue = named(&queues, name)?;
        // All of them, so that none is there that we do not know of.
        let arguments = json!({
            "x-queue-type": "quorum",
            "x-message-ttl": millis,
            "x-dead-letter-exchange": "carom.work",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        });
        assert_eq!(queue["arguments"], arguments, "{name}");
        assert_eq!(queue["durable"], true, "{name}");
        println!("{name}: {}", queue["arguments"]);
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiers_return_to_the_work_queues_and_what_fits_nowhere_is_kept() -> Result<()> {
    let (broker, _receiver, _, setup) = network().await?;
    let stack = setup.start(&broker).await?;
    let vhost = stack.vhost()?;

    let exchanges = vhost.list("exchanges").await?;
    let work = named(&exchanges, "carom.work")?;
    assert_eq!((&work["type"], &work["durable"]), (&json!("direct"), &json!(true)));
    assert_eq!(work["arguments"], json!({"alternate-exchange": "carom.unrouted"}));
    assert_eq!(named(&exchanges, "carom.unrouted")?["type"], "fanout");
    for tier in ["1s", "15s", "1m", "5m", "15m", "1h", "12h", "24h"] {
        let exchange = named(&exchanges, &format!("carom.retry.{tier}"))?;
        assert_eq!((&exchange["type"], &exchange["durable"]), (&json!("fanout"), &json!(true)), "{tier}");
    }

    let bindings = vhost.list("bindings").await?;
    let bound = |exchange: &str| -> BTreeSet<(String, String)> {
        let text = |binding: &Value, key: &str| binding[key].as_str().unwrap_or_default().to_owned();
        let of_exchange = bindings.iter().filter(|binding| binding["source"] == exchange);
        of_exchange.map(|binding| (text(binding, "routing_key"), text(binding, "destination"))).collect()
    };
    let own = ["carom.events", "carom.clicks", "carom.deliver.network"]
        .map(|name| (name.to_owned(), name.to_owned()));
    assert_eq!(bound("carom.work"), BTreeSet::from(own), "carom.work leads each work queue's key to it");
    let to = |name: &str| BTreeSet::from([(String::new(), name.to_owned())]);
    assert_eq!(bound("carom.unrouted"), to("carom.unrouted"));
    assert_eq!(bound("carom.retry.15s"), to("carom.retry.15s"));

    let queues = vhost.list("queues").await?;
    for (name, dead_letters_to, least) in [
        ("carom.events", "carom.unrouted", 100),
        ("carom.clicks", "carom.unrouted", 100),
        ("carom.deliver.network", "carom.unrouted", 100),
        ("carom.unrouted", "carom.dead", 100),
        ("carom.dead", "carom.unrouted", 100_000_000),
    ] {
        let arguments = &named(&queues, name)?["arguments"];
        assert_eq!(arguments["x-queue-type"], "quorum", "{name}");
        assert_eq!(arguments["x-dead-letter-exchange"], "", "{name}");
        assert_eq!(arguments["x-dead-letter-routing-key"], dead_letters_to, "{name}");
        assert_eq!(arguments["x-dead-letter-strategy"], "at-least-once", "{name}");
        assert_eq!(arguments["x-overflow"], "reject-publish", "{name}");
        let limit = arguments["x-delivery-limit"].as_i64().unwrap_or_default();
        assert!(limit >= least, "{name} has a delivery limit of {limit}");
    }
    for queue in &queues {
        for never in NEVER {
            assert_eq!(queue["arguments"][never], Value::Null, "{} has {never}", queue["name"]);
        }
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_walks_through_all_eight_tiers_and_then_to_the_dead_letters() -> Result<()> {
    let (broker, receiver, _, setup) = network().await?;
    // The clock shortened: the names differ, the walk is the same.
    let delays: [u64; 8] = [100, 200, 300, 400, 500, 600, 700, 800];
    let schedule = delays.map(|delay| format!("{delay}ms"));
    let stack = setup.env("CAROM_RETRY_SCHEDULE", schedule.join(",")).start(&broker).await?;
    receiver.answer(always(500));
    let event = stack.plain(&[("event", "purchase"), ("txid", "walk")]).await?;

    let attempts = receiver.wait_for(secs(30), 9, |_| true).await?;
    for (index, delay) in delays.into_iter().enumerate() {
        let waited = attempts[index + 1].instant.saturating_duration_since(attempts[index].answered_at);
        println!("tier {}: {} ms due, {} ms waited", index + 1, delay, waited.as_millis());
        let due = Duration::from_millis(delay);
        assert!(waited >= due, "attempt {} came early: after {waited:?}", index + 2);
        assert!(waited < due + secs(3), "attempt {} came late: after {waited:?}", index + 2);
    }
    let letters = stack.letters_become(1, &["--reason", "exhausted"]).await?;
    assert_eq!(letters[0]["attempts"], 9);
    assert_eq!(letters[0]["last_status"], 500);
    assert_eq!(letters[0]["response"], "500 from the receiver\n");
    assert_eq!(letters[0]["event"], *event);
    let codes = stack.codes(&event).await?;
    assert_eq!(codes.iter().filter(|code| *code == "retry").count(), 8, "{codes:?}");
    assert_eq!(codes.last().map(String::as_str), Some("dead"));
    let ids: BTreeSet<_> = attempts.iter().filter_map(Received::delivery).collect();
    assert_eq!(ids.len(), 1, "one id over all attempts");
    let text = stack.metrics(Binary::Worker).await?;
    for tier in &schedule {
        assert_eq!(metrics::sum(&text, "carom_retries_total", &[("tier", tier)]), Some(1.0), "{tier}");
    }
    ensure!(receiver.count() == 9, "there was another attempt after the last");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_asks_for_later_gets_the_first_tier_that_is_not_earlier() -> Result<()> {
    use carom_tests::receiver::Answer;
    let (broker, receiver, _, setup) = network().await?;
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "100ms,200ms,1500ms,30s").start(&broker).await?;
    receiver.answer(std::sync::Arc::new(|request: &Received| match request.number {
        1 => Answer { headers: vec![("retry-after", "1".to_owned())], ..Answer::status(429) },
        _ => Answer::status(200),
    }));
    stack.plain(&[("event", "purchase"), ("txid", "later")]).await?;
    let attempts = receiver.wait_for(secs(10), 2, |_| true).await?;
    let waited = attempts[1].instant.saturating_duration_since(attempts[0].answered_at);
    assert!(waited >= Duration::from_millis(1500), "it came back after {waited:?}");
    assert!(waited < secs(5), "it came back after {waited:?}");
    stack.finish().await
}

fn named<'a>(listed: &'a [Value], name: &str) -> Result<&'a Value> {
    listed.iter().find(|item| item["name"] == name).with_context(|| format!("the broker has no {name}"))
}
