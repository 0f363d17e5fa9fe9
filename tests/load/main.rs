//! Loads Carom and measures it, beside what its parts can do alone: figures for PERFORMANCE.md. `deploy/measure` builds
//! everything as it is shipped, and runs it.
//!
//! Everything is on one machine, the load as well; so what counts are ratios within a run, not the figures.

#![allow(clippy::print_stdout, missing_docs, reason = "a console program whose figures are its output")]

mod journey;
mod http;
mod sender;
mod receiver;
mod clock;
mod cost;
mod raw;
mod bench;
mod report;
mod runs;

use anyhow::Result;
use clap::{Parser, Subcommand};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Loads Carom and measures it. Figures are printed, and kept as JSON.
#[derive(Parser)]
#[command(name = "carom-load", version)]
struct Cli {
    /// Where the figures are kept.
    #[arg(long, default_value = "target/load", global = true)]
    out: PathBuf,
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match measure(cli).await {
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
    let report = match cli.run {
        Run::Limits(options) => {
            let mut report = Report::new("limits");
            runs::limits::run(&options, &mut report).await?;
            report
        }
        Run::Accept(options) => {
            let mut report = Report::new("accept");
            runs::accept::run(&options, &mut report).await?;
            report
        }
        Run::Deliver(options) => {
            let mut report = Report::new("deliver");
            runs::deliver::run(&options, &mut report).await?;
            report
        }
    };
    report.keep(&cli.out)?;
    Ok(())
}
