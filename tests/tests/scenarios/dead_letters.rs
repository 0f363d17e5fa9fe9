//! `dlq`: list, show, filters, dry run, replay at a rate, purge; and a replay that is interrupted.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::process::Process;
use carom_tests::receiver::{Answer, Received, Receiver, always};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Setup, Stack};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// A stack with eleven letters: five purchases to `a` (500) and six to `b` (404), of which one is a lead to
/// both; and its receiver.
async fn with_letters() -> Result<(Receiver, Stack)> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver
        .answer(Arc::new(|request: &Received| Answer::status(if request.path == "/a" { 500 } else { 404 })));
    let resources = Resources::new()
        .with(Connector::get("a", receiver.url("/a")).triggers(&["purchase", "lead"]))
        .with(Connector::get("b", receiver.url("/b")).triggers(&["upsell", "lead"]));
    // Letters are what is wanted here, at once: the breaker has scenarios of its own.
    let setup = Setup::new(&resources).env("CAROM_WORKER_BREAKER_FAILURES", "0");
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "50ms").start(&broker).await?;
    for (event, count) in [("purchase", 4), ("upsell", 5), ("lead", 1)] {
        for index in 0..count {
            stack.plain(&[("event", event), ("txid", &format!("{event}-{index}")), ("payout", "2")]).await?;
        }
    }
    stack.letters_become(11, &[]).await?;
    Ok((receiver, stack))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_by_every_filter() -> Result<()> {
    let (_receiver, stack) = with_letters().await?;
    let table: [(&[&str], usize); 14] = [
        (&[], 11),
        (&["--connector", "a"], 5),
        (&["--connector", "b"], 6),
        (&["--connector", "nobody"], 0),
        (&["--reason", "exhausted"], 11),
        (&["--reason", "expired"], 0),
        (&["--status", "404"], 6),
        (&["--status", "404", "--connector", "a"], 0),
        (&["--event-type", "lead"], 2),
        (&["--event-type", "upsell", "--status", "404"], 5),
        (&["--older-than", "1h"], 0),
        (&["--newer-than", "1h"], 11),
        (&["--older-than", "0s"], 11),
        (&["--newer-than", "1h", "--connector", "a", "--event-type", "purchase"], 4),
    ];
    for (filters, count) in table {
        assert_eq!(stack.letters(filters).await?.len(), count, "{filters:?}");
        let printed = stack.carom_ok(&[&["dlq", "list"], filters].concat()).await?;
        let told = printed.lines().last().unwrap_or_default();
        assert!(told.contains(&count.to_string()), "{filters:?}: {told}");
    }
    for (filters, named) in [
        (&["--reason", "sunspots"][..], "exhausted"),
        (&["--connector", "No Such"], "No Such"),
        (&["--older-than", "yesterday"], "yesterday"),
    ] {
        let ran = stack.carom(&[&["dlq", "list"], filters].concat()).await?;
        assert_eq!(ran.code, Some(64), "{filters:?}: {ran:?}");
        assert!(ran.err.contains(named), "{filters:?} says what would be right: {}", ran.err);
    }
    let letter = &stack.letters(&["--connector", "a", "--event-type", "lead"]).await?[0];
    let id = letter["id"].as_str().context("no id")?;
    let shown = stack.carom_ok(&["dlq", "show", id]).await?;
    for part in [id, "exhausted", "500", "carom.deliver.a", "500 from the receiver", "lead-0"] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let missing = stack.carom(&["dlq", "show", "01890a5d-ac96-774b-bcce-b302099a8057"]).await?;
    assert_eq!(missing.code, Some(1), "{missing:?}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_touches_what_its_filter_means_and_nothing_else() -> Result<()> {
    let (receiver, stack) = with_letters().await?;
    for verb in ["replay", "purge"] {
        let bare = stack.carom(&["dlq", verb]).await?;
        assert_eq!(bare.code, Some(64), "a bare {verb} might mean everything: {bare:?}");
        assert!(bare.err.contains("--all"), "{}", bare.err);
        let dry = stack.carom_ok(&["dlq", verb, "--connector", "b", "--dry-run"]).await?;
        assert!(dry.contains('6'), "{dry}");
    }
    let before = receiver.count();
    assert_eq!(stack.letters(&[]).await?.len(), 11, "a dry run changes nothing");

    // b is purged: gone from the list and from the broker, with a trace.
    let purged = stack.letters(&["--connector", "b", "--event-type", "upsell"]).await?;
    let said = stack.carom_ok(&["dlq", "purge", "--connector", "b"]).await?;
    println!("{}", said.trim());
    assert!(said.contains("6 purged") && said.contains("5 left"), "{said}");
    stack.letters_become(5, &[]).await?;
    depth_becomes(&stack, 5).await?;
    let event = purged[0]["event"].as_str().context("no event")?;
    assert_eq!(stack.codes(event).await?.last().map(String::as_str), Some("purged"));

    // Of a, the lead is replayed first, by its id; then the rest.
    receiver.answer(always(200));
    let lead = stack.letters(&["--event-type", "lead"]).await?;
    assert_eq!(lead.len(), 1, "{lead:?}");
    stack.carom_ok(&["dlq", "replay", lead[0]["id"].as_str().unwrap_or_default()]).await?;
    receiver.wait_for(secs(10), 1, |request| request.taken()).await?;
    stack.letters_become(4, &[]).await?;
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    let taken = receiver.wait_for(secs(10), 5, |request| request.taken()).await?;
    assert!(taken.iter().all(|request| request.path == "/a"), "what was purged is never sent");
    stack.letters_become(0, &[]).await?;
    depth_becomes(&stack, 0).await?;
    assert_eq!(receiver.count(), before + 5);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_keeps_to_its_rate() -> Result<()> {
    let (receiver, stack) = with_letters().await?;
    receiver.answer(always(200));
    let began = Instant::now();
    stack.carom_ok(&["dlq", "replay", "--all", "--rate", "5"]).await?;
    let took = began.elapsed();
    // The first goes at once, so eleven take ten intervals of 200 ms.
    assert!(took >= secs(2), "eleven letters at 5/s took {took:?}");
    let taken = receiver.wait_for(secs(10), 11, |request| request.taken()).await?;
    let spread = taken[10].instant.saturating_duration_since(taken[0].instant);
    println!("eleven letters at 5/s: {:.2} s between the first and the last", spread.as_secs_f64());
    assert!(spread >= std::time::Duration::from_millis(1_800), "they came within {spread:?}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_fails_again_is_a_letter_of_its_next_round() -> Result<()> {
    let (receiver, stack) = with_letters().await?;
    let lead = stack.letters(&["--connector", "a", "--event-type", "lead"]).await?.remove(0);
    let before = receiver.with("tx", "lead-0").len();
    stack.carom_ok(&["dlq", "replay", lead["id"].as_str().unwrap_or_default()]).await?;
    // A fresh schedule: two attempts again.
    receiver
        .wait_for(secs(10), before + 2, |request| request.field("tx").as_deref() == Some("lead-0"))
        .await?;
    let again = eventually(secs(10), "another letter", async || {
        let letters = stack.letters(&["--connector", "a", "--event-type", "lead"]).await?;
        ensure!(letters.len() == 1 && letters[0]["id"] != lead["id"], "{letters:?}");
        Ok(letters[0].clone())
    })
    .await?;
    assert_eq!(again["delivery"], lead["delivery"], "the stable id stays");
    assert_eq!((&lead["round"], &again["round"]), (&Value::from(0), &Value::from(1)));
    assert_eq!(again["attempts"], 2);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_interrupted_and_run_again_sends_each_letter_exactly_once() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    receiver.answer(always(503));
    let setup = setup.env("CAROM_WORKER_BREAKER_FAILURES", "0");
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "50ms").start(&broker).await?;
    let count = 300;
    for index in 0..count {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    stack.letters_become(count, &[]).await?;
    receiver.answer(always(200));

    let command = stack.carom_command(&["dlq", "replay", "--all", "--rate", "100"])?;
    let mut replay = Process::start("the replay", command, &stack.dir().join("replay.log"))?;
    eventually(secs(20), "the replay is in the middle", async || {
        ensure!(receiver.taken_count() >= 60, "{} are sent", receiver.taken_count());
        Ok(())
    })
    .await?;
    replay.interrupt()?;
    let status = replay.ended(secs(15)).await?;
    let said = replay.log()?;
    println!("interrupted: {status}: {}", said.lines().last().unwrap_or_default());
    assert!(said.contains("interrupted"), "it says that it did not finish: {said}");
    let left = stack.letters(&[]).await?.len();
    assert!(left > 0 && left < count, "{left} of {count} are left, so nothing was interrupted");

    println!("again: {}", stack.carom_ok(&["dlq", "replay", "--all"]).await?.trim());
    eventually(secs(30), "every letter is delivered", async || {
        ensure!(receiver.taken_count() == count, "{} are", receiver.taken_count());
        Ok(())
    })
    .await?;
    stack.letters_become(0, &[]).await?;
    carom_tests::accounting::drained(stack.vhost()?, secs(10)).await?;
    depth_becomes(&stack, 0).await?;
    let twice: Vec<_> = receiver.taken().into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "sent more than once: {twice:?}");
    stack.finish().await
}

async fn depth_becomes(stack: &Stack, count: u64) -> Result<()> {
    eventually(secs(15), format!("carom.dead holds {count}"), async || {
        let depth = stack.vhost()?.depth("carom.dead").await?.context("there is no carom.dead")?;
        ensure!(depth.messages == count, "it holds {}", depth.messages);
        Ok(())
    })
    .await
}
