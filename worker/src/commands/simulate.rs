//! `simulate`: new or changed connectors over stored history: what they would have sent, what they would have
//! skipped and why, and how that differs from the connectors as they are.
//!
//! It reads page by page and never holds a reading open, so it may run beside a worker. What it counts is
//! bounded by the configuration and by the refunds in the time that is looked at.

mod report;

use super::chosen::Chosen;
use super::{ago, json_line, stored};
use carom_common::config::Config;
use carom_common::connector::{Connector, Mode};
use carom_common::news::News;
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use report::{Report, Side};
use std::path::PathBuf;

/// How many events are read at a time.
const PAGE: u32 = 200;

/// What is simulated.
#[derive(Args)]
pub struct SimulateArgs {
    /// A file of resources with the new or changed connectors; it need not be applied, nor be whole.
    pub file: PathBuf,
    /// This connector of the file only.
    #[arg(long)]
    pub connector: Option<String>,
    /// Over the events that were received within this time.
    #[arg(long, default_value = "7d")]
    pub since: String,
    /// One JSON object a connector.
    #[arg(long)]
    pub json: bool,
}

/// Simulates, and tells.
pub async fn run(config: &Config, args: &SimulateArgs) -> anyhow::Result<()> {
    let chosen = Chosen::read(config, Some(&args.file)).await?;
    let Some(store) = &chosen.store else {
        anyhow::bail!("there is no store at {}, so there is no history", super::settings(config));
    };
    let since = ago(Some(&args.since))?.unwrap_or(Timestamp::UNIX_EPOCH);
    let new: Vec<&Connector> = match args.connector.as_deref() {
        Some(id) => vec![chosen.connector(Some(id))?],
        None => chosen.connectors.iter().filter(|one| chosen.of_file.contains(&one.id)).collect(),
    };
    anyhow::ensure!(!new.is_empty(), super::Usage(format!("{} has no connector", args.file.display())));
    let mut simulations: Vec<Simulation> =
        new.into_iter().map(|connector| Simulation::new(connector, &chosen, since)).collect();
    let bar = ProgressBar::new_spinner();
    let mut after = None;
    loop {
        let page = store.news(since, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.event.id);
        for news in &page {
            simulations.iter_mut().for_each(|simulation| simulation.take(news));
        }
        bar.inc(page.len() as u64);
        bar.set_message(format!("{} events", bar.position()));
    }
    bar.finish_and_clear();
    for simulation in simulations {
        let report = simulation.finish();
        if args.json {
            json_line(&report)?;
        } else {
            report.print();
        }
    }
    Ok(())
}

/// One connector over history, beside itself as it is.
struct Simulation<'a> {
    new: Connector,
    old: Option<Connector>,
    /// Those beside each: by their parameters it is known which touches are click sources.
    beside_new: &'a [Connector],
    beside_old: &'a [Connector],
    report: Report,
}

impl<'a> Simulation<'a> {
    fn new(connector: &Connector, chosen: &'a Chosen, since: Timestamp) -> Self {
        let old = chosen.applied.iter().find(|applied| applied.id == connector.id);
        Self {
            new: enabled(connector),
            old: old.map(enabled),
            beside_new: &chosen.connectors,
            beside_old: &chosen.applied,
            report: Report::new(connector, old, since),
        }
    }

    /// Decides an event as it would have been decided then.
    fn take(&mut self, news: &News) {
        if news.event.advertiser != self.new.advertiser
            && self.old.as_ref().is_none_or(|old| old.advertiser != news.event.advertiser)
        {
            return;
        }
        let at = news.event.received_at;
        let new = stored::select(news, &self.new, self.beside_new, at);
        let old = self.old.as_ref().map(|old| stored::select(news, old, self.beside_old, at).deliveries);
        self.report.event();
        self.report.skipped(&self.new, new.decisions);
        let new = self.report.sendable(Side::New, &self.new, new.deliveries, at);
        let old = match (&self.old, old) {
            (Some(old), Some(deliveries)) => self.report.sendable(Side::Old, old, deliveries, at),
            _ => Vec::new(),
        };
        self.report.compare(news.event.id, &new, &old);
    }

    fn finish(self) -> Report {
        self.report
    }
}

/// The same as if it were Enabled: what is compared are rules, and a connector that is being tried is seldom
/// Enabled already.
fn enabled(connector: &Connector) -> Connector {
    Connector { mode: Mode::Enabled, ..connector.with_live_webhook() }
}

#[cfg(test)]
mod tests;
