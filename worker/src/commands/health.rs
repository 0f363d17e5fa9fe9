//! `carom-worker health`: how the running process is, by its ops listener.

use carom_common::config::Config;
use carom_common::telemetry::health;
use std::io::Write;

/// Asks `/readyz`, or `/livez`, and prints what it says.
///
/// # Errors
/// It does not answer, or says that it is not.
pub fn run(config: &Config, live: bool) -> anyhow::Result<()> {
    let answer = health::ask(config.worker.ops_listen, if live { "/livez" } else { "/readyz" })?;
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}
