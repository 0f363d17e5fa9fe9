//! Measures Carom: see `carom_tests::measure`. `deploy/measure` sets everything up and runs it.

use carom_tests::measure::{dead_letters, isolation};
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
    /// Very many dead letters: listed, replayed during live traffic, interrupted, and accounted for.
    DeadLetters {
        /// Letters.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..))]
        count: u32,
        /// Letters in a second of the filtered replay.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// Live events in a second.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        live: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let measured = match Cli::parse().verb {
        Verb::Isolation { rounds, seconds, rate } => {
            isolation::run(isolation::Plan { rounds, seconds, rate }).await
        }
        Verb::DeadLetters { count, rate, live } => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            dead_letters::run(dead_letters::Plan { count, rate, live }).await
        }
    };
    match measured {
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
