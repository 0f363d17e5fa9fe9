//! Delivering: one attempt of one delivery, and what follows from its outcome (guarantee G5).
//!
//! The order is fixed: attempt → hand-off (to a tier or to the dead letters) → confirm → settle → ack. A
//! crash in between makes a copy of a message; a message whose attempt is settled is such a copy, and is
//! not sent again.

mod outcome;
mod request;

use crate::attend::{Attendance, Taking};
use crate::breaker::Sign;
use crate::bury;
use crate::elsewhere;
use crate::settle;
use crate::shared::Shared;
use crate::unpack::{self, Unpacked};
use carom_common::amqp::{Message, PublishError, Taken};
use carom_common::connector::Connector;
use carom_common::dead_letter::Letter;
use carom_common::delivery::{Delivery, Outcome, Reason};
use carom_common::envelope;
use carom_common::id::ConnectorId;
use carom_common::postback::{self, Credentials, Postback, Unrenderable};
use carom_common::resources::Resources;
use carom_common::resources::newest::{self, Look};
use carom_common::secret::SecretRef;
use carom_common::store::{AttemptKey, AttemptStanding, End, Pause, Settlement};
use carom_common::topology;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
pub use outcome::Tried;
pub use request::{recorded, request};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::SemaphorePermit;
use tracing::warn;

/// What stands for the access token in Test mode, where none is fetched.
const NO_TOKEN: &str = "not-fetched-in-test-mode";
/// Whoever has waited for its turn for so long asks the store again whether it is still due.
const STALE: Duration = Duration::from_secs(3);
/// How long what cannot be judged is held before it goes back to its queue.
const UNREADABLE: Duration = Duration::from_secs(5);

/// Settles every delivery of a message, as many at once as the connector's gate lets pass, and acks it. What
/// is not begun when it is over (the breaker opens, or we leave) goes back to the queue.
///
/// # Errors
/// We are being shut down, or the message is no longer ours; it comes again.
pub async fn message(shared: &Shared, attendance: &Attendance, taken: Taken) -> Result<(), PublishError> {
    let deliveries = unpacked(shared, attendance, &taken).await?;
    if deliveries.len() > attendance.per_message {
        // A batch of the time when the connector could settle more: held whole, it would be held for long.
        give_back(shared, attendance, &deliveries, taken.may_be_copy).await?;
    } else {
        // Each ends as it ends: one that fails must not break off another in the middle of its attempt.
        let ends = join_all(
            deliveries.into_iter().map(|delivery| one(shared, attendance, &taken, Taking::Freely, delivery)),
        );
        ends.await.into_iter().collect::<Result<Vec<Sign>, _>>()?;
    }
    taken.ack().await;
    Ok(())
}

/// Settles the first delivery of a message and gives back the others; says what that one's attempt tells of
/// its destination.
///
/// # Errors
/// As [`message`].
pub async fn probe(shared: &Shared, attendance: &Attendance, taken: Taken) -> Result<Sign, PublishError> {
    let mut deliveries = unpacked(shared, attendance, &taken).await?.into_iter();
    let first = deliveries.next();
    give_back(shared, attendance, deliveries.as_slice(), taken.may_be_copy).await?;
    let sign = match first {
        Some(delivery) => one(shared, attendance, &taken, Taking::AsProbe, delivery).await?,
        None => Sign::Nothing,
    };
    taken.ack().await;
    Ok(sign)
}

async fn unpacked(
    shared: &Shared,
    attendance: &Attendance,
    taken: &Taken,
) -> Result<Vec<Delivery>, PublishError> {
    if !taken.is_current() {
        return Err(PublishError::Lost);
    }
    let unpacked: Unpacked<Delivery> = unpack::unpack(shared, &attendance.queue, taken).await?;
    bury::bury(&shared.publisher, &shared.store, &shared.metrics, unpacked.letters).await?;
    Ok(unpacked.items)
}

