//! What a connector's limits, its breaker and its pause do to its own queue, and what counts as delivered.

use anyhow::{Context, Result, ensure};
use carom_common::delivery::Delivery;
use carom_common::envelope;
use carom_common::event::{Event, Facts};
use carom_common::id::{ConnectorId, DeliveryId, EventId};
use carom_common::intake::{Body, Intake};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, never, secs};
use carom_tests::metrics;
use carom_tests::receiver::{Answer, Received, Receiver, always};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::wire;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

const QUEUE: &str = "carom.deliver.network";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_holds_nothing_probes_and_closes_with_the_first_answer() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(always(503));
    let network = Connector::get("network", receiver.url("/postback")).line("concurrency = 2");
    let stack = Setup::new(&Resources::new().with(network))
        .env("CAROM_WORKER_BREAKER_FAILURES", "5")
        .env("CAROM_RETRY_SCHEDULE", "1h")
        .start(&broker)
        .await?;
    let count = 40;
    for index in 0..count {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    state_becomes(&stack, "open").await?;
    // What was in hand is back on the queue, and nobody holds any of it.
    eventually(secs(5), "nothing is held between probes", async || {
        let depth = stack.vhost()?.depth(QUEUE).await?.context("there is no queue")?;
        ensure!(depth.unacknowledged == 0 && depth.messages >= 20, "{depth:?}");
        Ok(())
    })
    .await?;
    let opened_at = receiver.count();
    assert!((5..=8).contains(&opened_at), "it took {opened_at} failures to open");
    // 1 s, then 2 s: two probes within the next three and a half seconds.
    receiver.wait_for(secs(8), opened_at + 2, |_| true).await?;
    let probes = receiver.matching(|_| true);
    let apart = probes[opened_at + 1].instant.saturating_duration_since(probes[opened_at].instant);
    println!("opened after {opened_at} failures; the first two probes were {apart:?} apart");
    assert!(apart >= Duration::from_millis(1_900), "the interval doubles: {apart:?}");

    receiver.answer(always(200));
    eventually(secs(15), "it is closed and all that waited is sent", async || {
        let (failed, taken) = (receiver.matching(|request| !request.taken()).len(), receiver.taken_count());
        ensure!(failed + taken == count, "{failed} failed, {taken} taken");
        Ok(())
    })
    .await?;
    state_becomes(&stack, "closed").await?;
    let failed = receiver.matching(|request| !request.taken()).len();
    let retried = stack.carom_lines(&["log", "--json", "--outcome", "retry", "--limit", "1000"]).await?;
    assert_eq!(retried.len(), failed, "who waited has lost no attempt");
    assert!(receiver.taken().values().all(|times| *times == 1), "{:?}", receiver.taken());
    let log = stack.log(Binary::Worker)?;
    assert_eq!(log.matches("breaker.opened").count(), 1, "it is logged once per change");
    assert_eq!(log.matches("breaker.closed").count(), 1);
    let text = stack.metrics(Binary::Worker).await?;
    let of_network = &[("connector", "network")];
    assert_eq!(metrics::sum(&text, "carom_breaker_opened_total", of_network), Some(1.0));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_pauses_its_connector_and_resume_goes_on() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "200ms,1h").start(&broker).await?;
    receiver.answer(always(410));
    let first = stack.plain(&[("event", "purchase"), ("txid", "first")]).await?;
    eventually(secs(10), "it is paused, and says why", async || {
        let listed = stack.carom_lines(&["connectors", "--json"]).await?;
        let why = listed[0]["paused"]["why"].as_str().context("it is not paused")?;
        ensure!(why.contains("410"), "{why}");
        let text = stack.metrics(Binary::Worker).await?;
        let paused = metrics::sum(&text, "carom_connector_paused", &[("connector", "network")]);
        ensure!(paused == Some(1.0), "the metric says {paused:?}");
        Ok(())
    })
    .await?;
    // It goes on selecting; the first comes back from its tier; both are held.
    receiver.answer(always(200));
    let second = stack.plain(&[("event", "purchase"), ("txid", "second")]).await?;
    stack.handed_over(&second).await?;
    eventually(secs(10), "both are on the queue", async || {
        let depth = stack.vhost()?.depth(QUEUE).await?.context("there is no queue")?;
        ensure!(depth.messages == 2 && depth.unacknowledged == 0, "{depth:?}");
        Ok(())
    })
    .await?;
    never(secs(1), "it is called", async || {
        ensure!(receiver.count() == 1, "{} requests", receiver.count());
        Ok(())
    })
    .await?;
    let listed = stack.carom_lines(&["connectors", "--json"]).await?;
    assert_eq!(listed[0]["due"], 2, "{listed:?}");
    let shown = stack.carom_ok(&["trace", &second]).await?;
    assert!(shown.contains("held: network is paused since"), "{shown}");
    assert_eq!(stack.log(Binary::Worker)?.matches("connector.paused").count(), 1);

    let said = stack.carom_ok(&["resume", "network"]).await?;
    assert!(said.contains("resumed") && said.contains("410"), "{said}");
    for event in [&first, &second] {
        stack.traced(event, "delivered").await?;
    }
    let listed = stack.carom_lines(&["connectors", "--json"]).await?;
    assert_eq!((&listed[0]["paused"], &listed[0]["due"]), (&Value::Null, &Value::from(0)), "{listed:?}");
    assert!(listed[0]["last_delivered"].is_string(), "{listed:?}");

    // An operator can do the same by hand, and is told of a slip of the pen.
    stack.carom_ok(&["pause", "network", "--because", "the network is moving"]).await?;
    let listed = stack.carom_ok(&["connectors"]).await?;
    assert!(listed.contains("the network is moving"), "{listed}");
    let unknown = stack.carom(&["pause", "netwrok"]).await?;
    assert_eq!(unknown.code, Some(64), "{unknown:?}");
    assert!(unknown.err.contains("did you mean `network`?"), "{}", unknown.err);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_200_that_means_no_is_retried_and_the_log_says_which_rule_failed() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|request: &Received| {
        let body = match request.number {
            1 => r#"{"code": 40001}"#.to_owned(),
            2 => format!(r#"{{"code": 0, "padding": "{}"}}"#, "x".repeat(64 * 1024)),
            _ => r#"{"code": 0}"#.to_owned(),
        };
        Answer { body, ..Answer::status(200) }
    }));
    let network = Connector::get("network", receiver.url("/postback"))
        .line("success = { json = [{ path = \"code\", operator = \"equals\", value = 0 }] }");
    let stack = Setup::new(&Resources::new().with(network))
        .env("CAROM_RETRY_SCHEDULE", "100ms,200ms,1h")
        .start(&broker)
        .await?;
    let event = stack.plain(&[("event", "purchase"), ("txid", "a")]).await?;
    let trace = stack.traced(&event, "delivered").await?;
    let attempts = trace["attempts"].as_array().context("no attempts")?;
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            let exchange = &attempt["exchange"];
            (attempt["outcome"].as_str(), exchange["status"].as_u64(), exchange["failure"].as_str())
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            (Some("retry"), Some(200), Some("rejected: not json code equals 0")),
            (Some("retry"), Some(200), Some("rejected: answer too long to be judged")),
            (Some("delivered"), Some(200), None),
        ]
    );
    assert!(trace.to_string().contains("status 200, rejected: not json code equals 0, again in 100ms"));
    let text = stack.metrics(Binary::Worker).await?;
    let rejected = metrics::sum(&text, "carom_attempts_total", &[("class", "rejected")]);
    assert_eq!(rejected, Some(2.0));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_and_holds_nobody_else_back() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new()
        .with(Connector::get("slow", receiver.url("/slow")).line("rate = \"10/s\""))
        .with(Connector::get("quick", receiver.url("/quick")));
    let stack = Setup::new(&resources).start(&broker).await?;
    let count = 30;
    for index in 0..count {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    let slow = receiver.wait_for(secs(20), count, |request| request.path == "/slow").await?;
    let quick = receiver.wait_for(secs(20), count, |request| request.path == "/quick").await?;
    let spread = slow[count - 1].instant.saturating_duration_since(slow[0].instant);
    println!("30 at 10/s: {:.2} s between the first and the last", spread.as_secs_f64());
    assert!(spread >= Duration::from_millis(2_800), "they came within {spread:?}");
    let most = slow.iter().map(|first| {
        let within = |one: &&Received| {
            one.instant >= first.instant && one.instant - first.instant < Duration::from_millis(900)
        };
        slow.iter().filter(within).count()
    });
    assert!(most.max().unwrap_or(0) <= 12, "more than the rate at once");
    assert!(quick[count - 1].instant < slow[count - 1].instant, "the quick one was held back");
    let text = stack.metrics(Binary::Worker).await?;
    let waits = metrics::sum(&text, "carom_rate_limited_total", &[("connector", "slow")]).unwrap_or(0.0);
    assert!(waits >= 20.0, "{waits} attempts waited for their turn");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_too_old_for_a_connector_is_a_dead_letter_and_never_sent() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new()
        .with(Connector::get("choosy", receiver.url("/choosy")).field("max_event_age = \"1d\""))
        .with(Connector::get("patient", receiver.url("/patient")));
    let stack = Setup::new(&resources).start(&broker).await?;
    let old = Intake {
        id: EventId::new(),
        source: "plain".parse().unwrap(),
        verified: Default::default(),
        received_at: Timestamp::now() - SignedDuration::from_hours(25),
        query: "event=purchase&txid=old&payout=1".into(),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    };
    let body = envelope::encode(std::slice::from_ref(&old));
    wire::publish(&stack.vhost()?.url, "", "carom.events", &body).await?;
    let letters = stack.letters_become(1, &["--reason", "expired"]).await?;
    assert_eq!(letters[0]["connector"], "choosy", "{letters:?}");
    assert!(letters[0]["detail"].as_str().is_some_and(|detail| detail.contains("older than 24h")));
    receiver.wait_for(secs(10), 1, |request| request.path == "/patient").await?;
    stack.plain(&[("event", "purchase"), ("txid", "young")]).await?;
    let sent = receiver.wait_for(secs(10), 1, |request| request.path == "/choosy").await?;
    assert_eq!(sent[0].field("tx").as_deref(), Some("young"));
    drained(stack.vhost()?, secs(10)).await?;
    assert_eq!(receiver.matching(|request| request.path == "/choosy").len(), 1);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_delivery_is_logged_as_it_would_have_been_sent_and_is_not_sent() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let connector: ConnectorId = "network".parse()?;
    let now = Timestamp::now().to_string();
    let event: Event = serde_json::from_value(serde_json::json!({
        "id": EventId::new(), "advertiser": "acme", "source": "plain", "key": "trial", "type": "purchase",
        "name": "purchase", "kind": "conversion", "at": now, "received_at": now, "transaction": "trial"
    }))?;
    let id = DeliveryId::of_event(&connector, "trial");
    let mut delivery = Delivery::new(id, connector, Timestamp::now(), Facts::new(event));
    delivery.test = true;
    let copies = envelope::encode(&[delivery.clone(), delivery]);
    wire::publish(&stack.vhost()?.url, "", QUEUE, &copies).await?;
    let logged = eventually(secs(10), "it is in the log", async || {
        let logged = stack.carom_lines(&["log", "--json", "--outcome", "test"]).await?;
        ensure!(logged.len() == 1, "{logged:?}");
        Ok(logged[0].clone())
    })
    .await?;
    let exchange = &logged["exchange"];
    assert!(
        exchange["url"].as_str().is_some_and(|url| url.contains("/postback?") && url.contains("tx=trial"))
    );
    assert_eq!((&exchange["status"], &exchange["failure"]), (&Value::Null, &Value::Null), "{logged}");
    drained(stack.vhost()?, secs(10)).await?;
    assert_eq!(receiver.count(), 0, "{:?}", receiver.requests());
    let text = stack.metrics(Binary::Worker).await?;
    assert_eq!(metrics::sum(&text, "carom_attempts_total", &[("outcome", "test")]), Some(1.0));
    assert_eq!(metrics::sum(&text, "carom_delivery_copies_total", &[]), Some(1.0), "the copy is known");
    stack.finish().await
}

/// Waits until the breaker of `network` is in this state.
async fn state_becomes(stack: &Stack, state: &str) -> Result<()> {
    eventually(secs(15), format!("the breaker is {state}"), async || {
        let text = stack.metrics(Binary::Worker).await?;
        let labels = &[("connector", "network"), ("state", state)];
        let found = metrics::sum(&text, "carom_breaker_state", labels);
        ensure!(found == Some(1.0), "{found:?}");
        Ok(())
    })
    .await
}
