//! How long a click's redirect takes, beside nginx that redirects and keeps nothing, and a confirm alone.

use crate::bench::{Bench, Plan};
use crate::clock::Clock;
use crate::http;
use crate::journey::Journey;
use crate::mix::Mix;
use crate::nginx::Nginx;
use crate::raw;
use crate::report::{Goal, Ratio, Report, median, millis, quantile};
use crate::rows;
use crate::sender::{self, Pace, Until};
use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use std::sync::Arc;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Rounds of Carom, nginx and the confirms, in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Clicks per second.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

/// How many seconds of each are not counted: connections are made then. They are in the account.
const WARM_UP: u32 = 1;
/// How long the last click may take to be recorded.
const PATIENCE: Duration = Duration::from_secs(60);
/// A click's size on its way to the broker, about.
const CLICK_BYTES: usize = 500;

/// R4.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let nginx = Nginx::start().await?;
    let broker = Broker::own().await?;
    let vhost = broker.vhost("raw").await?;
    let queue = raw::Queue::declare(&vhost.url).await?;
    let count = (options.rate * (WARM_UP + options.seconds)) as usize;
    let bench = Bench::start(&broker, Plan::default(), count * options.rounds, true).await?;
    let (address, target) = bench.clicks()?;
    let clicks = Mix::only(Journey::click(address, &target), 302);
    let mut p99s = [const { Vec::new() }; 3];
    for round in 0..options.rounds {
        let first = round * count;
        let (ours, refused) = options.open(&bench.clock, &clicks, address, first).await?;
        let redirected = bench.clock.counts().accepted;
        let recorded = rows::clicks_become(&bench.stack, redirected, PATIENCE).await?;
        let (name, of_nginx) = (round + 1, http::get(nginx.address(), "/c/demo?sub1=1&utm_source=load"));
        report.refused(&format!("refused_{name}"), &refused);
        report.clicks(&format!("account_{name}"), redirected, recorded);
        ensure!(recorded >= redirected, "{redirected} clicks were redirected, and {recorded} are recorded");

        let bare = Mix::only(Journey::fixed(of_nginx), 302);
        let clock = Arc::new(Clock::new(count));
        let (theirs, refused) = options.open(&clock, &bare, nginx.address(), 0).await?;
        ensure!(refused.is_empty(), "nginx answered {refused:?}");

        let (every, body) = (Duration::from_secs(1) / options.rate, vec![b'x'; CLICK_BYTES]);
        queue.confirms(&body, (options.rate * WARM_UP) as usize, every).await?;
        let confirms = queue.confirms(&body, (options.rate * options.seconds) as usize, every).await?;

        let kinds = [("redirect", ours), ("nginx", theirs), ("confirm", confirms)];
        for ((what, times), p99s) in kinds.into_iter().zip(&mut p99s) {
            report.latency(&format!("{what}_{name}"), &times);
            p99s.push(millis(quantile(&times, 0.99)));
        }
    }
    queue.delete().await?;
    bench.finish().await?;
    let [ours, theirs, confirms] = p99s.map(median);
    println!(
        "p99: redirect {ours:.3} ms, nginx {theirs:.3} ms, confirm {confirms:.3} ms (medians of the rounds)"
    );
    let ratio = Ratio {
        of: ("p99 ms of a redirect", ours),
        to: ("p99 ms of nginx and of a confirm", theirs + confirms),
        goal: Goal::AtMost(2.0),
    };
    report.ratio("R4", ratio);
    Ok(())
}

impl Options {
    /// Sends at the rate; gives how long each took that is counted, sorted.
    async fn open(
        &self,
        clock: &Arc<Clock>,
        mix: &Mix,
        address: std::net::SocketAddr,
        first: usize,
    ) -> Result<(Vec<Duration>, sender::Refused)> {
        let pace = Pace::Open { rate: f64::from(self.rate), connections: self.connections };
        let skipped = (self.rate * WARM_UP) as usize;
        let counted = first + skipped..first + skipped + (self.rate * self.seconds) as usize;
        let refused =
            sender::send(address, mix, clock, pace, Until::Count(counted.end - first), first).await?;
        Ok((clock.accepting(|number| counted.contains(&number)), refused))
    }
}
