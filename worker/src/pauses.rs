//! Pauses: the connectors that nothing is taken for until an operator resumes them. They go on selecting into
//! their queues.
//!
//! Kept in the store, and followed by every worker as the resources are.

use crate::settle;
use carom_common::id::ConnectorId;
use carom_common::store::{Error, Pause, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// What is paused, by connector.
pub type Paused = BTreeMap<ConnectorId, Pause>;

/// The pauses as this worker knows them.
#[derive(Clone)]
pub struct Pauses {
    store: Store,
    known: watch::Receiver<Arc<Paused>>,
    look: Arc<Notify>,
}

impl Pauses {
    /// Starts following until `stop`; the first look is taken when this returns.
    pub async fn follow(store: Store, interval: Duration, stop: CancellationToken) -> Self {
        let first = settle::surely("pauses", || store.pauses()).await;
        let (sender, known) = watch::channel(Arc::new(first));
        let look = Arc::new(Notify::new());
        let pauses = Self { store: store.clone(), known, look: look.clone() };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = look.notified() => {}
                    () = tokio::time::sleep(interval) => {}
                }
                match store.pauses().await {
                    Ok(now) => {
                        sender.send_if_modified(|known| {
                            let changed = **known != now;
                            if changed {
                                *known = Arc::new(now);
                            }
                            changed
                        });
                    }
                    // It is closed when we are being shut down.
                    Err(Error::Closed) => return,
                    Err(error) => warn!(%error, "pauses.kept_last_known"),
                }
            }
        });
        pauses
    }

    /// What is paused now, and every change of it.
    pub fn known(&self) -> watch::Receiver<Arc<Paused>> {
        self.known.clone()
    }

    /// Pauses a connector for all workers. Nothing is taken for it any more a moment later.
    pub async fn pause(&self, connector: &ConnectorId, pause: Pause) {
        let news = settle::surely("pause", || self.store.pause(connector, pause.clone())).await;
        if news {
            warn!(connector = connector.as_str(), why = pause.why, "connector.paused");
        }
        self.look.notify_one();
    }
}
