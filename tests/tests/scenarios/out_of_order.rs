//! Events that come before what they are about.

use anyhow::Result;
use carom_common::click::Click;
use carom_common::envelope;
use carom_common::id::{ClickId, VisitorId};
use carom_tests::eventually::secs;
use carom_tests::fixture;
use carom_tests::resources::FUNNEL_TOKEN;
use carom_tests::stack::Binary;
use carom_tests::wire;
use jiff::Timestamp;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_and_its_event_that_wait_together_for_the_worker_end_attributed() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    stack.stop(Binary::Worker).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let body = fixture::one_time_order(&click.id);
    let event = stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), body).await?.accepted()?;
    stack.start_binary(Binary::Worker)?;
    let postback = receiver.wait_for(secs(30), 1, |_| true).await?.remove(0);
    assert_eq!(postback.field("click_id"), Some(click.id));
    let codes = stack.codes(&event).await?;
    assert!(codes.iter().any(|code| code == "click_found"), "{codes:?}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_before_its_click_is_parked_and_ends_attributed() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "300ms,1s,30s").start(&broker).await?;
    let id = ClickId::new();
    let event = stack
        .plain(&[("event", "purchase"), ("txid", "early"), ("click_id", &id.to_string()), ("payout", "5")])
        .await?;
    stack.traced(&event, "parked").await?;
    assert_eq!(receiver.count(), 0, "it went on though its click may still come");

    // The click comes: recorded late, by whatever held it up on its way.
    let click = Click {
        id,
        user_agent: Some("Mozilla/5.0".to_owned()),
        ..Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), Timestamp::now())
    };
    wire::publish(&stack.vhost()?.url, "", "carom.clicks", &envelope::encode(&[click])).await?;
    let postback = receiver.wait_for(secs(15), 1, |_| true).await?.remove(0);
    assert_eq!(postback.field("click_id"), Some(id.to_string()));
    let codes = stack.codes(&event).await?;
    assert!(codes.iter().any(|code| code == "click_found"), "{codes:?}");
    assert!(!codes.iter().any(|code| code == "parking_over"), "{codes:?}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_click_is_waited_for_and_then_gone_on_without() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let setup = setup.env("CAROM_WORKER_PARKING", "2s").env("CAROM_RETRY_SCHEDULE", "500ms,1s,30s");
    let stack = setup.start(&broker).await?;
    let unknown = ClickId::new().to_string();
    let event = stack.plain(&[("event", "purchase"), ("txid", "orphan"), ("click_id", &unknown)]).await?;
    let accepted = std::time::Instant::now();
    let postback = receiver.wait_for(secs(20), 1, |_| true).await?.remove(0);
    let waited = postback.instant.saturating_duration_since(accepted);
    assert!(waited >= std::time::Duration::from_millis(1_900), "it was parked for {waited:?} only");
    assert_eq!(postback.field("click_id").as_deref(), Some(""), "an unknown click is nobody's");
    let codes = stack.codes(&event).await?;
    for code in ["parked", "parking_over", "click_unknown", "selected", "delivered"] {
        assert!(codes.iter().any(|found| found == code), "no {code} in {codes:?}");
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_names_no_click_is_not_held_up() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let event = stack.plain(&[("event", "purchase"), ("txid", "organic")]).await?;
    receiver.wait_for(secs(10), 1, |_| true).await?;
    let codes = stack.codes(&event).await?;
    assert!(codes.iter().any(|code| code == "click_none"), "{codes:?}");
    assert!(!codes.iter().any(|code| code == "parked"), "{codes:?}");
    stack.finish().await
}
