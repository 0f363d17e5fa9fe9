//! The three journeys of a conversion. Each checks what it tells.

use super::{FUNNEL_TOKEN, SHOP_TOKEN, Teller};
use crate::eventually::{eventually, secs};
use crate::fixture;
use crate::receiver::{Received, Receiver, always};
use crate::stack::Stack;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// How late an attempt may be.
const LATENESS: Duration = Duration::from_secs(3);

/// A click, then the funnel's webhook with its id: the receiver has the postback.
pub async fn delivered_at_once(tell: Teller, stack: &Stack, receiver: &Receiver) -> Result<()> {
    let link = stack.click_url("demo");
    tell.say(format!("A visitor clicks {link}?utm_source=newsletter"));
    let click = stack.client().click(&format!("{link}?utm_source=newsletter")).await?;
    tell.say(format!("… gets the click id {} and is sent on to {}", click.id, click.location));

    tell.say("She buys. The funnel sends its webhook one-time-order.completed, with that click id in it");
    let body = fixture::one_time_order(&click.id);
    let event = stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), body.clone()).await?.accepted()?;
    tell.say(format!("… and is answered 202: RabbitMQ has confirmed event {event}"));

    let of_click = |request: &Received| request.field("click_id").as_deref() == Some(&*click.id);
    let postback = receiver.wait_for(secs(15), 1, of_click).await?.remove(0);
    let field = |name: &str| postback.field(name).unwrap_or_default();
    let sent: serde_json::Value = serde_json::from_str(&body)?;
    let source_event_id = sent["event_id"].as_str().context("the fixture has no event_id")?;
    tell.say(format!(
        "The network has the postback: {} {} with click_id={} value={} currency={} event_id={} source_event_id={}",
        postback.method,
        postback.path,
        field("click_id"),
        field("value"),
        field("currency"),
        field("event_id"),
        field("source_event_id"),
    ));
    ensure!(field("value") == "396.00", "the value is {}, not 396.00", field("value"));
    ensure!(field("currency") == "USD", "the currency is {}, not USD", field("currency"));
    ensure!(uuid::Uuid::try_parse(&field("event_id")).is_ok(), "the event id is {:?}", field("event_id"));
    ensure!(
        field("source_event_id") == source_event_id,
        "the funnel's event id is {}",
        field("source_event_id")
    );
    stack.traced(&event, "delivered").await?;
    let trace = stack.carom_ok(&["trace", &event]).await?;
    tell.show(&format!("carom-worker trace {event}"), &trace);
    ensure!(receiver.matching(of_click).len() == 1, "the postback came more than once");
    Ok(())
}

/// A receiver that answers 500, 500, 200: attempts 1 s and 15 s after each failure, by the real schedule.
/// `receiver` must answer so to this purchase; see [`answers_in_turn`].
pub async fn retried_on_schedule(tell: Teller, stack: &Stack, receiver: &Receiver, tx: &str) -> Result<()> {
    let delays = [secs(1), secs(15)];
    tell.say(
        "This purchase meets a network that answers 500, then 500, then 200. The schedule is the real one",
    );
    let event = purchase(stack, tx).await?;
    tell.say(format!("The shop's event is accepted as {event}"));
    let of_tx = |request: &Received| request.field("tx").as_deref() == Some(tx);
    let first = receiver.wait_for(secs(10), 1, of_tx).await?.remove(0);
    tell.say(format!("Attempt 1 at {}: answered {}", tell.at(first.instant), first.answered));
    let mut attempts = vec![first];
    for (failed, delay) in delays.into_iter().enumerate() {
        let next = receiver.wait_for(delay + secs(10), failed + 2, of_tx).await?.remove(failed + 1);
        let waited = next.instant.saturating_duration_since(attempts[failed].answered_at);
        tell.say(format!(
            "Attempt {} at {}: answered {}; {:.3} s after the failure, {delay:?} were due",
            failed + 2,
            tell.at(next.instant),
            next.answered,
            waited.as_secs_f64(),
        ));
        ensure!(waited >= delay, "attempt {} came early: after {waited:?}", failed + 2);
        ensure!(waited < delay + LATENESS, "attempt {} came late: after {waited:?}", failed + 2);
        attempts.push(next);
    }
    let ids: Vec<_> = attempts.iter().filter_map(Received::delivery).collect();
    ensure!(ids.iter().all(|id| *id == ids[0]), "the attempts have different ids: {ids:?}");
    let trace = stack.traced(&event, "delivered").await?;
    let counted = trace["attempts"].as_array().map_or(0, Vec::len);
    ensure!(counted == 3, "the webhook log counts {counted} attempts");
    let taken = receiver.with("tx", tx).iter().filter(|request| request.taken()).count();
    ensure!(taken == 1, "it was delivered {taken} times");
    tell.say(format!("Delivered once, under one id: {}", ids[0]));
    Ok(())
}

