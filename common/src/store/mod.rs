//! The store: clicks, events with their traces, conversions, deliveries, attempts, dead letters and the
//! configuration resources.
//!
//! One `Store`, named by what the business does; SQLite is behind it. Nothing is acked to the broker
//! before the store says that it is durable, and the store says so only after a commit. It never calls
//! back into the network and never decides: decisions are handed in as pure functions.

mod records;
mod sqlite;

pub use records::*;
pub use sqlite::{Settings, Store};
