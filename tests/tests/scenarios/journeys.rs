//! The three journeys of the demo, on the demo's own resources.

use anyhow::Result;
use carom_tests::broker::Broker;
use carom_tests::demo::{self, Teller};
use carom_tests::receiver::Receiver;
use carom_tests::stack::{Setup, Stack};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn demo(schedule: Option<&str>) -> Result<(Receiver, Stack)> {
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(demo::answers_in_turn));
    let mut setup = Setup::of_text(demo::resources(&receiver.url("")));
    if let Some(schedule) = schedule {
        setup = setup.env("CAROM_RETRY_SCHEDULE", schedule);
    }
    let stack = setup.start(&Broker::shared().await?).await?;
    Ok((receiver, stack))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_and_a_webhook_become_a_postback_with_click_id_value_and_event_id() -> Result<()> {
    let (receiver, stack) = demo(None).await?;
    demo::delivered_at_once(Teller::new("1", Instant::now()), &stack, &receiver).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_follow_one_second_and_fifteen_seconds_after_each_failure_and_deliver_once() -> Result<()> {
    let (receiver, stack) = demo(None).await?;
    demo::retried_on_schedule(Teller::new("2", Instant::now()), &stack, &receiver, "journey-2").await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_schedule_ends_in_a_dead_letter_that_is_replayed_when_the_receiver_is_mended() -> Result<()> {
    let (receiver, stack) = demo(Some("100ms,200ms,400ms")).await?;
    let delays = [100, 200, 400].map(Duration::from_millis);
    let tell = Teller::new("3", Instant::now());
    demo::given_up_and_replayed(tell, &stack, &receiver, &delays, demo::NETWORK).await?;
    stack.finish().await
}
