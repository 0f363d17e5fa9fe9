//! Letters that the broker itself makes: what it could not route, and what came back to a queue too
//! often. They end in `carom.unrouted`; here each is recorded with a reason and buried.

use crate::bury;
use crate::shared::Shared;
use carom_common::amqp::{PublishError, Taken};
use carom_common::click::Click;
use carom_common::dead_letter::{Content, Letter};
use carom_common::delivery::{Delivery, Reason};
use carom_common::envelope;
use carom_common::intake::Intake;
use carom_common::topology;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::mpsc;
use tracing::debug;

/// Consumes `carom.unrouted` until its stream ends.
pub async fn run(shared: Arc<Shared>, mut taken: mpsc::Receiver<Taken>) {
    while let Some(message) = taken.recv().await {
        // In a task of its own, so that a message that makes us panic ends that task and not this one.
        let shared = shared.clone();
        let buried = tokio::spawn(async move { bury_message(&shared, message).await }).await;
        if let Ok(Err(error)) = buried {
            debug!(%error, "unrouted.left_unacked");
        }
    }
}

async fn bury_message(shared: &Shared, message: Taken) -> Result<(), PublishError> {
    let letters = letters(&message.body, &message.routing_key, message.returned_too_often, Timestamp::now());
    bury::bury(&shared.publisher, &shared.store, &shared.metrics, letters).await?;
    message.ack().await;
    shared.metrics.unrouted.inc();
    Ok(())
}

/// Decodes what it can and keeps the rest as bytes.
fn letters(body: &[u8], queue: &str, returned_too_often: bool, now: Timestamp) -> Vec<Letter> {
    let reason = if returned_too_often { Reason::Poison } else { Reason::Unrouted };
    let detail = if returned_too_often {
        format!("it came back to {queue} more often than its delivery limit")
    } else {
        format!("there was no queue {queue} when it was to go there")
    };
    let letters: Vec<Letter> = if let Ok(deliveries) = envelope::decode::<Delivery>(body) {
        deliveries.into_iter().map(|delivery| Letter::of_delivery(delivery, reason, now)).collect()
    } else if let Ok(intakes) = envelope::decode::<Intake>(body) {
        intakes.into_iter().map(|intake| Letter::of_intake(intake, reason, now)).collect()
    } else if let Ok(clicks) = envelope::decode::<Click>(body) {
        let letter =
            |click| Letter::new(topology::CLICKS.to_owned(), reason, now, Content::Click(Box::new(click)));
        clicks.into_iter().map(letter).collect()
    } else if let Ok(letters) = envelope::decode::<Letter>(body) {
        return letters;
    } else {
        vec![Letter::of_message(queue, body, reason, now)]
    };
    letters.into_iter().map(|letter| letter.because(detail.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_kept_to_the_byte() {
        let letters = letters(b"\xff{", "carom.deliver.gone", false, Timestamp::now());
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].reason, Reason::Unrouted);
        assert!(matches!(&letters[0].content, Content::Message(body) if body.0 == b"\xff{"));
        assert!(letters[0].detail.contains("carom.deliver.gone"));
    }
}
