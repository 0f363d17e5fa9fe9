//! Loads Carom and measures it, beside what its parts can do alone: figures for PERFORMANCE.md. `deploy/measure` builds
//! everything as it is shipped, and runs it.
//!
//! Everything is on one machine, the load as well; so what counts are ratios within a run, not the figures.

#![allow(clippy::print_stdout, missing_docs, reason = "a console program whose figures are its output")]

mod journey;
mod filled;
mod mix;
mod http;
mod sender;
mod receiver;
mod clock;
mod cost;
mod raw;
mod nginx;
mod rows;
mod bench;
mod passage;
mod report;
mod svg;
mod runs;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Loads Carom and measures it. Figures are printed, and kept as JSON.
#[derive(Parser)]
#[command(name = "carom-load", version)]
struct Cli {
    /// Where the figures are kept.
    #[arg(long, default_value = "target/load", global = true)]
    out: PathBuf,
    /// After so many minutes a run is given up.
    #[arg(long, default_value_t = 120, global = true)]
    minutes: u64,
    #[command(subcommand)]
    run: Run,
}

#[derive(Subcommand)]
enum Run {
    /// What the broker, a commit and an HTTP exchange can do alone.
    Limits(runs::limits::Options),
    /// R1: events accepted and confirmed per second.
    Accept(runs::accept::Options),
    /// R2: events accepted and delivered per second.
    Deliver(runs::deliver::Options),
    /// R3: how long an event takes at a steady rate, and at next to none.
    Latency(runs::latency::Options),
    /// R4: how long a click's redirect takes, beside nginx.
    Redirect(runs::redirect::Options),
    /// R5: what many connectors, many clicks and many waiting deliveries cost.
    Flat(runs::flat::Options),
    /// R6: memory at full load, and with a backlog.
    Memory(runs::memory::Options),
    /// How long a tag's answer takes, beside a webhook's.
    Track(runs::track::Options),
    /// Clicks and webhooks together, as they are wanted.
    Journeys(runs::journeys::Options),
}

impl Run {
    fn name(&self) -> &'static str {
        match self {
            Self::Limits(_) => "limits",
            Self::Accept(_) => "accept",
            Self::Deliver(_) => "deliver",
            Self::Latency(_) => "latency",
            Self::Redirect(_) => "redirect",
            Self::Flat(_) => "flat",
            Self::Memory(_) => "memory",
            Self::Track(_) => "track",
            Self::Journeys(_) => "journeys",
        }
    }

    async fn measure(&self, report: &mut Report) -> Result<()> {
        match self {
            Self::Limits(options) => runs::limits::run(options, report).await,
            Self::Accept(options) => runs::accept::run(options, report).await,
            Self::Deliver(options) => runs::deliver::run(options, report).await,
            Self::Latency(options) => runs::latency::run(options, report).await,
            Self::Redirect(options) => runs::redirect::run(options, report).await,
            Self::Flat(options) => runs::flat::run(options, report).await,
            Self::Memory(options) => runs::memory::run(options, report).await,
            Self::Track(options) => runs::track::run(options, report).await,
            Self::Journeys(options) => runs::journeys::run(options, report).await,
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a console program says why it failed")]
            {
                eprintln!("carom-load: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: Cli) -> Result<()> {
    let mut report = Report::new(cli.run.name());
    let limit = Duration::from_secs(cli.minutes * 60);
    let measured = tokio::time::timeout(limit, Box::pin(cli.run.measure(&mut report))).await;
    // What was measured before a failure is kept as well.
    report.keep(&cli.out)?;
    measured.with_context(|| format!("given up after {} minutes", cli.minutes))?
}
