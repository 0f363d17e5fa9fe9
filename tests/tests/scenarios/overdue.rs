//! What somebody empties by a slip of the hand is not lost: deliveries in a tier, and on their queue.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::drained;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::receiver::always;
use carom_tests::stack::Binary;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_from_a_tier_or_a_queue_is_put_back_and_sent_once() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    receiver.answer(always(503));
    let stack = setup
        .env("CAROM_RETRY_SCHEDULE", "4s,1h")
        .env("CAROM_WORKER_BREAKER_FAILURES", "0")
        .env("CAROM_WORKER_OVERDUE_AFTER", "2s")
        .env("CAROM_WORKER_MEASURE_INTERVAL", "500ms")
        .start(&broker)
        .await?;
    for index in 0..10 {
        stack.plain(&[("event", "purchase"), ("txid", &format!("tier-{index}"))]).await?;
    }
    let depth = async |queue: &str| {
        let depth = stack.vhost()?.depth(queue).await?.context("there is no such queue")?;
        anyhow::Ok(depth.messages)
    };
    receiver.wait_for(secs(10), 10, |_| true).await?;
    eventually(secs(3), "all wait in the tier", async || {
        ensure!(depth("carom.retry.4s").await? == 10);
        Ok(())
    })
    .await?;
    stack.vhost()?.purge("carom.retry.4s").await?;
    receiver.answer(always(200));
    stack.carom_ok(&["pause", "network"]).await?;
    let known = |text: &str, name: &str, labels: &[(&str, &str)]| metrics::sum(text, name, labels);
    eventually(secs(10), "the pause is known", async || {
        let text = stack.metrics(Binary::Worker).await?;
        ensure!(known(&text, "carom_connector_paused", &[("connector", "network")]) == Some(1.0));
        ensure!(known(&text, "carom_consumers_attached", &[("queue", "deliver.network")]) == Some(0.0));
        Ok(())
    })
    .await?;
    for index in 0..5 {
        let event = stack.plain(&[("event", "purchase"), ("txid", &format!("queue-{index}"))]).await?;
        stack.handed_over(&event).await?;
    }
    stack.vhost()?.purge("carom.deliver.network").await?;
    // A moment before it is put back, the tier is seen to be late.
    eventually(secs(10), "the tier is late", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let late = known(&text, "carom_tier_overdue_seconds", &[("tier", "4s")]);
        ensure!(late.is_some_and(|late| late > 0.0), "it is late by {late:?}");
        Ok(())
    })
    .await?;
    stack.carom_ok(&["resume", "network"]).await?;
    eventually(secs(30), "all fifteen are sent", async || {
        ensure!(receiver.taken_count() == 15, "{} are", receiver.taken_count());
        Ok(())
    })
    .await?;
    drained(stack.vhost()?, secs(10)).await?;
    assert!(receiver.taken().values().all(|times| *times == 1), "{:?}", receiver.taken());
    assert_eq!(receiver.count(), 25, "ten attempts that failed, and fifteen");
    eventually(secs(10), "nothing is late any more, and all were counted", async || {
        let text = stack.metrics(Binary::Worker).await?;
        ensure!(known(&text, "carom_tier_overdue_seconds", &[("tier", "4s")]) == Some(0.0));
        let back = known(&text, "carom_deliveries_put_back_total", &[("connector", "network")]);
        ensure!(back.is_some_and(|back| back >= 15.0), "{back:?} were put back");
        Ok(())
    })
    .await?;
    stack.finish().await
}
