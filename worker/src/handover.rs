//! Handing over: deliveries onto their connectors' queues, parked intakes into their tier (guarantee G2).
//!
//! Everything here is confirmed by the broker before it returns; only then is an event marked as handed
//! over, and its message acked.

use crate::connectors::settleable;
use carom_common::amqp::{Message, PublishError, Publisher};
use carom_common::connector::Webhook;
use carom_common::delivery::Delivery;
use carom_common::envelope::{self, BATCH_BYTES, Item};
use carom_common::id::ConnectorId;
use carom_common::intake::Intake;
use carom_common::resources::Resources;
use carom_common::retry::Tier;
use carom_common::topology;
use futures_util::future::try_join_all;
use std::collections::BTreeMap;
use tracing::warn;

/// How many deliveries travel in one message at most.
const DELIVERIES_PER_MESSAGE: usize = 16;

/// How many deliveries of a connector travel in one message: no more than it can settle in a minute, and one
/// where they go out at a rate.
pub fn per_message(webhook: &Webhook) -> usize {
    if webhook.rate.is_some() {
        return 1;
    }
    settleable(webhook).clamp(1, DELIVERIES_PER_MESSAGE)
}

/// Puts deliveries on their queues, those of one connector together. Those that are handed over `again` were chosen
/// before, by somebody who may have put them there already: they are published as what may be copies.
///
/// # Errors
/// We are being shut down.
pub async fn deliveries(
    publisher: &Publisher,
    resources: &Resources,
    deliveries: Vec<Delivery>,
    again: bool,
) -> Result<(), PublishError> {
    let mut by_connector: BTreeMap<ConnectorId, Vec<Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        by_connector.entry(delivery.connector.clone()).or_default().push(delivery);
    }
    for connector in by_connector.keys() {
        // A connector may be selected a moment before its consumer comes up.
        if let Err(error) = publisher.link().ensure_connector(connector).await {
            warn!(%error, connector = connector.as_str(), "connector.declare_failed");
        }
    }
    let messages = by_connector.iter().flat_map(|(connector, deliveries)| {
        let queue = topology::deliver_queue(connector);
        let most = resources
            .connector(connector)
            .and_then(|connector| connector.webhook.as_ref())
            .map_or(1, per_message);
        deliveries
            .chunks(most)
            .flat_map(batches)
            .map(move |body| Message::to_queue(&queue, body).again(again))
            .collect::<Vec<_>>()
    });
    try_join_all(messages.map(|message| publisher.publish_surely(message))).await.map(|_| ())
}

/// Puts parked intakes into the tiers that are their timers, to come back to `carom.events`.
///
/// # Errors
/// We are being shut down.
pub async fn timers(publisher: &Publisher, timers: Vec<(Tier, Intake)>) -> Result<(), PublishError> {
    let messages = timers.into_iter().map(|(tier, intake)| {
        let body = envelope::encode(std::slice::from_ref(&intake));
        publisher.publish_surely(Message::to_tier(tier, topology::EVENTS, body))
    });
    try_join_all(messages).await.map(|_| ())
}

/// Puts intakes that waited for what has come now onto `carom.events` again.
///
/// # Errors
/// We are being shut down.
pub async fn released(publisher: &Publisher, intakes: Vec<Intake>) -> Result<(), PublishError> {
    let messages = batches(&intakes).into_iter().filter(|_| !intakes.is_empty());
    let messages = messages.map(|body| publisher.publish_surely(Message::to_queue(topology::EVENTS, body)));
    try_join_all(messages).await.map(|_| ())
}

/// Encodes items as one message, or as several where one would be too large for the broker.
pub fn batches<T: Item>(items: &[T]) -> Vec<Vec<u8>> {
    let body = envelope::encode(items);
    if body.len() <= BATCH_BYTES || items.len() == 1 {
        return vec![body];
    }
    let (first, second) = items.split_at(items.len() / 2);
    let mut bodies = batches(first);
    bodies.extend(batches(second));
    bodies
}
