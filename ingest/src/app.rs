//! What every answer is made from: the resources in use, the lines to the broker, bounds and figures.

use crate::geo::Countries;
use crate::index::Index;
use crate::metrics::Ingest;
use crate::publish::Line;
use carom_common::click::Click;
use carom_common::config;
use carom_common::intake::Intake;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// What answering takes.
pub struct App {
    /// The resources in use.
    pub index: watch::Receiver<Arc<Index>>,
    /// The line before `carom.events`.
    pub events: Line<Intake>,
    /// The line before `carom.clicks`.
    pub clicks: Line<Click>,
    /// Where addresses are.
    pub countries: Countries,
    /// Places for events in work. Clicks have none: they are bounded by connections and by their line, and
    /// must not wait behind webhooks that wait for the broker.
    pub in_flight: Arc<Semaphore>,
    /// Whether a confirm can be hoped for.
    pub reachable: Box<dyn Fn() -> bool + Send + Sync>,
    /// The bounds.
    pub limits: config::Ingest,
    /// How long an event may wait for its confirm.
    pub confirm_timeout: Duration,
    /// The figures.
    pub metrics: Arc<Ingest>,
}
