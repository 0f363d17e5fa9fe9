//! What every answer is made from: the resources in use, who makes items safe, bounds and figures.

use crate::custody::Custody;
use crate::geo::Countries;
use crate::index::Index;
use crate::limits::Limits;
use crate::metrics::Ingest;
use crate::room::Rooms;
use crate::tag::Tag;
use crate::track::History;
use carom_common::config;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// What answering takes.
pub struct App {
    /// The resources in use.
    pub index: watch::Receiver<Arc<Index>>,
    /// Who makes events safe.
    pub events: Custody,
    /// Who makes clicks safe.
    pub clicks: Custody,
    /// Where addresses are.
    pub countries: Countries,
    /// Places for events in work. Clicks have none: they are small and bounded by connections, and must not
    /// wait behind webhooks that wait for the broker.
    pub in_flight: Arc<Semaphore>,
    /// Memory for events in work.
    pub rooms: Rooms,
    /// The path that tags send to.
    pub track_path: String,
    /// What came before an event that a page reports.
    pub history: History,
    /// How much of a rendered pixel the log keeps, in bytes.
    pub log_bytes: usize,
    /// What each source may ask of us.
    pub sources: Limits,
    /// The bounds.
    pub limits: config::Ingest,
    /// How long an event may wait for its confirm.
    pub confirm_timeout: Duration,
    /// The script for pages.
    pub tag: Tag,
    /// The figures.
    pub metrics: Arc<Ingest>,
}
