//! The payloads of `tests/fixtures/`, with a click id of ours in the place of the one they came with.

use anyhow::{Context, Result};
use std::path::Path;

/// The click id that the fixtures hold.
const THEIRS: &str = "01JD3V7Q9ZK4T8M2N5X6C7B8A9";

/// A completed one-time order over 396.00 USD: the payload of the first journey.
pub const ONE_TIME_ORDER: &str = include_str!("../fixtures/cf2_one-time-order.completed.json");

/// A fixture by its file's name, as it is.
pub fn raw(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    std::fs::read_to_string(&path).with_context(|| format!("the fixture {}", path.display()))
}

/// A fixture by its file's name, with this click id.
pub fn with_click(name: &str, click: &str) -> Result<String> {
    Ok(raw(name)?.replace(THEIRS, click))
}

/// The first journey's payload with this click id.
pub fn one_time_order(click: &str) -> String {
    ONE_TIME_ORDER.replace(THEIRS, click)
}
