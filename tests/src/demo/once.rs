//! `carom-demo once`: the three journeys, told and checked. Leaves nothing running, and no vhost behind.

use super::{CRM, Given, NETWORK, Teller, journeys, shared_vhost};
use crate::broker::Broker;
use crate::receiver::Receiver;
use crate::stack::{Setup, Stack};
use anyhow::{Context, Result};
use carom_common::retry::Schedule;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The third journey's schedule, as it is configured.
const SHORT: &str = "250ms,500ms,1s";
/// The same as durations.
const SHORT_DELAYS: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];
/// The third journey's connectors where it shares a vhost with the others.
const THIRDS_NETWORK: &str = "demo-network-short";
const THIRDS_CRM: &str = "demo-crm-short";

const TITLES: [&str; 3] =
    ["a click becomes a postback", "a failure is tried again, on time", "a dead letter is replayed"];

/// What became of each journey.
type Results = [Result<()>; 3];

pub(super) async fn once(dir: &Path, given: Given) -> Result<ExitCode> {
    let began = Instant::now();
    let Some(played) = play(dir, &given, began).await? else {
        return Ok(ExitCode::FAILURE);
    };
    println!();
    for (index, (title, result)) in TITLES.into_iter().zip(&played).enumerate() {
        match result {
            Ok(()) => println!("journey {}: {title}: well", index + 1),
            Err(error) => println!("journey {}: {title}: FAILED: {error:#}", index + 1),
        }
    }
    let well = played.iter().all(Result::is_ok);
    println!(
        "{} in {:.1} s",
        if well { "All three ended well" } else { "Not all of them ended well" },
        began.elapsed().as_secs_f64()
    );
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Nothing where a signal came first.
async fn play(dir: &Path, given: &Given, began: Instant) -> Result<Option<Results>> {
    println!(
        "Three journeys of a conversion, over real sockets: carom-ingest, RabbitMQ, carom-worker, a receiver.\n"
    );
    match &given.management_url {
        Some(management) => {
            let broker = Broker::at(&given.url, management)?;
            unless_stopped(with_vhosts(dir, &broker, began)).await
        }
        None => as_guests(dir, &given.url, began).await,
    }
}

/// Everything that the journeys have started is dropped, and thereby ended, when a signal comes.
async fn unless_stopped(journeys: impl Future<Output = Result<Results>>) -> Result<Option<Results>> {
    tokio::select! {
        played = journeys => played.map(Some),
        signal = super::told_to_stop() => {
            println!("{}: stopped before the journeys were over", signal?);
            Ok(None)
        }
    }
}

/// Each schedule has a vhost of its own, so all journeys run side by side.
async fn with_vhosts(dir: &Path, broker: &Broker, began: Instant) -> Result<Results> {
    let usual = broker.vhost("demo").await?;
    let short = broker.vhost("demo").await?;
    println!(
        "Vhosts of their own: {} (journeys 1 and 2), {} (journey 3). Both are removed at the end.",
        usual.name, short.name
    );
    let (first, third) = (receiver("journeys 1 and 2")?, receiver("journey 3")?);
    let usual = setup(&first).prepare_with(&dir.join("journeys-1-2"), usual).await?;
    let short =
        setup(&third).env("CAROM_RETRY_SCHEDULE", SHORT).prepare_with(&dir.join("journey-3"), short).await?;
    let (usual, short) = tokio::join!(usual.started(), short.started());
    let (usual, short) = (usual?, short?);
    println!();
    let (one, two, three) = tokio::join!(
        journeys::delivered_at_once(Teller::new("1", began), &usual, &first),
        journeys::retried_on_schedule(Teller::new("2", began), &usual, &first, "journey-2"),
        journeys::given_up_and_replayed(Teller::new("3", began), &short, &third, &SHORT_DELAYS, NETWORK),
    );
    let usual_ended = end(usual, one.is_ok() && two.is_ok()).await;
    let short_ended = end(short, three.is_ok()).await;
    Ok([one, two.and(usual_ended), three.and(short_ended)])
}

/// One vhost for all: the schedules' tiers have names of their own, but the work queues are the same, so
/// the third journey's worker runs when the first one has ended.
async fn as_guests(dir: &Path, url: &str, began: Instant) -> Result<Option<Results>> {
    shared_vhost::must_be_vacant(url).await?;
    println!(
        "The broker has no management URL, so no vhosts can be made: the journeys use the vhost of CAROM_BROKER_URL,"
    );
    println!(
        "journey 3 after the others, under connector ids of its own; what they declare there is removed at the end."
    );
    let played = unless_stopped(guests_journeys(dir, url, began)).await;
    let short: Vec<_> = SHORT_DELAYS.into_iter().map(carom_common::time::Span).collect();
    let schedules = [Schedule::default(), Schedule::try_from(short)?];
    let connectors = [NETWORK, CRM, THIRDS_NETWORK, THIRDS_CRM];
    shared_vhost::vacate(url, &schedules, &connectors).await.context("the vhost cannot be cleared")?;
    played
}

async fn guests_journeys(dir: &Path, url: &str, began: Instant) -> Result<Results> {
    let (first, third) = (receiver("journeys 1 and 2")?, receiver("journey 3")?);
    let usual = setup(&first).prepare_in(&dir.join("journeys-1-2"), url).await?.started().await?;
    println!();
    let (one, two) = tokio::join!(
        journeys::delivered_at_once(Teller::new("1", began), &usual, &first),
        journeys::retried_on_schedule(Teller::new("2", began), &usual, &first, "journey-2"),
    );
    let usual_ended = end(usual, one.is_ok() && two.is_ok()).await;
    let resources = super::resources(&third.url(""));
    let resources = resources.replace(&id(NETWORK), &id(THIRDS_NETWORK)).replace(&id(CRM), &id(THIRDS_CRM));
    let short = Setup::of_text(resources).env("CAROM_RETRY_SCHEDULE", SHORT);
    let short = short.prepare_in(&dir.join("journey-3"), url).await?.started().await?;
    let three = journeys::given_up_and_replayed(
        Teller::new("3", began),
        &short,
        &third,
        &SHORT_DELAYS,
        THIRDS_NETWORK,
    )
    .await;
    let short_ended = end(short, three.is_ok()).await;
    Ok([one, two.and(usual_ended), three.and(short_ended)])
}

fn id(connector: &str) -> String {
    format!("id = \"{connector}\"")
}

fn receiver(whose: &str) -> Result<Receiver> {
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(journeys::answers_in_turn));
    println!("The receiver of {whose} listens on {}", receiver.url(""));
    Ok(receiver)
}

fn setup(receiver: &Receiver) -> Setup {
    Setup::of_text(super::resources(&receiver.url("")))
}

/// Ends a stack: in order after good journeys, with the ends of its logs after bad ones.
async fn end(stack: Stack, well: bool) -> Result<()> {
    if well {
        return stack.finish().await;
    }
    println!("{}", stack.tails(40));
    stack.quietly();
    Ok(())
}
