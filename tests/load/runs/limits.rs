//! What the parts can do without us: the broker, a commit, an HTTP exchange, each alone.

use crate::bench::broker_process;
use crate::clock::Clock;
use crate::cost::{Meter, Watched};
use crate::http;
use crate::journey::Journey;
use crate::mix::Mix;
use crate::raw;
use crate::receiver::{Profile, Receiver};
use crate::report::Report;
use crate::sender::{self, Pace, Until};
use anyhow::Result;
use carom_tests::broker::Broker;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How much to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds of each.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The body: contact, form or order.
    #[arg(long, default_value = "contact", value_parser = crate::journey::BODIES)]
    body: String,
    /// Bodies in a message of the groups.
    #[arg(long, default_value_t = 32)]
    group: usize,
}

/// Connections of the HTTP exchanges.
const CONNECTIONS: usize = 64;

/// The raw limits.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
    let broker = Broker::own().await?;
    let vhost = broker.vhost("raw").await?;
    let over = Duration::from_secs(options.seconds);
    let watched = Watched { name: "rabbitmq".to_owned(), root: broker_process(&vhost).await? };
    let one = Journey::webhook(([127, 0, 0, 1], 1).into(), "/", &options.body)?;

    let meter = Meter::start(vec![watched.clone()])?;
    let (count, rate) = raw::publishes(&vhost.url, &one, 1, raw::IN_FLIGHT, over).await?;
    report.costs("publish_cost", &meter.read()?, count);
    report.tell(
        "publish",
        &format!("one body per message, 1,000 in flight: {rate:.0} confirmed/s"),
        json!(rate),
    );

    let meter = Meter::start(vec![watched.clone()])?;
    let (count, rate) = raw::publishes(&vhost.url, &one, options.group, 2, over).await?;
    report.costs("group_cost", &meter.read()?, count);
    let line = format!("{} bodies per message, 2 in flight: {rate:.0} bodies confirmed/s", options.group);
    report.tell("group", &line, json!(rate));

    let rate = raw::consumes(&vhost.url, &one, count.min(50_000)).await?;
    report.tell("consume", &format!("one body per message, an ack each: {rate:.0} taken/s"), json!(rate));

    let queue = raw::Queue::declare(&vhost.url).await?;
    let mut body = Vec::new();
    one.write_body(0, &mut body);
    report.latency("confirm_idle", &queue.confirms(&body, 200, Duration::from_millis(20)).await?);
    queue.delete().await?;

    let dir = tempfile::tempdir()?;
    report.latency("commit_idle", &raw::commits(dir.path(), 200, Duration::from_millis(20))?);

    let clock = Arc::new(Clock::new(1_000_000));
    let receiver = Receiver::start(Arc::new(Clock::new(1)), Profile::default())?;
    let request = http::get(receiver.address(), "/postback?x=1");
    let pace = Pace::Closed { connections: CONNECTIONS };
    let mix = Mix::only(Journey::fixed(request), 200);
    sender::send(receiver.address(), &mix, &clock, pace, Until::Over(over), 0).await?;
    let rate = clock.counts().accepted as f64 / clock.took().0.as_secs_f64();
    report.tell("http", &format!("HTTP over {CONNECTIONS} connections: {rate:.0} exchanges/s"), json!(rate));
    Ok(())
}
