//! `log`: the attempts that were made, newest last, and with `--follow` those that come.

use super::{ago, json_line, parsed, reading, trace};
use carom_common::config::Config;
use carom_common::store::{AttemptRecord, LogFilter};
use clap::Args;
use std::time::Duration;

const PAGE: u32 = 500;

/// What `log` lists.
#[derive(Args)]
pub struct LogArgs {
    /// Of this connector only.
    #[arg(long)]
    pub connector: Option<String>,
    /// Of this delivery only.
    #[arg(long)]
    pub delivery: Option<String>,
    /// With this outcome only.
    #[arg(long, value_parser = ["delivered", "retry", "dead", "test"])]
    pub outcome: Option<String>,
    /// Made within this time, such as 1h.
    #[arg(long)]
    pub since: Option<String>,
    /// How many, of the newest.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Go on with what comes.
    #[arg(long, short)]
    pub follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Lists attempts.
pub async fn run(config: &Config, args: &LogArgs) -> anyhow::Result<()> {
    let filter = LogFilter {
        connector: parsed(args.connector.as_deref())?,
        delivery: parsed(args.delivery.as_deref())?,
        outcome: args.outcome.clone(),
        since: ago(args.since.as_deref())?,
    };
    let store = reading(config)?;
    let attempts = store.last_attempts(&filter, args.limit).await?;
    let mut last = attempts.last().map_or(0, |attempt| attempt.sequence);
    for attempt in &attempts {
        tell(attempt, args.json)?;
    }
    if !args.follow {
        return Ok(());
    }
    if attempts.is_empty() {
        let everything = store.last_attempts(&LogFilter::default(), 1).await?;
        last = everything.last().map_or(0, |attempt| attempt.sequence);
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        for attempt in store.attempts(&filter, last, PAGE).await? {
            last = attempt.sequence;
            tell(&attempt, args.json)?;
        }
    }
}

fn tell(attempt: &AttemptRecord, json: bool) -> anyhow::Result<()> {
    if json {
        return json_line(attempt);
    }
    println!("{}", trace::line(attempt));
    Ok(())
}
