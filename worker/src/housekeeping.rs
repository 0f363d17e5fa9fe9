//! Housekeeping: dropping the markers that are old enough.

use crate::shared::Shared;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Drops markers older than `worker.marker_retention`, every hour until `stop`.
pub async fn prune(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let retention = SignedDuration::try_from(shared.config.worker.marker_retention.0).unwrap_or_default();
        match shared.store.prune(Timestamp::now() - retention).await {
            Ok(0) => {}
            Ok(dropped) => info!(dropped, "markers.pruned"),
            Err(error) => warn!(%error, "markers.prune_failed"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}
