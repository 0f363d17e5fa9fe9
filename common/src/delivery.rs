//! A delivery: one step of one conversion, or one event, to one connector; and what became of it.

use crate::event::Facts;
use crate::id::{ConnectorId, DeliveryId};
use crate::retry::Tier;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A delivery as it travels: ids, counters and facts, never a rendered request and never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its stable id, which the receiver is told.
    pub id: DeliveryId,
    /// To whom.
    pub connector: ConnectorId,
    /// 0 as first selected; each replay is the next.
    pub round: u32,
    /// The number of the attempt that is to be made, from 1.
    pub attempt: u32,
    /// Since when it has been due in this round, the time in the retry tiers not counted.
    pub due_since: Timestamp,
    /// Whether it was selected in Test mode: everything happens to it but the sending.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
    /// What it tells.
    pub facts: Facts,
}

impl Delivery {
    /// The first attempt of a newly selected one.
    pub fn new(id: DeliveryId, connector: ConnectorId, now: Timestamp, facts: Facts) -> Self {
        Self { id, connector, round: 0, attempt: 1, due_since: now, test: false, facts }
    }

    /// What is left of it when its person was erased: ids, the event's kind and the conversion's state.
    #[must_use]
    pub fn without_person(self) -> Self {
        Self { facts: self.facts.without_person(), ..self }
    }
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It is of Test mode: what would have been sent is in the log.
    Tested,
    /// It failed and is tried again after this tier.
    Retry(Tier),
    /// It is given up.
    Dead(Reason),
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why something lies in the dead letters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$name),*];

            /// The reason as it is stored, shown and used as a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text),* }
            }
        }
    };
}

reasons! {
    /// The whole schedule was tried in vain.
    Exhausted = "exhausted",
    /// It was due for too long.
    Expired = "expired",
    /// The destination's address is one that we do not call.
    BlockedAddress = "blocked_address",
    /// The connector cannot make a request of it.
    Unrenderable = "unrenderable",
    /// There is no such connector any more.
    ConnectorRemoved = "connector_removed",
    /// It belongs to a person who was erased.
    Erased = "erased",
    /// The source that it came from is not configured any more.
    SourceRemoved = "source_removed",
    /// The body is not what its source's kind says.
    UndecodableBody = "undecodable_body",
    /// The message is not of our envelope.
    UndecodableMessage = "undecodable_message",
    /// The envelope is of a version that this binary does not know.
    UnknownVersion = "unknown_version",
    /// Whoever took it died, again and again.
    Poison = "poison",
    /// The broker found no queue for it.
    Unrouted = "unrouted",
}

impl std::str::FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|reason| reason.as_str()).collect();
            format!("`{text}` is no reason of a dead letter; the reasons are {}", known.join(", "))
        })
    }
}

/// Whether a status means that the receiver took it (specification 001: 200 to 207 and 226).
pub fn is_success(status: u16) -> bool {
    matches!(status, 200..=207 | 226)
}
