//! How long an event takes from when it was to be sent to its postback: at a steady rate, and at next to none beside
//! what its hops take alone.

use crate::bench::{Bench, Plan, StoreKind};
use crate::clock::Clock;
use crate::http;
use crate::journey::Journey;
use crate::mix::Mix;
use crate::raw;
use crate::receiver::{Profile, Receiver};
use crate::report::{Goal, Ratio, Report, millis, quantile};
use crate::sender::{self, Pace, Until};
use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use std::sync::Arc;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds of each rate.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Events per second.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Events per second where nothing waits for anything.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    idle_rate: u32,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The body: contact, form or order.
    #[arg(long, default_value = "contact", value_parser = crate::journey::BODIES)]
    body: String,
    /// Where the store is. What is compared with is a commit in a file, whatever it is here.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
}

/// Before each rate is measured: connections are made then, and code is loaded. In the account, not in the figures.
const WARM_UP: u32 = 2;
/// How long the last of a rate's events may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds of each part alone.
const ALONE: u32 = 10;

/// R3.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let alone = Alone::measure(&broker, options, report).await?;

    let parts = [(options.rate, "busy"), (options.idle_rate, "idle")];
    let counts = parts.map(|(rate, _)| (rate * (WARM_UP + options.seconds)) as usize);
    let plan = Plan { store: options.store, ..Plan::default() };
    let mut bench = Bench::start(&broker, plan, counts.iter().sum(), true).await?;
    let (address, target) = bench.events()?;
    let mix = Mix::only(Journey::webhook(address, &target, &options.body)?, 202);
    let (mut first, mut median) = (0, 0.0);
    for ((rate, name), count) in parts.into_iter().zip(counts) {
        println!("{name}: {rate} events/s for {} s, after {WARM_UP} s of them uncounted", options.seconds);
        let meter = bench.meter().await?;
        let pace = Pace::Open { rate: f64::from(rate), connections: options.connections };
        let refused = sender::send(address, &mix, &bench.clock, pace, Until::Count(count), first).await?;
        let all = bench.all_delivered(PATIENCE).await;
        let costs = meter.read()?;
        let counted = first + (rate * WARM_UP) as usize..first + count;
        let some = |number: usize| (first..first + count).contains(&number);
        let warm = |number: usize| counted.contains(&number);
        report.refused(&format!("refused_{name}"), &refused);
        report.account(&format!("account_{name}"), bench.clock.counts_of(some));
        all?;
        let delivering = bench.clock.delivering(warm);
        report.latency(&format!("accept_{name}"), &bench.clock.accepting(warm));
        report.latency(&format!("accepted_to_delivered_{name}"), &bench.clock.passing(warm));
        report.latency(&format!("deliver_{name}"), &delivering);
        report.costs(&format!("cost_{name}"), &costs, count);
        median = millis(quantile(&delivering, 0.5));
        first += count;
    }
    report.seconds("seconds", &bench.clock.by_second());
    bench.finish().await?;

    let ratio = Ratio {
        of: ("median ms to delivery, idle", median),
        to: ("ms of 2 confirms, 2 commits and 1 HTTP exchange alone", alone.sum()),
        goal: Goal::AtMost(1.5),
    };
    report.ratio("R3", ratio);
    Ok(())
}

/// The medians of the parts, each alone, at the idle rate: in milliseconds.
struct Alone {
    confirm: f64,
    commit: f64,
    http: f64,
}

impl Alone {
    async fn measure(broker: &Broker, options: &Options, report: &mut Report) -> Result<Self> {
        let count = (options.idle_rate * ALONE) as usize;
        let every = Duration::from_secs(1) / options.idle_rate;
        let mut told = |key: &str, sorted: &[Duration]| {
            report.latency(key, sorted);
            millis(quantile(sorted, 0.5))
        };

        let vhost = broker.vhost("raw").await?;
        let queue = raw::Queue::declare(&vhost.url).await?;
        let mut body = Vec::new();
        Journey::webhook(([127, 0, 0, 1], 1).into(), "/", &options.body)?.write_body(0, &mut body);
        let confirm = told("confirm_alone", &queue.confirms(&body, count, every).await?);
        queue.delete().await?;

        let dir = tempfile::tempdir()?;
        let path = dir.path().to_owned();
        let commits = tokio::task::spawn_blocking(move || raw::commits(&path, count, every)).await??;
        let commit = told("commit_alone", &commits);

        let (sent, taken) = (Arc::new(Clock::new(count)), Arc::new(Clock::new(1)));
        let receiver = Receiver::start(taken, Profile::default())?;
        let request = http::get(receiver.address(), "/postback?x=1");
        let pace = Pace::Open { rate: f64::from(options.idle_rate), connections: 1 };
        let mix = Mix::only(Journey::fixed(request), 200);
        let refused = sender::send(receiver.address(), &mix, &sent, pace, Until::Count(count), 0).await?;
        ensure!(refused.is_empty(), "the receiver answered {refused:?}");
        let http = told("http_alone", &sent.accepting(crate::clock::ALL));
        Ok(Self { confirm, commit, http })
    }

    fn sum(&self) -> f64 {
        2.0 * self.confirm + 2.0 * self.commit + self.http
    }
}
