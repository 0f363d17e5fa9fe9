//! Events before what they are about: parked, released at once when it comes, attributed, told once.

use anyhow::{Result, ensure};
use carom_common::click::Click;
use carom_common::envelope;
use carom_common::id::{ClickId, VisitorId};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{never, secs};
use carom_tests::fixture;
use carom_tests::order::REFUND;
use carom_tests::receiver::{Received, Receiver};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, Resources};
use carom_tests::stack::{Setup, Stack};
use carom_tests::{table, wire};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The tier that parked events wait in here.
const TIER: Duration = secs(20);
/// What is released comes well before that, on a busy machine too.
const AT_ONCE: Duration = secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_before_its_click_is_attributed_as_soon_as_the_click_comes() -> Result<()> {
    let (receiver, stack) = start(&["conversion"]).await?;
    let id = ClickId::new();
    let event = send(&stack, fixture::one_time_order(&id.to_string())).await?;
    stack.traced(&event, "parked").await?;
    assert_eq!(receiver.count(), 0, "it went on though its click may still come");
    let since = Instant::now();
    publish_click(&stack, id).await?;
    let told = released(&stack, &receiver, &event, since, 1).await?;
    assert_eq!(told[0].field("click_id"), Some(id.to_string()));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_before_its_order_is_attributed_as_soon_as_the_order_comes() -> Result<()> {
    let (receiver, stack) = start(&["conversion"]).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?.id;
    let event = send(&stack, fixture::raw("cf2_orders_transaction.created.sale.json")?).await?;
    stack.traced(&event, "parked").await?;
    let since = Instant::now();
    // The order itself is pending: it is its transaction that approves it.
    send(&stack, fixture::with_click("cf2_order.created.json", &click)?).await?;
    let told = released(&stack, &receiver, &event, since, 1).await?;
    assert_eq!(told[0].field("click_id"), Some(click));
    assert_eq!(told[0].field("value").as_deref(), Some("396.00"));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fulfillment_before_its_contact_is_attributed_as_soon_as_the_contact_comes() -> Result<()> {
    let (receiver, stack) = start(&["shipped"]).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?.id;
    // It names no click itself, so only one that was there at its own time can be its.
    let mut body: Value = serde_json::from_str(&table::body("catalogue/fulfillment.created.v2.json")?)?;
    body["created_at"] = Timestamp::now().to_string().into();
    let event = send(&stack, body.to_string()).await?;
    stack.traced(&event, "parked").await?;
    let since = Instant::now();
    send(&stack, fixture::with_click("cf2_contact.identified.with_clickid.json", &click)?).await?;
    let told = released(&stack, &receiver, &event, since, 1).await?;
    assert_eq!(told[0].field("click_id"), Some(click));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_before_its_sale_is_told_after_the_sale_as_soon_as_that_comes() -> Result<()> {
    let (receiver, stack) = start(&["conversion", "refund"]).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?.id;
    let event = send(&stack, fixture::raw(REFUND)?).await?;
    stack.traced(&event, "parked").await?;
    let since = Instant::now();
    send(&stack, fixture::with_click("cf2_order.completed.one_time.json", &click)?).await?;
    let told = released(&stack, &receiver, &event, since, 2).await?;
    let field = |request: &Received, name: &str| request.field(name).unwrap_or_default();
    let mut steps: Vec<_> = told.iter().map(|told| (field(told, "event"), field(told, "value"))).collect();
    steps.sort();
    let wanted = [("purchase", "396.00"), ("refund", "100.00")];
    assert_eq!(steps, wanted.map(|(event, value)| (event.to_owned(), value.to_owned())));
    assert!(told.iter().all(|told| field(told, "click_id") == click), "each by the sale's click");
    let conversion = &stack.trace(&event).await?["conversion"];
    assert_eq!(conversion["status"], "partially_refunded");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_that_comes_while_the_store_is_locked_is_attributed_and_told_once() -> Result<()> {
    let (receiver, stack) = start(&["conversion"]).await?;
    let lock = rusqlite::Connection::open(stack.dir().join("carom.db"))?;
    lock.busy_timeout(secs(10))?;
    lock.execute_batch("BEGIN EXCLUSIVE")?;
    // Neither the click nor the conversion can be recorded; both are accepted all the same.
    let click = stack.client().click(&stack.click_url("demo")).await?.id;
    let event = send(&stack, fixture::one_time_order(&click)).await?;
    never(secs(6), "something is sent that is not in the store", async || {
        ensure!(receiver.count() == 0, "the receiver has {} requests", receiver.count());
        Ok(())
    })
    .await?;
    lock.execute_batch("ROLLBACK")?;
    let told = receiver.wait_for(secs(30), 1, |_| true).await?;
    assert_eq!(told[0].field("click_id"), Some(click));
    drained(stack.vhost()?, secs(60)).await?;
    assert_eq!(receiver.count(), 1, "it was told more than once");
    let codes = stack.codes(&event).await?;
    assert!(codes.iter().any(|code| code == "click_found"), "{codes:?}");
    for code in ["click_unknown", "parking_over"] {
        assert!(
            !codes.iter().any(|found| found == code),
            "a locked store is not an unknown click: {codes:?}"
        );
    }
    stack.finish().await
}

/// A stack in which parked events wait in a long tier, and a connector with these triggers.
async fn start(triggers: &[&str]) -> Result<(Receiver, Stack)> {
    let receiver = Receiver::start()?;
    let connector = Connector::get("network", receiver.url("/postback")).triggers(triggers);
    let setup = Setup::new(&Resources::new().with(connector))
        .env("CAROM_WORKER_PARKING", "10m")
        .env("CAROM_RETRY_SCHEDULE", format!("{}s,30m", TIER.as_secs()));
    Ok((receiver, setup.start(&Broker::shared().await?).await?))
}

/// Sends a funnel's webhook; gives the event's id.
async fn send(stack: &Stack, body: String) -> Result<String> {
    stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), body).await?.accepted()
}

/// Records a click that was held up on its way.
async fn publish_click(stack: &Stack, id: ClickId) -> Result<()> {
    let click: Click = serde_json::from_value(json!({
        "id": id,
        "advertiser": "acme",
        "offer": "demo",
        "target": "main",
        "visitor": VisitorId::new(),
        "at": Timestamp::now(),
        "parameters": [],
        "user_agent": "Mozilla/5.0",
    }))?;
    wire::publish(&stack.vhost()?.url, "", "carom.clicks", &envelope::encode(&[click])).await
}

/// Waits until `count` postbacks came of what was released at `since`; gives them. They come at once and
/// not when the tier's time is up, and when it is up nothing comes again.
async fn released(
    stack: &Stack,
    receiver: &Receiver,
    event: &str,
    since: Instant,
    count: usize,
) -> Result<Vec<Received>> {
    let told = receiver.wait_for(TIER + secs(20), count, |_| true).await?;
    for told in &told {
        let waited = told.instant.saturating_duration_since(since);
        println!("released after {} ms", waited.as_millis());
        ensure!(waited < AT_ONCE, "it waited {waited:?} for its tier's timer");
    }
    let codes = stack.traced(event, "released").await.map(|_| stack.codes(event))?.await?;
    ensure!(codes.iter().any(|code| code == "click_found"), "{codes:?}");
    ensure!(!codes.iter().any(|code| code == "parking_over"), "{codes:?}");
    drained(stack.vhost()?, TIER + secs(40)).await?;
    ensure!(receiver.count() == count, "{} came, and only {count} should have", receiver.count());
    Ok(told)
}
