//! Confirmed publishing: one task owns one channel, and says of each message what the broker said.
//!
//! Many publishes are in flight at once, all polled by that one task: two tasks on one channel could
//! swap their confirms. A message is confirmed, or the caller is told that it is not known to be.

use super::Link;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

/// How many publishes one channel has in flight at most.
const IN_FLIGHT: usize = 1_000;

/// A channel that is as old as this when the broker refuses a message is replaced.
///
/// A queue that is over its length tells the channel to refuse, and when it is not any more to go on. When the
/// limit itself is taken away it never says so (measured, 3.10.8), and the channel refuses for ever. A new one
/// asks the queue.
///
/// Nor does a channel of 3.10.8 go on that first publishes to a quorum queue between the death of its leader and the
/// record of the next: it keeps the dead one as the leader, and refuses until that node is back. A new one reads
/// the record.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A persistent, mandatory message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The exchange; empty for the default one, which routes by the queue's name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The body.
    pub body: Arc<Vec<u8>>,
    /// Whether the same may have been published before, with nobody knowing what became of it. Whoever takes it
    /// is told ([`super::Taken::may_be_copy`]).
    pub again: bool,
}

/// The header of a message that may be a copy. It goes with it through the tiers.
pub(super) const AGAIN: &str = "carom-again";

impl Message {
    /// A message straight to a queue.
    pub fn to_queue(queue: &str, body: Vec<u8>) -> Self {
        Self { exchange: String::new(), routing_key: queue.to_owned(), body: Arc::new(body), again: false }
    }

    /// A message to a tier, to come back to `queue`.
    pub fn to_tier(tier: crate::retry::Tier, queue: &str, body: Vec<u8>) -> Self {
        let exchange = crate::topology::retry(tier);
        Self { exchange, routing_key: queue.to_owned(), body: Arc::new(body), again: false }
    }

    /// The same, as what may have been published before.
    #[must_use]
    pub fn again(self, again: bool) -> Self {
        Self { again: self.again || again, ..self }
    }
}

/// Why a message is not known to be safe. It may be on its queue all the same: publish it again, or tell
/// its sender to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection.
    #[error("the broker is not connected")]
    Unavailable,
    /// The broker does not read from us (its memory or disk alarm).
    #[error("the broker has blocked its publishers")]
    Blocked,
    /// The broker said no.
    #[error("the broker refused the message")]
    Nacked,
    /// There is no queue for it. The topology is being declared again.
    #[error("the broker has no queue for the message")]
    Unroutable,
    /// No confirm came in time.
    #[error("the broker did not confirm in time")]
    TimedOut,
    /// The channel was lost before the confirm.
    #[error("the connection was lost before the confirm")]
    Lost,
    /// We are being shut down.
    #[error("the publisher has ended")]
    Closed,
}

impl PublishError {
    /// Whether the message may be on its queue all the same.
    fn may_be_there(self) -> bool {
        matches!(self, Self::TimedOut | Self::Lost | Self::Closed)
    }
}

struct Job {
    message: Message,
    reply: oneshot::Sender<Result<(), PublishError>>,
}

/// A handle to the publishing task. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    link: Link,
    patience: Duration,
}

impl Publisher {
    /// Starts the task on `link`, until `stop`. A confirm that takes longer than `patience` is reported
    /// as timed out. `observe` hears the time of every confirm.
    pub fn start(
        link: Link,
        patience: Duration,
        stop: CancellationToken,
        observe: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(IN_FLIGHT);
        let task = Task { link: link.clone(), queue, held: None, patience, observe: Arc::new(observe) };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task.run() => {}
            }
        });
        Self { jobs, link, patience }
    }

    /// Publishes once and waits for the confirm.
    ///
    /// # Errors
    /// The message is not known to be on its queue.
    pub async fn publish(&self, message: Message) -> Result<(), PublishError> {
        if !self.link.connected() {
            return Err(PublishError::Unavailable);
        }
        if self.link.blocked() {
            return Err(PublishError::Blocked);
        }
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.jobs.send(Job { message, reply }).await.map_err(|_| PublishError::Closed)?;
            answer.await.unwrap_or(Err(PublishError::Closed))
        };
        // The task bounds each confirm; this bounds the wait for its turn as well.
        tokio::time::timeout(self.patience * 2, ask).await.unwrap_or(Err(PublishError::TimedOut))
    }

    /// Publishes until it is confirmed, however long that takes. A message whose fate was unknown may
    /// then be there twice.
    ///
    /// # Errors
    /// Only [`PublishError::Closed`].
    pub async fn publish_surely(&self, mut message: Message) -> Result<(), PublishError> {
        let mut delays = crate::backoff_policy::Reconnect::new();
        loop {
            match self.publish(message.clone()).await {
                Ok(()) => return Ok(()),
                Err(PublishError::Closed) => return Err(PublishError::Closed),
                Err(error) => {
                    warn!(%error, queue = message.routing_key, "publish.again");
                    message.again |= error.may_be_there();
                }
            }
            tokio::time::sleep(delays.next()).await;
        }
    }

    /// The link that it publishes on.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

