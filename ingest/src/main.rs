//! `carom-ingest`: takes clicks and webhooks in, and answers when they are safe: confirmed by the broker, or
//! on our own disk until they are.
//!
//! The modules stand in the order of a request. All thinking happens in the worker: nothing here decides
//! what an event means, and nothing on a request's path touches the store, but for a tag's (`track`): which pixels its
//! browser fires is what the worker would decide, looked up read-only and within a moment.

mod server;
mod routes;
mod webhook;
mod track;
mod receive;
mod limits;
mod body;
mod room;
mod click;
mod tag;
mod client;
mod geo;
mod agent;
mod visitor;
mod parcel;
mod custody;
mod publish;
mod spool;

// Around the path.
mod lifecycle;
mod app;
mod follow;
mod index;
mod problem;
mod metrics;

use carom_common::config::{Config, EXIT_BAD_CONFIG};
use carom_common::telemetry;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Takes clicks and webhooks in and hands them to RabbitMQ.
#[derive(Parser)]
#[command(name = "carom-ingest", version, about)]
struct Cli {
    /// The configuration file (TOML). Any of its keys can be set in the environment, as in CAROM_BROKER_URL.
    #[arg(long, value_name = "FILE", env = "CAROM_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the process that runs by this configuration whether it is ready; exits 0 or 1.
    Health {
        /// Ask only whether it answers at all.
        #[arg(long)]
        live: bool,
    },
}

/// An event is dozens of small allocations, made by one thread and freed by another; the system's allocator spends a sixth
/// of the whole process on them, and keeps what it has once had.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::from(EXIT_BAD_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    let config = match Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(faults) => return refuse(&faults.to_string()),
    };
    if let Some(Command::Health { live }) = cli.command {
        return health(&config, if live { "/livez" } else { "/readyz" });
    }
    let _log = match telemetry::log(&config.log) {
        Ok(log) => log,
        Err(error) => return refuse(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "ingest.no_runtime");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(lifecycle::run(config));
    // A thread that still reads a slow disk for the resources must not hold the process back.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ lifecycle::Fatal::Spool(_)) => refuse(&error.to_string()),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "ingest.failed");
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the configuration, a line per fault.
fn refuse(faults: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{faults}");
    ExitCode::from(EXIT_BAD_CONFIG)
}

/// Says how the running process is.
fn health(config: &Config, page: &str) -> ExitCode {
    match telemetry::health::ask(config.ingest.ops_listen, page) {
        Ok(answer) => {
            let _ = writeln!(std::io::stdout(), "{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "carom-ingest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
