//! Turns: what only one of several workers on one store does at a time, such as asking a sender's API or
//! pruning. There is no leader: each thing has a lease of its own, whoever takes it renews it, and when they die
//! another takes it within [`LEASE`].

use carom_common::store::Store;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

/// How long a turn is somebody's without their renewing it.
const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed, and how often others ask for it.
const RENEW: Duration = Duration::from_secs(4);

/// Does `work` for as long as it is our turn, and whenever it is again, until `stop`. Where the turn is lost the
/// work is dropped, as a crash would drop it.
pub async fn in_turn<F: Future<Output = ()>>(
    store: &Store,
    name: String,
    stop: &CancellationToken,
    work: impl Fn() -> F,
) {
    let holder = Uuid::new_v4().to_string();
    while !stop.is_cancelled() {
        if !asked(store, &name, &holder).await {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RENEW) => continue,
            }
        }
        info!(turn = %name, "turn.ours");
        tokio::select! {
            () = lost(store, &name, &holder) => warn!(turn = %name, "turn.lost"),
            () = work() => {
                // It ends only when it is told to.
                if let Err(error) = store.release(&name, &holder).await {
                    warn!(%error, turn = %name, "turn.not_given_back");
                }
                return;
            }
        }
    }
}

async fn asked(store: &Store, name: &str, holder: &str) -> bool {
    match store.lease(name, holder, LEASE).await {
        Ok(ours) => ours,
        Err(error) => {
            warn!(%error, turn = name, "turn.not_asked");
            false
        }
    }
}

/// Renews, and returns when the turn is ours no more, or may not be.
async fn lost(store: &Store, name: &str, holder: &str) {
    let mut until = Instant::now() + LEASE;
    loop {
        tokio::time::sleep(RENEW).await;
        let asked_at = Instant::now();
        match tokio::time::timeout_at(until, store.lease(name, holder, LEASE)).await {
            Ok(Ok(true)) => until = asked_at + LEASE,
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(_)) if Instant::now() >= until => return,
            // It is still ours; the next renewal may succeed.
            Ok(Err(_)) => {}
        }
    }
}
