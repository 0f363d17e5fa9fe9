//! What an outage of the broker costs: clicks and events at a steady rate, the broker killed and away for a
//! time, and back. Refused and lost are counted; the redirect's time is compared before and while away; the
//! time that the spool takes to drain is told.

use crate::accounting::{Account, Weather};
use crate::broker::Broker;
use crate::eventually::{eventually, secs};
use crate::metrics;
use crate::receiver::Receiver;
use crate::resources::{Connector, Resources};
use crate::stack::{Binary, Setup, Stack};
use crate::traffic::{Rates, Request, Traffic, unrecorded};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many in a second.
    pub rates: Rates,
    /// Seconds before the broker goes.
    pub before: u64,
    /// Seconds that it is away.
    pub away: u64,
}

/// Measures, and prints what it came to.
pub async fn run(plan: Plan) -> Result<()> {
    let broker = Broker::own().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let stack = Setup::new(&resources).start(&broker).await?;
    let traffic = Traffic::start(&stack, "t", plan.rates);
    let began = Instant::now();
    tokio::time::sleep(secs(plan.before)).await;
    // Only now is every queue there that there will be.
    stack.vhost()?.may_be_killed().await?;

    let killed = Instant::now();
    broker.node()?.kill().await?;
    tokio::time::sleep(secs(plan.away)).await;
    broker.node()?.restart().await?;
    figure_becomes(&stack, "carom_broker_connected", |value| value == 1.0).await?;
    let back = Instant::now();
    let text = stack.metrics(Binary::Ingest).await?;
    let figure = |name| metrics::sum(&text, name, &[]).unwrap_or(0.0);
    let spooled = figure("carom_spool_spooled_total");
    let (writes, write_time) = (
        figure("carom_spool_write_duration_seconds_count"),
        figure("carom_spool_write_duration_seconds_sum"),
    );
    let bytes = std::fs::metadata(stack.dir().join("spool.db"))?.len();
    // While traffic goes on something may always be in it for a moment; what came in the outage is not.
    let old = || back.elapsed().as_secs_f64();
    figure_becomes(&stack, "carom_spool_oldest_seconds", |value| value < old()).await?;
    let drained = back.elapsed();
    tokio::time::sleep(secs(3)).await;
    let told = traffic.end().await?;

    let account = Account::settle(&stack, &receiver, &told.sent(), Weather::Rough, secs(180)).await?;
    let redirected = told.redirected();
    let clicks = redirected.len();
    let lost = unrecorded(&stack, redirected, secs(60)).await?.len();
    println!(
        "broker away for {:.1} s under {} clicks/s and {} events/s",
        (back - killed).as_secs_f64(),
        plan.rates.clicks,
        plan.rates.events
    );
    println!("clicks: {clicks} redirected, {lost} lost; events: {account}");
    println!("answered otherwise: {:?}; broken off: {}", told.refused(), told.broken());
    println!(
        "spooled {spooled} items in {writes} commits of {:.2} ms on average; the file had {bytes} bytes, {:.0} per item",
        write_time / writes.max(1.0) * 1_000.0,
        bytes as f64 / spooled.max(1.0)
    );
    println!("drained {:.2} s after the broker was back", drained.as_secs_f64());
    let warm = began + secs(2);
    let before = within("redirect before", &told.clicks, warm, killed);
    let away = within("redirect while away", &told.clicks, killed, back);
    within("redirect while it drains", &told.clicks, back, back + drained);
    within("event before", &told.events, warm, killed);
    within("event while away", &told.events, killed, back);
    println!("redirect, p99 while away to before: {:.2}", away.as_secs_f64() / before.as_secs_f64());
    ensure!(told.refused().is_empty() && told.broken() == 0 && lost == 0, "refused or lost");
    account.must_be_whole()?;
    stack.finish().await
}

async fn figure_becomes(stack: &Stack, name: &str, wanted: impl Fn(f64) -> bool) -> Result<()> {
    eventually(secs(180), format!("{name} is as it should be"), async || {
        let value = metrics::sum(&stack.metrics(Binary::Ingest).await?, name, &[]);
        ensure!(value.is_some_and(&wanted), "it is {value:?}");
        Ok(())
    })
    .await
}

/// Tells how long the requests took that were due in a time; gives their 99th percentile.
fn within(name: &str, requests: &[Request], from: Instant, to: Instant) -> Duration {
    let due = requests.iter().filter(|request| (from..to).contains(&request.due));
    let mut took: Vec<_> = due.map(|request| request.took).collect();
    took.sort_unstable();
    let at =
        |percent: usize| took.get(took.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default();
    let millis = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    println!(
        "{name:<24} {:>6} requests  median {:>8.2} ms  p99 {:>8.2} ms  longest {:>8.2} ms",
        took.len(),
        millis(at(50)),
        millis(at(99)),
        millis(at(100)),
    );
    at(99)
}
