//! What cannot be meant by `[spool]`, though its keys are well-formed each for itself.

use super::{Config, Fault};
use std::path::{Component, Path};

/// The smallest spool: one event of the default size, and some air.
const LEAST: u64 = 1024 * 1024;

pub(super) fn faults(file: &str, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.spool.max_bytes < LEAST {
        let problem = format!("{} bytes hold next to nothing", config.spool.max_bytes);
        let remedy = format!("write at least {LEAST}");
        faults.push(Fault::new(file, "spool.max_bytes", problem, remedy));
    }
    if config.spool.path.as_os_str().is_empty() {
        let remedy = "name a file on a disk of this machine";
        faults.push(Fault::new(file, "spool.path", "there is no path", remedy));
    } else if plain(&config.spool.path).eq(plain(&config.store.path)) {
        let remedy = "name another: the spool is a file of this ingest alone";
        faults.push(Fault::new(file, "spool.path", "is the file of the store", remedy));
    }
    faults
}

fn plain(path: &Path) -> impl Iterator<Item = Component<'_>> {
    path.components().filter(|component| *component != Component::CurDir)
}
