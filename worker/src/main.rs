//! `carom-worker`: consumes what ingest accepted, decides which click earned it, and tells everybody who
//! must know.

// The path of an event, in its order.
mod cli;
mod run;
mod consume;
mod unpack;
mod in_hand;
mod company;
mod elsewhere;
mod late;
mod handover;
mod connectors;
mod attend;
mod breaker;
mod gate;
mod shares;
mod deliver;
mod settle;
mod together;
mod bury;
mod unrouted;

// What goes along with it.
mod egress;
mod tokens;
mod passive;
mod pauses;
mod clickfunnels;
mod follow;
mod housekeeping;
mod overdue;
mod management;
mod measure;
mod metrics;
mod shared;
mod turn;

// Whole journeys, attributed twice.
#[cfg(test)]
mod journeys;

// What events are decided from, over the real store.
#[cfg(test)]
mod histories;

// What operators do.
mod commands;

use clap::Parser;
use std::process::ExitCode;

/// An event is hundreds of small allocations, made by one thread and freed by another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(cli::Cli::parse()).await
}
