//! Free ports for the binaries, which must be told theirs.

use anyhow::{Context, Result};
use std::fs::File;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// Below the range from which systems take the ports of outgoing connections, and below the private broker
/// nodes' (from 20000): a port that is free now is not taken by chance before its process listens.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// What this process has asked for, each a locked file: a port that nobody listens on yet may be another
/// test's already. The system lets go of them when the process ends, however it ends.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that nobody else is given while this process runs.
pub fn free() -> Result<u16> {
    let folder = std::env::temp_dir().join("carom-test-ports");
    std::fs::create_dir_all(&folder)?;
    for _ in 0..200 {
        let random = Uuid::new_v4();
        let port = FIRST + u16::from_le_bytes([random.as_bytes()[0], random.as_bytes()[1]]) % COUNT;
        let file = File::options().create(true).append(true).open(folder.join(port.to_string()))?;
        if file.try_lock().is_ok() && is_free(port) {
            TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            return Ok(port);
        }
    }
    None.context("no free port between 10000 and 20000")
}

/// `wanted` if it is free, else another.
pub fn free_or(wanted: u16) -> Result<u16> {
    if is_free(wanted) { Ok(wanted) } else { free() }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_port_is_given_once_also_before_anybody_listens_on_it() {
        // By chance alone, 2 of 300 would be the same: 300² / 2 / 10,000 = 4.5 times.
        let ports: Vec<u16> = (0..300).map(|_| free().unwrap()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len());
    }
}
