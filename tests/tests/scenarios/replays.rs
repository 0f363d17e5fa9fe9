//! Replays of many letters, during live traffic, cut off in every way: nothing is lost, nothing is sent twice.

use anyhow::{Context, Result, ensure};
use carom_common::dead_letter::{Content, Letter};
use carom_common::delivery::Delivery;
use carom_common::envelope;
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::letters;
use carom_tests::process::Process;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Setup, Stack};
use carom_tests::wire;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Letters to `a` and to `b`.
const OF_A: usize = 2_000;
const OF_B: usize = 1_000;

/// Live traffic to both: an event every 20 ms, until it is told to stop. Gives how many were accepted.
fn live(stack: &Stack, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Result<usize>> {
    let (client, url) = (stack.client().clone(), stack.events_url(carom_tests::resources::PLAIN_TOKEN));
    tokio::spawn(async move {
        let mut sent = 0;
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            let tx = format!("live-{sent}");
            client.form(&url, &[("event", "purchase"), ("txid", &tx)]).await?.accepted()?;
            sent += 1;
        }
        Ok(sent)
    })
}

fn replay(stack: &Stack, more: &[&str]) -> Result<Process> {
    let command = stack.carom_command(&[&["dlq", "replay", "--json"], more].concat())?;
    Process::start("a replay", command, &stack.dir().join(format!("replay-{}.log", Timestamp::now())))
}

/// What a replay says on its last line.
fn said(replay: &Process) -> Result<Value> {
    let log = replay.log()?;
    let line = log.lines().rfind(|line| line.starts_with('{') && line.contains("per_second"));
    Ok(serde_json::from_str(line.with_context(|| format!("it says nothing: {log}"))?)?)
}

async fn sent(receiver: &Receiver, at_least: usize) -> Result<()> {
    eventually(secs(30), format!("{at_least} letters of b are sent again"), async || {
        let count = of(receiver, "b-").len();
        ensure!(count >= at_least, "{count} are");
        Ok(())
    })
    .await
}

