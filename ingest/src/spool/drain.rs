//! Draining one queue of the spool to the broker, in its order, while live traffic passes by.

use super::{Kept, Place, Queue, Spool};
use crate::publish::{Answer, Trouble};
use carom_common::backoff_policy::Reconnect;
use carom_common::envelope;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How many messages may be without their confirm. Live traffic has the rest of the broker.
const OUTSTANDING: usize = 3;
/// How long to wait at most before a queue that refused is asked again.
const LONGEST: Duration = Duration::from_secs(2);
/// How often to look where nobody wakes us.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who drains one queue.
pub struct Drain<P> {
    /// The queue.
    pub queue: Queue,
    /// What is drained.
    pub spool: Spool,
    /// Whether the broker can be reached.
    pub reachable: watch::Receiver<bool>,
    /// Cancelled when it is to end with what is under way.
    pub stop: CancellationToken,
    /// Hears what the broker says, so that live traffic knows as well.
    pub trouble: Trouble,
    /// Puts one message on the queue and returns when it is confirmed or not.
    pub publish: P,
}

/// What one pass over the queue came to.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    drained: usize,
    failed: bool,
}

impl<P, F> Drain<P>
where
    P: Fn(Vec<u8>) -> F,
    F: Future<Output = Answer>,
{
    /// Drains until it is told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let mut delays = Reconnect::new();
        // Confirmed, and for want of a working disk not removed yet: not to be sent again.
        let mut confirmed = HashSet::new();
        let mut told = false;
        loop {
            let reachable = tokio::select! {
                () = stop.cancelled() => return,
                reachable = self.reachable.wait_for(|reachable| *reachable) => reachable.is_ok(),
            };
            if !reachable {
                return;
            }
            let waiting = self.spool.figures().items(self.queue);
            if waiting > 0 && !told {
                info!(queue = self.queue.as_str(), items = waiting, "spool.draining");
                told = true;
            }
            let pass = self.pass(&mut confirmed).await;
            if pass.failed {
                let _ = tokio::time::timeout(delays.next().min(LONGEST), stop.cancelled()).await;
                continue;
            }
            delays = Reconnect::new();
            if told && self.spool.figures().items(self.queue) == 0 {
                info!(queue = self.queue.as_str(), "spool.drained");
                told = false;
            }
            if pass.drained == 0 {
                let wake = self.spool.shared.wake[self.queue as usize].notified();
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = tokio::time::timeout(LOOK_AGAIN, wake) => {}
                }
            }
        }
    }

    /// Goes through the queue once, from its head, as far as the broker takes it.
    async fn pass(&self, confirmed: &mut HashSet<Place>) -> Pass {
        let mut pass = Pass::default();
        if !confirmed.is_empty() {
            self.remove(confirmed).await;
        }
        let mut outstanding = FuturesUnordered::new();
        let (mut after, mut more) = (0, self.spool.figures().items(self.queue) > 0);
        loop {
            // The head goes alone: a queue that refuses is asked with one message, not with three.
            let most = if self.trouble.is() || pass.drained == 0 { 1 } else { OUTSTANDING };
            let go_on = more && !pass.failed && !self.stop.is_cancelled();
            while go_on && more && outstanding.len() < most && *self.reachable.borrow() {
                match self.spool.read(self.queue, after).await {
                    None => more = false,
                    Some((looked, mut items)) => {
                        after = looked;
                        items.retain(|(place, _)| !confirmed.contains(place));
                        if !items.is_empty() {
                            outstanding.push(self.send(items));
                        }
                    }
                }
            }
            match outstanding.next().await {
                None => return pass,
                Some((places, Ok(()))) => {
                    pass.drained += places.len();
                    self.spool.figures().drained(self.queue, places.len());
                    confirmed.extend(places);
                    self.remove(confirmed).await;
                }
                Some((_, Err(error))) => {
                    if !pass.failed {
                        warn!(queue = self.queue.as_str(), %error, "spool.not_confirmed");
                    }
                    pass.failed = true;
                }
            }
        }
    }

    async fn send(&self, items: Vec<Kept>) -> (Vec<Place>, Answer) {
        let (places, items): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let message = envelope::batch(self.queue.kind(), &items);
        drop(items);
        let answer = (self.publish)(message).await;
        self.trouble.hear(answer);
        (places, answer)
    }

    async fn remove(&self, confirmed: &mut HashSet<Place>) {
        let places: Vec<_> = confirmed.iter().copied().collect();
        if self.spool.remove(self.queue, places).await {
            confirmed.clear();
        }
    }
}
