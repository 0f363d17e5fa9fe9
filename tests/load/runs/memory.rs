//! How much memory both binaries take: at full load, and while a backlog is worked off.

use crate::bench::{Bench, Plan, StoreKind};
use crate::clock::{ALL, Clock};
use crate::cost::Cost;
use crate::journey::Journey;
use crate::mix::Mix;
use crate::raw;
use crate::report::{Goal, Ratio, Report};
use crate::sender::{self, Pace, Until};
use anyhow::{Context, Result, ensure};
use carom_common::id::EventId;
use carom_common::intake::{Body, Intake, Verified};
use carom_common::{envelope, topology};
use carom_tests::broker::Broker;
use carom_tests::letters::BATCH;
use carom_tests::memory::Memory;
use carom_tests::stack::{Binary, Stack};
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds of full load, and of the backlog's work that are told by themselves.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Events that wait for the worker when it comes back.
    #[arg(long, default_value_t = 1_000_000)]
    backlog: usize,
    /// Seconds that the whole backlog may take, for the account.
    #[arg(long, default_value_t = 1_200)]
    patience: u64,
    /// Where the store is.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
}

/// The most events of a second of full load.
const MOST_PER_SECOND: usize = 100_000;
/// How often memory is read.
const EVERY: Duration = Duration::from_millis(500);
/// What is not counted for the slope: caches fill then, and pools.
const WARM_UP: Duration = Duration::from_secs(10);
/// How many messages of the backlog are in flight while it is made.
const IN_FLIGHT: usize = 16;
/// A mebibyte.
const MIB: f64 = 1_048_576.0;

/// R6.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let over = Duration::from_secs(options.seconds);
    let patience = Duration::from_secs(options.patience);
    let full = MOST_PER_SECOND * usize::try_from(options.seconds)?;
    let plan = Plan { store: options.store, ..Plan::default() };
    let mut bench = Bench::start(&broker, plan, full + options.backlog, true).await?;
    let mut peaks = Peaks::default();

    let (address, target) = bench.events()?;
    let journey = Journey::webhook(address, &target, "contact")?;
    let meter = bench.meter().await?;
    let mut memory = Memory::new();
    let (mix, clock) = (Mix::only(journey.clone(), 202), bench.clock.clone());
    let pace = Pace::Closed { connections: options.connections };
    let sending = sender::send(address, &mix, &clock, pace, Until::Over(over), 0);
    let refused = sampled(&mut bench.stack, &mut memory, sending).await?;
    report.refused("refused", &refused);
    let accepted = clock.counts().accepted;
    let all = delivered(&mut bench.stack, &mut memory, &clock, accepted, patience).await;
    let costs = meter.read()?;
    report.account("account_full_load", clock.counts());
    all?;
    report.costs("cost_full_load", &costs, accepted);
    peaks.hear(&costs);
    tell(report, "full_load", &memory);

    bench.stack.stop(Binary::Worker).await?;
    backlog(&bench, &journey, full, options.backlog).await?;
    bench.stack.start_binary(Binary::Worker)?;
    let begun = Instant::now();
    bench.stack.ready_binary(Binary::Worker).await?;
    let meter = bench.meter().await?;
    let mut memory = Memory::new();
    let before = accepted as u64;
    let some = delivered(&mut bench.stack, &mut memory, &clock, accepted + options.backlog, over).await;
    let worked_off = clock.delivered_count().saturating_sub(before);
    let took = begun.elapsed().as_secs_f64();
    let rate = worked_off as f64 / took;
    let line = format!("{worked_off} of {} worked off in {took:.0} s: {rate:.0}/s", options.backlog);
    report.tell("worked_off", &line, json!({"events": worked_off, "seconds": took, "per_second": rate}));
    let all = match some {
        Ok(()) => Ok(()),
        // The rest, for the account; memory is read all the while.
        Err(_) => {
            delivered(&mut bench.stack, &mut memory, &clock, accepted + options.backlog, patience).await
        }
    };
    let costs = meter.read()?;
    report.account("account", clock.counts());
    report.seconds("seconds", &clock.by_second());
    all?;
    report.costs("cost_backlog", &costs, options.backlog);
    peaks.hear(&costs);
    tell(report, "backlog", &memory);
    bench.finish().await?;

    for (binary, most) in [(Binary::Ingest, 64.0), (Binary::Worker, 256.0)] {
        let name = format!("peak MiB of {binary}");
        let peak = peaks.0.get(binary.name()).copied().context("nobody was watched")?;
        let ratio = Ratio { of: (&name, peak), to: ("MiB allowed", most), goal: Goal::AtMost(1.0) };
        report.ratio(&format!("R6_{}", binary.name()), ratio);
    }
    Ok(())
}

