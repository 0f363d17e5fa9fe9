//! How many events a second go all the way, accepted to delivered, beside what the broker takes from a publisher alone.

use crate::bench::{Bench, Plan, StoreKind};
use crate::passage::{self, Body, Load};
use crate::raw;
use crate::receiver::Profile;
use crate::report::{Goal, Ratio, Report, median};
use anyhow::Result;
use carom_tests::broker::Broker;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds of the raw publisher and of Carom, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Events of each round.
    #[arg(long, default_value_t = 60_000)]
    events: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The body: contact, form or order.
    #[arg(long, default_value = "contact", value_parser = crate::journey::BODIES)]
    body: String,
    /// Where the store is.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// How long the receiver takes: 0, 20ms, or 20ms,500ms@1%.
    #[arg(long, default_value = "0")]
    receiver: Profile,
}

/// How long the raw publisher is measured.
const RAW: Duration = Duration::from_secs(4);

/// R2.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let (mut raws, mut ours) = (Vec::new(), Vec::new());
    let load = Load {
        body: Body::Of(&options.body),
        events: options.events,
        first: 0,
        connections: options.connections,
    };
    for round in 1..=options.rounds {
        let raw = raw::limit(&broker, &options.body, RAW).await?;
        let plan = Plan { store: options.store, profile: options.receiver, ..Plan::default() };
        let mut bench = Bench::start(&broker, plan, options.events, true).await?;
        let rate = passage::all_the_way(&mut bench, load, report, &round.to_string()).await?;
        println!("round {round}: raw {raw:.0}/s, delivered {rate:.0}/s");
        raws.push(raw);
        ours.push(rate);
        bench.finish().await?;
    }
    let ratio = Ratio {
        of: ("delivered per second", median(ours)),
        to: ("raw confirmed publishes per second", median(raws)),
        goal: Goal::AtLeast(0.4),
    };
    report.ratio("R2", ratio);
    Ok(())
}
