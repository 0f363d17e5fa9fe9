//! `carom-worker`: consumes what ingest accepted, decides which click earned it, and tells everybody who
//! must know.

// The path of an event, in its order.
mod bury;
mod cli;
mod connectors;
mod consume;
mod dedupe;
mod deliver;
mod handover;
mod pipeline;
mod run;
mod select;
mod settle;
mod unrouted;

// What goes along with it.
mod egress;
mod follow;
mod housekeeping;
mod management;
mod measure;
mod metrics;

// What operators do.
mod commands;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).await
}
