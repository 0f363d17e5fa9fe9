//! Passive declares: what the broker knows of a queue. One that has lost most of its members never answers, so whoever
//! asks has an end.

use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Channel, ErrorKind, Queue};
use std::time::Duration;

/// How long a queue may take to answer where nobody waits for it.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Why a queue was not seen.
#[derive(Debug, thiserror::Error)]
pub enum Unseen {
    /// There is none of that name.
    #[error("there is no such queue")]
    Absent,
    /// It does not answer.
    #[error("the queue has not answered for {0:?}")]
    Silent(Duration),
    /// The broker, or the way to it, failed.
    #[error(transparent)]
    Failed(lapin::Error),
}

impl From<lapin::Error> for Unseen {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            ErrorKind::ProtocolError(told)
                if matches!(told.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)) =>
            {
                Self::Absent
            }
            _ => Self::Failed(error),
        }
    }
}

/// Looks at a queue. After an error the channel is of no use any more: the broker has closed it, or it still waits
/// for an answer.
///
/// # Errors
/// The queue is not there, or it was not seen.
pub async fn look(channel: &Channel, queue: &str, patience: Duration) -> Result<Queue, Unseen> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(queue.into(), options, FieldTable::default());
    Ok(tokio::time::timeout(patience, asked).await.map_err(|_| Unseen::Silent(patience))??)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::{AMQPError, AMQPHardError};

    #[test]
    fn only_a_queue_that_is_not_found_is_absent() {
        let unseen = |kind: AMQPErrorKind| {
            Unseen::from(lapin::Error::from(ErrorKind::ProtocolError(AMQPError::new(kind, "".into()))))
        };
        assert!(matches!(unseen(AMQPSoftError::NOTFOUND.into()), Unseen::Absent));
        for kind in [AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED), AMQPHardError::INTERNALERROR.into()] {
            assert!(matches!(unseen(kind), Unseen::Failed(_)));
        }
    }
}
