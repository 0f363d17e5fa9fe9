//! SIGKILL of each process in the middle of 5,000 events: what was answered 202 reaches the receiver.

use anyhow::Result;
use carom_tests::accounting::{Account, InFlight, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::load::{Alone, Load};
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::sync::Arc;
use std::time::Duration;

/// How many events each of them is in the middle of.
const EVENTS: usize = 5_000;
/// How many requests at a time.
const AT_ONCE: usize = 64;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Binary(Binary),
    Broker,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_of_the_worker_loses_no_accepted_event() -> Result<()> {
    let account = killed_in_the_middle(Victim::Binary(Binary::Worker)).await?;
    assert!(account.in_flight.undelivered > 0, "nothing was in flight, so the kill proved nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_of_ingest_loses_no_accepted_event() -> Result<()> {
    let account = killed_in_the_middle(Victim::Binary(Binary::Ingest)).await?;
    assert!(account.in_flight.unanswered > 0, "nothing was in ingest's hands, so the kill proved nothing");
    assert!(account.broken > 0, "no request broke off, so nothing was killed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_of_the_broker_loses_no_accepted_event() -> Result<()> {
    let account = killed_in_the_middle(Victim::Broker).await?;
    assert!(
        account.in_flight.unanswered > 0,
        "nothing was on its way to the broker, so the kill proved nothing"
    );
    assert!(
        account.in_flight.undelivered > 0,
        "nothing was in the broker's hands, so the kill proved nothing"
    );
    assert_eq!(account.refused, 0, "the spool takes what the broker cannot");
    Ok(())
}

async fn killed_in_the_middle(victim: Victim) -> Result<Account> {
    let _alone = Alone::wait().await?;
    let broker = if victim == Victim::Broker { Broker::own().await? } else { Broker::shared().await? };
    let receiver = Receiver::start()?;
    // As slow as a near receiver is, so that the worker always has something in hand.
    receiver.answer(Arc::new(|_| Answer::status(200).after(Duration::from_millis(10))));
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = Setup::new(&resources).start(&broker).await?;

    if victim == Victim::Broker {
        stack.vhost()?.may_be_killed().await?;
    }
    let load = Load::start(stack.client(), &stack.events_url(PLAIN_TOKEN), EVENTS, AT_ONCE);
    load.accepted(EVENTS / 2).await?;
    let in_flight = in_flight(&load, &receiver);
    kill(victim, &mut stack, &broker).await?;
    stack.ready().await?;
    let sent = load.finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, in_flight, secs(120)).await?;
    println!("SIGKILL of {victim:?}: {account}");
    account.must_be_whole()?;
    assert_eq!(account.dead, 0, "nothing was wrong with any of them");
    drained(stack.vhost()?, secs(30)).await?;
    stack.finish().await?;
    Ok(account)
}

fn in_flight(load: &Load, receiver: &Receiver) -> InFlight {
    let undelivered = load.accepted_count().saturating_sub(receiver.taken_count());
    InFlight { unanswered: load.unanswered(), undelivered }
}

async fn kill(victim: Victim, stack: &mut Stack, broker: &Broker) -> Result<()> {
    match victim {
        Victim::Binary(binary) => {
            stack.kill(binary)?;
            stack.start_binary(binary)
        }
        Victim::Broker => {
            broker.node()?.kill().await?;
            broker.node()?.restart().await
        }
    }
}
