//! Measures Carom: see `carom_tests::measure`. `deploy/measure` sets everything up and runs it.

use carom_tests::measure::isolation;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Measures Carom. The broker is the one that CAROM_TEST_BROKER_URL names, else one of its own.
#[derive(Parser)]
#[command(name = "carom-measure", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// What a connector sees of two others' trouble, in its time from event to delivery.
    Isolation {
        /// Pairs of runs, alone and beside them.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Seconds that each run sends for.
        #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
        /// Events in a second.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Verb::Isolation { rounds, seconds, rate } = Cli::parse().verb;
    match isolation::run(isolation::Plan { rounds, seconds, rate }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a console program says why it failed")]
            {
                eprintln!("carom-measure: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
