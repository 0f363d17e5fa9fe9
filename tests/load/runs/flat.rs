//! Whether throughput stays as it is where there is much: many connectors, many clicks in the store, many deliveries
//! that wait in a tier.
//!
//! Each pair takes turns, on a broker of its own every time, so that nothing of one is left for the next. The stores
//! with clicks and with waiting deliveries are files that are made once and used in every round; numbers go on.

use crate::bench::{Bench, Plan};
use crate::filled::{self, Waiting};
use crate::journey::Named;
use crate::passage::{self, Body, Load};
use crate::raw;
use crate::report::{Goal, Ratio, Report, median};
use anyhow::{Context, Result, ensure};
use carom_common::{envelope, topology};
use carom_tests::broker::Broker;
use carom_tests::eventually::eventually;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// What is to be much: all three unless they are named.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "connectors,clicks,waiting")]
    only: Vec<Pair>,
    /// Rounds of each pair, in turn.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Events of each.
    #[arg(long, default_value_t = 40_000)]
    events: usize,
    /// Connectors, beside one alone.
    #[arg(long, default_value_t = 1_000)]
    connectors: usize,
    /// Clicks in the store, beside 10,000. Ten million are a file of about 6 GB.
    #[arg(long, default_value_t = 10_000_000)]
    clicks: usize,
    /// Deliveries that wait in the last tier, beside none.
    #[arg(long, default_value_t = 1_000_000)]
    waiting: usize,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Where the stores that are filled lie, for as long as the run takes; the system's folder for temporary files
    /// unless it is named. A disk, not memory.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Pair {
    Connectors,
    Clicks,
    Waiting,
}

/// The clicks that many are compared with, and as many are named by events in both.
const FEW_CLICKS: usize = 10_000;
/// How long the worker may take to make the queues of its connectors, and consume from them.
const QUEUES: Duration = Duration::from_secs(300);
/// How long the broker may take to count what it was given.
const PATIENCE: Duration = Duration::from_secs(60);

/// R5.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let dir = match &options.dir {
        Some(dir) => tempfile::Builder::new().prefix("carom-flat.").tempdir_in(dir)?,
        None => tempfile::Builder::new().prefix("carom-flat.").tempdir()?,
    };
    for pair in &options.only {
        let (name, goal) = match pair {
            Pair::Connectors => ("connectors", 0.9),
            Pair::Clicks => ("clicks", 0.8),
            Pair::Waiting => ("waiting", 0.9),
        };
        let sides = options.sides(*pair, dir.path()).await?;
        let (mut many, mut few) = (Vec::new(), Vec::new());
        for round in 0..options.rounds {
            for (side, rates) in sides.iter().zip([&mut many, &mut few]) {
                rates.push(options.measure(side, round, report).await?);
            }
        }
        for file in sides.iter().filter_map(|side| side.file.as_ref()) {
            std::fs::remove_file(file)?;
        }
        let told = [&sides[0].what, &sides[1].what].map(|what| format!("delivered per second with {what}"));
        let ratio =
            Ratio { of: (&told[0], median(many)), to: (&told[1], median(few)), goal: Goal::AtLeast(goal) };
        report.ratio(&format!("R5_{name}"), ratio);
    }
    Ok(())
}

/// One of a pair.
struct Side {
    what: String,
    key: String,
    connectors: usize,
    /// The store, where it was filled.
    file: Option<PathBuf>,
    /// The clicks in it, which events name.
    clicks: Option<Named>,
    waiting: usize,
}

impl Options {
    /// Much, and little.
    async fn sides(&self, pair: Pair, dir: &Path) -> Result<[Side; 2]> {
        let bare = |what: String, key: &str| Side {
            what,
            key: key.to_owned(),
            connectors: 1,
            file: None,
            clicks: None,
            waiting: 0,
        };
        Ok(match pair {
            Pair::Connectors => {
                let many = bare(format!("{} connectors", self.connectors), "connectors_many");
                [
                    Side { connectors: self.connectors, ..many },
                    bare("1 connector".to_owned(), "connectors_one"),
                ]
            }
            Pair::Clicks => {
                ensure!(self.clicks >= FEW_CLICKS, "--clicks is at least {FEW_CLICKS}");
                let of = [("many", self.clicks), ("few", FEW_CLICKS)].map(|(name, clicks)| Side {
                    file: Some(dir.join(format!("clicks-{name}.db"))),
                    clicks: Some(Named { of: clicks, some: FEW_CLICKS }),
                    ..bare(format!("{clicks} clicks"), &format!("clicks_{name}"))
                });
                for (side, clicks) in of.iter().zip([self.clicks, FEW_CLICKS]) {
                    fill(side, clicks, 0).await?;
                }
                of
            }
            Pair::Waiting => {
                let file = |name: &str| Some(dir.join(name));
                let many = bare(format!("{} waiting", self.waiting), "waiting_many");
                let many = Side { file: file("waiting-many.db"), waiting: self.waiting, ..many };
                let none = bare("none waiting".to_owned(), "waiting_none");
                let none = Side { file: file("waiting-none.db"), ..none };
                fill(&many, 0, self.waiting).await?;
                fill(&none, 0, 0).await?;
                [many, none]
            }
        })
    }

