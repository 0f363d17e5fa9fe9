//! Two ingests and two workers on one broker and one PostgreSQL: the work is shared, a worker that is killed
//! takes nothing with it, and neither does a database that stands still, dies and comes back.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::{Account, InFlight, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::{Alone, Amount, Load, mix};
use carom_tests::metrics;
use carom_tests::postgres::{self, Server};
use carom_tests::receiver::Receiver;
use carom_tests::stack::{Binary, Stack};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many events go through each ingest.
const EVENTS: usize = 400;
/// How many requests at a time, through each.
const AT_ONCE: usize = 16;

/// How long it may take until everything has arrived: each event is some fifty ways to the database and back, which
/// a machine that is busy with other tests makes slow.
const LIMIT: Duration = Duration::from_secs(240);

/// A stack, and a second one beside it on the same vhost and the same database. The receiver is as slow as a near one
/// is, so that the workers always have something in hand.
async fn two(receiver: &Receiver, url: &str) -> Result<(Stack, Stack, TempDir)> {
    let setup = || mix::setup(receiver, Duration::from_millis(5)).env("CAROM_STORE_URL", url);
    let first = setup().start(&Broker::shared().await?).await?;
    let dir = tempfile::tempdir()?;
    let second = setup().prepare_in(dir.path(), &first.vhost()?.url).await?.started().await?;
    Ok((first, second, dir))
}

/// How much each of two processes did, as they count it.
async fn shares(stacks: [&Stack; 2], binary: Binary, name: &str) -> Result<[f64; 2]> {
    let mut shares = [0.0; 2];
    for (share, stack) in shares.iter_mut().zip(stacks) {
        let text = stack.metrics(binary).await?;
        *share = metrics::sum(&text, name, &[]).with_context(|| format!("{binary} has no {name}"))?;
    }
    Ok(shares)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ingests_and_two_workers_share_the_work_and_deliver_each_event_once() -> Result<()> {
    let _alone = Alone::wait().await?;
    let receiver = Receiver::start()?;
    let url = postgres::database().await?;
    let (first, second, _dir) = two(&receiver, &url).await?;
    let started = Instant::now();
    // The same events through both: each comes twice, once by each ingest.
    let loads = [&first, &second].map(|stack| Load::start(stack, "both", Amount::Of(EVENTS), AT_ONCE));
    let [one, other] = loads;
    let (one, other) = (one.finish().await?, other.finish().await?);
    assert_eq!(one.accepted.len() + other.accepted.len(), 2 * EVENTS);
    let account = Account::settle(&first, &receiver, &one, Weather::Calm, LIMIT).await?;
    drained(first.vhost()?, LIMIT).await?;
    let ingests = shares([&first, &second], Binary::Ingest, "carom_intakes_total").await?;
    let workers = shares([&first, &second], Binary::Worker, "carom_attempts_total").await?;
    println!(
        "side by side on PostgreSQL: {account}; intakes of each ingest {ingests:?}, attempts of each worker \
         {workers:?}, {:.1} s in all",
        started.elapsed().as_secs_f64()
    );
    account.must_be_whole_and_as_sent()?;
    assert_eq!(account.duplicates, 0, "without a crash, each is delivered once");
    assert!(workers.iter().all(|share| *share > 0.0), "one of the workers did nothing: {workers:?}");
    second.finish().await?;
    first.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_beside_another_loses_nothing() -> Result<()> {
    let _alone = Alone::wait().await?;
    let receiver = Receiver::start()?;
    let url = postgres::database().await?;
    let (first, mut second, _dir) = two(&receiver, &url).await?;
    let load = Load::start(&first, "one", Amount::Of(2 * EVENTS), AT_ONCE);
    load.accepted(EVENTS).await?;
    let undelivered = load.accepted_count().saturating_sub(receiver.taken_count());
    let in_flight = InFlight { unanswered: load.unanswered(), undelivered };
    second.kill(Binary::Worker)?;
    let sent = load.finish().await?;
    let mut account = Account::settle(&first, &receiver, &sent, Weather::Rough, LIMIT).await?;
    account.in_flight = Some(in_flight);
    println!("SIGKILL of one of two workers on PostgreSQL: {account}");
    account.must_be_whole()?;
    drained(first.vhost()?, LIMIT).await?;
    second.start_binary(Binary::Worker)?;
    second.ready().await?;
    second.finish().await?;
    first.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stands_still_and_dies_under_load_loses_nothing() -> Result<()> {
    let _alone = Alone::wait().await?;
    let receiver = Receiver::start()?;
    let server = Server::start().await?;
    let (first, second, _dir) = two(&receiver, &server.url).await?;
    let load = Load::start(&first, "one", Amount::Of(2 * EVENTS), AT_ONCE);
    load.accepted(EVENTS / 2).await?;
    server.pause().await?;
    // Ingest goes on without the store: it never asks it about an event.
    let before = load.accepted_count();
    eventually(secs(10), "ingest accepts with the database standing still", async || {
        let accepted = load.accepted_count();
        ensure!(accepted >= before + 50, "{accepted} are accepted, {before} were");
        Ok(())
    })
    .await?;
    server.resume().await?;
    load.accepted(EVENTS).await?;
    let undelivered = load.accepted_count().saturating_sub(receiver.taken_count());
    let in_flight = InFlight { unanswered: load.unanswered(), undelivered };
    server.kill().await?;
    server.restart().await?;
    let sent = load.finish().await?;
    let mut account = Account::settle(&first, &receiver, &sent, Weather::Rough, LIMIT).await?;
    account.in_flight = Some(in_flight);
    println!("PostgreSQL paused, then killed and started again: {account}");
    account.must_be_whole_and_as_sent()?;
    drained(first.vhost()?, LIMIT).await?;
    second.finish().await?;
    first.finish().await
}
