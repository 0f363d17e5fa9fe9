//! Consuming: a stream of messages from one queue that outlives channels and connections.

use super::Link;
use super::publisher::AGAIN;
use crate::backoff_policy::Reconnect;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions,
    BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long the broker may take to answer. On a connection that dies under a request, what was asked may never be
/// answered and never fail either; whoever waited for that would hold its place for ever.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many losses of a connection excuse a message at most. Which of them it was held through nobody knows; a process
/// that has lost many would otherwise never see that a message is poison. An innocent one is hardly held through more.
const EXCUSED: u64 = 20;

/// A message that was taken and is ours until it is acked.
pub struct Taken {
    /// Its body.
    pub body: Vec<u8>,
    /// How often it was delivered before and not acked, for which no lost connection of this process is to
    /// blame (of those, twenty at most): whoever held it crashed, or panicked.
    pub seen_before: u64,
    /// The queue that it was meant for: the routing key that it was published under.
    pub routing_key: String,
    /// Whether the broker moved it here because it reached a queue's delivery limit.
    pub returned_too_often: bool,
    /// Whether another process may hold the same, or have it done: the broker has delivered it before, or whoever
    /// published it did not know whether it was published before.
    pub may_be_copy: bool,
    /// Whether the broker has delivered this very message before.
    pub redelivered: bool,
    /// When it was taken.
    pub since: Instant,
    acker: Option<lapin::Acker>,
    /// Kept open as long as anything that it delivered can still be acked.
    channel: Arc<lapin::Channel>,
}

impl Taken {
    /// Whether it can still be acked. When its channel is lost the broker gives it to somebody again, so
    /// what was not begun by then is not begun any more.
    pub fn is_current(&self) -> bool {
        self.channel.status().connected()
    }

    /// Tells the broker that we are done with it. When that fails the message comes again, and whatever
    /// was done with it is found to be done.
    pub async fn ack(mut self) {
        let Some(acker) = self.acker.take() else { return };
        tokio::select! {
            biased;
            acked = acker.ack(BasicAckOptions::default()) => match acked {
                Ok(true) => {}
                Ok(false) => debug!("consume.ack_on_a_lost_channel"),
                Err(error) => debug!(%error, "consume.ack_failed"),
            },
            () = lost(&self.channel) => debug!("consume.ack_on_a_lost_channel"),
            () = tokio::time::sleep(PATIENCE) => warn!(queue = self.routing_key, "consume.ack_silent"),
        }
    }
}

/// Whoever held it panicked. Unless it is given back it would stay in nobody's hands until the connection
/// ends; given back, it counts towards being poison (a reject does on every version, a nack not on 4.3).
/// This is the only requeue that there is.
impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take().filter(|_| std::thread::panicking()) {
            warn!(queue = self.routing_key, "consume.handler_panicked");
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let channel = self.channel.clone();
                runtime.spawn(async move {
                    let _ = acker.reject(BasicRejectOptions { requeue: true }).await;
                    drop(channel);
                });
            }
        }
    }
}

impl Taken {
    fn new(delivery: Delivery, channel: Arc<lapin::Channel>, losses: u64) -> Self {
        let headers = delivery.properties.headers().as_ref();
        let count = headers.and_then(|headers| headers.inner().get("x-delivery-count"));
        let seen_before = match count {
            Some(AMQPValue::LongLongInt(count)) => u64::try_from(*count).unwrap_or(0),
            Some(AMQPValue::LongInt(count)) => u64::try_from(*count).unwrap_or(0),
            Some(AMQPValue::LongUInt(count)) => u64::from(*count),
            Some(AMQPValue::ShortInt(count)) => u64::try_from(*count).unwrap_or(0),
            Some(AMQPValue::ShortShortInt(count)) => u64::try_from(*count).unwrap_or(0),
            Some(AMQPValue::ShortShortUInt(count)) => u64::from(*count),
            Some(AMQPValue::ShortUInt(count)) => u64::from(*count),
            _ => 0,
        };
        let died_of = headers.and_then(|headers| headers.inner().get("x-first-death-reason"));
        let returned_too_often = died_of == Some(&AMQPValue::LongString("delivery_limit".into()));
        // A letter comes under the key of the queue it is moved to; where it lay before stands in a header.
        let died_in = headers.and_then(|headers| headers.inner().get("x-first-death-queue"));
        let again = headers.and_then(|headers| headers.inner().get(AGAIN));
        let may_be_copy = delivery.redelivered || again == Some(&AMQPValue::Boolean(true));
        let seen_before = unexcused(seen_before, losses);
        let routing_key = match died_in {
            Some(AMQPValue::LongString(queue)) if returned_too_often => queue.to_string(),
            _ => delivery.routing_key.to_string(),
        };
        Self {
            body: delivery.data,
            seen_before,
            routing_key,
            returned_too_often,
            may_be_copy,
            redelivered: delivery.redelivered,
            since: Instant::now(),
            acker: Some(delivery.acker),
            channel,
        }
    }
}