/// Puts deliveries back on their queue, each in a message of its own, as one that may be a copy where it is. While
/// the broker is away it waits: a message that was dropped unacked would hold its place until the broker loses
/// patience.
async fn give_back(
    shared: &Shared,
    attendance: &Attendance,
    deliveries: &[Delivery],
    again: bool,
) -> Result<(), PublishError> {
    for delivery in deliveries {
        let body = envelope::encode(std::slice::from_ref(delivery));
        let message = Message::to_queue(&attendance.queue, body).again(again);
        shared.publisher.publish_surely(message).await?;
        shared.metrics.given_back.with_label_values(&[attendance.connector.as_str()]).inc();
    }
    Ok(())
}

/// Settles one delivery, when it is its turn.
async fn one(
    shared: &Shared,
    attendance: &Attendance,
    taken: &Taken,
    taking: Taking,
    delivery: Delivery,
) -> Result<Sign, PublishError> {
    if elsewhere::may_be_in_hand(shared, taken) && settled_elsewhere(shared, taken, &delivery).await? {
        shared.metrics.copies.with_label_values(&[delivery.connector.as_str()]).inc();
        return Ok(Sign::Nothing);
    }
    let slot = tokio::select! {
        biased;
        () = attendance.over(taking) => None,
        slot = attendance.gate.slots.acquire() => Some(slot.map_err(|_| PublishError::Closed)?),
    };
    let Some(slot) = slot else {
        give_back(shared, attendance, std::slice::from_ref(&delivery), taken.may_be_copy).await?;
        return Ok(Sign::Nothing);
    };
    let _held = shared.deliveries.hold(delivery.id).await;
    if !taken.is_current() {
        return Err(PublishError::Lost);
    }
    let key = key(&delivery);
    let event = delivery.facts.event.id;
    match shared.together.standing(key, event).await {
        AttemptStanding::Due => deliver(shared, attendance, taken, taking, slot, delivery, false).await,
        // Its letter is storage too: it carries nothing of who was erased.
        AttemptStanding::Erased => {
            deliver(shared, attendance, taken, taking, slot, delivery.without_person(), true).await
        }
        AttemptStanding::Settled => {
            shared.metrics.copies.with_label_values(&[delivery.connector.as_str()]).inc();
            Ok(Sign::Nothing)
        }
    }
}

/// Waits for another worker that may be making this very attempt, and says whether it has settled it. Who waits
/// has begun nothing, and takes nobody's slot.
async fn settled_elsewhere(
    shared: &Shared,
    taken: &Taken,
    delivery: &Delivery,
) -> Result<bool, PublishError> {
    let resources = shared.resources();
    let webhook = resources.connector(&delivery.connector).and_then(|connector| connector.webhook.as_ref());
    let longest = elsewhere::longest_attempt(&shared.config, webhook);
    let (key, event) = (key(delivery), delivery.facts.event.id);
    let settled = || async move { shared.together.standing(key, event).await == AttemptStanding::Settled };
    elsewhere::outwait(shared, taken, longest, settled).await
}

fn key(delivery: &Delivery) -> AttemptKey {
    AttemptKey { delivery: delivery.id, round: delivery.round, attempt: delivery.attempt }
}

/// What came of the wish to try.
enum Attempted {
    /// It was tried, or there was a reason not to.
    Tried(Box<Tried>),
    /// It was over before anything was begun.
    Not,
    /// Somebody else has settled it meanwhile.
    Copy,
    /// Its person was erased meanwhile.
    Erased,
}

/// Makes the attempt, hands off what follows, and settles it. The slot is for the attempt alone: while one settles, the
/// next is made.
async fn deliver(
    shared: &Shared,
    attendance: &Attendance,
    taken: &Taken,
    taking: Taking,
    slot: SemaphorePermit<'_>,
    delivery: Delivery,
    erased: bool,
) -> Result<Sign, PublishError> {
    let at = Timestamp::now();
    let gone = || Tried::dead(Reason::Erased, "it belongs to a person who was erased");
    let attempted = match erased {
        true => Attempted::Tried(Box::new(gone())),
        false => attempt(shared, attendance, taken, taking, &delivery, at).await?,
    };
    drop(slot);
    let (delivery, tried) = match attempted {
        Attempted::Tried(tried) => (delivery, *tried),
        Attempted::Erased => (delivery.without_person(), gone()),
        Attempted::Not => {
            give_back(shared, attendance, std::slice::from_ref(&delivery), taken.may_be_copy).await?;
            return Ok(Sign::Nothing);
        }
        Attempted::Copy => {
            shared.metrics.copies.with_label_values(&[delivery.connector.as_str()]).inc();
            return Ok(Sign::Nothing);
        }
    };
    let sign = tried.sign();
    attendance.gate.breaker.heard(sign);
    if tried.is_gone() {
        let why = format!("the receiver answered 410 Gone to delivery {}", delivery.id);
        shared.pauses.pause(&delivery.connector, Pause { since: Timestamp::now(), why }).await;
    }
    let outcome = tried.outcome(delivery.attempt, &shared.config.retry.schedule);
    shared.metrics.attempt(&delivery, &tried.class, tried.exchange.as_ref(), &outcome);
    let end = hand_off(shared, &delivery, &tried, outcome).await?;
    let settlement = Settlement { delivery, at, exchange: tried.exchange, end };
    shared.together.settle(settlement).await;
    Ok(sign)
}

