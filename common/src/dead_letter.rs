//! A dead letter: what could not be decoded, routed or delivered, whole, with the reason.

use crate::click::Click;
use crate::delivery::{Delivery, Reason};
use crate::intake::{Body, Intake};
use crate::redact;
use crate::topology;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One letter, as it lies on `carom.dead`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its own id; a delivery that dies again after a replay leaves another letter.
    pub id: Uuid,
    /// Why it is here.
    pub reason: Reason,
    /// When it was given up.
    pub at: Timestamp,
    /// More about the reason, for people. No personal data, no secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The queue that it came from, and goes back to when it is replayed.
    pub queue: String,
    /// How many attempts were made in its last round.
    #[serde(default)]
    pub attempts: u32,
    /// The last attempt's HTTP status, if it got one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// The beginning of the last response.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
    /// What it is.
    pub content: Content,
}

/// What a letter holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A delivery that was given up.
    Delivery(Box<Delivery>),
    /// An intake that could not be resolved.
    Intake(Box<Intake>),
    /// A click that could not be recorded.
    Click(Box<Click>),
    /// A message that is not of our envelope, as bytes.
    Message(Body),
}

impl Letter {
    /// A letter about a delivery.
    pub fn of_delivery(delivery: Delivery, reason: Reason, at: Timestamp) -> Self {
        let queue = topology::deliver_queue(&delivery.connector);
        let attempts = delivery.attempt;
        Self { attempts, ..Self::new(queue, reason, at, Content::Delivery(Box::new(delivery))) }
    }

    /// A letter about an intake. Its secrets are masked: a letter is storage, and a replay sends out again
    /// what lies there.
    pub fn of_intake(mut intake: Intake, reason: Reason, at: Timestamp) -> Self {
        redact::intake(&mut intake, &[]);
        Self::new(topology::EVENTS.to_owned(), reason, at, Content::Intake(Box::new(intake)))
    }

    /// A letter about a message that could not be read. What looks like a secret in it is masked.
    pub fn of_message(queue: &str, bytes: &[u8], reason: Reason, at: Timestamp) -> Self {
        let (bytes, _) = redact::body(bytes, &[]);
        Self::new(queue.to_owned(), reason, at, Content::Message(Body(bytes)))
    }

    /// A letter with nothing yet to say about attempts.
    pub fn new(queue: String, reason: Reason, at: Timestamp, content: Content) -> Self {
        let id = Uuid::now_v7();
        Self {
            id,
            reason,
            at,
            detail: String::new(),
            queue,
            attempts: 0,
            last_status: None,
            response: String::new(),
            content,
        }
    }

    /// The letter without what it says of a person: what is left of one whose person was erased.
    #[must_use]
    pub fn without_person(self) -> Self {
        let content = match self.content {
            Content::Delivery(delivery) => Content::Delivery(Box::new(delivery.without_person())),
            Content::Intake(intake) => Content::Intake(Box::new(intake.without_content())),
            Content::Click(click) => Content::Click(Box::new(click.without_person())),
            Content::Message(_) => Content::Message(Body::default()),
        };
        Self { response: String::new(), content, ..self }
    }

    /// The same with more about the reason.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}
