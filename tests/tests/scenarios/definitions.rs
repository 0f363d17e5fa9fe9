//! The broker's definitions as `carom-worker topology` prints them, and what others have set there.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::{Broker, Vhost};
use carom_tests::eventually::{eventually, secs};
use carom_tests::management::encoded;
use carom_tests::metrics;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binaries_find_imported_definitions_as_they_would_have_declared_them() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let stack = Setup::new(&resources).prepare(&broker).await?;
    stack.carom_ok(&["apply", "resources.toml"]).await?;
    let printed = stack.carom_ok(&["topology", "--connectors"]).await?;
    let definitions: Value = serde_json::from_str(&printed)?;
    broker.management.post("/api/definitions", definitions).await?;
    let imported = declared(stack.vhost()?).await?;
    for name in ["carom.events", "carom.deliver.network", "carom.retry.24h", "carom.work"] {
        ensure!(imported.iter().any(|thing| thing.contains(name)), "{name} was not imported: {imported:?}");
    }

    let stack = stack.started().await?;
    stack.plain(&[("event", "purchase"), ("txid", "found")]).await?;
    receiver.has_taken("found").await?;
    assert_eq!(declared(stack.vhost()?).await?, imported, "the binaries declared something else");
    let log = stack.log(Binary::Ingest)? + &stack.log(Binary::Worker)?;
    assert!(!log.contains("cannot be declared"), "{log}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_limits_a_queues_length_is_seen_and_so_is_its_end() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let stack = Setup::new(&resources).env("CAROM_WORKER_MEASURE_INTERVAL", "200ms").start(&broker).await?;
    become_limited(&stack, &[]).await?;
    let vhost = encoded(&stack.vhost()?.name);
    let policy = |kind: &str, name: &str| format!("/api/{kind}/{vhost}/{name}");
    let set = |pattern: &str, limit: &str| json!({"pattern": pattern, "definition": {limit: 1_000_000}, "apply-to": "queues"});
    let management = &broker.management;
    management.put(&policy("policies", "dead"), set(r"^carom\.dead$", "max-length")).await?;
    become_limited(&stack, &["dead"]).await?;
    // An operator's policy is laid over a user's.
    let operators = set(r"^carom\.(deliver|retry\.1s$)", "max-length-bytes");
    management.put(&policy("operator-policies", "bytes"), operators).await?;
    become_limited(&stack, &["dead", "deliver.network", "retry.1s"]).await?;
    management.delete(&policy("policies", "dead")).await?;
    management.delete(&policy("operator-policies", "bytes")).await?;
    become_limited(&stack, &[]).await?;
    stack.finish().await
}

/// Waits until exactly these queues are told to be limited, and all the others not to be.
async fn become_limited(stack: &Stack, limited: &[&str]) -> Result<()> {
    let limited: BTreeSet<_> = limited.iter().map(ToString::to_string).collect();
    eventually(secs(60), format!("{limited:?} are limited"), async || {
        let text = stack.metrics(Binary::Worker).await?;
        let samples = metrics::samples(&text);
        let told: Vec<_> = samples.iter().filter(|it| it.name == "carom_queue_length_limited").collect();
        ensure!(told.len() == 13, "{} queues are told of", told.len());
        let found: BTreeSet<_> =
            told.iter().filter(|it| it.value == 1.0).map(|it| it.labels["queue"].clone()).collect();
        ensure!(found == limited, "{found:?} are");
        Ok(())
    })
    .await
}

/// Everything that is declared in a vhost, without what changes by itself.
async fn declared(vhost: &Vhost) -> Result<BTreeSet<String>> {
    let mut things = BTreeSet::new();
    for queue in vhost.list("queues").await? {
        things.insert(format!("queue {} {}", queue["name"], queue["arguments"]));
    }
    for exchange in vhost.list("exchanges").await? {
        let name = exchange["name"].as_str().context("an exchange without a name")?;
        things.insert(format!("exchange {name} {} {}", exchange["type"], exchange["arguments"]));
    }
    for binding in vhost.list("bindings").await? {
        let [source, destination, key] = ["source", "destination", "routing_key"].map(|name| &binding[name]);
        things.insert(format!("binding {source} {destination} {key}"));
    }
    Ok(things)
}
