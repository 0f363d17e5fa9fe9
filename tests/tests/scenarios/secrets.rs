//! Tokens, passwords and what a connector authenticates with appear in no process log, no metric and no
//! message on the broker; personal data in no process log and no metric.

use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::{Answer, Received, Receiver};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::sync::Arc;

const KEY: &str = "network-key-5ca1ab1e-0ddba11";
const QUERY_TOKEN: &str = "query-token-cafebabe-f00d";
const PERSON: &str = "jane.secretive@person.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_persons_appear_in_no_log_and_no_metric_and_secrets_in_no_message() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    // It echoes what it was sent, as careless receivers do.
    receiver.answer(Arc::new(|request: &Received| {
        let key = request.header("x-key").unwrap_or_default();
        Answer { body: format!("no such key {key}, {}", request.path), ..Answer::status(500) }
    }));
    let connector = |id: &str| {
        Connector::get(id, receiver.url("/postback"))
            .secret_header("X-Key", "SCENARIO_NETWORK_KEY")
            .parameter("access_token", QUERY_TOKEN)
            .parameter("email", "{{EMAIL}}")
    };
    let resources = Resources::new().with(connector("network"));
    let stack = Setup::new(&resources)
        .env("SCENARIO_NETWORK_KEY", KEY)
        .env("CAROM_LOG_LEVEL", "debug")
        .env("CAROM_RETRY_SCHEDULE", "1s,2s")
        .start(&broker)
        .await?;
    let link = format!("{}?email={PERSON}", stack.click_url("demo"));
    stack.client().click(&link).await?;
    stack.client().get(&stack.events_url("mistyped-token-0123456789")).await?;
    stack.client().get(&format!("{}?email={PERSON}", stack.events_url(FUNNEL_TOKEN))).await?;
    stack.plain(&[("event", "purchase"), ("txid", "s"), ("email", PERSON)]).await?;
    let first = receiver.wait_for(secs(10), 1, |_| true).await?.remove(0);
    assert_eq!(first.header("x-key"), Some(KEY), "the receiver gets the key, or nothing was tested");
    assert_eq!(first.field("access_token").as_deref(), Some(QUERY_TOKEN));

    // What waits in a tier, and what is dead.
    let waiting = eventually(secs(5), "a message waits in a tier", async || {
        let mut bodies = Vec::new();
        for tier in ["carom.retry.1s", "carom.retry.2s"] {
            bodies.extend(stack.vhost()?.peek(tier, 10).await?);
        }
        ensure!(!bodies.is_empty(), "none does");
        Ok(bodies)
    })
    .await?;
    stack.letters_become(1, &["--reason", "exhausted"]).await?;
    let dead = stack.vhost()?.peek("carom.dead", 10).await?;
    assert_eq!(dead.len(), 1);
    for (place, bodies) in [("a tier", &waiting), ("the dead letters", &dead)] {
        for secret in [KEY, QUERY_TOKEN, PLAIN_TOKEN, FUNNEL_TOKEN] {
            assert!(!bodies.concat().contains(secret), "{secret} in a message of {place}: {bodies:?}");
        }
    }
    clean(&stack, "after it all").await?;

    // The webhook log and the trace are stored data: masked.
    let log = stack.carom_ok(&["log", "--json"]).await?;
    assert!(log.contains("access_token=…"), "{log}");
    let letter = stack.carom_ok(&["dlq", "list", "--json"]).await?;
    let store: Vec<u8> = ["carom.db", "carom.db-wal", "snapshot.json"]
        .iter()
        .filter_map(|file| std::fs::read(stack.dir().join(file)).ok())
        .flatten()
        .collect();
    let store = String::from_utf8_lossy(&store).into_owned();
    for secret in [KEY, PLAIN_TOKEN, FUNNEL_TOKEN] {
        assert!(!log.contains(secret) && !letter.contains(secret), "{secret} in a listing");
        assert!(!store.contains(secret), "{secret} in the store or the snapshot");
    }
    assert!(!log.contains(QUERY_TOKEN) && !letter.contains(QUERY_TOKEN), "a query token in a listing");
    stack.finish().await
}

/// Nothing secret or personal in the logs and metrics of either binary.
async fn clean(stack: &Stack, when: &str) -> Result<()> {
    for binary in Binary::ALL {
        let (log, metrics) = (stack.log(binary)?, stack.metrics(binary).await?);
        assert!(log.lines().count() > 3, "{binary} logs, or nothing is tested");
        for secret in [
            KEY,
            QUERY_TOKEN,
            PLAIN_TOKEN,
            FUNNEL_TOKEN,
            "mistyped-token",
            "guest:guest",
            PERSON,
            "secretive",
        ] {
            for (place, text) in [("log", &log), ("metrics", &metrics)] {
                let line = text.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{secret} in the {place} of {binary} {when}");
            }
        }
    }
    Ok(())
}
