//! Messages that nobody of ours has published: each ends in the dead letters with its reason, is shown, and
//! goes back where it came from when it is replayed.

use anyhow::{Context, Result};
use carom_common::envelope;
use carom_common::id::EventId;
use carom_common::intake::{Body, Intake};
use carom_tests::eventually::{eventually, secs};
use carom_tests::stack::{Binary, Stack};
use carom_tests::wire;
use jiff::Timestamp;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_our_envelope_is_kept_with_its_reason_and_shown() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.vhost()?.url.clone();
    let table: [(&str, &[u8], &str); 9] = [
        ("carom.events", br#"{"v":2,"kind":"intakes","items":[{"future":true}]}"#, "unknown_version"),
        ("carom.clicks", br#"{"v":7,"kind":"clicks","items":[]}"#, "unknown_version"),
        ("carom.deliver.network", br#"{"v":2,"kind":"deliveries","items":{}}"#, "unknown_version"),
        ("carom.events", b"\xff\x00 this is not even text", "undecodable_message"),
        ("carom.events", b"", "undecodable_message"),
        ("carom.events", br#"{"v":1,"kind":"clicks","items":[]}"#, "undecodable_message"),
        ("carom.clicks", br#"{"v":1,"kind":"clicks","items":[{}]}"#, "undecodable_message"),
        ("carom.deliver.network", b"[1,2", "undecodable_message"),
        ("carom.deliver.network", br#"{"v":1}"#, "undecodable_message"),
    ];
    for (queue, body, _) in table {
        wire::publish(&url, "", queue, body).await?;
    }
    let letters = stack.letters_become(table.len(), &[]).await?;
    for (queue, body, reason) in table {
        let about = || format!("{reason} from {queue}: {}", String::from_utf8_lossy(body));
        let mut fitting = Vec::new();
        for letter in letters.iter().filter(|letter| letter["reason"] == reason && letter["queue"] == queue) {
            let id = letter["id"].as_str().context("a letter without an id")?;
            let shown = &stack.carom_lines(&["dlq", "show", id, "--json"]).await?[0];
            let kept = shown["letter"]["content"]["message"].clone();
            let kept: Body = serde_json::from_value(kept).with_context(|| format!("{shown}"))?;
            if kept.0 == body {
                fitting.push(id.to_owned());
            }
        }
        assert_eq!(fitting.len(), 1, "{} is kept to the byte: {letters:#?}", about());
        println!(
            "{}",
            stack.carom_ok(&["dlq", "show", &fitting[0]]).await?.lines().next().unwrap_or_default()
        );
    }
    serves_on(&stack, &receiver).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_comes_back_when_it_is_replayed_to_a_worker_that_still_does_not_know_it()
-> Result<()> {
    let (broker, _receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let body = br#"{"v":2,"kind":"intakes","items":[]}"#;
    wire::publish(&stack.vhost()?.url, "", "carom.events", body).await?;
    let first = id_of(&stack.letters_become(1, &["--reason", "unknown_version"]).await?)?;
    stack.carom_ok(&["dlq", "replay", &first]).await?;
    let second = eventually(secs(15), "another letter about the same message", async || {
        let letters = stack.letters(&["--reason", "unknown_version"]).await?;
        anyhow::ensure!(letters.len() == 1, "{letters:?}");
        let id = id_of(&letters)?;
        anyhow::ensure!(id != first, "it is still the first");
        Ok(id)
    })
    .await?;
    let shown = stack.carom_ok(&["dlq", "show", &second]).await?;
    assert!(shown.contains("carom.events"), "{shown}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_cannot_route_is_kept_and_replayed() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.vhost()?.url.clone();
    // As a tier does that returns a message to a queue which has gone.
    let intake = Intake {
        id: EventId::new(),
        source: "plain".parse().unwrap(),
        verified: Default::default(),
        received_at: Timestamp::now(),
        query: "event=purchase&txid=strayed".to_owned(),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    };
    wire::publish(&url, "carom.work", "carom.nowhere", &envelope::encode(&[intake])).await?;
    wire::publish(&url, "carom.work", "carom.deliver.nobody", b"not ours").await?;
    let letters = stack.letters_become(2, &["--reason", "unrouted"]).await?;
    let kinds: Vec<_> = letters.iter().filter_map(|letter| letter["kind"].as_str()).collect();
    assert!(kinds.contains(&"intake") && kinds.contains(&"message"), "{kinds:?}");
    let intake = letters.iter().find(|letter| letter["kind"] == "intake").context("no intake")?;
    stack.carom_ok(&["dlq", "replay", intake["id"].as_str().unwrap_or_default()]).await?;
    let of_intake =
        |request: &carom_tests::receiver::Received| request.field("tx").as_deref() == Some("strayed");
    receiver.wait_for(secs(15), 1, of_intake).await?;
    // What is nobody's stays, for a person to look at.
    let left = stack.letters_become(1, &["--reason", "unrouted"]).await?;
    assert_eq!(left[0]["kind"], "message");
    stack.carom_ok(&["dlq", "replay", "--reason", "unrouted"]).await?;
    stack.letters_become(1, &["--reason", "unrouted"]).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connectors_queue_that_somebody_deletes_is_declared_again_and_nothing_is_lost() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    stack.plain(&[("event", "purchase"), ("txid", "before")]).await?;
    receiver.wait_for(secs(10), 1, |_| true).await?;
    wire::delete_queue(&stack.vhost()?.url, "carom.deliver.network").await?;
    let event = stack.plain(&[("event", "purchase"), ("txid", "after")]).await?;
    stack.handed_over(&event).await?;
    // RabbitMQ 3.10 does not tell the consumer of the queue that is gone; the next one finds the message.
    stack.stop(Binary::Worker).await?;
    stack.start_binary(Binary::Worker)?;
    let of_event =
        |request: &carom_tests::receiver::Received| request.field("tx").as_deref() == Some("after");
    receiver.wait_for(secs(30), 1, of_event).await?;
    stack.traced(&event, "delivered").await?;
    stack.finish().await
}

/// Events are still resolved and delivered.
async fn serves_on(stack: &Stack, receiver: &carom_tests::receiver::Receiver) -> Result<()> {
    let before = receiver.count();
    stack.plain(&[("event", "purchase"), ("txid", "afterwards")]).await?;
    receiver.wait_for(secs(10), before + 1, |_| true).await?;
    Ok(())
}

fn id_of(letters: &[Value]) -> Result<String> {
    Ok(letters.first().and_then(|letter| letter["id"].as_str()).context("no letter")?.to_owned())
}
