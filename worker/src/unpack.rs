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

/// A message that was seen so often before is handled alone, and a batch is split into singles.
pub const SUSPECT_AFTER: u64 = 2;
/// A single that was seen so often is poison.
const POISON_AFTER: u64 = 5;

/// What a message turned out to be. Where it was split into singles, which are on the queue, nothing of it
/// is left to do.
pub struct Unpacked<T> {
    /// The items that can be read.
    pub items: Vec<T>,
    /// What cannot be read, or must not be.
    pub letters: Vec<Letter>,
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
    let mut unpacked = read(queue, &taken.body, taken.seen_before);
    if unpacked.items.len() > 1 && taken.seen_before >= SUSPECT_AFTER {
        warn!(queue, items = unpacked.items.len(), "poison.splitting");
        for item in std::mem::take(&mut unpacked.items) {
            let body = envelope::encode(std::slice::from_ref(&item));
            shared.publisher.publish_surely(Message::to_queue(queue, body).again(true)).await?;
        }
    }
    Ok(unpacked)
}

fn read<T: Item>(queue: &str, body: &[u8], seen_before: u64) -> Unpacked<T> {
    let letter = |bytes: &[u8], reason, why: String| {
        Letter::of_message(queue, bytes, reason, Timestamp::now()).because(why)
    };
    let whole = |letter| Unpacked { items: Vec::new(), letters: vec![letter] };
    if seen_before >= POISON_AFTER {
        return whole(letter(
            body,
            Reason::Poison,
            format!("it was taken {seen_before} times and never acked"),
        ));
    }
    let read = match envelope::decode_singly::<T>(body) {
        Ok(read) => read,
        Err(error @ envelope::Error::UnknownVersion(_)) => {
            return whole(letter(body, Reason::UnknownVersion, error.to_string()));
        }
        Err(error) => return whole(letter(body, Reason::UndecodableMessage, error.to_string())),
    };
    let mut unpacked = Unpacked { items: Vec::new(), letters: Vec::new() };
    for item in read {
        match item {
            Ok(item) => unpacked.items.push(item),
            Err(bad) => {
                unpacked.letters.push(letter(
                    &bad.message,
                    Reason::UndecodableMessage,
                    bad.error.to_string(),
                ));
            }
        }
    }
    unpacked
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::intake::Intake;

    #[test]
    fn what_cannot_be_read_is_a_letter_with_the_reason_and_a_suspect_is_not_even_looked_at() {
        let good = br#"{"v":1,"kind":"intakes","items":[]}"#;
        for (body, seen, reason) in [
            (&b"garbage"[..], 0, Some(Reason::UndecodableMessage)),
            (br#"{"v":9,"kind":"intakes","items":[]}"#, 0, Some(Reason::UnknownVersion)),
            (br#"{"v":1,"kind":"clicks","items":[]}"#, 0, Some(Reason::UndecodableMessage)),
            (br#"{"v":1,"kind":"intakes","items":[{}]}"#, 0, Some(Reason::UndecodableMessage)),
            (good, 4, None),
            (good, 5, Some(Reason::Poison)),
        ] {
            let letters = read::<Intake>("carom.events", body, seen).letters;
            assert_eq!(letters.first().map(|letter| letter.reason), reason);
        }
    }
}
