//! What every stage of the path needs, made once by `run`.

use crate::company::Company;
use crate::egress::Egress;
use crate::in_hand::InHand;
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::shares::Shares;
use crate::together::Together;
use crate::tokens::Tokens;
use carom_common::amqp::{Link, Publisher};
use carom_common::config::Config;
use carom_common::id::{DeliveryId, EventId};
use carom_common::identity::Hasher;
use carom_common::pipeline::roster::Roster;
use carom_common::resources::Resources;
use carom_common::store::Store;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// What every stage of the path needs.
pub struct Shared {
    /// The configuration.
    pub config: Config,
    /// The store.
    pub store: Store,
    /// The connection that consumes.
    pub link: Link,
    /// The task that publishes, on a connection of its own.
    pub publisher: Publisher,
    /// The resources as they are now.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// The connectors that are paused.
    pub pauses: Pauses,
    /// The access tokens of those that need one.
    pub tokens: Tokens,
    /// What persons are joined by.
    pub hasher: Hasher,
    /// The way out.
    pub egress: Egress,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// Whether every connector has been looked at once: queues declared, consumers started.
    pub attending: AtomicBool,
    /// Who else works on the store.
    pub company: Company,
    /// How many workers take from each connector's queue.
    pub shares: Shares,
    /// What deliveries ask of the store, together.
    pub together: Together,
    /// The events that are being resolved.
    pub events: InHand<EventId>,
    /// The deliveries that are being tried.
    pub deliveries: InHand<DeliveryId>,
}

impl Shared {
    /// The resources as they are now.
    pub fn resources(&self) -> Arc<Resources> {
        self.roster.borrow().resources().clone()
    }
}
