//! How many events a second are accepted and confirmed over HTTP, beside what the broker takes from a publisher alone.

use crate::bench::{Bench, Plan};
use crate::clock::ALL;
use crate::journey::Journey;
use crate::mix::Mix;
use crate::raw;
use crate::report::{Goal, Ratio, Report, median};
use crate::sender::{self, Pace, Until};
use anyhow::Result;
use carom_tests::broker::Broker;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds of the raw publisher and of Carom, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The body: contact, form or order.
    #[arg(long, default_value = "contact", value_parser = crate::journey::BODIES)]
    body: String,
}

/// The most events of a round.
const MOST_PER_SECOND: usize = 100_000;

/// R1.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let over = Duration::from_secs(options.seconds);
    let (mut raws, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let raw = raw::limit(&broker, &options.body, over).await?;
        let most = MOST_PER_SECOND * usize::try_from(options.seconds).unwrap_or(1);
        let mut bench = Bench::start(&broker, Plan::default(), most, false).await?;
        let (address, target) = bench.events()?;
        let mix = Mix::only(Journey::webhook(address, &target, &options.body)?, 202);
        let meter = bench.meter().await?;
        let pace = Pace::Closed { connections: options.connections };
        let refused = sender::send(address, &mix, &bench.clock, pace, Until::Over(over), 0).await?;
        let costs = meter.read()?;
        let (accepted, took) = (bench.clock.counts().accepted, bench.clock.took().0);
        let rate = accepted as f64 / took.as_secs_f64();
        report.latency(&format!("accept_{round}"), &bench.clock.accepting(ALL));
        report.costs(&format!("cost_{round}"), &costs, accepted);
        let line = format!("round {round}: raw {raw:.0}/s, accepted {rate:.0}/s, refused {refused:?}");
        report.tell(&format!("round_{round}"), &line, serde_json::json!({"raw": raw, "accepted": rate}));
        let queued =
            carom_tests::eventually::eventually(Duration::from_secs(20), "the broker counts", async || {
                Ok(bench.stack.vhost()?.depth("carom.events").await?.unwrap_or_default().messages)
            });
        println!("  {} messages on carom.events", queued.await?);
        raws.push(raw);
        ours.push(rate);
        bench.finish().await?;
    }
    let ratio = Ratio {
        of: ("accepted per second", median(ours)),
        to: ("raw confirmed publishes per second", median(raws)),
        goal: Goal::AtLeast(1.2),
    };
    report.ratio("R1", ratio);
    Ok(())
}
