//! How many events a second go all the way, accepted to delivered, beside what the broker takes from a publisher alone.

use crate::bench::{Bench, Plan, StoreKind};
use crate::journey::Journey;
use crate::raw;
use crate::receiver::Profile;
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
/// How long the last of them may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// R2.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let (mut raws, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let vhost = broker.vhost("raw").await?;
        let journey = Journey::webhook(([127, 0, 0, 1], 1).into(), "/", &options.body)?;
        let (_, raw) = raw::publishes(&vhost.url, &journey, 1, raw::IN_FLIGHT, RAW).await?;
        drop(vhost);
        let plan = Plan { store: options.store, profile: options.receiver, ..Plan::default() };
        let mut bench = Bench::start(&broker, plan, options.events, true).await?;
        let rate = all_the_way(&mut bench, options, report, &round.to_string()).await?;
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

async fn all_the_way(bench: &mut Bench, options: &Options, report: &mut Report, name: &str) -> Result<f64> {
    let (address, target) = bench.events()?;
    let journey = Journey::webhook(address, &target, &options.body)?;
    let meter = bench.meter().await?;
    let pace = Pace::Closed { connections: options.connections };
    let refused =
        sender::send(address, &journey, &bench.clock, 202, pace, Until::Count(options.events), 0).await?;
    if !refused.is_empty() {
        println!("refused: {refused:?}");
    }
    bench.all_delivered(PATIENCE).await?;
    let costs = meter.read()?;
    let counts = bench.clock.counts();
    let (accepting, delivering) = bench.clock.took();
    report.costs(&format!("cost_{name}"), &costs, counts.accepted);
    report.account(&format!("account_{name}"), counts);
    let rate = |over: Duration| counts.accepted as f64 / over.as_secs_f64();
    let line = format!("{name}: accepted {:.0}/s, delivered {:.0}/s", rate(accepting), rate(delivering));
    let value =
        serde_json::json!({"accepted_per_second": rate(accepting), "delivered_per_second": rate(delivering)});
    report.tell(&format!("round_{name}"), &line, value);
    Ok(rate(delivering))
}
