//! Shares: how many workers take from a connector's queue, each of which takes its share of the rate.
//!
//! The broker counts a queue's consumers; a passive declare tells. Looked at are only the queues of connectors
//! with a rate, all on one channel: a channel each would be too many.

use crate::passive::{self, Unseen};
use crate::shared::Shared;
use carom_common::id::ConnectorId;
use carom_common::topology;
use lapin::Channel;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// How often the consumers are counted.
pub const LOOK: Duration = Duration::from_secs(1);
/// How long one queue may take to answer. The others are not counted meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many take from each queue, as it was last counted.
#[derive(Default)]
pub struct Shares {
    known: Mutex<BTreeMap<ConnectorId, Known>>,
    look: Notify,
}

struct Known {
    /// 0 where nobody has counted yet.
    workers: watch::Sender<u32>,
    /// Consumers of our own: for a moment two, when one takes the place of another.
    attached: u32,
}

impl Shares {
    /// How many workers take from a connector's queue, and every change of it; 0 as long as that is not known.
    pub fn of(&self, connector: &ConnectorId) -> watch::Receiver<u32> {
        let mut known = self.known();
        let entry = known.entry(connector.clone());
        let entry = entry.or_insert_with(|| Known { workers: watch::Sender::new(0), attached: 0 });
        entry.workers.subscribe()
    }

    /// Our own consumer is there, or is not. Who comes (again) does not know who else is there. Who leaves goes on
    /// with what it knew: a probe is to keep to the rate as well.
    pub fn attached(&self, connector: &ConnectorId, on: bool) {
        if let Some(known) = self.known().get_mut(connector) {
            known.attached = if on { known.attached + 1 } else { known.attached.saturating_sub(1) };
            if on {
                known.workers.send_replace(0);
                self.look.notify_one();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ConnectorId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut channel: Option<Channel> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.shares.look.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        for connector in attached(&shared) {
            let counted = tokio::select! {
                () = stop.cancelled() => return,
                counted = count(&shared, &mut channel, &connector) => counted,
            };
            match counted {
                Ok(consumers) => {
                    // Our own may be gone by now.
                    let workers = consumers.max(1);
                    let share = shared.metrics.rate_share.with_label_values(&[connector.as_str()]);
                    share.set(f64::from(workers).recip());
                    if let Some(known) = shared.shares.known().get(&connector) {
                        known.workers.send_if_modified(|known| std::mem::replace(known, workers) != workers);
                    }
                }
                Err(error) => {
                    debug!(%error, connector = connector.as_str(), "shares.not_counted");
                    channel = None;
                }
            }
        }
    }
}

/// Those whose consumer is there. What nobody asks for any more is forgotten.
fn attached(shared: &Shared) -> Vec<ConnectorId> {
    let mut all = shared.shares.known();
    all.retain(|connector, known| {
        let wanted = known.workers.receiver_count() > 0;
        if !wanted {
            // An error means that it was never shown.
            let _ = shared.metrics.rate_share.remove_label_values(&[connector.as_str()]);
        }
        wanted
    });
    all.iter().filter(|(_, known)| known.attached > 0).map(|(connector, _)| connector.clone()).collect()
}

async fn count(
    shared: &Shared,
    channel: &mut Option<Channel>,
    connector: &ConnectorId,
) -> Result<u32, Unseen> {
    let channel = match channel {
        Some(open) if open.status().connected() => open,
        closed => closed.insert(shared.link.channel().await),
    };
    let queue = topology::deliver_queue(connector);
    Ok(passive::look(channel, &queue, PATIENCE).await?.consumer_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_consumer_in_the_place_of_another_is_still_one() {
        let (shares, connector) = (Shares::default(), "n".parse().unwrap());
        let workers = shares.of(&connector);
        shares.attached(&connector, true);
        shares.known()[&connector].workers.send_replace(3);
        // The new one comes before the old one has gone.
        shares.attached(&connector, true);
        shares.attached(&connector, false);
        assert_eq!(shares.known()[&connector].attached, 1);
        assert_eq!(*workers.borrow(), 0, "who comes does not know who else is there");
        shares.attached(&connector, false);
        shares.attached(&connector, false);
        assert_eq!(shares.known()[&connector].attached, 0);
    }
}
