//! The broker: connections that come back, confirmed publishing, consuming, and the topology declared.
//!
//! The only room that talks to lapin. Connections and channels are disposable here: whoever loses one
//! gets another, for ever, with backoff and jitter. Publishing and consuming use separate connections,
//! because a connection that the broker blocks writes nothing, acks included.

pub mod consumer;
mod declare;
mod greeting;
pub mod link;
pub mod publisher;

pub use consumer::{Taken, consume, take};
pub use greeting::{OLDEST, Version, greet};
pub use link::Link;
pub use publisher::{Message, PublishError, Publisher};

/// Why the broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of AMQP.
    #[error("broker.url is not an AMQP URL ({0}); write amqp://user:password@host:5672/vhost")]
    Url(String),
    /// The broker is too old to retry and dead-letter without loss.
    #[error(
        "RabbitMQ {found} is too old: Carom needs RabbitMQ {OLDEST} or later, which can dead-letter at least once"
    )]
    TooOld {
        /// What the broker says that it is.
        found: Version,
    },
    /// What answered is no RabbitMQ.
    #[error("what answers at the broker's address is not RabbitMQ ({0})")]
    NotRabbit(String),
    /// It cannot be reached.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It refused or broke off.
    #[error("the broker refused: {0}")]
    Refused(#[from] lapin::Error),
    /// A queue or exchange exists with other arguments.
    #[error(
        "{name} cannot be declared: {source}. If it exists with other arguments, drain and delete it, or use another vhost"
    )]
    Declare {
        /// The queue or exchange.
        name: String,
        /// What the broker said.
        source: lapin::Error,
    },
    /// Nothing was heard in time.
    #[error("the broker did not answer within {0:?}")]
    Silent(std::time::Duration),
}
