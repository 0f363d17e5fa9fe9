//! The broker: connections that come back, confirmed publishing, consuming, and the topology declared.
//!
//! The only room that talks to lapin. Connections and channels are disposable here: whoever loses one
//! gets another, for ever, with backoff and jitter. Publishing and consuming use separate connections,
//! because a connection that the broker blocks writes nothing, acks included.

mod address;
pub mod consumer;
mod declare;
mod figures;
mod greeting;
pub mod link;
pub mod publisher;

pub use address::{Address, Node};
pub(crate) use address::{certificates, host_and_port, nodes};
pub use consumer::{Taken, consume, take};
pub use figures::Figures;
pub use greeting::{OLDEST, Version, greet};
pub use link::Link;
pub use publisher::{Message, PublishError, Publisher};

/// Why the broker cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of AMQP.
    #[error(
        "broker.url is not an AMQP URL; write amqp://user:password@host:5672/vhost, with %40 for an @ in the \
         password and the like"
    )]
    Url,
    /// A certificate or key cannot be used.
    #[error("broker.{key}: {problem}")]
    Certificates {
        /// The key of `[broker]` that names it.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no agreeing on TLS: it is not who we believe, or does not believe us.
    #[error(
        "there is no TLS with the broker: {0}. Its certificate must be signed by an authority of broker.ca_file \
         (without one, of the system) and be for the host as the configuration names it"
    )]
    Tls(std::io::Error),
    /// It knows no such user with such a password.
    #[error(
        "the broker does not let {user} in: no such user, or a wrong password. Put the right ones into broker.url \
         (or its file), or set the password by rabbitmqctl change_password"
    )]
    Credentials {
        /// Who was refused.
        user: String,
    },
    /// There is no such vhost, or not for us.
    #[error(
        "the broker does not let {user} into the vhost `{vhost}`: make it by rabbitmqctl add_vhost, and give the \
         user its rights by rabbitmqctl set_permissions"
    )]
    Vhost {
        /// Who was refused.
        user: String,
        /// Where.
        vhost: String,
    },
    /// A right is missing.
    #[error(
        "the broker's user may not declare {name}: give it its rights by rabbitmqctl set_permissions with \
         '^carom\\..*' and the like, as docs/rabbitmq.md lists them"
    )]
    Rights {
        /// The queue or exchange.
        name: String,
    },
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
    /// One of several nodes cannot be used.
    #[error("{node}: {source}")]
    Node {
        /// Which.
        node: String,
        /// Why not.
        source: Box<Error>,
    },
    /// Nothing was heard in time.
    #[error("the broker did not answer within {0:?}")]
    Silent(std::time::Duration),
}

impl Error {
    /// Whether it may be otherwise the next time, without anybody having changed what we run with.
    pub fn passes(&self) -> bool {
        !matches!(self, Self::TooOld { .. } | Self::NotRabbit(_) | Self::Url | Self::Certificates { .. })
    }
}
