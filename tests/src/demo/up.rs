//! `carom-demo up`: Carom with a demo receiver, until SIGINT or SIGTERM.

use super::shop::{self, Heard, Shop};
use super::{AFFILIATES, FUNNEL_TOKEN, Given, SHOP_TOKEN};
use crate::ports;
use crate::receiver::{Received, Receiver};
use crate::stack::{Binary, Ports, Setup, Stack};
use anyhow::{Result, bail};
use jiff::tz::TimeZone;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How often to see whether the children are still there.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn up(dir: &Path, given: Given) -> Result<ExitCode> {
    // Made first: a signal during the start is heard as well.
    let stop = super::told_to_stop();
    tokio::pin!(stop);
    let heard = Heard::default();
    let receiver = {
        let heard = heard.clone();
        Receiver::on(ports::free_or(8090)?, move |request| {
            heard.note(request);
            print(request);
        })?
    };
    let (ports, shop_port) = (Ports::default_or_free()?, ports::free_or(8091)?);
    let resources = super::resources_with_shop(&receiver.url(""), &shop::origin(shop_port));
    let setup = Setup::of_text(resources)
        .env("CAROM_LOG_FORMAT", "human")
        .management(given.management_url)
        .ports(ports);
    let stack = setup.prepare_in(dir, &given.url).await?;
    let mut stack = tokio::select! {
        started = stack.started() => started?,
        _ = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    // What somebody has to look at before it runs in anybody's browser; here it is ours.
    stack.carom_ok(&["pixel", "approve", AFFILIATES]).await?;
    let shop = Shop::start(shop_port, &shop::origin(ports.ingest), heard)?;
    welcome(&stack, &receiver, &shop)?;
    let ended = tokio::select! {
        signal = &mut stop => {
            println!("\n{}: carom-ingest and carom-worker finish what they have begun", signal?);
            None
        }
        error = watch(&mut stack) => Some(error),
    };
    match ended {
        Some(error) => {
            println!("{}", stack.tails(40));
            stack.quietly();
            Err(error)
        }
        None => {
            stack.finish().await?;
            println!("Both have ended in order. What is not delivered yet waits in the broker.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns when one of the children has ended by itself.
async fn watch(stack: &mut Stack) -> anyhow::Error {
    loop {
        for binary in Binary::ALL {
            if let Err(ended) = stack.process(binary).and_then(crate::process::Process::must_run) {
                return ended;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn welcome(stack: &Stack, receiver: &Receiver, page: &Shop) -> Result<()> {
    let Ok(worker) = crate::process::binary("carom-worker") else { bail!("carom-worker has gone") };
    let config = stack.dir().join("carom.toml");
    let carom = format!("'{}' --config '{}'", worker.display(), config.display());
    let funnel = stack.events_url(FUNNEL_TOKEN);
    let shop = stack.events_url(SHOP_TOKEN);
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cf2_one-time-order.completed.json");
    let logs = stack.dir().display();
    println!(
        "
Carom is up.

  clicks            {click}
  events            {funnel}   (ClickFunnels)
                    {shop}   (plain parameters)
  a shop's page     {page}/   (with the tag: land, buy, and see what fired)
  demo receiver     {receiver}   (its postbacks are printed below)
  metrics, health   {ingest}/metrics   {worker_ops}/metrics   (also /livez, /readyz)
  logs              {logs}/carom-ingest.log
                    {logs}/carom-worker.log

Click, and read the click id off the location:

  curl -si '{click}?utm_source=newsletter' | grep -i ^location

Sell something to that click (put its id in the place of CLICK):

  curl -s '{shop}' -d event=purchase -d txid=order-1 -d payout=49.90 -d currency=EUR -d click_id=CLICK

Or as the funnel's webhook:

  sed s/01JD3V7Q9ZK4T8M2N5X6C7B8A9/CLICK/g '{fixture}' \\
    | curl -s '{funnel}' -H 'content-type: application/json' --data-binary @-

Ask why (with the id that the event was answered), and look at what was given up:

  {carom} trace ID
  {carom} log
  {carom} dlq list

Ctrl-C ends it.
",
        click = stack.click_url("demo"),
        page = page.origin(),
        receiver = receiver.url(""),
        ingest = stack.ops_url(Binary::Ingest, ""),
        worker_ops = stack.ops_url(Binary::Worker, ""),
    );
    Ok(())
}

/// One received request, in a line.
fn print(request: &Received) {
    let clock = request.at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string();
    let query: Vec<_> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let body: String = String::from_utf8_lossy(&request.body).chars().take(300).collect();
    println!(
        "{clock}  {} {}  {} {body}  → {}",
        request.method,
        request.path,
        query.join(" "),
        request.answered
    );
}
