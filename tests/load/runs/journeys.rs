//! Clicks and webhooks together, at a rate or as fast as they are answered: the load that is wanted.

use crate::bench::{Bench, Plan, StoreKind};
use crate::mix::{Mix, Weights};
use crate::receiver::Profile;
use crate::report::Report;
use crate::rows;
use crate::sender::{self, Pace, Until};
use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use serde_json::json;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Requests per second; without it, each connection sends its next request when the last one is answered.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Connections; at a rate, the most that there are.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// What is sent, and how often each: click, contact, form, order.
    #[arg(long, default_value = "click=6,contact=2,form=1,order=1")]
    mix: Weights,
    /// How long the receiver takes: 0, 20ms, or 20ms,500ms@1%.
    #[arg(long, default_value = "20ms,500ms@1%")]
    receiver: Profile,
    /// Where the store is.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// Seconds that the last deliveries may take.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

/// The most requests of a second where no rate is given.
const MOST_PER_SECOND: u32 = 100_000;

/// The load.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let most = (options.rate.unwrap_or(MOST_PER_SECOND) * options.seconds) as usize;
    let plan = Plan { store: options.store, profile: options.receiver, ..Plan::default() };
    let mut bench = Bench::start(&broker, plan, most, true).await?;
    let (address, events) = bench.events()?;
    let (_, clicks) = bench.clicks()?;
    let mix = Mix::of(&options.mix, address, &clicks, &events)?;
    let (pace, until) = match options.rate {
        Some(rate) => {
            (Pace::Open { rate: f64::from(rate), connections: options.connections }, Until::Count(most))
        }
        None => {
            let over = Duration::from_secs(options.seconds.into());
            (Pace::Closed { connections: options.connections }, Until::Over(over))
        }
    };
    let patience = Duration::from_secs(options.patience);
    let (is_click, is_event) = (|number| mix.is_click(number), |number| !mix.is_click(number));

    let meter = bench.meter().await?;
    let refused = sender::send(address, &mix, &bench.clock, pace, until, 0).await?;
    let all = bench.these_delivered(patience, is_event).await;
    let redirected = bench.clock.counts_of(is_click).accepted;
    let recorded = rows::clicks_become(&bench.stack, redirected, patience).await?;
    let costs = meter.read()?;

    let counts = bench.clock.counts_of(is_event);
    report.refused("refused", &refused);
    report.clicks("account_clicks", redirected, recorded);
    report.account("account_events", counts);
    for (key, times) in [
        ("redirect", bench.clock.accepting(is_click)),
        ("accept", bench.clock.accepting(is_event)),
        ("deliver", bench.clock.delivering(is_event)),
    ] {
        report.latency(key, &times);
    }
    let (accepting, delivering) = bench.clock.took();
    let accepted = (redirected + counts.accepted) as f64 / accepting.as_secs_f64();
    let delivered = counts.delivered as f64 / delivering.as_secs_f64();
    let line = format!("accepted {accepted:.0}/s (clicks and events), delivered {delivered:.0}/s");
    report.tell("rates", &line, json!({"accepted_per_second": accepted, "delivered_per_second": delivered}));
    report.seconds("seconds", &bench.clock.by_second());
    report.costs("cost", &costs, redirected + counts.accepted);
    all?;
    ensure!(recorded >= redirected, "{redirected} clicks were redirected, and {recorded} are recorded");
    bench.finish().await
}
