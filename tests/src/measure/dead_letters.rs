//! Very many dead letters: how long they take to be listed, how fast they are replayed, what live traffic to the
//! same connector sees of that, and whether each was sent exactly once.
//!
//! Nine of ten letters are to `a`, the others to `b`. Live traffic is to `a`.

use crate::broker::Broker;
use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::letters;
use crate::process::Process;
use crate::receiver::Receiver;
use crate::resources::{Connector, PLAIN_TOKEN, Resources};
use crate::stack::{Setup, Stack};
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Letters.
    pub count: usize,
    /// Letters in a second of the filtered replay.
    pub rate: u32,
    /// Live events in a second.
    pub live: u32,
}

/// Measures, and prints what it finds.
pub async fn run(plan: Plan) -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new()
        .with(Connector::get("a", receiver.url("/a")).triggers(&["purchase"]).line("concurrency = 256"))
        .with(Connector::get("b", receiver.url("/b")).triggers(&["lead"]).line("concurrency = 256"));
    let stack = Setup::new(&resources).start(&broker).await?;
    let began = Instant::now();
    let of = |index: usize| match index % 10 {
        0 => ("b", format!("b-{index}")),
        _ => ("a", format!("a-{index}")),
    };
    letters::bury(&stack, plan.count, of).await?;
    letters::lie(&stack, plan.count, secs(120)).await?;
    println!("{} letters made in {:.0} s", plan.count, began.elapsed().as_secs_f64());

    list(&stack, plan).await?;
    let live = Live::start(&stack, plan.live);
    tokio::time::sleep(secs(10)).await;
    live.tell(&receiver, "before").await?;

    rotate(&stack, plan).await?;
    live.tell(&receiver, "while all are rotated").await?;
    filtered(&stack, &receiver, plan).await?;
    live.tell(&receiver, "while b is replayed").await?;
    for replay in together(&stack).await? {
        println!("two at once:  {replay}");
    }
    live.tell(&receiver, "while all is replayed").await?;
    let sent = live.stop().await?;
    account(&stack, &receiver, plan, sent).await?;
    stack.quietly();
    Ok(())
}

/// How long each listing takes, as an operator's shell sees it.
async fn list(stack: &Stack, plan: Plan) -> Result<()> {
    let count = plan.count.to_string();
    let listings: [&[&str]; 8] = [
        &[],
        &["--connector", "b"],
        &["--reason", "expired"],
        &["--status", "500"],
        &["--event-type", "purchase"],
        &["--newer-than", "1h", "--connector", "a"],
        &["--limit", &count],
        &["--limit", &count, "--json"],
    ];
    for listing in listings {
        let began = Instant::now();
        let printed = stack.carom_ok(&[&["dlq", "list"], listing].concat()).await?;
        let (took, lines) = (began.elapsed().as_secs_f64() * 1_000.0, printed.lines().count());
        println!("dlq list {:<34} {took:>7.0} ms  {lines} lines", listing.join(" "));
    }
    Ok(())
}

/// A whole turn that is for nobody.
async fn rotate(stack: &Stack, plan: Plan) -> Result<()> {
    let url = &stack.vhost()?.url;
    let looked = plan.count.min(10_000);
    let said = stack.carom_ok(&["dlq", "replay", "--status", "599"]).await?;
    let disorder = letters::disorder(url, looked).await?;
    println!("one turn:     {}; of {looked} none is more than {disorder} places out of order", said.trim());
    Ok(())
}

/// A filtered replay at a rate: interrupted, killed, and run to its end.
async fn filtered(stack: &Stack, receiver: &Receiver, plan: Plan) -> Result<()> {
    let of_b = plan.count.div_ceil(10);
    let rate = plan.rate.to_string();
    let filter = ["--connector", "b", "--rate", &rate];
    let sent = async |at_least: usize| {
        eventually(secs(600), format!("{at_least} are replayed"), async || {
            ensure!(receiver.matching(|request| request.path == "/b").len() >= at_least);
            Ok(())
        })
        .await
    };
    let mut first = replay(stack, &filter)?;
    sent(of_b / 3).await?;
    first.interrupt()?;
    let status = first.ended(secs(60)).await?;
    println!("SIGINT:       {} ({status})", said(&first)?);
    let second = replay(stack, &filter)?;
    sent(of_b * 2 / 3).await?;
    second.kill()?;
    println!("SIGKILL at {} of {of_b}", receiver.matching(|request| request.path == "/b").len());
    println!("again:        {}", stack.carom_ok(&[&["dlq", "replay"], &filter[..]].concat()).await?.trim());
    Ok(())
}

