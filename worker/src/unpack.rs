//! Unpacking: a message becomes its items, or a letter.
//!
//! Poison is found here. A message that was held and never acked killed, or outlived, whoever held it. A
//! batch that was seen twice before is split into singles; a single that was seen five times is buried
//! undecoded.

use crate::shared::Shared;
use carom_common::amqp::{Message, PublishError, Taken};
use carom_common::dead_letter::Letter;
use carom_common::delivery::Reason;
use carom_common::envelope::{self, Item};
use jiff::Timestamp;
use tracing::warn;

/// A batch that was seen so often before is split.
const SPLIT_AFTER: u64 = 2;
/// A single that was seen so often is poison.
const POISON_AFTER: u64 = 5;

/// What a message turned out to be.
pub enum Unpacked<T> {
    /// Its items.
    Items(Vec<T>),
    /// It cannot be read, or must not be.
    Letter(Box<Letter>),
    /// It was split into singles, which are on the queue; nothing of it is left to do.
    Split,
}

/// Reads a message of `queue`.
///
/// # Errors
/// We are being shut down.
pub async fn unpack<T: Item>(
    shared: &Shared,
    queue: &str,
    taken: &Taken,
) -> Result<Unpacked<T>, PublishError> {
    let now = Timestamp::now();
    let letter = |reason| Box::new(Letter::of_message(queue, &taken.body, reason, now));
    if taken.seen_before >= POISON_AFTER {
        let detail = format!("it was taken {} times and never acked", taken.seen_before);
        return Ok(Unpacked::Letter(Box::new(letter(Reason::Poison).because(detail))));
    }
    let items: Vec<T> = match envelope::decode(&taken.body) {
        Ok(items) => items,
        Err(error) => {
            let reason = match error {
                envelope::Error::UnknownVersion(_) => Reason::UnknownVersion,
                _ => Reason::UndecodableMessage,
            };
            return Ok(Unpacked::Letter(Box::new(letter(reason).because(error.to_string()))));
        }
    };
    if items.len() > 1 && taken.seen_before >= SPLIT_AFTER {
        warn!(queue, items = items.len(), "poison.splitting");
        for item in &items {
            let body = envelope::encode(std::slice::from_ref(item));
            shared.publisher.publish_surely(Message::to_queue(queue, body)).await?;
        }
        return Ok(Unpacked::Split);
    }
    Ok(Unpacked::Items(items))
}
