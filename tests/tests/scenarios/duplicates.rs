//! What comes more than once is sent once.

use anyhow::Result;
use carom_tests::eventually::{eventually, secs};
use carom_tests::fixture;
use carom_tests::order::EVENTS;
use carom_tests::resources::FUNNEL_TOKEN;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_webhook_three_times_is_one_postback() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let (url, body) = (stack.events_url(FUNNEL_TOKEN), fixture::one_time_order(&click.id));
    let first = stack.client().webhook(&url, body.clone()).await?.accepted()?;
    // One after it is done, and one beside that, so that the marker and its race are both met.
    stack.traced(&first, "delivered").await?;
    let (second, third) =
        tokio::join!(stack.client().webhook(&url, body.clone()), stack.client().webhook(&url, body.clone()));
    let ids = BTreeSet::from([first.clone(), second?.accepted()?, third?.accepted()?]);
    assert_eq!(ids.len(), 3, "each intake has an id of its own");
    eventually(secs(15), "both copies are traced", async || {
        let codes = stack.codes(&first).await?;
        let copies = codes.iter().filter(|code| *code == "duplicate").count();
        anyhow::ensure!(copies == 2, "{codes:?}");
        Ok(())
    })
    .await?;
    assert_eq!(receiver.count(), 1);
    assert_eq!(receiver.requests()[0].field("click_id"), Some(click.id));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_copies_at_once_are_one_postback() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let purchase = [("event", "purchase"), ("txid", "at-once"), ("payout", "3")];
    let (a, b, c) = tokio::join!(stack.plain(&purchase), stack.plain(&purchase), stack.plain(&purchase));
    // Whichever came first has the other two as its copies.
    let ids = [a?, b?, c?];
    eventually(secs(15), "one is delivered and two are its duplicates", async || {
        let mut all = Vec::new();
        for id in &ids {
            all.push(stack.codes(id).await.unwrap_or_default());
        }
        let first = all.iter().find(|codes| codes.iter().any(|code| code == "delivered"));
        let copies = first.map(|codes| codes.iter().filter(|code| *code == "duplicate").count());
        anyhow::ensure!(copies == Some(2), "{all:?}");
        Ok(())
    })
    .await?;
    assert_eq!(receiver.count(), 1);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_events_of_one_order_are_one_conversion_and_one_postback() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let url = stack.events_url(FUNNEL_TOKEN);
    let mut ids = Vec::new();
    for name in EVENTS {
        let body = fixture::with_click(name, &click.id)?;
        ids.push((name, stack.client().webhook(&url, body).await?.accepted()?));
    }
    let mut conversions = BTreeSet::new();
    for (name, id) in &ids {
        let trace = stack.handed_over(id).await?;
        println!("{name}: {} {}", trace["conversion"]["key"], trace["conversion"]["status"]);
        if let Some(key) = trace["conversion"]["key"].as_str() {
            conversions.insert(key.to_owned());
        }
    }
    assert!(conversions.contains("order:22642"), "{conversions:?}");
    let postbacks = receiver.wait_for(secs(15), 1, |_| true).await?;
    assert_eq!(postbacks[0].field("click_id"), Some(click.id));
    assert_eq!(postbacks[0].field("event").as_deref(), Some("purchase"));
    // Whatever was selected has been handed over; when the queues are empty, all of it was sent.
    carom_tests::accounting::drained(stack.vhost()?, secs(15)).await?;
    let sent: Vec<_> = receiver.requests().into_iter().map(|request| request.query).collect();
    assert_eq!(sent.len(), 1, "{conversions:?} were told as {sent:#?}");
    stack.finish().await
}
