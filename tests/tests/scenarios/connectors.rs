//! Connectors that come, go and change while everything runs.

use anyhow::{Result, ensure};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::{Answer, Received, Receiver, always};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::Setup;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_added_at_run_time_gets_its_queue_and_fires() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let resources = resources.with(Connector::post("late", receiver.url("/late"), "json"));
    stack.apply(&resources).await?;
    eventually(secs(10), "its queue is there", async || {
        ensure!(stack.vhost()?.depth("carom.deliver.late").await?.is_some(), "it is not");
        Ok(())
    })
    .await?;
    stack.plain(&[("event", "purchase"), ("txid", "a"), ("payout", "7")]).await?;
    let late = receiver.wait_for(secs(10), 1, |request| request.path == "/late").await?.remove(0);
    assert_eq!(late.method, "POST");
    assert_eq!(late.header("content-type"), Some("application/json"));
    assert_eq!(late.json().map(|body| body["value"].clone()), Some("7".into()));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_removed_with_a_backlog_is_drained_to_the_dead_letters_and_can_come_back() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|_| Answer::status(200).after(Duration::from_millis(200))));
    let slow = Connector::get("slow", receiver.url("/slow")).line("concurrency = 1");
    let resources = Resources::new().with(slow);
    let stack = Setup::new(&resources).start(&broker).await?;
    let count = 60;
    for index in 0..count {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    receiver.wait_for(secs(20), 3, |_| true).await?;
    stack.apply(&resources.clone().without("slow")).await?;

    let letters = eventually(secs(30), "each is delivered or a dead letter", async || {
        let letters = stack.letters(&["--connector", "slow"]).await?;
        let taken = receiver.taken_count();
        ensure!(letters.len() + taken == count, "{} letters, {taken} delivered", letters.len());
        Ok(letters)
    })
    .await?;
    println!("{} delivered before it was removed, {} drained", receiver.taken_count(), letters.len());
    assert!(!letters.is_empty(), "there was no backlog, so nothing was drained");
    for letter in &letters {
        assert_eq!(letter["reason"], "connector_removed", "{letter}");
    }
    // Without it they have nowhere to go, and say so.
    let replayed = stack.carom_ok(&["dlq", "replay", "--connector", "slow"]).await?;
    println!("{}", replayed.trim());
    assert_eq!(stack.letters(&["--connector", "slow"]).await?.len(), letters.len(), "{replayed}");

    receiver.answer(always(200));
    stack.apply(&resources).await?;
    let again = stack.carom_ok(&["dlq", "replay", "--connector", "slow"]).await?;
    println!("{}", again.trim());
    assert!(again.starts_with(&format!("{} replayed, 0 left", letters.len())), "{again}");
    eventually(secs(30), "all are delivered", async || {
        ensure!(receiver.taken_count() == count, "{} are", receiver.taken_count());
        Ok(())
    })
    .await?;
    assert!(receiver.taken().values().all(|times| *times == 1), "{:?}", receiver.taken());
    stack.letters_become(0, &[]).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mending_a_connector_mends_its_backlog_and_its_replays() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|request: &Received| {
        Answer::status(if request.path == "/right" { 200 } else { 404 })
    }));
    let wrong = Connector::get("network", receiver.url("/wrong"));
    let resources = Resources::new().with(wrong);
    let stack = Setup::new(&resources).env("CAROM_RETRY_SCHEDULE", "100ms,4s").start(&broker).await?;
    // One that is given up, and one that waits in a tier.
    stack.plain(&[("event", "purchase"), ("txid", "given-up")]).await?;
    stack.letters_become(1, &["--reason", "exhausted", "--status", "404"]).await?;
    stack.plain(&[("event", "purchase"), ("txid", "waiting")]).await?;
    receiver.wait_for(secs(10), 2, |request| request.field("tx").as_deref() == Some("waiting")).await?;

    let right = Connector::get("network", receiver.url("/right")).parameter("mended", "yes");
    stack.apply(&Resources::new().with(right)).await?;
    stack.carom_ok(&["dlq", "replay", "--connector", "network"]).await?;
    let right = receiver.wait_for(secs(15), 2, |request| request.path == "/right").await?;
    let mut by_tx = BTreeMap::new();
    for request in &right {
        assert_eq!(request.field("mended").as_deref(), Some("yes"), "it is rendered as the connector is now");
        by_tx.insert(request.field("tx").unwrap_or_default(), request.delivery());
    }
    assert_eq!(by_tx.keys().map(String::as_str).collect::<Vec<_>>(), ["given-up", "waiting"]);
    for (tx, delivery) in &by_tx {
        let first = &receiver.with("tx", tx)[0];
        assert_eq!(first.delivery(), *delivery, "{tx} has kept its id");
    }
    stack.letters_become(0, &[]).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_connector_selects_nothing_and_one_in_test_mode_sends_nothing() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let resources = resources
        .with(Connector::get("off", receiver.url("/off")).mode("disabled"))
        .with(Connector::get("unplugged", receiver.url("/unplugged")).line("enabled = false"))
        .with(Connector::get("trial", receiver.url("/trial")).mode("test"));
    stack.apply(&resources).await?;
    let event = stack.plain(&[("event", "purchase"), ("txid", "a")]).await?;
    let trace = stack.handed_over(&event).await?;
    let said = |code: &str, connector: &str| {
        let decisions = trace["decisions"].as_array().cloned().unwrap_or_default();
        decisions.iter().any(|decision| {
            decision["code"] == code
                && decision["detail"].as_str().is_some_and(|detail| detail.starts_with(connector))
        })
    };
    assert!(said("skipped_disabled", "off"), "{trace:#}");
    assert!(said("skipped_disabled", "unplugged"), "{trace:#}");
    assert!(said("selected", "trial"), "{trace:#}");
    assert!(said("selected", "network"), "{trace:#}");
    receiver.wait_for(secs(10), 1, |request| request.path == "/postback").await?;
    drained(stack.vhost()?, secs(10)).await?;
    assert_eq!(receiver.count(), 1, "{:?}", receiver.requests());

    // Enabled again, it fires on what comes from then on.
    stack.apply(&resources.with(Connector::get("off", receiver.url("/off")))).await?;
    stack.plain(&[("event", "purchase"), ("txid", "b")]).await?;
    let fired = receiver.wait_for(secs(10), 1, |request| request.path == "/off").await?;
    assert_eq!(fired[0].field("tx").as_deref(), Some("b"));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_fires_on_the_triggers_that_it_names() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let connector =
        |id: &str, trigger: &str| Connector::get(id, receiver.url(&format!("/{id}"))).triggers(&[trigger]);
    let resources = Resources::new()
        .with(connector("conversions", "conversion"))
        .with(connector("refunds", "refund"))
        .with(connector("leads", "lead"))
        .with(connector("third", "event 3"));
    let stack = Setup::new(&resources).start(&broker).await?;
    let table: [(&[(&str, &str)], &[&str]); 4] = [
        (&[("event", "purchase"), ("txid", "t1"), ("payout", "30")], &["/conversions"]),
        (&[("event", "refund"), ("txid", "t1"), ("payout", "10")], &["/refunds"]),
        (&[("event", "lead"), ("txid", "t2")], &["/conversions", "/leads"]),
        (&[("event", "event3"), ("event_id", "t3")], &["/third"]),
    ];
    for (pairs, expected) in table {
        receiver.forget();
        let event = stack.plain(pairs).await?;
        stack.handed_over(&event).await?;
        receiver.wait_for(secs(10), expected.len(), |_| true).await?;
        drained(stack.vhost()?, secs(10)).await?;
        let mut paths: Vec<_> = receiver.requests().into_iter().map(|request| request.path).collect();
        paths.sort();
        assert_eq!(paths, expected, "{pairs:?}");
    }
    stack.finish().await
}