fn of(receiver: &Receiver, prefix: &str) -> Vec<(String, usize)> {
    receiver.taken().into_iter().filter(|(tx, _)| tx.starts_with(prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_that_are_cut_off_in_every_way_send_each_letter_exactly_once() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new()
        .with(Connector::get("a", receiver.url("/a")).triggers(&["purchase"]).line("concurrency = 256"))
        .with(Connector::get("b", receiver.url("/b")).triggers(&["lead"]).line("concurrency = 256"));
    let mut stack = letters::giving_up(Setup::new(&resources)).start(&broker).await?;
    let of_a = (0..OF_A).map(|index| letters::event("purchase", &format!("a-{index}")));
    let of_b = (0..OF_B).map(|index| letters::event("lead", &format!("b-{index}")));
    let events: Vec<_> = of_a.chain(of_b).collect();
    letters::make(&mut stack, &events, secs(60)).await?;
    let url = stack.vhost()?.url.clone();

    // A whole turn that is for nobody leaves all where it was.
    let turned = stack.carom_ok(&["dlq", "replay", "--status", "599", "--json"]).await?;
    println!("rotated: {}", turned.trim());
    let turned: Value = serde_json::from_str(&turned)?;
    assert_eq!((&turned["replayed"], &turned["left"]), (&0.into(), &(OF_A + OF_B).into()));
    // They were buried many at a time, and rotated so. Shuffled, some would be a thousand places away.
    let disorder = letters::disorder(&url, OF_A + OF_B).await?;
    println!("no letter is further than {disorder} places from where it lay by its age");
    assert!(disorder <= 600, "the order is kept");

    let stop = Arc::new(AtomicBool::new(false));
    let live = live(&stack, stop.clone());
    let filtered = ["--connector", "b", "--rate", "500"];
    // Ctrl-C.
    let mut first = replay(&stack, &filtered)?;
    sent(&receiver, 100).await?;
    first.interrupt()?;
    assert_eq!(first.ended(secs(20)).await?.code(), Some(1), "what is not done is not well");
    println!("interrupted: {}", said(&first)?);
    assert_eq!(said(&first)?["interrupted"], true);
    // SIGKILL.
    let second = replay(&stack, &filtered)?;
    sent(&receiver, 300).await?;
    second.kill()?;
    // The broker cuts it off: slowly enough, because a new connection is listed only seconds after it was opened.
    let mut third = replay(&stack, &["--connector", "b", "--rate", "40"])?;
    sent(&receiver, 350).await?;
    stack.vhost()?.cut("carom-worker dlq publish").await?;
    println!("cut off: {}", third.ended(secs(40)).await?);
    let left = of(&receiver, "b-").len();
    assert!(left < OF_B, "all were sent before it was cut off, so that proved nothing");
    // To the end, as often as it takes.
    eventually(secs(60), "the replay comes to its end", async || {
        let ran = stack.carom(&["dlq", "replay", "--connector", "b", "--json"]).await?;
        println!("again: {}{}", ran.out.trim(), ran.err.trim());
        ensure!(ran.code == Some(0) && stack.letters(&["--connector", "b"]).await?.is_empty());
        Ok(())
    })
    .await?;
    assert_eq!(stack.letters(&[]).await?.len(), OF_A, "a filter leaves the others alone");

    // Two at once.
    let (mut one, mut two) = (replay(&stack, &["--connector", "a"])?, replay(&stack, &["--all"])?);
    for replay in [&mut one, &mut two] {
        println!("two at once: {}, {}", replay.ended(secs(60)).await?, said(replay)?);
    }
    eventually(secs(60), "nothing is left", async || {
        let ran = stack.carom(&["dlq", "replay", "--all"]).await?;
        println!("the rest: {}{}", ran.out.trim(), ran.err.trim());
        ensure!(ran.code == Some(0) && stack.letters(&[]).await?.is_empty());
        Ok(())
    })
    .await?;
    stop.store(true, Ordering::Relaxed);
    let live = live.await??;
    eventually(secs(60), "everything is delivered", async || {
        let taken = receiver.taken_count();
        ensure!(taken == OF_A + OF_B + live, "{taken} of {} letters and {live}", OF_A + OF_B);
        Ok(())
    })
    .await?;
    drained(stack.vhost()?, secs(20)).await?;
    letters::lie(&stack, 0, secs(20)).await?;
    let twice: Vec<_> = receiver.taken().into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "sent more than once: {twice:?}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_died_before_it_was_noted_is_a_copy_and_its_letter_leaves_the_list() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = letters::giving_up(Setup::new(&resources)).start(&broker).await?;
    letters::make(&mut stack, &[letters::event("purchase", "one")], secs(30)).await?;
    let id = stack.letters(&[]).await?[0]["id"].as_str().context("no id")?.to_owned();
    let shown: Value = serde_json::from_str(&stack.carom_ok(&["dlq", "show", &id, "--json"]).await?)?;
    let letter: Letter = serde_json::from_value(shown["letter"].clone())?;
    let Content::Delivery(delivery) = letter.content else { anyhow::bail!("no delivery: {shown}") };
    // What a replay publishes: twice, as by one that died between the confirm and its note, and by the next.
    let next = Delivery { round: delivery.round + 1, attempt: 1, due_since: Timestamp::now(), ..*delivery };
    for _ in 0..2 {
        let body = envelope::encode(std::slice::from_ref(&next));
        wire::publish(&stack.vhost()?.url, "", "carom.deliver.network", &body).await?;
    }
    receiver.wait_for(secs(10), 1, |_| true).await?;
    drained(stack.vhost()?, secs(10)).await?;
    assert_eq!(receiver.count(), 1, "the second is a copy");
    assert_eq!(stack.letters(&[]).await?.len(), 1, "nobody has noted it");
    let said: Value = serde_json::from_str(&stack.carom_ok(&["dlq", "replay", "--all", "--json"]).await?)?;
    assert_eq!((&said["replayed"], &said["copies"]), (&0.into(), &1.into()), "{said}");
    letters::lie(&stack, 0, secs(10)).await?;
    assert_eq!(receiver.count(), 1);
    stack.finish().await
}