    /// How many are delivered in a second.
    async fn measure(&self, side: &Side, round: usize, report: &mut Report) -> Result<f64> {
        let broker = Broker::own().await?;
        let plan = Plan { connectors: side.connectors, file: side.file.clone(), ..Plan::default() };
        // Numbers that no round before has left in the store.
        let first = round * self.events;
        let mut bench = Bench::start(&broker, plan, first + self.events, true).await?;
        consumed(&bench, side.connectors).await?;
        let tier = topology::retry(filled::last_tier()?);
        if side.waiting > 0 {
            wait_in(&bench, &tier, side.waiting).await?;
            waits(&bench, &tier, side.waiting).await?;
        }
        let body = side.clicks.map_or(Body::Of("contact"), Body::Joined);
        let load = Load { body, events: self.events, first, connections: self.connections };
        let name = format!("{}_{}", side.key, round + 1);
        let rate = passage::all_the_way(&mut bench, load, report, &name).await?;
        println!("{}: delivered {rate:.0}/s", side.what);
        if side.waiting > 0 {
            let left = waits(&bench, &tier, side.waiting).await?;
            let lost = side.waiting.saturating_sub(left);
            let line = format!("{name}: {left} of {} still wait, lost {lost}", side.waiting);
            report.tell(&format!("still_waiting_{name}"), &line, json!({"waiting": left, "lost": lost}));
        }
        bench.finish().await?;
        Ok(rate)
    }
}

/// Fills its store.
async fn fill(side: &Side, clicks: usize, waiting: usize) -> Result<()> {
    let file = side.file.clone().context("a store that is filled is a file")?;
    let begun = Instant::now();
    let made = file.clone();
    tokio::task::spawn_blocking(move || filled::make(&made, clicks, waiting)).await??;
    let mib = std::fs::metadata(&file)?.len() as f64 / f64::from(1 << 20);
    let (what, took) = (&side.what, begun.elapsed().as_secs_f64());
    println!("a store with {what}: {mib:.0} MiB, made in {took:.0} s");
    Ok(())
}

/// Waits until every connector's queue has its consumer: a worker is ready before it has made a thousand of them.
async fn consumed(bench: &Bench, connectors: usize) -> Result<()> {
    eventually(QUEUES, "every connector has its queue and its consumer", async || {
        let queues = bench.stack.vhost()?.list("queues").await?;
        let of_connectors = queues.iter().filter(|queue| {
            let name = queue["name"].as_str().unwrap_or_default();
            name.starts_with("carom.deliver.") && queue["consumers"].as_u64().unwrap_or(0) > 0
        });
        let count = of_connectors.count();
        if count < connectors {
            // The list is long, and the broker makes it no more often than this.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        ensure!(count >= connectors, "{count} of {connectors} have");
        Ok(())
    })
    .await
}

/// Puts deliveries into a tier, one in a message as the worker does, for the connector that they come back to.
async fn wait_in(bench: &Bench, tier: &str, count: usize) -> Result<()> {
    let waiting = Waiting::new()?;
    let url = &bench.stack.vhost()?.url;
    let queue = raw::Queue::behind(url, tier, &topology::deliver_queue(&waiting.connector)).await?;
    let mut number = 0;
    let next = |body: &mut Vec<u8>| {
        if number == count {
            return false;
        }
        *body = envelope::encode(&[waiting.delivery(number)]);
        number += 1;
        true
    };
    let (confirmed, took) = queue.publish_all(next, raw::IN_FLIGHT).await?;
    println!("{confirmed} deliveries put into {tier} in {:.0} s", took.as_secs_f64());
    queue.leave().await
}

/// Waits until a tier holds so many, and gives how many it holds: fewer where they do not come in time.
async fn waits(bench: &Bench, tier: &str, count: usize) -> Result<usize> {
    let depth = async || anyhow::Ok(bench.stack.vhost()?.depth(tier).await?.unwrap_or_default().messages);
    let there = eventually(PATIENCE, "the broker counts", async || {
        let depth = depth().await?;
        ensure!(depth >= count as u64, "it counts {depth}");
        Ok(depth)
    })
    .await;
    Ok(usize::try_from(match there {
        Ok(depth) => depth,
        Err(_) => depth().await?,
    })?)
}
