//! Scenarios that are told again with the store on PostgreSQL (`carom_tests::postgres::is_wanted`).
#![allow(clippy::duplicate_mod, reason = "the same scenarios, on another store")]

#[path = "journeys.rs"]
mod journeys;
#[path = "duplicates.rs"]
mod duplicates;
#[path = "dead_letters.rs"]
mod dead_letters;