struct Task {
    link: Link,
    queue: mpsc::Receiver<Job>,
    /// A job that came when its channel was gone, for the next one.
    held: Option<Job>,
    patience: Duration,
    observe: Arc<dyn Fn(Duration) + Send + Sync>,
}

/// What became of one publish.
struct Published<'a> {
    id: String,
    reply: oneshot::Sender<Result<(), PublishError>>,
    result: Result<Confirmation, PublishError>,
    took: Duration,
    /// The confirm itself, where it did not come in time.
    late: Option<Confirming<'a>>,
}

/// A confirm that is waited for.
type Confirming<'a> = BoxFuture<'a, lapin::Result<Confirmation>>;

/// Confirms that did not come in time, each with its message's id. Whoever asked has been told. They are listened
/// to all the same, because any of them may carry a message of somebody else that was returned.
type Late<'a> = FuturesUnordered<BoxFuture<'a, (String, lapin::Result<Confirmation>)>>;

impl Task {
    async fn run(mut self) {
        let mut silences = 0;
        let mut silent = Arc::new(Notify::new());
        loop {
            let (channel, given_up) = self.link.channel_of().await;
            // What another connection has left unsaid is not held against this one.
            if !Arc::ptr_eq(&silent, &given_up) {
                (silences, silent) = (0, given_up.clone());
            }
            let select = channel.confirm_select(ConfirmSelectOptions::default());
            match tokio::time::timeout(self.patience, select).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    warn!(%error, "publish.no_confirms");
                    continue;
                }
                Err(_) => {
                    warn!("publish.no_confirms_in_time");
                    continue;
                }
            }
            let (served, confirmed) = self.serve(&channel).await;
            if confirmed {
                silences = 0;
            }
            match served {
                Served::QueueClosed => return,
                // A node that opens channels and confirms nothing, over and over, is cut off from most of the
                // others; the next one may not be. One that does not even do that is left by who asks it.
                Served::Silent => {
                    silences += 1;
                    if silences > 1 && !self.link.blocked() {
                        given_up.notify_one();
                        silences = 0;
                    }
                }
                // A channel that is lost on a connection that stands was closed by the broker: we named an
                // exchange that is not there any more.
                Served::Unroutable | Served::ChannelLost if self.link.connected() => {
                    // Not for long: while one node of a cluster hangs, nothing can be declared on the others, and
                    // messages go on.
                    match tokio::time::timeout(self.patience, self.link.declare_all()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => warn!(%error, "publish.declare_failed"),
                        Err(_) => warn!("publish.declare_silent"),
                    }
                }
                Served::Unroutable | Served::ChannelLost | Served::Refused | Served::Overdue => {}
            }
            // Whoever waits for its turn does not wait for this too: a broker that is slow to confirm is slow to
            // close, and on a connection that died under it a channel's close may wait for ever.
            let patience = self.patience;
            tokio::spawn(async move {
                let _ = tokio::time::timeout(patience, channel.close(200, "replaced".into())).await;
            });
        }
    }

    /// Serves until the channel is of no use, and says why, and whether anything was confirmed on it.
    async fn serve(&mut self, channel: &Channel) -> (Served, bool) {
        let mut confirmed = false;
        let mut last_confirm = Instant::now();
        let mut in_flight: FuturesUnordered<BoxFuture<'_, Published<'_>>> = FuturesUnordered::new();
        let mut late = Late::new();
        // A returned message is attached to whichever confirm completes next. The confirm that carries
        // it is not believed, nor is the one of the message that it names.
        let mut returned = HashSet::new();
        let mut served = None;
        let since = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some((id, confirmation)) = late.next(), if !late.is_empty() => {
                    returned.extend(named_by(&id, confirmation));
                }
                Some(mut published) = in_flight.next(), if !in_flight.is_empty() => {
                    // What came before this one's own confirm is heard before it is believed.
                    hear(&mut late, &mut returned);
                    if let Some(confirming) = published.late.take() {
                        let id = published.id.clone();
                        late.push(confirming.map(|confirmation| (id, confirmation)).boxed());
                    }
                    if let Ok(Confirmation::Ack(_)) = published.result {
                        (confirmed, last_confirm) = (true, Instant::now());
                    }
                    // One queue that has lost most of its members confirms nothing, and is its own trouble as
                    // long as the others do.
                    let all_silent = last_confirm.elapsed() >= self.patience;
                    let end = self.settle(published, &mut returned, since);
                    served = served.or(end.filter(|end| all_silent || !matches!(end, Served::Silent)));
                    if late.len() >= IN_FLIGHT {
                        served = served.or(Some(Served::Overdue));
                    }
                }
                job = next(&mut self.held, &mut self.queue), if served.is_none() && in_flight.len() < IN_FLIGHT => match job {
                    Some(job) if job.reply.is_closed() => {}
                    // Lost while nothing was in flight, so nobody has noticed.
                    Some(job) if !channel.status().connected() => {
                        self.held = Some(job);
                        served = Some(Served::ChannelLost);
                    }
                    Some(job) => in_flight.push(Box::pin(publish(channel, job, self.patience))),
                    None => served = Some(Served::QueueClosed),
                },
                else => {}
            }
            if let Some(served) = served.filter(|_| in_flight.is_empty()) {
                return (served, confirmed);
            }
        }
    }

    /// Answers whoever asked; says why the channel, served `since` then, is not to be served on.
    fn settle(
        &self,
        published: Published<'_>,
        returned: &mut HashSet<String>,
        since: Instant,
    ) -> Option<Served> {
        let Published { id, reply, result, took, late: _ } = published;
        let (answer, end) = match result {
            Ok(Confirmation::Ack(None)) if !returned.remove(&id) => {
                (self.observe)(took);
                (Ok(()), None)
            }
            Ok(Confirmation::Ack(carried) | Confirmation::Nack(carried @ Some(_))) => {
                returned.extend(carried.as_ref().and_then(returned_id).filter(|named| *named != id));
                (Err(PublishError::Unroutable), Some(Served::Unroutable))
            }
            Ok(Confirmation::Nack(None)) => {
                let long = since.elapsed() >= REFUSED_FOR;
                (Err(PublishError::Nacked), long.then_some(Served::Refused))
            }
            Ok(Confirmation::NotRequested) => (Err(PublishError::Lost), Some(Served::ChannelLost)),
            Err(error @ PublishError::TimedOut) => (Err(error), Some(Served::Silent)),
            Err(error) => (Err(error), Some(Served::ChannelLost)),
        };
        // Whoever asked may have gone. The message is published all the same.
        let _ = reply.send(answer);
        end
    }
}

