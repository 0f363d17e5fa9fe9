//! Several workers on one broker and one store: they share rates, and do not send what another has in hand.

use anyhow::{Result, ensure};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::letters;
use carom_tests::load::{Amount, Load};
use carom_tests::metrics;
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::sync::Arc;
use std::time::Duration;

const CONSUMING: &str = "carom-worker consume";

/// What is attempted twice was attempted by two.
fn once(receiver: &Receiver, count: usize) -> Result<()> {
    let taken = receiver.taken();
    ensure!(taken.len() == count, "{} of {count} arrived", taken.len());
    let twice: Vec<_> = taken.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "{} were sent more than once, among them {:?}", twice.len(), &twice[..1]);
    Ok(())
}

async fn send(stack: &Stack, prefix: &str, count: usize) -> Result<()> {
    for index in 0..count {
        stack.plain(&[("event", "purchase"), ("txid", &format!("{prefix}-{index}"))]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_a_connectors_rate_and_the_one_that_is_left_has_all_of_it() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let network = Connector::get("network", receiver.url("/postback")).line("rate = \"20/s\"");
    let stack = Setup::new(&Resources::new().with(network)).start(&broker).await?;
    let other = stack.start_another(Binary::Worker).await?;
    let share = async |text: String, wanted: f64| {
        let share = metrics::sum(&text, "carom_connector_rate_share", &[("connector", "network")]);
        ensure!(share == Some(wanted), "the share is {share:?}");
        Ok(())
    };
    eventually(secs(10), "both know that they are two", async || {
        share(stack.metrics(Binary::Worker).await?, 0.5).await?;
        share(other.metrics().await?, 0.5).await
    })
    .await?;
    // All of it lies there before the first is sent, however slow the machine is.
    let count = 320;
    stack.carom_ok(&["pause", "network"]).await?;
    send(&stack, "both", count).await?;
    eventually(secs(30), "all lie on the queue", async || {
        let depth = stack.vhost()?.depth("carom.deliver.network").await?.unwrap_or_default();
        // More where a slow broker made somebody give one back twice: one of the two is a copy.
        ensure!(depth.messages + receiver.count() as u64 >= count as u64, "{depth:?}");
        Ok(())
    })
    .await?;
    receiver.forget();
    stack.carom_ok(&["resume", "network"]).await?;
    let together = receiver.wait_for(secs(30), 100, |_| true).await?;
    // The worst window of two seconds, at 20/s, with 10 % and one attempt of each worker to spare.
    let window = secs(2);
    let most = together.iter().map(|first| {
        let within = |at| at >= first.instant && at < first.instant + window;
        together.iter().filter(|one| within(one.instant)).count()
    });
    let most = most.max().unwrap_or(0);
    println!("two workers at 20/s: {most} requests in the worst {window:?}");
    assert!(most <= 46, "{most} requests in {window:?}");
    for text in [stack.metrics(Binary::Worker).await?, other.metrics().await?] {
        let sent = metrics::sum(&text, "carom_attempts_total", &[("connector", "network")]);
        println!("one of them has sent {sent:?}");
        assert!(sent.is_some_and(|sent| sent >= 20.0), "the work is shared");
    }

    other.kill()?;
    eventually(secs(10), "the one that is left knows that it is alone", async || {
        share(stack.metrics(Binary::Worker).await?, 1.0).await
    })
    .await?;
    let before = receiver.count();
    let all = receiver.wait_for(secs(20), before + 50, |_| true).await?;
    let alone = &all[before..];
    let took = alone[49].instant.saturating_duration_since(alone[0].instant).as_secs_f64();
    println!("one worker at 20/s: 50 requests in {took:.2} s");
    // 49 intervals of 50 ms; half of the rate would take twice as long.
    assert!((2.2..4.8).contains(&took), "50 requests took {took} s");
    drained(stack.vhost()?, secs(60)).await?;
    let twice: Vec<_> = receiver.taken().into_iter().filter(|(_, times)| *times > 1).collect();
    println!("sent twice, because one was killed: {}", twice.len());
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_has_in_hand_when_its_connection_is_cut_is_not_sent_by_another() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|_| Answer::status(200).after(secs(3))));
    // So many at once that whoever gets what the other has in hand could begin at once.
    let network = Connector::get("network", receiver.url("/postback")).line("concurrency = 64");
    let stack = Setup::new(&Resources::new().with(network))
        .env("CAROM_BROKER_CONFIRM_TIMEOUT", "1s")
        .start(&broker)
        .await?;
    let other = stack.start_another(Binary::Worker).await?;
    stack.vhost()?.lists(CONSUMING, 2).await?;
    let count = 60;
    let load = Load::plain(&stack, "load", Amount::Of(count), 16);
    let in_flight = |text: String| metrics::sum(&text, "carom_attempts_in_flight", &[]).unwrap_or(0.0);
    eventually(secs(10), "both are busy", async || {
        let (one, two) = (in_flight(stack.metrics(Binary::Worker).await?), in_flight(other.metrics().await?));
        ensure!(one >= 15.0 && two >= 15.0, "{one} and {two} are under way");
        Ok(())
    })
    .await?;
    stack.vhost()?.cut(CONSUMING).await?;
    load.finish().await?;
    eventually(secs(40), "every delivery arrives", async || once(&receiver, count)).await?;
    drained(stack.vhost()?, secs(20)).await?;
    once(&receiver, count)?;
    let copies = |text: &str| metrics::sum(text, "carom_delivery_copies_total", &[]).unwrap_or(0.0);
    // The broker's figures are late: a copy may be waiting yet.
    let met = eventually(secs(20), "copies are known", async || {
        let met = copies(&stack.metrics(Binary::Worker).await?) + copies(&other.metrics().await?);
        ensure!(met > 0.0, "nothing was in hand when the connection was cut, so that proves nothing");
        Ok(met)
    })
    .await?;
    drained(stack.vhost()?, secs(20)).await?;
    once(&receiver, count)?;
    println!("{count} deliveries once each, {met} copies known");
    other.stop().await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_two_workers_are_given_are_told_once() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|_| Answer::status(200).after(Duration::from_millis(20))));
    let network = Connector::get("network", receiver.url("/postback")).line("timeout = \"2s\"");
    let stack = Setup::new(&Resources::new().with(network))
        .env("CAROM_BROKER_CONFIRM_TIMEOUT", "1s")
        .start(&broker)
        .await?;
    let other = stack.start_another(Binary::Worker).await?;
    let count = 1_500;
    let load = Load::plain(&stack, "load", Amount::Of(count), 32);
    for part in 1..=3 {
        load.accepted(count * part / 4).await?;
        // The oldest: one time this one, one time that.
        stack.vhost()?.cut(CONSUMING).await?;
    }
    load.finish().await?;
    eventually(secs(60), "every event is told", async || once(&receiver, count)).await?;
    drained(stack.vhost()?, secs(20)).await?;
    once(&receiver, count)?;
    other.stop().await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_two_workers_decide_at_once_is_told_once() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|_| Answer::status(200).after(Duration::from_millis(200))));
    let network = Connector::get("network", receiver.url("/postback")).line("timeout = \"2s\"");
    let stack = Setup::new(&Resources::new().with(network.line("concurrency = 256")))
        .env("CAROM_BROKER_CONFIRM_TIMEOUT", "1s")
        .start(&broker)
        .await?;
    let other = stack.start_another(Binary::Worker).await?;
    let count = letters::BATCH * 4;
    let events: Vec<_> =
        (0..count).map(|index| letters::event("purchase", &format!("both-{index}"))).collect();
    // Each message twice, one after the other: the broker gives one to this worker and one to that.
    let twice: Vec<_> = events.chunks(letters::BATCH).flat_map(|batch| [batch, batch].concat()).collect();
    letters::publish(&stack.vhost()?.url, &twice).await?;
    eventually(secs(40), "every event is told", async || once(&receiver, count)).await?;
    drained(stack.vhost()?, secs(20)).await?;
    once(&receiver, count)?;
    other.stop().await?;
    stack.finish().await
}
