//! Burying: letters onto `carom.dead`, confirmed, and only then into the store's listing.

use crate::metrics::Metrics;
use carom_common::amqp::{Message, PublishError, Publisher};
use carom_common::dead_letter::{Content, Letter};
use carom_common::envelope;
use carom_common::store::Store;
use carom_common::topology;
use futures_util::future::try_join_all;
use tracing::warn;

/// Puts letters on `carom.dead`, one a message, so that a replay takes and leaves them singly.
///
/// # Errors
/// We are being shut down.
pub async fn publish(publisher: &Publisher, letters: &[Letter]) -> Result<(), PublishError> {
    let messages = letters.iter().map(|letter| {
        let body = envelope::encode(std::slice::from_ref(letter));
        publisher.publish_surely(Message::to_queue(topology::DEAD, body))
    });
    try_join_all(messages).await.map(|_| ())
}

/// Buries letters that are no result of an attempt: what could not be read, routed or resolved.
///
/// # Errors
/// We are being shut down. Whoever holds the messages that the letters came from does not ack them.
pub async fn bury(
    publisher: &Publisher,
    store: &Store,
    metrics: &Metrics,
    letters: Vec<Letter>,
) -> Result<(), PublishError> {
    if letters.is_empty() {
        return Ok(());
    }
    publish(publisher, &letters).await?;
    for letter in &letters {
        let connector = match &letter.content {
            Content::Delivery(delivery) => delivery.connector.as_str(),
            _ => "",
        };
        metrics.dead(connector, letter.reason);
        warn!(letter.id = %letter.id, letter.reason = letter.reason.as_str(), letter.queue, "dead_letter.buried");
    }
    crate::settle::surely("bury", || store.bury(letters.clone())).await;
    Ok(())
}
