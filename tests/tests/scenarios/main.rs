//! The scenarios: one subject a file, in one binary, because linking thirteen would take longer than
//! running them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::useless_format,
    missing_docs,
    reason = "tests: they fail loudly, print their figures, and are named as sentences"
)]

mod journeys;
mod clicks;
mod schedule;
mod duplicates;
mod copies;
mod out_of_order;
mod late;
mod permutations;
mod table;
mod track;
mod connectors;
mod operating;
mod library;
mod use_cases;
mod checklist;
mod isolation;
mod receivers;
mod names;
mod https;
mod store_trouble;
mod bad_configuration;
mod own_limits;
mod protection;
mod dead_letters;
mod replays;
mod overdue;
mod workers;
mod strange_messages;
mod bad_input;
mod signatures;
mod secrets;
mod privacy;
mod health;
mod kit;
mod broker_versions;
mod broker_access;
mod definitions;
mod shutdown;
mod reconcile;
mod crashes;
mod spool;
mod cluster;
mod stages;
mod bad_days;
mod soak;
mod tag;
mod tag_outbox;
mod tag_consent;
mod tag_pixels;
mod browser_side;
mod side_by_side;
mod on_postgres;

use anyhow::Result;
use carom_tests::broker::Broker;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::Setup;

/// A broker, a receiver, and a stack to be started whose connector `network` tells the receiver of
/// conversions at `/postback`.
async fn network() -> Result<(Broker, Receiver, Resources, Setup)> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let setup = Setup::new(&resources);
    Ok((broker, receiver, resources, setup))
}