/// A receiver that refuses until the schedule is spent: dead letter, mended, replayed, delivered.
/// `schedule` is what the worker was configured with, `connector` the network's id.
pub async fn given_up_and_replayed(
    tell: Teller,
    stack: &Stack,
    receiver: &Receiver,
    schedule: &[Duration],
    connector: &str,
) -> Result<()> {
    let tx = "journey-3";
    let spoken: Vec<_> = schedule.iter().map(|delay| format!("{delay:?}")).collect();
    tell.say(format!(
        "This worker's schedule is shortened for the demo, by CAROM_RETRY_SCHEDULE={}, so that we need not wait for days",
        spoken.join(",")
    ));
    tell.say("Its network answers 503 to everything");
    receiver.answer(always(503));
    let event = purchase(stack, tx).await?;
    tell.say(format!("The shop's event is accepted as {event}"));
    let tries = schedule.len() + 1;
    let refused =
        receiver.wait_for(secs(30), tries, |request| request.field("tx").as_deref() == Some(tx)).await?;
    let times: Vec<_> = refused.iter().map(|request| tell.at(request.instant)).collect();
    tell.say(format!("{tries} attempts are refused, at {}; the schedule is spent", times.join(", ")));
    eventually(secs(15), "the dead letter is listed", async || {
        let letters = stack.letters(&["--connector", connector]).await?;
        ensure!(letters.len() == 1, "{} letters are", letters.len());
        ensure!(letters[0]["reason"] == "exhausted", "its reason is {}", letters[0]["reason"]);
        Ok(())
    })
    .await?;
    tell.show("carom-worker dlq list", &stack.carom_ok(&["dlq", "list"]).await?);

    tell.say("The network is mended");
    receiver.answer(always(200));
    let arguments = ["dlq", "replay", "--connector", connector];
    tell.show(&format!("carom-worker {}", arguments.join(" ")), &stack.carom_ok(&arguments).await?);
    let of_tx = |request: &Received| request.taken() && request.field("tx").as_deref() == Some(tx);
    let taken = receiver.wait_for(secs(15), 1, of_tx).await?.remove(0);
    tell.say(format!(
        "The network has the postback at {}, under the id of the first attempt",
        tell.at(taken.instant)
    ));
    ensure!(taken.delivery() == refused[0].delivery(), "the replay has another id");
    stack.traced(&event, "delivered").await?;
    stack.letters_become(0, &[]).await?;
    tell.say("Delivered, and the list of dead letters is empty");
    Ok(())
}

/// What a receiver answers for the second journey's purchases: 500, 500, 200; 200 to all others.
pub fn answers_in_turn(request: &Received) -> crate::receiver::Answer {
    let refused = request.field("tx").is_some_and(|tx| tx.starts_with("journey-2")) && request.number <= 2;
    crate::receiver::Answer::status(if refused { 500 } else { 200 })
}

async fn purchase(stack: &Stack, tx: &str) -> Result<String> {
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let pairs = [
        ("event", "purchase"),
        ("txid", tx),
        ("click_id", &*click.id),
        ("payout", "20.00"),
        ("currency", "EUR"),
    ];
    stack.client().form(&stack.events_url(SHOP_TOKEN), &pairs).await?.accepted()
}
