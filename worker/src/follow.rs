//! Following the resources: the store's newest version, without a restart. With the store away the last
//! good one stays.

use crate::metrics::Metrics;
use carom_common::resources::Resources;
use carom_common::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Starts following until `stop`; the first version is there when this returns.
pub async fn start(
    store: Store,
    interval: Duration,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> watch::Receiver<Arc<Resources>> {
    let first = crate::settle::surely("resources", || store.resources()).await;
    info!(resources.version = first.version, "resources.loaded");
    metrics.resources_version.set(i64::try_from(first.version).unwrap_or(i64::MAX));
    metrics.store_reachable.set(1);
    let (sender, receiver) = watch::channel(Arc::new(first.resources));
    let mut version = first.version;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            match newer(&store, version, &metrics).await {
                Ok(None) => metrics.follow_failing.set(0),
                Ok(Some(newer)) => {
                    info!(resources.version = newer.version, "resources.loaded");
                    version = newer.version;
                    metrics.resources_version.set(i64::try_from(version).unwrap_or(i64::MAX));
                    metrics.follow_failing.set(0);
                    sender.send_replace(Arc::new(newer.resources));
                }
                Err(error) => {
                    metrics.follow_failing.set(1);
                    warn!(%error, "resources.kept_last_good");
                }
            }
        }
    });
    receiver
}

async fn newer(
    store: &Store,
    version: u64,
    metrics: &Metrics,
) -> Result<Option<carom_common::resources::Versioned>, carom_common::store::Error> {
    let newest = store.resources_version().await;
    metrics.store_reachable.set(i64::from(newest.is_ok()));
    if newest? == version {
        return Ok(None);
    }
    store.resources().await.map(Some)
}
