//! What cannot be meant by `[spool]`, though its keys are well-formed each for itself.

use super::{Config, Fault};
use std::path::{Path, PathBuf};

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
    } else {
        let remedy = "name another: the spool is a file of this ingest alone";
        let ours = family(&config.spool.path);
        for (path, problem) in [
            (&config.store.path, "is the file of the store"),
            (&config.ingest.snapshot_path, "is the file of ingest.snapshot_path"),
        ] {
            if family(path).iter().any(|theirs| ours.contains(theirs)) {
                faults.push(Fault::new(file, "spool.path", problem, remedy));
            }
        }
    }
    faults
}

/// A file and those that SQLite keeps beside it, where there is no second way to write them.
fn family(path: &Path) -> Vec<PathBuf> {
    if path.as_os_str().is_empty() {
        return Vec::new();
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // A link or `..` in between leads to the same folder, if there is that folder yet.
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let path = match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    };
    let beside = |suffix: &str| {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["", "-wal", "-shm", "-journal"].map(beside).to_vec()
}