/// Two replays of everything at once, at no rate; a third takes what the two left to each other.
async fn together(stack: &Stack) -> Result<[String; 3]> {
    let (mut one, mut two) = (replay(stack, &["--all"])?, replay(stack, &["--all"])?);
    for replay in [&mut one, &mut two] {
        let status = replay.ended(secs(3_600)).await?;
        // 1: it has left some to the other.
        ensure!(matches!(status.code(), Some(0 | 1)), "a replay ended with {status}: {}", replay.tail(3));
    }
    let rest = stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    Ok([said(&one)?, said(&two)?, rest.trim().to_owned()])
}

fn replay(stack: &Stack, more: &[&str]) -> Result<Process> {
    let command = stack.carom_command(&[&["dlq", "replay"], more].concat())?;
    Process::start("a replay", command, &stack.dir().join(format!("replay-{}.log", Timestamp::now())))
}

/// The line of a replay's figures.
fn said(replay: &Process) -> Result<String> {
    let log = replay.log()?;
    Ok(log.lines().rfind(|line| line.contains(" replayed, ")).context("it says nothing")?.to_owned())
}

async fn account(stack: &Stack, receiver: &Receiver, plan: Plan, live: usize) -> Result<()> {
    let expected = plan.count + live;
    let arrived = eventually(secs(300), "all is delivered", async || {
        ensure!(receiver.taken_count() == expected, "{} of {expected} are", receiver.taken_count());
        Ok(())
    })
    .await;
    let taken = receiver.taken();
    let twice: usize = taken.values().map(|times| times - 1).sum();
    let listed: Value = {
        let said = stack.carom_ok(&["dlq", "replay", "--all", "--dry-run", "--json"]).await?;
        serde_json::from_str(said.lines().next().context("it says nothing")?)?
    };
    println!(
        "account: letters {}, live events {live}, delivered {}, dead {}, lost {}, sent twice by the replay {twice}",
        plan.count,
        taken.len(),
        listed["matching"],
        expected - taken.len(),
    );
    arrived
}

/// Live traffic, and when each event was sent.
struct Live {
    sent: Arc<Mutex<BTreeMap<String, Instant>>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
    task: tokio::task::JoinHandle<Result<()>>,
    told: Mutex<usize>,
}

impl Live {
    fn start(stack: &Stack, rate: u32) -> Self {
        let (sent, stop) = (Arc::default(), Arc::default());
        let task = tokio::spawn(live(
            stack.client().clone(),
            stack.events_url(PLAIN_TOKEN),
            rate,
            Arc::clone(&sent),
            Arc::clone(&stop),
        ));
        Self { sent, stop, task, told: Mutex::default() }
    }

    /// Prints how long what was sent since the last time took from being sent to its delivery.
    async fn tell(&self, receiver: &Receiver, when: &str) -> Result<()> {
        let sent: Vec<(String, Instant)> = {
            let sent = self.sent.lock().unwrap();
            let mut told = self.told.lock().unwrap();
            let since = std::mem::replace(&mut *told, sent.len());
            (since..sent.len())
                .filter_map(|index| sent.get_key_value(&tx(index)))
                .map(|(k, v)| (k.clone(), *v))
                .collect()
        };
        let last = sent.last().context("nothing was sent")?.0.clone();
        receiver.wait_for(secs(120), 1, |request| request.field("tx").as_ref() == Some(&last)).await?;
        let live = receiver.matching(|request| request.field("tx").is_some_and(|tx| tx.starts_with("live-")));
        let arrived: BTreeMap<_, _> =
            live.iter().filter_map(|request| Some((request.field("tx")?, request.instant))).collect();
        let took = sent.iter().filter_map(|(tx, at)| Some(arrived.get(tx)?.saturating_duration_since(*at)));
        let mut took: Vec<Duration> = took.collect();
        took.sort_unstable();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1_000.0;
        println!(
            "live, {when:<22} {:>6} events  median {:>7.1} ms  p99 {:>7.1} ms  longest {:>7.1} ms",
            took.len(),
            at(50),
            at(99),
            at(100),
        );
        Ok(())
    }

    async fn stop(self) -> Result<usize> {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.task.await??;
        Ok(self.sent.lock().unwrap().len())
    }
}

fn tx(index: usize) -> String {
    format!("live-{index:07}")
}

async fn live(
    client: Client,
    url: String,
    rate: u32,
    sent: Arc<Mutex<BTreeMap<String, Instant>>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
) -> Result<()> {
    let mut ticks = tokio::time::interval(secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for index in 0.. {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let (tx, at) = (tx(index), Instant::now());
        client.form(&url, &[("event", "purchase"), ("txid", &tx)]).await?.accepted()?;
        sent.lock().unwrap().insert(tx, at);
    }
    Ok(())
}
