//! What one connector sees of the trouble of two others (guarantee G7): its time from event to delivery, alone
//! and beside one whose receiver hangs for 30 s per request and one whose receiver refuses connections.
//!
//! Runs alternate, alone and not, each on a stack of its own; what is compared are medians of one sitting.

use crate::broker::Broker;
use crate::eventually::{eventually, secs};
use crate::ports;
use crate::receiver::{Answer, Receiver};
use crate::resources::{Connector, PLAIN_TOKEN, Resources};
use crate::stack::Setup;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Pairs of runs.
    pub rounds: u32,
    /// Seconds that a run sends for.
    pub seconds: u32,
    /// Events in a second.
    pub rate: u32,
}

/// What one run came to, sorted.
struct Run(Vec<Duration>);

impl Run {
    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

/// Measures, and prints each run and what they come to.
pub async fn run(plan: Plan) -> Result<()> {
    let broker = Broker::shared().await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        for (name, troubled, all) in [("alone", false, &mut alone), ("beside", true, &mut beside)] {
            let measured = once(&broker, plan, troubled).await?;
            tell(&format!("round {round}, {name}"), &measured);
            all.extend(measured.0);
        }
    }
    alone.sort_unstable();
    beside.sort_unstable();
    let (alone, beside) = (Run(alone), Run(beside));
    tell("all alone", &alone);
    tell("all beside", &beside);
    let ratio = |percent| beside.at(percent).as_secs_f64() / alone.at(percent).as_secs_f64();
    println!("beside to alone: median {:.2}, p99 {:.2}", ratio(50), ratio(99));
    Ok(())
}

async fn once(broker: &Broker, plan: Plan, troubled: bool) -> Result<Run> {
    let (quick, hung) = (Receiver::start()?, Receiver::start()?);
    hung.answer(Arc::new(|_| Answer::status(200).after(secs(30))));
    let refused = format!("http://127.0.0.1:{}/postback", ports::free()?);
    let mut resources = Resources::new().with(Connector::get("quick", quick.url("/postback")));
    if troubled {
        resources = resources
            .with(Connector::get("hung", hung.url("/postback")))
            .with(Connector::get("refused", refused));
    }
    let stack = Setup::new(&resources).start(broker).await?;
    let url = stack.events_url(PLAIN_TOKEN);
    let count = plan.rate * plan.seconds;
    let mut ticks = tokio::time::interval(secs(1) / plan.rate);
    let mut senders = JoinSet::new();
    for index in 0..count {
        ticks.tick().await;
        let (client, url) = (stack.client().clone(), url.clone());
        senders.spawn(async move {
            let tx = format!("p{index}");
            let sent = Instant::now();
            let pairs = [("event", "purchase"), ("txid", &*tx), ("payout", "12.50"), ("currency", "USD")];
            client.form(&url, &pairs).await?.accepted()?;
            anyhow::Ok((tx, sent))
        });
    }
    let mut sent = BTreeMap::new();
    while let Some(one) = senders.join_next().await {
        let (tx, at) = one??;
        sent.insert(tx, at);
    }
    eventually(secs(60), "all are delivered", async || {
        ensure!(quick.taken_count() == sent.len(), "{} of {} are", quick.taken_count(), sent.len());
        Ok(())
    })
    .await?;
    let received = quick.matching(|_| true);
    let mut took = Vec::with_capacity(received.len());
    for request in &received {
        let tx = request.field("tx").context("a request without a transaction")?;
        let at = sent.get(&tx).context("a request of nobody")?;
        took.push(request.instant.saturating_duration_since(*at));
    }
    took.sort_unstable();
    // What the hung receiver holds would take the worker its whole drain.
    stack.quietly();
    Ok(Run(took))
}

fn tell(name: &str, run: &Run) {
    let millis = |duration: Duration| duration.as_secs_f64() * 1_000.0;
    println!(
        "{name:<18} {:>6} events  median {:>8.2} ms  p99 {:>8.2} ms  longest {:>8.2} ms",
        run.0.len(),
        millis(run.at(50)),
        millis(run.at(99)),
        millis(run.at(100)),
    );
}
