//! `log`: the attempts that were made, newest last, and with `--follow` those that come.

mod sieve;

use super::chosen::named;
use super::{Usage, ago, json_line, parsed, printable, reading, usage};
use carom_common::config::Config;
use carom_common::id::{ConnectorId, DeliveryId, EventId};
use carom_common::store::{AttemptRecord, Horizon, LogFilter, Store};
use clap::Args;
use sieve::Sieve;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use uuid::Uuid;

const PAGE: u32 = 500;
/// How long following waits for those who were writing when it began: longer than any of ours may write.
const PATIENCE: Duration = Duration::from_secs(25);

/// What `log` lists.
#[derive(Args)]
pub struct LogArgs {
    /// Show these whole: an attempt by its number, or all of a delivery or an event by its id.
    #[arg(long, value_name = "ID", conflicts_with_all = ["delivery", "event", "follow"])]
    pub show: Option<String>,
    /// Of this connector only.
    #[arg(long)]
    pub connector: Option<String>,
    /// Of this event only.
    #[arg(long)]
    pub event: Option<String>,
    /// Of this delivery only.
    #[arg(long)]
    pub delivery: Option<String>,
    /// With this outcome only.
    #[arg(long, value_parser = ["delivered", "retry", "dead", "test", "pixel"])]
    pub outcome: Option<String>,
    /// Answered with this status only: 404, or 4xx for all of a class, or none where no answer came.
    #[arg(long)]
    pub status: Option<String>,
    /// Only where the URL, the request or the answer holds this text, in any case.
    #[arg(long)]
    pub text: Option<String>,
    /// Made within this time, such as 1h.
    #[arg(long)]
    pub since: Option<String>,
    /// Made longer ago than this, such as 10m.
    #[arg(long, conflicts_with = "follow")]
    pub until: Option<String>,
    /// How many, of the newest.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Go on with what comes.
    #[arg(long, short)]
    pub follow: bool,
    /// Show request and answer, too.
    #[arg(long, short)]
    pub verbose: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Lists attempts.
pub async fn run(config: &Config, args: &LogArgs) -> anyhow::Result<()> {
    let filter = filter(args)?;
    let sieve = Sieve::new(args.status.as_deref(), args.text.as_deref()).map_err(usage)?;
    let verbose = args.verbose || args.show.is_some();
    let store = reading(config)?;
    if let Some(connector) = &filter.connector {
        known(&store, connector).await?;
    }
    if let Some(id) = &args.show {
        let attempts = shown(&store, &filter, id).await?;
        return attempts
            .iter()
            .filter(|one| sieve.lets(one))
            .try_for_each(|one| tell(one, args.json, verbose));
    }
    if !args.follow {
        for attempt in &newest_of(&store, &filter, &sieve, args.limit).await? {
            tell(attempt, args.json, verbose)?;
        }
        return Ok(());
    }
    // What is settled from here on is either listed or followed, and nothing is both.
    let mut horizon = Horizon::default();
    let mut last = begin(&store, &mut horizon, PATIENCE).await?;
    let listed = LogFilter { before: Some(last.saturating_add(1)), ..filter.clone() };
    for attempt in &newest_of(&store, &listed, &sieve, args.limit).await? {
        tell(attempt, args.json, verbose)?;
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        let until = store.horizon(&mut horizon).await?;
        let settled = LogFilter { before: Some(until.saturating_add(1)), ..filter.clone() };
        let page = store.attempts(&settled, last, PAGE).await?;
        // Everything up to the horizon was looked at, unless there is more than a page of it.
        last = if page.len() < PAGE as usize { until.max(last) } else { page[page.len() - 1].sequence };
        for attempt in page.iter().filter(|attempt| sieve.lets(attempt)) {
            tell(attempt, args.json, verbose)?;
        }
    }
}

/// Where following begins: at what had a number when we came, as soon as it is settled. Before that the horizon
/// may be anywhere, and from there the whole log might come.
async fn begin(store: &Store, horizon: &mut Horizon, patience: Duration) -> anyhow::Result<i64> {
    let deadline = Instant::now() + patience;
    loop {
        let reached = store.horizon(horizon).await?;
        if horizon.has_begun() {
            return Ok(reached);
        }
        if Instant::now() >= deadline {
            // Whatever holds it up is not ours: we write for no longer than that.
            eprintln!(
                "a transaction on the server has lasted for {} s: until it ends, nothing is followed",
                patience.as_secs()
            );
            return Ok(horizon.began_at());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn filter(args: &LogArgs) -> Result<LogFilter, Usage> {
    Ok(LogFilter {
        connector: parsed(args.connector.as_deref())?,
        delivery: parsed(args.delivery.as_deref())?,
        event: parsed(args.event.as_deref())?,
        sequence: None,
        before: None,
        outcome: args.outcome.clone(),
        since: ago(args.since.as_deref())?,
        until: ago(args.until.as_deref())?,
    })
}

/// An error where a connector is neither applied nor has ever tried anything that is stored: nothing would be
/// listed of it, as if all were well.
async fn known(store: &Store, connector: &ConnectorId) -> anyhow::Result<()> {
    let resources = store.resources().await?.resources;
    let Err(unknown) = named(&resources.connectors, connector.as_str()) else { return Ok(()) };
    let of_it = LogFilter { connector: Some(connector.clone()), ..LogFilter::default() };
    if store.last_attempts(&of_it, 1).await?.is_empty() { Err(unknown.into()) } else { Ok(()) }
}

/// The newest that the sieve lets through, oldest first. Each page is a short reading of its own: what is sifted
/// has no index, and the log may be long.
async fn newest_of(
    store: &Store,
    filter: &LogFilter,
    sieve: &Sieve,
    limit: u32,
) -> anyhow::Result<Vec<AttemptRecord>> {
    let mut found = Vec::new();
    let mut filter = filter.clone();
    while found.len() < limit as usize {
        let left = limit - found.len() as u32;
        let page = store.last_attempts(&filter, if sieve.lets_all() { left.min(PAGE) } else { PAGE }).await?;
        let Some(first) = page.first() else { break };
        filter.before = Some(first.sequence);
        found.extend(page.into_iter().rev().filter(|attempt| sieve.lets(attempt)).take(left as usize));
    }
    found.reverse();
    Ok(found)
}

/// The attempts that an id names.
async fn shown(store: &Store, filter: &LogFilter, id: &str) -> anyhow::Result<Vec<AttemptRecord>> {
    let by = |change: LogFilter| async move { store.last_attempts(&change, 1_000).await };
    let found = match (id.parse::<i64>(), Uuid::try_parse(id)) {
        (Ok(sequence), _) => by(LogFilter { sequence: Some(sequence), ..filter.clone() }).await?,
        (_, Ok(id)) => {
            let of_delivery = LogFilter { delivery: Some(DeliveryId(id)), ..filter.clone() };
            let found = by(of_delivery).await?;
            if found.is_empty() {
                by(LogFilter { event: Some(EventId(id)), ..filter.clone() }).await?
            } else {
                found
            }
        }
        _ => {
            let problem = "is neither an attempt's number, as the log begins its lines with, nor the id of a \
                           delivery or an event";
            return Err(Usage(format!("`{id}` {problem}")).into());
        }
    };
    anyhow::ensure!(
        !found.is_empty(),
        "no attempt is known by `{id}`: `carom-worker log` lists those that are, and `carom-worker trace {id}` \
         says why there may be none"
    );
    Ok(found)
}

fn tell(attempt: &AttemptRecord, json: bool, verbose: bool) -> anyhow::Result<()> {
    if json {
        return json_line(attempt);
    }
    println!("{}", line(attempt));
    if verbose {
        print!("{}", whole(attempt));
    }
    Ok(())
}

/// An attempt in a line: when, to whom, what came of it, the exchange, and what it was for.
pub fn line(attempt: &AttemptRecord) -> String {
    let mut line =
        format!("{}  {}  {}  {}", attempt.sequence, attempt.at, attempt.connector, attempt.outcome);
    let _ = match attempt.outcome.as_str() {
        "retry" => write!(line, " in {}", attempt.detail),
        _ if attempt.detail.is_empty() => Ok(()),
        _ => write!(line, " ({})", attempt.detail),
    };
    if let Some(exchange) = &attempt.exchange {
        let came = match (exchange.status, &exchange.failure) {
            (Some(status), _) => format!(" → {status} in {} ms", exchange.duration.as_millis()),
            (None, Some(failure)) => format!(" → {failure} after {} ms", exchange.duration.as_millis()),
            (None, None) => String::new(),
        };
        let came = if attempt.is_pixel() { String::new() } else { came };
        let _ = write!(line, "  {} {}{came}", exchange.method, exchange.url);
    }
    let what = match (attempt.is_pixel(), attempt.outcome.as_str()) {
        (true, "test") => "a pixel, not given to the browser".to_owned(),
        (true, _) => "given to the browser".to_owned(),
        (false, _) => format!("attempt {} of round {}", attempt.attempt, attempt.round),
    };
    let (event, delivery) = (attempt.event, attempt.delivery);
    let _ = write!(line, "  [{what}, {} {event}, delivery {delivery}]", attempt.event_type);
    for report in &attempt.reports {
        let _ = write!(line, "\n      {} at {}", report.outcome.as_str(), report.at);
        if !report.detail.is_empty() {
            let _ = write!(line, ": {}", printable(&report.detail));
        }
    }
    line
}

/// The request and the answer, as far as they are kept.
fn whole(attempt: &AttemptRecord) -> String {
    let Some(exchange) = &attempt.exchange else {
        return "    no request was made\n".to_owned();
    };
    if exchange.url.is_empty() && exchange.failure.is_none() {
        return "    what was sent is not kept any more: see [retention] log\n".to_owned();
    }
    let mut text = format!("    {} {}\n", exchange.method, exchange.url);
    for line in exchange.request_headers.lines() {
        let _ = writeln!(text, "    {line}");
    }
    let body = if attempt.is_pixel() { "code" } else { "body" };
    for (what, content) in [(body, &exchange.request_body), ("answer", &exchange.response)] {
        if !content.is_empty() {
            let _ = writeln!(text, "    {what}:");
            content.lines().for_each(|line| {
                let _ = writeln!(text, "      {}", printable(line));
            });
        }
    }
    text
}

#[cfg(test)]
mod tests;