/// The most memory that each had, in MiB, as the kernel keeps it: between two samples it forgets nothing.
#[derive(Default)]
struct Peaks(BTreeMap<String, f64>);

impl Peaks {
    fn hear(&mut self, costs: &BTreeMap<String, Cost>) {
        for (name, cost) in costs {
            let peak = self.0.entry(name.clone()).or_default();
            *peak = peak.max(cost.peak as f64 / MIB);
        }
    }
}

/// Reads memory until this is done.
async fn sampled<T>(
    stack: &mut Stack,
    memory: &mut Memory,
    doing: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut doing = std::pin::pin!(doing);
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            done = &mut doing => return done,
            _ = ticks.tick() => memory.sample(stack, true)?,
        }
    }
}

/// Reads memory until so many events are delivered.
async fn delivered(
    stack: &mut Stack,
    memory: &mut Memory,
    clock: &Clock,
    count: usize,
    limit: Duration,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    let waiting = async {
        loop {
            // An event that was never accepted may be among those that are delivered: then all are looked at.
            if clock.delivered_count() >= count as u64 && clock.counts_of(ALL).lost() == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} of {count} in {limit:?}", clock.delivered_count());
            tokio::time::sleep(EVERY).await;
        }
    };
    sampled(stack, memory, waiting).await
}

fn tell(report: &mut Report, key: &str, memory: &Memory) {
    println!("{key}:\n{}", memory.told(WARM_UP));
    let slopes = Binary::ALL.map(|binary| (binary.name().to_owned(), json!(memory.slope(binary, WARM_UP))));
    report.tell(
        &format!("kb_per_minute_{key}"),
        &format!(
            "{key}: kB per minute after {} s: {}",
            WARM_UP.as_secs(),
            json!(BTreeMap::from(slopes.clone()))
        ),
        json!(BTreeMap::from(slopes)),
    );
}

/// Puts events onto `carom.events` as ingest does, while no worker is there. What the broker has confirmed counts as
/// accepted.
async fn backlog(bench: &Bench, journey: &Journey, first: usize, count: usize) -> Result<()> {
    let queue = raw::Queue::behind(&bench.stack.vhost()?.url, "", topology::EVENTS).await?;
    let source: carom_common::id::SourceId = "funnel".parse()?;
    let end = first + count;
    let mut number = first;
    let next = |message: &mut Vec<u8>| {
        let batch = number..end.min(number + BATCH);
        number = batch.end;
        let intakes: Vec<_> = batch.map(|number| intake(bench, journey, &source, number)).collect();
        *message = envelope::encode(&intakes);
        !intakes.is_empty()
    };
    let (messages, took) = queue.publish_all(next, IN_FLIGHT).await?;
    (first..end).for_each(|number| bench.clock.accepted(number));
    println!("a backlog of {count} events in {messages} messages, made in {:.0} s", took.as_secs_f64());
    queue.leave().await
}

fn intake(bench: &Bench, journey: &Journey, source: &carom_common::id::SourceId, number: usize) -> Intake {
    bench.clock.due(number, Instant::now());
    let mut body = Vec::with_capacity(journey.bytes());
    journey.write_body(number, &mut body);
    Intake {
        id: EventId::new(),
        source: source.clone(),
        verified: Verified::Token,
        received_at: Timestamp::now(),
        query: String::new(),
        content_type: Some("application/json".to_owned()),
        body: Body(body),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}
