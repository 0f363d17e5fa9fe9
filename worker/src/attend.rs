//! Attending to one connector's queue, as its breaker stands.
//!
//! Closed, it is consumed with all that the connector's limits allow. Open, nothing is held: once per interval
//! a single delivery is taken as a probe. What is in hand and untouched when the breaker opens, or when we
//! leave, goes back to its queue (publish, confirm, ack); it is never nacked, which would count towards being
//! poison.

use crate::breaker::{Interval, Sign};
use crate::deliver;
use crate::gate::Gate;
use crate::metrics::BreakerState;
use crate::shared::Shared;
use carom_common::amqp::{Message, Taken, consume, take};
use carom_common::id::ConnectorId;
use carom_common::topology;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

/// One connector's queue, as it is attended to.
pub struct Attendance {
    /// Whose.
    pub connector: ConnectorId,
    /// Its queue.
    pub queue: String,
    /// What every attempt passes.
    pub gate: Gate,
    /// Whether there is a rate, and so somebody to share it with.
    pub rated: bool,
    /// Messages held at most.
    pub prefetch: u16,
    /// Deliveries in a message at most; what holds more is taken apart first.
    pub per_message: usize,
    /// We leave.
    pub stop: CancellationToken,
}

/// Why one of the states ended.
enum Ended {
    Turned,
    Stopped,
}

/// How a delivery was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// With all others, while the breaker is closed.
    Freely,
    /// Alone, to see whether its destination answers.
    AsProbe,
}

impl Attendance {
    /// Waits until what was not begun is not to be begun any more.
    pub async fn over(&self, taking: Taking) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.gate.breaker.opened(), if taking == Taking::Freely => {}
        }
    }
}

/// Attends until `stop`; returns when everything that was begun has ended.
pub async fn run(shared: Arc<Shared>, attendance: Attendance) {
    let attendance = Arc::new(attendance);
    let tasks = TaskTracker::new();
    loop {
        if let Ended::Stopped = closed(&shared, &attendance, &tasks).await {
            break;
        }
        if let Ended::Stopped = open(&shared, &attendance).await {
            break;
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// All that the limits allow, until the breaker opens.
async fn closed(shared: &Arc<Shared>, attendance: &Arc<Attendance>, tasks: &TaskTracker) -> Ended {
    if attendance.gate.breaker.is_open() {
        // It was open already when its connector was changed.
        return Ended::Turned;
    }
    shared.metrics.breaker(&attendance.connector, BreakerState::Closed);
    let attached = shared.metrics.consumers.with_label_values(&[topology::label(&attendance.queue)]);
    let stop = attendance.stop.child_token();
    let (link, queue) = (shared.link.clone(), attendance.queue.clone());
    let told = (shared.clone(), attendance.clone());
    let mut taken = consume(link, queue, attendance.prefetch, stop.clone(), move |on| {
        let (shared, attendance) = &told;
        // Of a connector that was changed, the new consumer may come before the old one has gone.
        attached.add(if on { 1 } else { -1 });
        if attendance.rated {
            shared.shares.attached(&attendance.connector, on);
        }
    });
    let ended = loop {
        let message = tokio::select! {
            biased;
            () = attendance.stop.cancelled() => break Ended::Stopped,
            () = attendance.gate.breaker.opened() => break Ended::Turned,
            message = taken.recv() => message,
        };
        let Some(message) = message else { break Ended::Stopped };
        let (shared, attendance) = (shared.clone(), attendance.clone());
        tasks.spawn(async move {
            if let Err(error) = deliver::message(&shared, &attendance, message).await {
                debug!(%error, queue = attendance.queue, "deliver.left_unacked");
            }
        });
    };
    if let Ended::Turned = ended {
        warn!(connector = attendance.connector.as_str(), "breaker.opened");
        shared.metrics.breaker_opened.with_label_values(&[attendance.connector.as_str()]).inc();
    }
    stop.cancel();
    while let Some(message) = taken.recv().await {
        give_back(shared, attendance, message).await;
    }
    ended
}

/// One probe per interval, until one is answered.
async fn open(shared: &Arc<Shared>, attendance: &Arc<Attendance>) -> Ended {
    let mut interval = Interval::new();
    let mut wait = interval;
    loop {
        shared.metrics.breaker(&attendance.connector, BreakerState::Open);
        tokio::select! {
            () = attendance.stop.cancelled() => return Ended::Stopped,
            // An attempt that was under way when it opened has had its answer.
            () = attendance.gate.breaker.closed() => break,
            () = tokio::time::sleep(wait.length()) => {}
        }
        shared.metrics.breaker(&attendance.connector, BreakerState::Probing);
        match probing(shared, attendance).await {
            Sign::Alive => break,
            Sign::Failing => {
                interval = interval.doubled();
                wait = interval;
            }
            // There was nothing to probe with. The next thing to come is, and need not wait for long.
            Sign::Nothing => wait = Interval::new(),
        }
    }
    info!(connector = attendance.connector.as_str(), "breaker.closed");
    Ended::Turned
}

/// Tries one delivery. Those that say nothing of the destination (copies, expired) cost no time.
async fn probing(shared: &Arc<Shared>, attendance: &Arc<Attendance>) -> Sign {
    while !attendance.stop.is_cancelled() {
        let taken = tokio::select! {
            () = attendance.stop.cancelled() => return Sign::Nothing,
            taken = take(&shared.link, &attendance.queue) => taken,
        };
        let message = match taken {
            Ok(Some(message)) => message,
            Ok(None) => return Sign::Nothing,
            Err(error) => {
                debug!(%error, queue = attendance.queue, "breaker.no_probe");
                return Sign::Nothing;
            }
        };
        // A task of its own, as every message has: one that panics must not take the attendance with it.
        let (shared, probed) = (shared.clone(), attendance.clone());
        let probe = tokio::spawn(async move { deliver::probe(&shared, &probed, message).await });
        match probe.await {
            Ok(Ok(Sign::Nothing)) => {}
            Ok(Ok(sign)) => return sign,
            Ok(Err(error)) => {
                debug!(%error, queue = attendance.queue, "deliver.left_unacked");
                return Sign::Nothing;
            }
            Err(error) => {
                error!(%error, queue = attendance.queue, "breaker.probe_failed");
                return Sign::Nothing;
            }
        }
    }
    Sign::Nothing
}

/// Puts a message that nobody has begun back on its queue, when the broker takes it again. What is left unacked,
/// because we end, comes again with the channel's end.
async fn give_back(shared: &Shared, attendance: &Attendance, message: Taken) {
    if !message.is_current() {
        return;
    }
    let again = Message::to_queue(&attendance.queue, message.body.clone()).again(message.may_be_copy);
    match shared.publisher.publish_surely(again).await {
        Ok(()) => {
            shared.metrics.given_back.with_label_values(&[attendance.connector.as_str()]).inc();
            message.ack().await;
        }
        Err(error) => debug!(%error, queue = attendance.queue, "deliver.not_given_back"),
    }
}
