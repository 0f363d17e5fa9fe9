//! Following the resources: the store's newest version, without a restart. With the store away, or a newest version
//! that cannot be used, the last good one stays.

use crate::metrics::Metrics;
use crate::settle;
use carom_common::backoff_policy::Reconnect;
use carom_common::pipeline::roster::Roster;
use carom_common::resources::Versioned;
use carom_common::resources::newest::{self, First, Look, Refused};
use carom_common::store::{Error, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Starts following until `stop`; the first version is there when this returns.
pub async fn start(
    store: Store,
    interval: Duration,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> watch::Receiver<Arc<Roster>> {
    let mut follower = Follower { store, metrics, in_use: 0, refused: None, failing: false };
    let first = follower.first().await;
    follower.using(first.version);
    let (sender, receiver) = watch::channel(arranged(first));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            if let Some(newer) = follower.look().await {
                follower.using(newer.version);
                sender.send_replace(arranged(newer));
            }
        }
    });
    receiver
}

fn arranged(newest: Versioned) -> Arc<Roster> {
    Arc::new(Roster::new(newest.version, Arc::new(newest.resources)))
}

struct Follower {
    store: Store,
    metrics: Arc<Metrics>,
    in_use: u64,
    /// The version that was refused last: it is told once, not with every look.
    refused: Option<u64>,
    /// Whether the store could not be asked the last time.
    failing: bool,
}

impl Follower {
    /// What to begin with. Where no version at all can be used, waits for one that can.
    async fn first(&mut self) -> Versioned {
        let mut delays = Reconnect::new();
        loop {
            let First { resources, refused } =
                settle::surely("resources", || newest::first(&self.store)).await;
            if let Some(refused) = refused {
                self.refuse(&refused);
            }
            if let Some(resources) = resources {
                return resources;
            }
            tokio::time::sleep(delays.next()).await;
        }
    }

    async fn look(&mut self) -> Option<Versioned> {
        match newest::look(&self.store, self.in_use).await {
            Ok(look) => {
                self.told(None);
                match look {
                    Look::Newer(newer) => {
                        self.refused = None;
                        return Some(newer);
                    }
                    Look::Refused(refused) => self.refuse(&refused),
                    // In use although it was refused: there was no better one to begin with.
                    Look::Unchanged if self.refused == Some(self.in_use) => {}
                    Look::Unchanged => self.refused = None,
                }
            }
            Err(error) => self.told(Some(&error)),
        }
        self.metrics.newest_invalid.set(i64::from(self.refused.is_some()));
        None
    }

    fn using(&mut self, version: u64) {
        info!(resources.version = version, "resources.loaded");
        self.in_use = version;
        self.metrics.resources_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        self.metrics.newest_invalid.set(i64::from(self.refused.is_some()));
    }

    fn refuse(&mut self, refused: &Refused) {
        if self.refused != Some(refused.version) {
            error!(%refused, "resources.newest_invalid");
        }
        self.refused = Some(refused.version);
        self.metrics.newest_invalid.set(1);
    }

    fn told(&mut self, error: Option<&Error>) {
        self.metrics.follow_failing.set(i64::from(error.is_some()));
        match error {
            Some(error) if !self.failing => warn!(%error, "resources.kept_last_good"),
            None if self.failing => info!("resources.followed_again"),
            _ => {}
        }
        self.failing = error.is_some();
    }
}
