//! Which country an address is in, by a database in MaxMind's format that the operator puts on the disk.
//!
//! It is read whole into memory, and again when the file changes; no click ever waits for the disk. Without
//! a database that can be used clicks have no country, and nothing else is different.

use crate::metrics::Ingest;
use maxminddb::{PathElement, Reader};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// How often to look whether the file has changed. Its makers publish a new one twice a week.
const LOOK: Duration = Duration::from_secs(30);

/// Where databases have a country's code: MaxMind's and those like it, and flat ones.
const PLACES: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
];

/// A database in memory.
type Database = Reader<Vec<u8>>;

/// The countries of addresses, by the database in use.
#[derive(Clone)]
pub struct Countries(watch::Receiver<Option<Arc<Database>>>);

impl Countries {
    /// The country of an address: ISO 3166-1 alpha-2, in upper case. None where the database does not know,
    /// or there is none.
    pub fn of(&self, address: IpAddr) -> Option<String> {
        let database = self.0.borrow().clone()?;
        let found = database.lookup(address.to_canonical()).ok()?;
        // A database of another form has something else in that place, or nothing.
        let code = |place: &&[PathElement<'_>]| {
            let code = found.decode_path::<&str>(place).ok().flatten()?;
            is_code(code).then(|| code.to_ascii_uppercase())
        };
        PLACES.iter().find_map(code)
    }
}

#[cfg(test)]
impl Countries {
    /// Those of a database in memory.
    pub fn fixed(bytes: Vec<u8>) -> Self {
        Self(watch::channel(Some(Arc::new(Reader::from_source(bytes).unwrap()))).1)
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whoever follows the file.
pub struct Atlas {
    path: PathBuf,
    /// What the file was when it was last read.
    stamp: Option<Stamp>,
    /// Whether the last look failed. A failure is told once, not with every look.
    failing: bool,
    sender: watch::Sender<Option<Arc<Database>>>,
    metrics: Arc<Ingest>,
}

/// When a file was changed, and which one it is: another may be put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    changed: (i64, i64),
    file: (u64, u64),
    bytes: u64,
}

/// Why there is no new database.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("it is no database in MaxMind's format (.mmdb): {0}")]
    Broken(#[from] maxminddb::MaxMindDbError),
}

impl Atlas {
    /// Reads the database at `path`, if that is not empty and it can be read.
    pub async fn start(path: &Path, metrics: Arc<Ingest>) -> (Self, Countries) {
        let (sender, receiver) = watch::channel(None);
        let mut atlas = Self { path: path.to_owned(), stamp: None, failing: false, sender, metrics };
        atlas.look().await;
        (atlas, Countries(receiver))
    }

    /// Looks again and again, if there is anything to look at.
    pub async fn run(mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Takes a changed database into use. One that cannot be used leaves the last in its place.
    async fn look(&mut self) {
        if self.path.as_os_str().is_empty() {
            return;
        }
        let (path, known) = (self.path.clone(), self.stamp);
        let looked = tokio::task::spawn_blocking(move || newer(&path, known)).await;
        match looked {
            Ok(Ok(None)) => self.failing = false,
            Ok(Ok(Some((stamp, database)))) => {
                let about = database.metadata();
                info!(kind = about.database_type, built = about.build_epoch, "countries.in_use");
                (self.stamp, self.failing) = (Some(stamp), false);
                self.sender.send_replace(Some(Arc::new(database)));
            }
            Ok(Err(error)) => self.failed(&error),
            // The runtime ends, or the library has panicked, which is told already.
            Err(_) => self.failing = true,
        }
        let usable = !self.failing && self.sender.borrow().is_some();
        self.metrics.country_database.set(usable.into());
    }

    fn failed(&mut self, error: &Unusable) {
        if !self.failing {
            let keeping = self.sender.borrow().is_some();
            warn!(%error, path = %self.path.display(), keeping, "countries.not_read");
        }
        self.failing = true;
    }
}

/// The database, where it is another than the known one. What it was is asked before it is read: if it
/// changes meanwhile, the next look finds it changed.
fn newer(path: &Path, known: Option<Stamp>) -> Result<Option<(Stamp, Database)>, Unusable> {
    let file = std::fs::metadata(path)?;
    if !file.is_file() {
        return Err(Unusable::NoFile);
    }
    let stamp = Stamp {
        changed: (file.mtime(), file.mtime_nsec()),
        file: (file.dev(), file.ino()),
        bytes: file.len(),
    };
    if known == Some(stamp) {
        return Ok(None);
    }
    Ok(Some((stamp, Reader::open_readfile(path)?)))
}

#[cfg(test)]
pub mod tests;
