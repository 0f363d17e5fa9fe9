//! Events all the way, from being sent to their postbacks, as fast as they are answered: what `deliver` and `flat`
//! compare.

use crate::bench::Bench;
use crate::clock::ALL;
use crate::journey::{Journey, Named};
use crate::mix::Mix;
use crate::report::Report;
use crate::sender::{self, Pace, Until};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;

/// How long the last of them may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    pub body: Body<'a>,
    pub events: usize,
    /// The number of the first: others than any that the store has.
    pub first: usize,
    pub connections: usize,
}

/// The body of a load's events.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// One of [`crate::journey::BODIES`].
    Of(&'a str),
    /// A form's, whose contacts came by clicks that the store has.
    Joined(Named),
}

/// Sends them and waits until all are delivered; gives how many were a second.
pub async fn all_the_way(bench: &mut Bench, load: Load<'_>, report: &mut Report, name: &str) -> Result<f64> {
    let (address, target) = bench.events()?;
    let journey = match load.body {
        Body::Of(body) => Journey::webhook(address, &target, body)?,
        Body::Joined(named) => Journey::joined(address, &target, named)?,
    };
    let meter = bench.meter().await?;
    let pace = Pace::Closed { connections: load.connections };
    let mix = Mix::only(journey, 202);
    let until = Until::Count(load.events);
    let refused = sender::send(address, &mix, &bench.clock, pace, until, load.first).await?;
    // Whatever is missing then, the account says so first.
    let all = bench.all_delivered(PATIENCE).await;
    let costs = meter.read()?;
    let counts = bench.clock.counts();
    let (accepting, delivering) = bench.clock.took();
    report.refused(&format!("refused_{name}"), &refused);
    report.account(&format!("account_{name}"), counts);
    all?;
    report.costs(&format!("cost_{name}"), &costs, counts.accepted);
    report.latency(&format!("accept_{name}"), &bench.clock.accepting(ALL));
    report.latency(&format!("deliver_{name}"), &bench.clock.delivering(ALL));
    report.seconds(&format!("seconds_{name}"), &bench.clock.by_second());
    let rate = |over: Duration| counts.accepted as f64 / over.as_secs_f64();
    let line = format!("{name}: accepted {:.0}/s, delivered {:.0}/s", rate(accepting), rate(delivering));
    let value = json!({"accepted_per_second": rate(accepting), "delivered_per_second": rate(delivering)});
    report.tell(&format!("round_{name}"), &line, value);
    Ok(rate(delivering))
}