/// Tries, unless there is a reason not to.
async fn attempt(
    shared: &Shared,
    attendance: &Attendance,
    taken: &Taken,
    taking: Taking,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Attempted, PublishError> {
    let Some(resources) = known(shared, &delivery.connector).await else {
        // It would come again at once, and so would this.
        tokio::select! {
            () = attendance.over(taking) => {}
            () = tokio::time::sleep(UNREADABLE) => {}
        }
        return Ok(Attempted::Not);
    };
    let Some(connector) = resources.connector(&delivery.connector) else {
        let removed = Tried::dead(Reason::ConnectorRemoved, "there is no such connector any more");
        return Ok(Attempted::Tried(Box::new(removed)));
    };
    if let Some(expired) = expired(connector, delivery, shared.config.worker.max_due.0, now) {
        return Ok(Attempted::Tried(Box::new(expired)));
    }
    if delivery.test {
        return Ok(Attempted::Tried(match render(connector, delivery, Some(NO_TOKEN)) {
            Ok(postback) => Box::new(Tried::tested(recorded(&postback, shared.config.worker.log_body_bytes))),
            Err(tried) => tried,
        }));
    }
    let asked = Instant::now();
    tokio::select! {
        biased;
        () = attendance.over(taking) => return Ok(Attempted::Not),
        () = attendance.gate.turn() => {}
    }
    // Its turn may have been long in coming. What was lost meanwhile is another's by now.
    if !taken.is_current() {
        return Err(PublishError::Lost);
    }
    if asked.elapsed() >= STALE {
        let (key, event) = (key(delivery), delivery.facts.event.id);
        match shared.together.standing(key, event).await {
            AttemptStanding::Due => {}
            AttemptStanding::Settled => return Ok(Attempted::Copy),
            AttemptStanding::Erased => return Ok(Attempted::Erased),
        }
        if !taken.is_current() {
            return Err(PublishError::Lost);
        }
    }
    let in_flight = shared.metrics.in_flight.with_label_values(&[delivery.connector.as_str()]);
    in_flight.inc();
    let tried = exchange(shared, connector, delivery).await;
    in_flight.dec();
    Ok(Attempted::Tried(Box::new(tried)))
}

/// Whether it has been due for too long, or its event is too old for this connector. A refund is as old as the
/// event that brought it.
fn expired(connector: &Connector, delivery: &Delivery, max_due: Duration, now: Timestamp) -> Option<Tried> {
    let max_due = SignedDuration::try_from(max_due).unwrap_or(SignedDuration::MAX);
    if now.duration_since(delivery.due_since) > max_due {
        let detail = format!("it has been due since {}", delivery.due_since);
        return Some(Tried::dead(Reason::Expired, detail));
    }
    let age = connector.exceeded_age(delivery.facts.event.at, now)?;
    let detail = format!("its event is of {}, older than {age}", delivery.facts.event.at);
    Some(Tried::dead(Reason::Expired, detail))
}

/// The resources in use, or the store's newest where they lack the connector: another worker may have
/// followed them a moment before us. None where we cannot use those, and so cannot say that it is gone.
async fn known(shared: &Shared, connector: &ConnectorId) -> Option<Arc<Resources>> {
    let resources = shared.resources();
    if resources.connector(connector).is_some() {
        return Some(resources);
    }
    match settle::surely("resources", || newest::look(&shared.store, 0)).await {
        Look::Newer(newest) => Some(Arc::new(newest.resources)),
        // Nothing was applied yet.
        Look::Unchanged => Some(resources),
        Look::Refused(refused) => {
            warn!(%refused, connector = connector.as_str(), "deliver.connector_not_known");
            None
        }
    }
}

fn render(
    connector: &Connector,
    delivery: &Delivery,
    access_token: Option<&str>,
) -> Result<Postback, Box<Tried>> {
    let credentials = Credentials { secret: &SecretRef::read, access_token };
    let now = Timestamp::now();
    postback::signed(connector, &delivery.id, &delivery.facts, &credentials, now).map_err(|error| {
        // A secret that cannot be read is the operator's to mend, and the delivery is as good as before.
        Box::new(match error.is_passing() {
            true => Tried::failed("secret", error.to_string(), Sign::Nothing),
            false => Tried::dead(Reason::Unrenderable, error.to_string()),
        })
    })
}

async fn exchange(shared: &Shared, connector: &Connector, delivery: &Delivery) -> Tried {
    let Some(webhook) = &connector.webhook else {
        return Tried::dead(Reason::Unrenderable, Unrenderable::NoWebhook.to_string());
    };
    let counted = |outcome| shared.metrics.tokens.with_label_values(&[connector.id.as_str(), outcome]).inc();
    let token = match shared.tokens.token(&shared.egress, connector).await {
        Ok(token) => token,
        Err(error) => {
            counted("failed");
            return Tried::failed("authorization", error.to_string(), Sign::Failing);
        }
    };
    if let Some((_, true)) = token {
        counted("fetched");
    }
    let token = token.map(|(token, _)| token);
    let postback = match render(connector, delivery, token.as_deref()) {
        Ok(postback) => postback,
        Err(tried) => return *tried,
    };
    let record = recorded(&postback, shared.config.worker.log_body_bytes);
    let mut secrets = postback.secrets();
    secrets.extend(token.clone());
    let exchange = shared.egress.attempt(request(postback), webhook.timeout.0).await;
    let tried = Tried::exchanged(record, exchange, &secrets, webhook.success.as_ref());
    if let Some(token) = token.filter(|_| tried.status() == Some(401)) {
        shared.tokens.refused(&connector.id, &token).await;
    }
    tried
}

/// Puts what follows from an outcome where it belongs, confirmed.
async fn hand_off(
    shared: &Shared,
    delivery: &Delivery,
    tried: &Tried,
    outcome: Outcome,
) -> Result<End, PublishError> {
    match outcome {
        Outcome::Delivered => Ok(End::Delivered),
        Outcome::Tested => Ok(End::Tested),
        Outcome::Retry(tier) => {
            let now = Timestamp::now();
            // What it waited in the queue counts as due; what it will wait in the tier does not.
            let waited = now.duration_since(delivery.due_since).max(SignedDuration::ZERO);
            let back = now + SignedDuration::try_from(tier.delay()).unwrap_or_default();
            let next =
                Delivery { attempt: delivery.attempt + 1, due_since: back - waited, ..delivery.clone() };
            let queue = topology::deliver_queue(&delivery.connector);
            let body = envelope::encode(std::slice::from_ref(&next));
            shared.publisher.publish_surely(Message::to_tier(tier, &queue, body)).await?;
            shared.metrics.retries.with_label_values(&[&tier.to_string()]).inc();
            Ok(End::Retry(tier))
        }
        Outcome::Dead(reason) => {
            let exchange = tried.exchange.as_ref();
            let letter = Letter {
                last_status: exchange.and_then(|exchange| exchange.status),
                response: exchange.map(|exchange| exchange.response.clone()).unwrap_or_default(),
                ..Letter::of_delivery(delivery.clone(), reason, Timestamp::now())
                    .because(tried.detail.clone())
            };
            bury::publish(&shared.publisher, std::slice::from_ref(&letter)).await?;
            shared.metrics.dead(delivery.connector.as_str(), reason);
            Ok(End::Dead(Box::new(letter)))
        }
    }
}

#[cfg(test)]
mod tests;
