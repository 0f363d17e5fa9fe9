//! The mixture: five kinds of events, so that every end of an event occurs, and the Carom that they are sent to.

use crate::receiver::{Answer, Received, Receiver};
use crate::resources::{Connector, Resources};
use crate::stack::Setup;
use carom_common::retry::Schedule;
use std::sync::Arc;
use std::time::Duration;

/// The retry schedule of the mixture, short enough to be waited for.
pub const SCHEDULE: &str = "300ms,1s";

/// What an event of a load is, and so what must become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A purchase without a click: delivered.
    Plain,
    /// A click, and a purchase that names it: delivered.
    Joined,
    /// An upsell, whose connector refuses the first attempt: delivered by the second.
    Flaky,
    /// Of a type that no connector wants: skipped.
    Unwanted,
    /// A lead, whose connector refuses all attempts: a dead letter.
    Doomed,
}

/// How an event may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    Dead,
    Skipped,
}

impl Kind {
    /// Of ten events in a row five are plain, two are joined, and one is of each of the others.
    pub fn of(index: usize) -> Self {
        match index % 10 {
            1 | 5 => Self::Joined,
            3 => Self::Flaky,
            7 => Self::Unwanted,
            9 => Self::Doomed,
            _ => Self::Plain,
        }
    }

    /// Its name.
    fn event(self) -> &'static str {
        match self {
            Self::Plain | Self::Joined => "purchase",
            Self::Flaky => "upsell",
            Self::Unwanted => "add_to_cart",
            Self::Doomed => "lead",
        }
    }

    /// An event of this kind, by its parameters.
    pub fn pairs(self, tx: &str) -> Vec<(&'static str, &str)> {
        vec![("event", self.event()), ("txid", tx), ("payout", "12.50"), ("currency", "USD")]
    }

    /// How it ends where nothing goes wrong but what is meant to.
    pub fn end(self) -> End {
        match self {
            Self::Plain | Self::Joined | Self::Flaky => End::Delivered,
            Self::Unwanted => End::Skipped,
            Self::Doomed => End::Dead,
        }
    }
}

/// The retry schedule as the product reads it.
pub fn schedule() -> Schedule {
    let spans: Vec<_> = SCHEDULE.split(',').map(|span| span.parse().unwrap()).collect();
    Schedule::try_from(spans).unwrap()
}

/// The connectors that make the mixture's ends.
pub fn resources(receiver: &Receiver) -> Resources {
    let connector =
        |id: &str, trigger: &str| Connector::get(id, receiver.url(&format!("/{id}"))).triggers(&[trigger]);
    Resources::new()
        .with(connector("network", "purchase"))
        .with(connector("flaky", "upsell"))
        .with(connector("doomed", "lead"))
}

/// Lets the receiver answer as the kinds say, after `delay`.
///
/// It refuses by 404 and 409, which say nothing against the destination: the breaker has scenarios of its own.
pub fn answer(receiver: &Receiver, delay: Duration) {
    receiver.answer(Arc::new(move |request: &Received| {
        let status = match (request.path.as_str(), request.number) {
            ("/doomed", _) => 404,
            ("/flaky", 1) => 409,
            _ => 200,
        };
        Answer::status(status).after(delay)
    }));
}

/// A Carom for the mixture, and the receiver's answers.
pub fn setup(receiver: &Receiver, delay: Duration) -> Setup {
    answer(receiver, delay);
    // A click that comes late is waited for, and one that never comes does not hold the account up for minutes.
    Setup::new(&resources(receiver))
        .env("CAROM_RETRY_SCHEDULE", SCHEDULE)
        .env("CAROM_WORKER_PARKING", "3s")
        .env("CAROM_WORKER_LOG_BODY_BYTES", "0")
}
