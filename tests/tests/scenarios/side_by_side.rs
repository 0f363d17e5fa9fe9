//! Two ingests and two workers on one broker and one PostgreSQL: the work is shared, a worker that is killed
//! takes nothing with it, and neither does a database that stands still, dies and comes back.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::{Account, InFlight, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::{Alone, Load};
use carom_tests::metrics;
use carom_tests::postgres::{self, Server};
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many events go through each ingest.
const EVENTS: usize = 400;
/// How many requests at a time, through each.
const AT_ONCE: usize = 16;

/// How long it may take until everything has arrived: each event is some fifty ways to the database and back, which
/// a machine that is busy with other tests makes slow.
const LIMIT: Duration = Duration::from_secs(240);

/// A stack, and a second one beside it on the same vhost and the same database.
async fn two(resources: &Resources, url: &str) -> Result<(Stack, Stack, TempDir)> {
    let setup = || Setup::new(resources).env("CAROM_STORE_URL", url);
    let first = setup().start(&Broker::shared().await?).await?;
    let dir = tempfile::tempdir()?;
    let second = setup().prepare_in(dir.path(), &first.vhost()?.url).await?.started().await?;
    Ok((first, second, dir))
}

fn receiver() -> Result<(Receiver, Resources)> {
    let receiver = Receiver::start()?;
    // As slow as a near receiver is, so that the workers always have something in hand.
    receiver.answer(Arc::new(|_| Answer::status(200).after(Duration::from_millis(5))));
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    Ok((receiver, resources))
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
    let (receiver, resources) = receiver()?;
    let url = postgres::database().await?;
    let (first, second, _dir) = two(&resources, &url).await?;
    let started = Instant::now();
    // The same purchases through both: each comes twice, once by each ingest.
    let loads = [&first, &second]
        .map(|stack| Load::start(stack.client(), &stack.events_url(PLAIN_TOKEN), EVENTS, AT_ONCE));
    let [one, other] = loads;
    let (one, other) = (one.finish().await?, other.finish().await?);
    assert_eq!(one.accepted.len() + other.accepted.len(), 2 * EVENTS);
    let account = Account::settle(&first, &receiver, &one, Weather::Rough, LIMIT).await?;
    drained(first.vhost()?, LIMIT).await?;
    let ingests = shares([&first, &second], Binary::Ingest, "carom_intakes_total").await?;
    let workers = shares([&first, &second], Binary::Worker, "carom_attempts_total").await?;
    println!(
        "side by side on PostgreSQL: {account}; intakes of each ingest {ingests:?}, attempts of each worker \
         {workers:?}, {:.1} s in all",
        started.elapsed().as_secs_f64()
    );
    account.must_be_whole()?;
    assert_eq!(account.duplicates, 0, "without a crash, each is delivered once");
    assert_eq!(receiver.taken_count(), EVENTS);
    assert!(workers.iter().all(|share| *share > 0.0), "one of the workers did nothing: {workers:?}");
    second.finish().await?;
    first.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_beside_another_loses_nothing() -> Result<()> {
    let _alone = Alone::wait().await?;
    let (receiver, resources) = receiver()?;
    let url = postgres::database().await?;
    let (first, mut second, _dir) = two(&resources, &url).await?;
    let load = Load::start(first.client(), &first.events_url(PLAIN_TOKEN), 2 * EVENTS, AT_ONCE);
    load.accepted(EVENTS).await?;
    let undelivered = load.accepted_count().saturating_sub(receiver.taken_count());
    let in_flight = InFlight { unanswered: load.unanswered(), undelivered };
    second.kill(Binary::Worker)?;
    let sent = load.finish().await?;
    let account = Account::settle(&first, &receiver, &sent, in_flight, LIMIT).await?;
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
    let (receiver, resources) = receiver()?;
    let server = Server::start().await?;
    let (first, second, _dir) = two(&resources, &server.url).await?;
    let load = Load::start(first.client(), &first.events_url(PLAIN_TOKEN), 2 * EVENTS, AT_ONCE);
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
    let account = Account::settle(&first, &receiver, &sent, in_flight, LIMIT).await?;
    println!("PostgreSQL paused, then killed and started again: {account}");
    account.must_be_whole()?;
    assert_eq!(account.dead, 0, "nothing was wrong with any of them");
    drained(first.vhost()?, LIMIT).await?;
    second.finish().await?;
    first.finish().await
}
