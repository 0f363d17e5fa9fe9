//! Room on the queues that letters go back to: a replay of very many is not to stand before live traffic.

use carom_common::amqp::link::Link;
use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use std::collections::HashMap;
use std::time::Duration;

/// The time between two looks at a queue that is full.
const LOOK: Duration = Duration::from_millis(50);

/// How many messages may still be put on each queue before it is looked at again.
pub struct Room {
    link: Link,
    channel: Option<Channel>,
    ahead: u32,
    left: HashMap<String, u32>,
}

impl Room {
    /// With so many messages on a queue at most; 0 for any number.
    pub fn new(link: Link, ahead: u32) -> Self {
        Self { link, channel: None, ahead, left: HashMap::new() }
    }

    /// Waits until there is room on a queue. Where nobody consumes, nobody is served later for what is put there.
    ///
    /// # Errors
    /// The queue cannot be looked at.
    pub async fn wait(&mut self, queue: &str) -> anyhow::Result<()> {
        if self.ahead == 0 {
            return Ok(());
        }
        loop {
            if let Some(left) = self.left.get_mut(queue).filter(|left| **left > 0) {
                *left -= 1;
                return Ok(());
            }
            let room = self.look(queue).await?;
            if room == 0 {
                tokio::time::sleep(LOOK).await;
            }
            self.left.insert(queue.to_owned(), room);
        }
    }

    async fn look(&mut self, queue: &str) -> anyhow::Result<u32> {
        let channel = match &mut self.channel {
            Some(open) if open.status().connected() => open,
            closed => closed.insert(self.link.channel().await),
        };
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(queue.into(), options, FieldTable::default()).await {
            Ok(found) if found.consumer_count() == 0 => Ok(self.ahead),
            Ok(found) => Ok(self.ahead.saturating_sub(found.message_count())),
            // There is no such queue, or no connection: whoever publishes to it finds out.
            Err(_) => Ok(self.ahead),
        }
    }
}
