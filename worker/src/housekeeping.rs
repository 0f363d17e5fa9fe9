//! Housekeeping: dropping the markers that are old enough, and whatever else is kept for a time only.

use crate::handover;
use crate::shared::Shared;
use crate::turn::in_turn;
use carom_common::store::{Perishable, Settings, Store};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often there is a look at what is old enough, unless something is kept for less.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// A timer that is so late is lost. Schedules may round parking up to an hour.
const LATE: Duration = Duration::from_secs(3_600);

/// Drops markers older than `worker.marker_retention` and what `[retention]` says, every hour until `stop`. Of
/// several workers on one store one does.
pub async fn prune(shared: Arc<Shared>, stop: CancellationToken) {
    in_turn(&shared.store, "prune".to_owned(), &stop, || again_and_again(&shared, &stop)).await;
}

async fn again_and_again(shared: &Shared, stop: &CancellationToken) {
    let perishables = perishables(shared);
    let shortest = perishables.iter().map(|(_, span)| *span).min().unwrap_or(PRUNE_EVERY);
    let every = shortest.clamp(Duration::from_secs(1), PRUNE_EVERY);
    loop {
        match shared.store.prune(before(shared.config.worker.marker_retention.0)).await {
            Ok(dropped) => pruned(shared, "markers", dropped),
            Err(error) => warn!(%error, kind = "markers", "retention.failed"),
        }
        for (what, span) in &perishables {
            if stop.is_cancelled() {
                return;
            }
            match shared.store.expire(*what, before(*span)).await {
                Ok(dropped) => pruned(shared, what.as_str(), dropped),
                Err(error) => warn!(%error, kind = what.as_str(), "retention.failed"),
            }
        }
        empty_log(shared).await;
        put_back(shared).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// What is pruned, after how long. Who was erased is remembered for as long as copies are recognised: what
/// happened before and comes later than that is taken for news in any case.
fn perishables(shared: &Shared) -> Vec<(Perishable, Duration)> {
    let mut perishables = shared.config.retention.perishables();
    perishables.push((Perishable::Tombstones, shared.config.worker.marker_retention.0));
    perishables
}

fn before(span: Duration) -> Timestamp {
    let now = Timestamp::now();
    SignedDuration::try_from(span).ok().and_then(|span| now.checked_sub(span).ok()).unwrap_or(Timestamp::MIN)
}

fn pruned(shared: &Shared, kind: &str, rows: u64) {
    shared.metrics.pruned.with_label_values(&[kind]).inc_by(rows);
    if rows > 0 {
        info!(kind, rows, "retention.pruned");
    }
}

/// Puts events onto their queue again whose timer must be lost: somebody emptied a tier. There they find that
/// their time is over.
async fn put_back(shared: &Shared) {
    let late = shared.config.worker.parking.0 + LATE;
    match shared.store.overdue(before(late)).await {
        Ok(overdue) if overdue.is_empty() => {}
        Ok(overdue) => {
            warn!(events = overdue.len(), "parking.timers_lost");
            // An error means that we are being shut down: the next who looks finds them.
            let _ = handover::released(&shared.publisher, overdue).await;
        }
        Err(error) => warn!(%error, "parking.not_looked_at"),
    }
}

/// What was blanked or erased still lies in the write-ahead log, until that is emptied.
async fn empty_log(shared: &Shared) {
    let settings = Settings::from(&shared.config.store);
    let emptied = tokio::task::spawn_blocking(move || Store::empty_log(&settings)).await;
    match emptied {
        Ok(Ok(_)) | Err(_) => {}
        Ok(Err(error)) => warn!(%error, "store.log_not_emptied"),
    }
}
