//! What came before an event, as the store knows it: asked once, within a moment, and gone on without.
//!
//! The store is the one that the resources are followed in, as long as it can be reached. A store that has not
//! answered in time is not asked again for a while: nobody else should wait for the same.

use crate::metrics::Track;
use carom_common::id::DeliveryId;
use carom_common::identity::Hasher;
use carom_common::store::{self, Candidate, ForBrowser, Store};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// For how long a store that has failed is not asked.
const REST: Duration = Duration::from_secs(1);

/// The store as it can be read now.
#[derive(Clone)]
pub struct Readable {
    /// The store.
    pub store: Store,
    /// What its persons are joined by.
    pub hasher: Hasher,
}

/// Whoever looks up what came before.
pub struct History {
    store: watch::Receiver<Option<Readable>>,
    patience: Duration,
    rests_until: Mutex<Option<Instant>>,
}

/// What a look has found.
pub enum Looked {
    /// What is known.
    Known(Box<ForBrowser>),
    /// The event is of a person who was erased.
    Erased,
    /// Nothing, and why, in words.
    Unknown(&'static str),
}

/// A look, from its beginning to its deadline.
pub struct Look<'a> {
    history: &'a History,
    readable: Result<Readable, &'static str>,
    deadline: Instant,
}

impl History {
    /// With a store that comes and goes, and how long an event may wait for it.
    pub fn new(store: watch::Receiver<Option<Readable>>, patience: Duration) -> Self {
        Self { store, patience, rests_until: Mutex::default() }
    }

    /// Begins a look.
    pub fn look(&self) -> Look<'_> {
        let now = Instant::now();
        let rests =
            self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until);
        let readable = match self.store.borrow().clone() {
            _ if rests => Err("the store has not answered a moment ago"),
            None => Err("the store is away"),
            Some(readable) => Ok(readable),
        };
        Look { history: self, readable, deadline: now + self.patience }
    }

    fn rest(&self) {
        let mut until = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + REST);
    }
}

impl Look<'_> {
    /// What the store's persons are joined by; anything, where it cannot be asked about any.
    pub fn hasher(&self) -> Hasher {
        self.readable.as_ref().map_or_else(|_| Hasher::new(b""), |readable| readable.hasher.clone())
    }

    /// What is known of a candidate by its browser.
    pub async fn known(&self, candidate: Arc<Candidate>, metrics: &Track) -> Looked {
        let began = Instant::now();
        let (outcome, looked) =
            match self.ask(|store| async move { store.known_to_browser(candidate).await }).await {
                Ok(Some(known)) => ("known", Looked::Known(Box::new(known))),
                Ok(None) => ("known", Looked::Erased),
                Err(why) => ("unknown", Looked::Unknown(why)),
            };
        metrics.looked(outcome, began.elapsed());
        looked
    }

    /// Which of these deliveries' pixels were fired before, as far as that can be told.
    pub async fn given(&self, deliveries: Vec<DeliveryId>) -> BTreeSet<DeliveryId> {
        let given = self.ask(|store| async move { store.pixels_given(deliveries).await }).await;
        given.unwrap_or_default()
    }

    async fn ask<T, F>(&self, ask: impl FnOnce(Store) -> F) -> Result<T, &'static str>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        let store = self.readable.as_ref().map_err(|why| *why)?.store.clone();
        match timeout_at(self.deadline, ask(store)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                warn!(%error, "track.history_failed");
                self.history.rest();
                Err("the store has failed")
            }
            Err(_) => {
                warn!(patience = ?self.history.patience, "track.history_timed_out");
                self.history.rest();
                Err("the store has not answered in time")
            }
        }
    }
}
