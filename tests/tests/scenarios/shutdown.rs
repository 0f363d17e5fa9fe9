//! SIGTERM under load: what was begun is finished, and nothing is lost or sent twice.

use anyhow::Result;
use carom_tests::accounting::{Account, InFlight, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::load::{Alone, Amount, Load, mix};
use carom_tests::receiver::Receiver;
use carom_tests::stack::Binary;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_binaries_drain_on_sigterm_under_load() -> Result<()> {
    let _alone = Alone::wait().await?;
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let mut stack = mix::setup(&receiver, Duration::from_millis(50)).start(&broker).await?;
    let load = Load::start(&stack, "load", Amount::Of(3_000), 32);

    load.accepted(1_000).await?;
    let undelivered = load.deliverable_count().saturating_sub(receiver.taken_count());
    let in_flight = InFlight { unanswered: load.unanswered(), undelivered };
    for binary in [Binary::Worker, Binary::Ingest] {
        let asked = Instant::now();
        stack.stop(binary).await?;
        let took = asked.elapsed();
        println!("{binary} has ended {:.2} s after SIGTERM", took.as_secs_f64());
        assert!(took < secs(28), "{binary} took {took:?}, though nothing held it back");
        stack.start_binary(binary)?;
    }
    stack.ready().await?;

    let sent = load.finish().await?;
    // Nothing is lost in an orderly end, so nothing is sent twice, and every attempt stands in its order.
    let mut account = Account::settle(&stack, &receiver, &sent, Weather::Calm, secs(120)).await?;
    account.in_flight = Some(in_flight);
    println!("SIGTERM of both: {account}");
    account.must_be_whole_and_as_sent()?;
    assert!(in_flight.undelivered > 0 && in_flight.unanswered > 0, "nothing was in flight");
    assert_eq!(account.duplicates, 0, "an orderly end finishes its attempts and settles them");
    drained(stack.vhost()?, secs(30)).await?;
    stack.finish().await
}
