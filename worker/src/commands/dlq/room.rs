//! Room on the queues that letters go back to: a replay of very many is not to stand before live traffic.

use crate::passive::{self, PATIENCE, Unseen};
use carom_common::amqp::link::Link;
use lapin::Channel;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The time between two looks at a queue that is full.
const LOOK: Duration = Duration::from_millis(50);

/// How many messages may still be put on each queue before it is looked at again.
pub struct Room {
    link: Link,
    ahead: u32,
    queues: std::sync::Mutex<HashMap<String, Arc<Mutex<Known>>>>,
}

/// What is known of one queue. Whoever waits for room there holds it, so that one goes at a time; those that go to
/// other queues wait for nobody.
#[derive(Default)]
pub struct Known {
    left: u32,
    channel: Option<Channel>,
}

impl Room {
    /// With so many messages on a queue at most; 0 for any number.
    pub fn new(link: Link, ahead: u32) -> Self {
        Self { link, ahead, queues: std::sync::Mutex::default() }
    }

    /// Waits until there is room on a queue, and its turn for whoever asked. Until what is given back is dropped,
    /// nobody else has a turn there. Where nobody consumes, nobody is served later for what is put there.
    pub async fn wait(&self, queue: &str) -> Option<OwnedMutexGuard<Known>> {
        if self.ahead == 0 {
            return None;
        }
        let mut known = self.known(queue).lock_owned().await;
        while known.left == 0 {
            known.left = self.look(&mut known.channel, queue).await;
            if known.left == 0 {
                tokio::time::sleep(LOOK).await;
            }
        }
        known.left -= 1;
        Some(known)
    }

    fn known(&self, queue: &str) -> Arc<Mutex<Known>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(queue.to_owned()).or_default().clone()
    }

    async fn look(&self, channel: &mut Option<Channel>, queue: &str) -> u32 {
        let open = match &mut *channel {
            Some(open) if open.status().connected() => open,
            closed => closed.insert(self.link.channel().await),
        };
        match passive::look(open, queue, PATIENCE).await {
            Ok(found) if found.consumer_count() == 0 => self.ahead,
            Ok(found) => self.ahead.saturating_sub(found.message_count()),
            // It would not confirm either.
            Err(Unseen::Silent(_)) => {
                *channel = None;
                0
            }
            // There is no such queue, or no connection: whoever publishes to it finds out.
            Err(Unseen::Absent | Unseen::Failed(_)) => self.ahead,
        }
    }
}
