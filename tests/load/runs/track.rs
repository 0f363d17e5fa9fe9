//! How long a page waits for the answer to what its tag tells, with the pixels that it is to fire, beside a webhook's.

use crate::bench::{Bench, ORIGIN, Plan, SITE_KEY};
use crate::journey::{self, Journey};
use crate::mix::Mix;
use crate::report::{Goal, Ratio, Report, millis, quantile};
use crate::sender::{self, Pace, Until};
use anyhow::Result;
use carom_tests::broker::Broker;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds of each.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// How many seconds of each are not counted: connections are made then. They are in the account.
const WARM_UP: u32 = 2;
/// How long the last of them may take to be told.
const PATIENCE: Duration = Duration::from_secs(120);

/// The answer's time, of a webhook and of a tag.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let count = (options.rate * (WARM_UP + options.seconds)) as usize;
    let bench = Bench::start(&broker, Plan { pixel: true, ..Plan::default() }, 2 * count, true).await?;
    let (address, target) = bench.events()?;
    let webhook = Journey::webhook(address, &target, "contact")?;
    let (address, _) = journey::address(&bench.stack.events_url(""))?;
    let tracked = Journey::tracked(address, &format!("/api/v1/track?key={SITE_KEY}"), ORIGIN);
    let mut medians = Vec::new();
    for (index, (name, journey)) in [("webhook", webhook), ("track", tracked)].into_iter().enumerate() {
        let first = index * count;
        let pace = Pace::Open { rate: f64::from(options.rate), connections: options.connections };
        let mix = Mix::only(journey, 202);
        let refused = sender::send(address, &mix, &bench.clock, pace, Until::Count(count), first).await?;
        let of = |number: usize| (first..first + count).contains(&number);
        let all = bench.these_delivered(PATIENCE, of).await;
        report.refused(&format!("refused_{name}"), &refused);
        report.account(&format!("account_{name}"), bench.clock.counts_of(of));
        all?;
        let counted = first + (options.rate * WARM_UP) as usize..first + count;
        let took = bench.clock.accepting(|number| counted.contains(&number));
        report.latency(&format!("answer_{name}"), &took);
        medians.push(millis(quantile(&took, 0.5)));
    }
    bench.finish().await?;
    let ratio = Ratio {
        of: ("median ms to a tag's answer", medians[1]),
        to: ("median ms to a webhook's", medians[0]),
        goal: Goal::AtMost(2.0),
    };
    report.ratio("track", ratio);
    Ok(())
}
