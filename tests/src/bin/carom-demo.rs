//! Shows Carom at work: see `carom_tests::demo`.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Shows Carom at work. The broker is the one that CAROM_BROKER_URL names; with
/// CAROM_BROKER_MANAGEMENT_URL, `once` uses vhosts of its own there.
#[derive(Parser)]
#[command(name = "carom-demo", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs Carom with a demo receiver until Ctrl-C.
    Up {
        /// Where the store and the logs are kept.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Plays three journeys, prints them, and exits 0 or 1.
    Once {
        /// Where stores and logs are put meanwhile.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::parse().verb {
        Verb::Up { dir } => carom_tests::demo::up(&dir).await,
        Verb::Once { dir } => carom_tests::demo::once(&dir).await,
    };
    ended.unwrap_or_else(|error| {
        #[allow(clippy::print_stderr, reason = "a console program says why it failed")]
        {
            eprintln!("carom-demo: {error:#}");
        }
        ExitCode::FAILURE
    })
}
