//! Bad days of the broker, of the way to it and of our processes: each fault under load, each with its account.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::{Account, Weather};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::faults::{Fault, Scene};
use carom_tests::load::{Accepted, Amount, Load, mix};
use carom_tests::management::encoded;
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::stack::Binary;
use carom_tests::wire;
use std::sync::Arc;
use std::time::Duration;

/// Events per second while something goes wrong.
const RATE: u32 = 60;
/// Requests at a time.
const AT_ONCE: usize = 32;
/// How many are accepted before anything goes wrong, and again when it is over.
const BEFORE: usize = 30;
/// A near receiver's time, so that something is always in hand.
const DELAY: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_befalls_the_broker() -> Result<()> {
    let (broker, receiver) = (Broker::own().await?, Receiver::start()?);
    let mut scene = Scene::start(&broker, mix::setup(&receiver, DELAY)).await?;
    scene.stack.vhost()?.may_be_killed().await?;
    let account = all(&mut scene, &receiver, &Fault::OF_THE_BROKER).await?;
    println!("all of the broker: {account}");
    scene.stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_befalls_queues_and_the_way_to_the_broker() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let mut scene = Scene::start(&broker, mix::setup(&receiver, DELAY)).await?;
    let account = all(&mut scene, &receiver, &Fault::OF_THE_WAY).await?;
    println!("all of the way: {account}");
    scene.stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_whatever_befalls_our_processes() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let mut scene = Scene::start(&broker, mix::setup(&receiver, DELAY)).await?;
    let mut account = all(&mut scene, &receiver, &Fault::OF_PROCESSES).await?;
    // Each as soon as it has come up, again and again.
    let again: Vec<_> = [Binary::Worker, Binary::Ingest].repeat(4).into_iter().map(Fault::Killed).collect();
    account.and(one_load(&mut scene, &receiver, "killed again and again", &again, "again").await?);
    println!("all of our processes: {account}");
    scene.stack.finish().await
}

/// Each fault with a load and an account of its own.
async fn all(scene: &mut Scene, receiver: &Receiver, faults: &[Fault]) -> Result<Account> {
    let mut all = Account::default();
    // For whoever looks at one of them: CAROM_FAULT=stalled
    let wanted = std::env::var("CAROM_FAULT").unwrap_or_default();
    for (index, fault) in faults.iter().enumerate() {
        let (name, label) = (fault.to_string(), format!("day{index}"));
        if !name.contains(&wanted) {
            continue;
        }
        all.and(one_load(scene, receiver, &name, &[*fault], &label).await?);
    }
    Ok(all)
}

async fn one_load(
    scene: &mut Scene,
    receiver: &Receiver,
    name: &str,
    faults: &[Fault],
    label: &str,
) -> Result<Account> {
    let load = Load::start(&scene.stack, label, Amount::PerSecond(RATE), AT_ONCE);
    load.accepted(BEFORE).await?;
    for fault in faults {
        fault.happen(scene).await.with_context(|| fault.to_string())?;
    }
    scene.stack.ready().await.with_context(|| format!("after {name}"))?;
    load.accepted(load.accepted_count() + BEFORE).await?;
    let sent = load.finish().await?;
    let account = Account::settle(&scene.stack, receiver, &sent, Weather::Rough, secs(120)).await?;
    println!("{name}: {account}");
    account.must_be_whole_and_as_sent().with_context(|| name.to_owned())?;
    Ok(account)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_are_deleted_while_they_are_empty_come_back_and_nothing_is_lost() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let stack = mix::setup(&receiver, DELAY).start(&broker).await?;
    let sent = Load::start(&stack, "before", Amount::Of(20), 8).finish().await?;
    let before = Account::settle(&stack, &receiver, &sent, Weather::Calm, secs(30)).await?;
    before.must_be_whole_and_as_sent()?;
    let queues = ["carom.events", "carom.clicks", "carom.deliver.network", "carom.retry.300ms"];
    for queue in queues {
        wire::delete_queue(&stack.vhost()?.url, queue).await?;
    }
    let sent = Load::start(&stack, "after", Amount::Of(300), 16).finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(60)).await?;
    println!("{} deleted: {account}", queues.join(", "));
    account.must_be_whole_and_as_sent()?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_connector_had_queued_is_in_the_dead_letters_and_nothing_else_is() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let setup = mix::setup(&receiver, DELAY).env("CAROM_WORKER_FOLLOW_INTERVAL", "100ms");
    let stack = setup.start(&broker).await?;
    // What it had begun takes its time, so that there is a backlog behind it.
    receiver.answer(Arc::new(|request| match request.path.as_str() {
        "/network" => Answer::status(200).after(Duration::from_millis(500)),
        "/doomed" => Answer::status(404),
        "/flaky" if request.number == 1 => Answer::status(409),
        _ => Answer::status(200),
    }));
    let load = Load::start(&stack, "load", Amount::Of(300), 64);
    load.accepted(250).await?;
    stack.apply(&mix::resources(&receiver).without("network")).await?;
    let sent = load.finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Calm, secs(60)).await?;
    println!("a connector removed with a backlog: {account}");
    account.must_be_whole()?;
    let removed = stack.letters(&["--reason", "connector_removed"]).await?;
    ensure!(!removed.is_empty(), "there was no backlog, so nothing was proved");
    ensure!(removed.iter().all(|letter| letter["connector"] == "network"), "{removed:?}");
    let exhausted = stack.letters(&["--reason", "exhausted"]).await?.len();
    assert_eq!(account.dead, removed.len() + exhausted, "nothing else is dead");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_finds_what_is_missing() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let stack = mix::setup(&receiver, DELAY).start(&broker).await?;
    let sent = Load::start(&stack, "load", Amount::Of(20), 8).finish().await?;
    let whole = Account::settle(&stack, &receiver, &sent, Weather::Calm, secs(30)).await?;
    println!("nothing wrong: {whole}");
    whole.must_be_whole_and_as_sent()?;
    assert_eq!((whole.delivered, whole.skipped, whole.dead, whole.duplicates), (16, 2, 2, 0));

    // An id that nobody has, and a receiver that remembers nothing of what it took.
    let mut invented = sent.clone();
    let id = "0192f0c1-0000-7000-8000-000000000001".to_owned();
    invented.accepted.insert("invented".to_owned(), Accepted { id, kind: mix::Kind::Plain });
    let account = Account::now(&stack, &receiver, &invented, Weather::Calm).await?;
    assert_eq!(account.lost.len(), 1, "{:?}", account.lost);
    receiver.forget();
    let account = Account::now(&stack, &receiver, &sent, Weather::Calm).await?;
    assert_eq!(account.lost.len(), whole.delivered, "{:?}", account.lost);
    assert!(account.whole().is_err());

    // Dead letters that are listed and that the broker does not have.
    let vhost = stack.vhost()?;
    let contents = format!("/api/queues/{}/carom.dead/contents", encoded(&vhost.name));
    vhost.broker.management.delete(&contents).await?;
    eventually(secs(10), "the letters are missed", async || {
        let account = Account::now(&stack, &receiver, &sent, Weather::Calm).await?;
        ensure!(account.lost.iter().any(|lost| lost.contains("2 dead letters")), "{:?}", account.lost);
        Ok(())
    })
    .await?;
    stack.finish().await
}
