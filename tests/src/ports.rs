//! Free ports for the binaries, which must be told theirs.

use anyhow::{Context, Result};
use std::net::TcpListener;
use uuid::Uuid;

/// Below the range from which systems take the ports of outgoing connections, and below the private broker
/// nodes' (from 20000): a port that is free now is not taken by chance before its process listens.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// A port that nobody listens on.
pub fn free() -> Result<u16> {
    let tries = std::iter::repeat_with(|| {
        let random = Uuid::new_v4();
        FIRST + u16::from_le_bytes([random.as_bytes()[0], random.as_bytes()[1]]) % COUNT
    });
    tries.take(200).find(|port| is_free(*port)).context("no free port between 10000 and 20000")
}

/// `wanted` if it is free, else another.
pub fn free_or(wanted: u16) -> Result<u16> {
    if is_free(wanted) { Ok(wanted) } else { free() }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