/// The job that was held, else the next in line.
async fn next(held: &mut Option<Job>, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match held.take() {
        Some(job) => Some(job),
        None => queue.recv().await,
    }
}

/// Why a channel is no longer served.
#[derive(Clone, Copy)]
enum Served {
    QueueClosed,
    ChannelLost,
    Unroutable,
    /// A confirm did not come in time. Nothing speaks against the topology: to declare it all again would be
    /// the last that a slow broker needs.
    Silent,
    /// The broker refuses, and has for a while.
    Refused,
    /// So many confirms are late on it that no more should be waited for. Others came, or it would be silent.
    Overdue,
}

/// Hears all late confirms that are there by now.
fn hear(late: &mut Late<'_>, returned: &mut HashSet<String>) {
    while let Some(Some((id, confirmation))) = late.next().now_or_never() {
        returned.extend(named_by(&id, confirmation));
    }
}

/// The message that the confirm of another one, `id`, says was returned.
fn named_by(id: &str, confirmation: lapin::Result<Confirmation>) -> Option<String> {
    let carried = confirmation.ok()?.take_message()?;
    returned_id(&carried).filter(|named| named != id)
}

fn returned_id(message: &BasicReturnMessage) -> Option<String> {
    message.delivery.properties.message_id().as_ref().map(ToString::to_string)
}

async fn publish(channel: &Channel, job: Job, patience: Duration) -> Published<'_> {
    let Job { message, reply } = job;
    let id = Uuid::now_v7().to_string();
    let started = Instant::now();
    let named = id.clone();
    let mut confirming: Confirming<'_> = Box::pin(async move {
        let mut headers = FieldTable::default();
        if message.again {
            headers.insert(AGAIN.into(), AMQPValue::Boolean(true));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type(crate::envelope::CONTENT_TYPE.into())
            .with_message_id(named.as_str().into())
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (message.exchange.as_str().into(), message.routing_key.as_str().into());
        let sent = channel.basic_publish(exchange, key, options, &message.body, properties).await?;
        // A confirm that comes late must not keep the body for so long.
        drop(message);
        sent.await
    });
    let result = match tokio::time::timeout(patience, &mut confirming).await {
        Ok(Ok(confirmation)) => Ok(confirmation),
        Ok(Err(_)) => Err(PublishError::Lost),
        Err(_) => Err(PublishError::TimedOut),
    };
    let late = matches!(result, Err(PublishError::TimedOut)).then_some(confirming);
    Published { id, reply, result, took: started.elapsed(), late }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::message::Delivery;

    fn carrying(named: &str) -> lapin::Result<Confirmation> {
        let mut delivery = Delivery::mock(0, "".into(), "carom.events".into(), false, Vec::new());
        delivery.properties = BasicProperties::default().with_message_id(named.into());
        let message = BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() };
        Ok(Confirmation::Ack(Some(message)))
    }

    #[tokio::test]
    async fn a_late_confirm_still_tells_which_message_was_returned() {
        let mut late = Late::new();
        let said = |id: &str, confirmation| (id.to_owned(), confirmation);
        late.push(std::future::ready(said("late-1", carrying("theirs"))).boxed());
        late.push(std::future::ready(said("late-2", carrying("late-2"))).boxed());
        late.push(std::future::ready(said("late-3", Ok(Confirmation::Ack(None)))).boxed());
        late.push(std::future::pending().boxed());
        let mut returned = HashSet::new();
        hear(&mut late, &mut returned);
        assert_eq!(returned, HashSet::from(["theirs".to_owned()]));
        assert_eq!(late.len(), 1, "what has not come yet is waited for");
    }
}
