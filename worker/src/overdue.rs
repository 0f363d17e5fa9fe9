//! Overdue: deliveries whose message is nowhere any more, because somebody emptied a tier or a queue, or deleted it.
//!
//! The store knows what is due; only the broker knows what lies on a queue, and nobody can look into one. But a
//! queue is first in, first out: where it was empty twice, a minute apart, whatever was due long before that is
//! neither on it nor in anybody's hands. It is put back as the message that it was. Where that one turns up all
//! the same, or two workers do this at once, one of the two is a copy, and is known as one.

use crate::handover;
use crate::passive::{self, PATIENCE, Unseen};
use crate::shared::Shared;
use carom_common::connector::limits::HOLD;
use carom_common::id::ConnectorId;
use carom_common::topology;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How many of one connector are put back at a look. More would be a queue that is not empty at the next one.
const AT_ONCE: u32 = 500;

/// Looks until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let margin = shared.config.worker.overdue_after.0;
    // What a consumer holds is settled in this time.
    let held = margin.min(HOLD);
    let mut empty = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(held.max(Duration::from_secs(1)) / 2) => {}
        }
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = look(&shared, margin, held, &mut empty) => looked,
        };
        if let Err(error) = looked {
            warn!(error = format!("{error:#}"), "overdue.not_looked_at");
        }
    }
}

async fn look(
    shared: &Shared,
    margin: Duration,
    held: Duration,
    empty: &mut BTreeMap<ConnectorId, Instant>,
) -> anyhow::Result<()> {
    anyhow::ensure!(shared.link.connected(), "the broker is not connected");
    let before = Timestamp::now() - SignedDuration::try_from(margin)?;
    let overdue = shared.store.connectors_overdue(before).await?;
    empty.retain(|connector, _| overdue.contains(connector));
    for connector in overdue {
        let looked = is_empty(shared, &connector).await;
        if let Err(error) = &looked {
            warn!(error = format!("{error:#}"), connector = connector.as_str(), "overdue.queue_not_seen");
        }
        // Whoever has not seen the queue knows nothing of it, and begins anew.
        if !matches!(looked, Ok(true)) {
            empty.remove(&connector);
            continue;
        }
        let since = *empty.entry(connector.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= held {
            put_back(shared, &connector, before - SignedDuration::try_from(since.elapsed())?).await?;
            empty.remove(&connector);
        }
    }
    Ok(())
}

/// Whether nothing lies ready on a connector's queue. One that is not there is as empty as can be; one that does not
/// answer may be full.
async fn is_empty(shared: &Shared, connector: &ConnectorId) -> anyhow::Result<bool> {
    shared.link.ensure_connector(connector).await?;
    let channel = shared.link.channel().await;
    let queue = topology::deliver_queue(connector);
    // The channel ends when it is dropped.
    match passive::look(&channel, &queue, PATIENCE).await {
        Ok(declared) => Ok(declared.message_count() == 0),
        Err(Unseen::Absent) => {
            debug!(queue, "overdue.no_queue");
            shared.link.declare_connector(connector).await?;
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

async fn put_back(shared: &Shared, connector: &ConnectorId, before: Timestamp) -> anyhow::Result<()> {
    let lost = shared.store.overdue_deliveries(connector, before, AT_ONCE).await?;
    if lost.is_empty() {
        return Ok(());
    }
    warn!(connector = connector.as_str(), deliveries = lost.len(), "overdue.put_back");
    let count = lost.len() as u64;
    let resources = shared.resources();
    handover::deliveries(&shared.publisher, &resources, lost, true).await?;
    shared.metrics.put_back.with_label_values(&[connector.as_str()]).inc_by(count);
    Ok(())
}
