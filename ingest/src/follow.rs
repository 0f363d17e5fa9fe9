//! Follows the resources in the store, live: a new version is in use a moment after `apply` wrote it.
//!
//! The store may be away, at the start as well, or its newest version one that cannot be used: then the last good
//! resources go on, from memory, from the snapshot on disk, or from the store's version before. No request ever waits
//! for this.

use crate::index::Index;
use crate::metrics::Ingest;
use crate::track::Readable;
use carom_common::config::Config;
use carom_common::resources::Versioned;
use carom_common::resources::newest::{self, First, Look, Refused};
use carom_common::store::{self, Store};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// Whoever follows.
pub struct Follower {
    settings: store::Settings,
    snapshot: PathBuf,
    interval: Duration,
    store: Option<Store>,
    /// Which file the store was, when it was opened: another may be put in its place.
    file: Option<(u64, u64)>,
    /// Whether the last look failed. A failure is told once, not with every look.
    failing: bool,
    /// The version that was refused last.
    refused: Option<u64>,
    /// What is in use and not on the disk yet: it may be full, or the folder not ours.
    unwritten: Option<Arc<Versioned>>,
    sender: watch::Sender<Arc<Index>>,
    /// The store as a page's event is looked up in, while it can be reached and there is a source of that kind.
    readable: watch::Sender<Option<Readable>>,
    metrics: Arc<Ingest>,
}

impl Follower {
    /// Loads what there is: from the store, else from the snapshot, else nothing yet.
    pub async fn start(
        config: &Config,
        metrics: Arc<Ingest>,
    ) -> (Self, watch::Receiver<Arc<Index>>, watch::Receiver<Option<Readable>>) {
        let (sender, receiver) = watch::channel(Arc::default());
        let (readable, store) = watch::channel(None);
        let mut follower = Self {
            settings: (&config.store).into(),
            snapshot: config.ingest.snapshot_path.clone(),
            interval: config.ingest.follow_interval.0.max(Duration::from_millis(10)),
            store: None,
            file: None,
            failing: false,
            refused: None,
            unwritten: None,
            sender,
            readable,
            metrics,
        };
        follower.look().await;
        // Where the store's newest version cannot be used, ours of the last time may be newer than those before it.
        if follower.in_use() == 0 || follower.refused.is_some() {
            follower.load_snapshot().await;
        }
        (follower, receiver, store)
    }

