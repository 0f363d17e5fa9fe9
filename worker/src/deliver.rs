//! Delivering: one attempt of one delivery, and what follows from its outcome (guarantee G5).
//!
//! The order is fixed: attempt → hand-off (to a tier or to the dead letters) → confirm → settle → ack. A
//! crash in between makes a copy of a message; a message whose attempt is settled is such a copy, and is
//! not sent again.

mod outcome;

use crate::bury;
use crate::egress::Request;
use crate::settle;
use crate::shared::Shared;
use crate::unpack::{self, Unpacked};
use carom_common::amqp::{Message, PublishError, Taken};
use carom_common::connector::{Connector, Method};
use carom_common::dead_letter::Letter;
use carom_common::delivery::{Delivery, Outcome, Reason};
use carom_common::envelope;
use carom_common::id::ConnectorId;
use carom_common::postback::{self, Credentials, Postback};
use carom_common::resources::Resources;
use carom_common::secret::SecretRef;
use carom_common::store::{AttemptKey, AttemptStanding, End, ExchangeRecord, Settlement};
use carom_common::topology;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use outcome::Tried;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Settles every delivery of a message, at most `slots` at once over all messages of the connector, and
/// acks it.
///
/// # Errors
/// We are being shut down, or the message is no longer ours; it comes again.
pub async fn message(
    shared: &Shared,
    queue: &str,
    slots: &Arc<Semaphore>,
    taken: Taken,
) -> Result<(), PublishError> {
    if !taken.is_current() {
        return Err(PublishError::Lost);
    }
    let unpacked: Unpacked<Delivery> = unpack::unpack(shared, queue, &taken).await?;
    bury::bury(&shared.publisher, &shared.store, &shared.metrics, unpacked.letters).await?;
    // Each ends as it ends: one that fails must not break off another in the middle of its attempt.
    let ends = join_all(unpacked.items.into_iter().map(|delivery| async {
        let Ok(_slot) = slots.acquire().await else { return Err(PublishError::Closed) };
        let _held = shared.deliveries.hold(delivery.id).await;
        if !taken.is_current() {
            return Err(PublishError::Lost);
        }
        let key = key(&delivery);
        let event = delivery.facts.event.id;
        match settle::surely("attempt_standing", || shared.store.attempt_standing(key, event)).await {
            AttemptStanding::Due => deliver(shared, delivery, false).await,
            // Its letter is storage too: it carries nothing of who was erased.
            AttemptStanding::Erased => deliver(shared, delivery.without_person(), true).await,
            AttemptStanding::Settled => {
                shared.metrics.copies.with_label_values(&[delivery.connector.as_str()]).inc();
                Ok(())
            }
        }
    }))
    .await;
    ends.into_iter().collect::<Result<Vec<()>, _>>()?;
    taken.ack().await;
    Ok(())
}

fn key(delivery: &Delivery) -> AttemptKey {
    AttemptKey { delivery: delivery.id, round: delivery.round, attempt: delivery.attempt }
}

/// Makes the attempt, hands off what follows, and settles it.
async fn deliver(shared: &Shared, delivery: Delivery, erased: bool) -> Result<(), PublishError> {
    let in_flight = shared.metrics.in_flight.with_label_values(&[delivery.connector.as_str()]);
    in_flight.inc();
    let at = Timestamp::now();
    let tried = if erased {
        Tried::dead(Reason::Erased, "it belongs to a person who was erased")
    } else {
        attempt(shared, &delivery, at).await
    };
    in_flight.dec();
    let outcome = tried.outcome(delivery.attempt, &shared.config.retry.schedule);
    shared.metrics.attempt(&delivery, &tried.class, tried.exchange.as_ref(), &outcome);
    let end = hand_off(shared, &delivery, &tried, outcome).await?;
    let settlement = Settlement { delivery, at, exchange: tried.exchange, end };
    settle::surely("settle", || shared.store.settle(vec![settlement.clone()])).await;
    Ok(())
}

/// Tries, unless there is a reason not to.
async fn attempt(shared: &Shared, delivery: &Delivery, now: Timestamp) -> Tried {
    let resources = known(shared, &delivery.connector).await;
    let Some(connector) = resources.connector(&delivery.connector) else {
        return Tried::dead(Reason::ConnectorRemoved, "there is no such connector any more");
    };
    let due = now.duration_since(delivery.due_since);
    if due > SignedDuration::try_from(shared.config.worker.max_due.0).unwrap_or(SignedDuration::MAX) {
        return Tried::dead(Reason::Expired, format!("it has been due since {}", delivery.due_since));
    }
    let rendered = {
        let credentials = Credentials { secret: &SecretRef::read, access_token: None };
        postback::render(connector, &delivery.id, &delivery.facts, &credentials).and_then(|mut postback| {
            postback::sign(&mut postback, &connector.webhook, &delivery.id, &credentials, now)?;
            Ok(postback)
        })
    };
    match rendered {
        Ok(postback) => exchange(shared, connector, postback).await,
        // A secret that cannot be read is the operator's to mend, and the delivery is as good as before.
        Err(error) if error.is_passing() => Tried::failed("secret", error.to_string()),
        Err(error) => Tried::dead(Reason::Unrenderable, error.to_string()),
    }
}

/// The resources in use, or the store's newest where they lack the connector: another worker may have
/// followed them a moment before us.
async fn known(shared: &Shared, connector: &ConnectorId) -> Arc<Resources> {
    let resources = shared.resources.borrow().clone();
    if resources.connector(connector).is_some() {
        return resources;
    }
    Arc::new(settle::surely("resources", || shared.store.resources()).await.resources)
}

async fn exchange(shared: &Shared, connector: &Connector, postback: Postback) -> Tried {
    let record = ExchangeRecord {
        method: method(postback.method).to_string(),
        url: postback.masked_url(),
        unresolved: postback.unresolved.clone(),
        ..ExchangeRecord::default()
    };
    let secrets = postback.secrets();
    let request = Request {
        method: method(postback.method),
        url: postback.url,
        headers: postback.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        body: postback.body.map(|body| (body.content_type.to_owned(), body.bytes)),
    };
    let exchange = shared.egress.attempt(request, connector.webhook.timeout.0).await;
    Tried::exchanged(record, exchange, &secrets)
}

fn method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    }
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
