//! The suite on PostgreSQL, and what only a server has.
#![allow(clippy::duplicate_mod, reason = "the same tests, on another database")]

use super::*;

fn place() -> Place {
    Place::schema()
}

fn store() -> (Place, Store) {
    let place = place();
    let store = open(&place);
    (place, store)
}

#[path = "approvals.rs"]
mod approvals;
#[path = "cursors.rs"]
mod cursors;
#[path = "erasing.rs"]
mod erasing;
#[path = "following.rs"]
mod following;
#[path = "joining.rs"]
mod joining;
#[path = "leases.rs"]
mod leases;
#[path = "letters.rs"]
mod letters;
#[path = "listing.rs"]
mod listing;
#[path = "opening.rs"]
mod opening;
#[path = "overdue.rs"]
mod overdue;
#[path = "pauses.rs"]
mod pauses;
#[path = "pixels.rs"]
mod pixels;
#[path = "rate.rs"]
mod rate;
#[path = "resolving.rs"]
mod resolving;
#[path = "retaining.rs"]
mod retaining;
#[path = "settling.rs"]
mod settling;
#[path = "touching.rs"]
mod touching;
#[path = "versions.rs"]
mod versions;
#[path = "writing.rs"]
mod writing;
mod server;
