//! SIGKILL of each process in the middle of 5,000 events: what was answered 202 reaches the receiver.

use anyhow::Result;
use carom_tests::accounting::{Account, InFlight, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::load::{Alone, Amount, Load, mix};
use carom_tests::receiver::Receiver;
use carom_tests::stack::{Binary, Stack};
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
    assert!(in_flight(&account).undelivered > 0, "nothing was in flight, so the kill proved nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_of_ingest_loses_no_accepted_event() -> Result<()> {
    let account = killed_in_the_middle(Victim::Binary(Binary::Ingest)).await?;
    assert!(in_flight(&account).unanswered > 0, "nothing was in ingest's hands, so the kill proved nothing");
    assert!(account.broken > 0, "no request broke off, so nothing was killed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_of_the_broker_loses_no_accepted_event() -> Result<()> {
    let account = killed_in_the_middle(Victim::Broker).await?;
    assert!(
        in_flight(&account).unanswered > 0,
        "nothing was on its way to the broker, so the kill proved nothing"
    );
    assert!(
        in_flight(&account).undelivered > 0,
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
    let mut stack = mix::setup(&receiver, Duration::from_millis(10)).start(&broker).await?;

    if victim == Victim::Broker {
        stack.vhost()?.may_be_killed().await?;
    }
    let load = Load::start(&stack, "load", Amount::Of(EVENTS), AT_ONCE);
    load.accepted(EVENTS / 2).await?;
    let in_flight = InFlight {
        unanswered: load.unanswered(),
        undelivered: load.deliverable_count().saturating_sub(receiver.taken_count()),
    };
    kill(victim, &mut stack, &broker).await?;
    stack.ready().await?;
    let sent = load.finish().await?;
    let mut account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(120)).await?;
    account.in_flight = Some(in_flight);
    println!("SIGKILL of {victim:?}: {account}");
    account.must_be_whole_and_as_sent()?;
    drained(stack.vhost()?, secs(30)).await?;
    stack.finish().await?;
    Ok(account)
}

fn in_flight(account: &Account) -> InFlight {
    account.in_flight.unwrap_or_default()
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
