//! A soak: one fault after another, by chance, under a steady mixed load. Nothing is lost, and memory stays flat.
//!
//! A minute among the other tests; `deploy/test --soak 30m` runs it alone for as long as one likes. The chance
//! can be had again: its seed is printed, and taken from `SCENARIO_SEED`.

use anyhow::{Context, Result};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::faults::{Fault, Scene};
use carom_tests::load::{Amount, Load, mix};
use carom_tests::memory::Memory;
use carom_tests::receiver::Receiver;
use carom_tests::shuffle::Chance;
use carom_tests::stack::Binary;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where nobody says how long.
const MINUTE: Duration = Duration::from_secs(60);
/// Events per second.
const RATE: u32 = 60;
const AT_ONCE: usize = 48;
/// Between two faults, at least and at most.
const BETWEEN: (u64, u64) = (1_500, 4_000);
/// A process needs so long to have all that it keeps: a twentieth of the soak, ten seconds at least.
const WARM_UP: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_of_random_faults_loses_nothing_and_memory_stays_flat() -> Result<()> {
    let length = length()?;
    let mut chance = Chance::by_environment();
    let (broker, receiver) = (Broker::own().await?, Receiver::start()?);
    receiver.record_briefly();
    let mut scene = Scene::start(&broker, mix::setup(&receiver, Duration::from_millis(10))).await?;
    scene.stack.vhost()?.may_be_killed().await?;

    let load = Load::start(&scene.stack, "soak", Amount::PerSecond(RATE), AT_ONCE);
    load.accepted(20).await?;
    let (started, mut memory) = (Instant::now(), Memory::new());
    let mut faults: BTreeMap<Fault, usize> = BTreeMap::new();
    while started.elapsed() < length {
        let between = BETWEEN.0 + chance.below((BETWEEN.1 - BETWEEN.0) as usize) as u64;
        calm(&mut scene, &mut memory, Duration::from_millis(between)).await?;
        let fault = pick(&mut chance, started.elapsed() < length / 3);
        memory.sample(&mut scene.stack, false)?;
        fault.happen(&mut scene).await.with_context(|| fault.to_string())?;
        scene.stack.ready().await.with_context(|| format!("after {fault}"))?;
        *faults.entry(fault).or_default() += 1;
    }
    let sent = load.finish().await?;
    let account = Account::settle(&scene.stack, &receiver, &sent, Weather::Rough, secs(120)).await?;
    for (fault, times) in &faults {
        println!("{times} × {fault}");
    }
    let count: usize = faults.values().sum();
    let warm_up = WARM_UP.max(length / 20);
    println!("{}", memory.told(warm_up));
    println!("{count} faults in {:.0} s of {RATE} events/s: {account}", started.elapsed().as_secs_f64());
    account.must_be_whole_and_as_sent()?;
    drained(scene.stack.vhost()?, secs(30)).await?;
    scene.stack.ready().await?;
    // A minute says little of a slope. In half an hour a megabyte a minute would be a leak.
    if length >= 10 * MINUTE {
        for binary in Binary::ALL {
            let slope = memory.slope(binary, warm_up).context("too few samples")?;
            assert!(slope < 1_024.0, "{binary} grows by {slope:.1} kB/min");
        }
    }
    scene.stack.finish().await
}

/// Our own processes are killed in the first third only: who was killed has no memory to be watched.
fn pick(chance: &mut Chance, may_kill: bool) -> Fault {
    let of_processes = Fault::OF_PROCESSES.into_iter();
    let all: Vec<_> = Fault::OF_THE_BROKER
        .into_iter()
        .chain(Fault::OF_THE_WAY)
        .chain(of_processes.filter(|fault| may_kill || !matches!(fault, Fault::Killed(_))))
        .collect();
    // While they may, every second time.
    if may_kill && chance.below(2) == 0 {
        return Fault::Killed(Binary::ALL[chance.below(2)]);
    }
    all[chance.below(all.len())]
}

/// Nothing goes wrong for a while.
async fn calm(scene: &mut Scene, memory: &mut Memory, length: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // What the last fault has piled up is worked off first.
        memory.sample(&mut scene.stack, began.elapsed() > secs(1))?;
    }
    Ok(())
}

/// `CAROM_SOAK`, in seconds or as in `90s`, `5m`.
fn length() -> Result<Duration> {
    let Ok(text) = std::env::var("CAROM_SOAK") else { return Ok(MINUTE) };
    let span: carom_common::time::Span = text.parse().ok().with_context(|| format!("CAROM_SOAK={text}"))?;
    Ok(span.0)
}