    /// Looks again and again.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            self.write_snapshot().await;
            self.reread_secrets().await;
        }
    }

    /// The version in use; 0 for none.
    fn in_use(&self) -> u64 {
        self.sender.borrow().resources().version
    }

    async fn look(&mut self) {
        let newer = self.newer().await;
        self.metrics.store_reachable.set(i64::from(newer.is_ok()));
        match newer {
            Ok(newer) => {
                self.told(None);
                self.metrics.newest_invalid.set(i64::from(self.refused.is_some()));
                if let Some(resources) = newer {
                    let resources = Arc::new(resources);
                    self.put_in_use(resources.clone()).await;
                    self.unwritten = Some(resources);
                    self.write_snapshot().await;
                }
            }
            Err(error) => {
                self.store = None;
                self.told(Some(error));
            }
        }
        self.offer().await;
    }

    /// Offers the store to whoever looks up what came before a page's event, while it can be reached. Where no source is
    /// a tag, nobody does.
    async fn offer(&mut self) {
        let wanted = self.store.clone().filter(|_| self.sender.borrow().has_tags());
        let Some(store) = wanted else {
            self.readable.send_replace(None);
            return;
        };
        if self.readable.borrow().is_none()
            && let Ok(hasher) = store.hasher().await
        {
            self.readable.send_replace(Some(Readable { store, hasher }));
        }
    }

    /// The store's resources, where they are of another version than ours. Version 0 is a store to which
    /// nothing was applied yet: nothing to follow.
    async fn newer(&mut self) -> Result<Option<Versioned>, store::Error> {
        let file = self.settings.file().and_then(|path| std::fs::metadata(path).ok());
        let file = file.map(|file| (file.dev(), file.ino()));
        if file != self.file {
            (self.store, self.file) = (None, file);
            self.readable.send_replace(None);
        }
        let store = match &self.store {
            Some(store) => store.clone(),
            None => {
                let settings = self.settings.clone();
                let opened = tokio::task::spawn_blocking(move || Store::open_read_only(&settings)).await;
                let opened = opened.unwrap_or(Err(store::Error::Closed))?;
                self.store.insert(opened).clone()
            }
        };
        let in_use = self.in_use();
        if in_use == 0 {
            let First { resources, refused } = newest::first(&store).await?;
            self.refuse(refused);
            return Ok(resources.filter(|resources| resources.version > 0));
        }
        match newest::look(&store, in_use).await? {
            // In use although it was refused: there was no better one to begin with, or the snapshot has it as it was.
            Look::Unchanged if self.refused == Some(in_use) => {}
            Look::Unchanged => self.refuse(None),
            Look::Refused(refused) => self.refuse(Some(refused)),
            Look::Newer(newer) => {
                self.refuse(None);
                return Ok(Some(newer));
            }
        }
        self.with_newer_approvals(&store).await
    }

    /// What is in use, where pixels were approved or revoked since: that needs no other version of the resources.
    async fn with_newer_approvals(&self, store: &Store) -> Result<Option<Versioned>, store::Error> {
        let in_use = self.sender.borrow().resources().clone();
        if store.pixel_approvals_version().await? == in_use.approvals.version {
            return Ok(None);
        }
        Ok(Some(Versioned { approvals: store.pixel_approvals().await?, ..Versioned::clone(&in_use) }))
    }

    /// A version is told once, not with every look.
    fn refuse(&mut self, refused: Option<Refused>) {
        if let Some(refused) = refused.as_ref().filter(|refused| self.refused != Some(refused.version)) {
            error!(%refused, "resources.newest_invalid");
        }
        self.refused = refused.map(|refused| refused.version);
    }

    fn told(&mut self, error: Option<store::Error>) {
        self.metrics.resources_stale.set(i64::from(error.is_some()));
        let failed = error.is_some();
        match error {
            Some(error) if !self.failing => warn!(%error, "resources.store_away"),
            None if self.failing => info!("resources.store_back"),
            _ => {}
        }
        self.failing = failed;
    }

    async fn put_in_use(&self, resources: Arc<Versioned>) {
        let indexed = tokio::task::spawn_blocking(move || Index::new(resources)).await;
        let Ok(index) = indexed else { return };
        let version = index.resources().version;
        self.metrics.resources_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        self.metrics.tokens_unreadable.set(i64::try_from(index.unreadable_tokens()).unwrap_or(i64::MAX));
        let secrets = i64::try_from(index.unreadable_secrets()).unwrap_or(i64::MAX);
        self.metrics.secrets_unreadable.set(secrets);
        info!(version, "resources.in_use");
        self.sender.send_replace(Arc::new(index));
    }

    /// A token or a signing secret in a file may have been rotated.
    async fn reread_secrets(&self) {
        let index = self.sender.borrow().clone();
        let resources = index.resources().clone();
        if tokio::task::spawn_blocking(move || index.secrets_changed()).await.unwrap_or(false) {
            self.put_in_use(resources).await;
        }
    }

    async fn load_snapshot(&self) {
        let path = self.snapshot.clone();
        match tokio::task::spawn_blocking(move || read_snapshot(&path)).await {
            Ok(Ok(resources)) if resources.version <= self.in_use() => {}
            Ok(Ok(resources)) => {
                warn!(version = resources.version, "resources.from_snapshot");
                self.put_in_use(Arc::new(resources)).await;
            }
            Ok(Err(error)) => warn!(%error, path = %self.snapshot.display(), "resources.none"),
            Err(_) => {}
        }
    }

    /// Keeps what is in use on the disk. Where that fails it is tried again with every look: a start with an older
    /// snapshot would let in whom a newer version keeps out.
    async fn write_snapshot(&mut self) {
        let Some(resources) = self.unwritten.clone() else { return };
        let path = self.snapshot.clone();
        let written = tokio::task::spawn_blocking(move || write_snapshot(&path, &resources)).await;
        match written {
            Ok(Ok(())) => {
                if self.metrics.snapshot_failing.get() == 1 {
                    info!("resources.snapshot_written");
                }
                self.unwritten = None;
                self.metrics.snapshot_failing.set(0);
            }
            Ok(Err(error)) => {
                if self.metrics.snapshot_failing.get() == 0 {
                    warn!(%error, path = %self.snapshot.display(), "resources.snapshot_not_written");
                }
                self.metrics.snapshot_failing.set(1);
            }
            Err(_) => {}
        }
    }
}

fn read_snapshot(path: &Path) -> std::io::Result<Versioned> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Replaces the snapshot whole, or leaves the old one. It names no secret, but where secrets are kept.
fn write_snapshot(path: &Path, resources: &Versioned) -> std::io::Result<()> {
    let sealed = Versioned { resources: resources.resources.clone().sealed(), ..resources.clone() };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = (|| {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(&sealed)?)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_snapshot_comes_back_as_it_was_and_holds_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with a space.json");
        let source =
            serde_json::json!({"id": "a", "advertiser": "x", "kind": "plain", "tokens": ["in plain text"]});
        let resources = serde_json::from_value(serde_json::json!({"source": [source]})).unwrap();
        let written = Versioned { version: 7, resources, ..Versioned::default() };
        write_snapshot(&path, &written).unwrap();
        write_snapshot(&path, &written).unwrap();

        let read = read_snapshot(&path).unwrap();
        assert_eq!((read.version, read.resources), (7, written.resources.sealed()));
        assert!(!std::fs::read_to_string(&path).unwrap().contains("in plain text"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