/// How often a message was seen for which no lost connection is to blame.
fn unexcused(seen: u64, losses: u64) -> u64 {
    seen.saturating_sub(losses.min(EXCUSED))
}

/// Consumes `queue` until `stop`, with at most `prefetch` messages unacked. After `stop` the stream gives
/// all that was already taken and ends. `attached` hears when a consumer is there and when it is not.
pub fn consume(
    link: Link,
    queue: String,
    prefetch: u16,
    stop: CancellationToken,
    attached: impl Fn(bool) + Send + 'static,
) -> mpsc::Receiver<Taken> {
    let (sender, receiver) = mpsc::channel(usize::from(prefetch.max(1)));
    tokio::spawn(async move {
        let mut delays = Reconnect::new();
        loop {
            let consumed = tokio::select! {
                () = stop.cancelled() => return,
                consumed = subscribe(&link, &queue, prefetch) => consumed,
            };
            match consumed {
                Ok((channel, consumer)) => {
                    attached(true);
                    delays = Reconnect::new();
                    let stopped = forward(consumer, &channel, &sender, link.losses(&queue), &stop).await;
                    attached(false);
                    if stopped {
                        return;
                    }
                    link.lost(&queue);
                    warn!(queue, "consume.detached");
                }
                Err(error) => warn!(queue, %error, "consume.refused"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delays.next()) => {}
            }
        }
    });
    receiver
}

async fn subscribe(
    link: &Link,
    queue: &str,
    prefetch: u16,
) -> Result<(Arc<lapin::Channel>, lapin::Consumer), super::Error> {
    let channel = link.channel().await;
    let asked = async {
        channel.basic_qos(prefetch.max(1), BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
    };
    let consumer = answered(asked).await?;
    Ok((Arc::new(channel), consumer))
}

/// What the broker answers, if it does.
async fn answered<T>(asked: impl Future<Output = Result<T, lapin::Error>>) -> Result<T, super::Error> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    Ok(answer.map_err(|_| super::Error::Silent(PATIENCE))??)
}

/// Hands on what comes; true when `stop` ended it, false when the broker did.
async fn forward(
    mut consumer: lapin::Consumer,
    channel: &Arc<lapin::Channel>,
    sender: &mpsc::Sender<Taken>,
    losses: u64,
    stop: &CancellationToken,
) -> bool {
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => break,
            next = consumer.next() => next,
        };
        let taken = match next {
            Some(Ok(delivery)) => Taken::new(delivery, channel.clone(), losses),
            Some(Err(error)) => {
                debug!(%error, "consume.stream_failed");
                return false;
            }
            None => return false,
        };
        // Whoever takes it may be busy for long, and the channel be lost meanwhile.
        tokio::select! {
            () = lost(channel) => return false,
            sent = sender.send(taken) => if sent.is_err() { return true },
        }
    }
    if answered(channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await.is_err() {
        return true;
    }
    // What had come before the broker heard of it. Left to the channel's end it would be counted as if whoever
    // held it had died of it.
    while let Some(Ok(delivery)) = consumer.next().await {
        let taken = Taken::new(delivery, channel.clone(), losses);
        tokio::select! {
            () = lost(channel) => break,
            sent = sender.send(taken) => if sent.is_err() { break },
        }
    }
    true
}

/// Takes one message of `queue`, where there is one, on a channel of its own: for whoever takes seldom, and so
/// holds nothing in between.
///
/// # Errors
/// The broker refused: there is no such queue, or the connection was lost.
pub async fn take(link: &Link, queue: &str) -> Result<Option<Taken>, super::Error> {
    let channel = Arc::new(link.channel().await);
    let got = answered(channel.basic_get(queue.into(), BasicGetOptions::default())).await?;
    Ok(got.map(|got| Taken::new(got.delivery, channel, link.losses(queue))))
}

/// Ends when the channel has ended.
async fn lost(channel: &lapin::Channel) {
    while channel.status().connected() {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connections_excuse_a_message_but_not_for_ever() {
        assert_eq!(unexcused(3, 0), 3);
        assert_eq!(unexcused(3, 4), 0);
        assert_eq!(unexcused(12, 10), 2);
        assert_eq!(unexcused(25, 1_000), 5, "what is poison is seen, whatever was lost before it came");
    }
}
