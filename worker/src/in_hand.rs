//! What is in hand: one task at a time works on one event, or on one delivery.
//!
//! Copies of a message meet here. The second waits for the first to end, and then finds in the store that
//! there is nothing left to do.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The keys that somebody works on.
pub struct InHand<K> {
    keys: Mutex<HashSet<K>>,
    released: Notify,
}

/// A key in somebody's hand, until it is dropped.
pub struct Held<'a, K: Eq + Hash> {
    all: &'a InHand<K>,
    key: K,
}

impl<K> Default for InHand<K> {
    fn default() -> Self {
        Self { keys: Mutex::default(), released: Notify::new() }
    }
}

impl<K: Eq + Hash + Copy> InHand<K> {
    /// Takes a key, when nobody else holds it any more. Whoever takes several takes them in their order.
    pub async fn hold(&self, key: K) -> Held<'_, K> {
        loop {
            let released = self.released.notified();
            if self.keys().insert(key) {
                return Held { all: self, key };
            }
            released.await;
        }
    }
}

impl<K> InHand<K> {
    fn keys(&self) -> MutexGuard<'_, HashSet<K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Held<'_, K> {
    fn drop(&mut self) {
        self.all.keys().remove(&self.key);
        self.all.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_copy_waits_for_the_first_and_nobody_else_does() {
        let in_hand = Arc::new(InHand::default());
        let first = in_hand.hold(1).await;
        drop(in_hand.hold(2).await);
        let copy = tokio::spawn({
            let in_hand = in_hand.clone();
            async move { drop(in_hand.hold(1).await) }
        });
        tokio::task::yield_now().await;
        assert!(!copy.is_finished());
        drop(first);
        copy.await.unwrap();
    }
}
