//! Making an item safe: by the broker's confirm, or else by the spool. Only then is its sender answered.
//!
//! The broker is asked first, and costs the spool nothing while it confirms in time. Where it is known to be
//! away, blocked or refusing, nobody waits for it: the item goes to the spool at once. Where its answer is
//! only late, the item goes to the spool as well, and is taken out again if the confirm comes after all.

use crate::parcel::Parcel;
use crate::publish::{Answer, Line};
use crate::spool::{self, Queue, Spool};
use carom_common::amqp::PublishError;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How long a confirm is still waited for when the process is to end: longer than one that comes takes.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// What has made an item safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safe {
    /// The broker has confirmed it.
    Confirmed,
    /// It is on our disk.
    Spooled,
}

/// The broker has not confirmed an item, and the spool does not take it. It may be on its queue all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsafe(pub spool::Refused);

/// Who makes the items of one queue safe.
pub struct Custody {
    /// Where they are to go.
    pub queue: Queue,
    /// The way there.
    pub line: Line,
    /// Where they go meanwhile.
    pub spool: Spool,
    /// Whether the broker can be reached.
    pub reachable: watch::Receiver<bool>,
    /// Cancelled when the process is to end.
    pub stop: CancellationToken,
}

impl Custody {
    /// Makes an item safe. A confirm is waited for up to `patience`; up to `last_resort` where the spool does
    /// not take the item.
    ///
    /// # Errors
    /// It is not known to be safe.
    pub async fn keep(
        &self,
        item: Parcel,
        patience: Duration,
        last_resort: Duration,
    ) -> Result<Safe, Unsafe> {
        let hopeful = self.can_be_reached() && !self.line.trouble().is();
        let mut asked = false;
        let mut pending = hopeful.then(|| self.line.push(item.clone(), false)).flatten();
        if let Some(answer) = &mut pending {
            asked = true;
            match self.answered(answer, patience).await {
                Some(Ok(())) => return Ok(Safe::Confirmed),
                Some(Err(_)) => pending = None,
                None => {}
            }
        }
        let mut putting = {
            let (spool, queue, item, hold) =
                (self.spool.clone(), self.queue, item.clone(), pending.is_some());
            Box::pin(async move { spool.put(queue, item, hold).await })
        };
        let put = match &mut pending {
            None => putting.await,
            // The disk may be slower than the broker.
            Some(answer) => tokio::select! {
                biased;
                answered = answer => {
                    if let Ok(Ok(())) = answered {
                        tokio::spawn(async move {
                            if let Ok(Some(held)) = putting.await {
                                held.confirmed();
                            }
                        });
                        return Ok(Safe::Confirmed);
                    }
                    pending = None;
                    putting.await
                }
                put = &mut putting => put,
            },
        };
        match put {
            Ok(held) => {
                if let Some((answer, held)) = pending.zip(held) {
                    tokio::spawn(follow(answer, held));
                }
                Ok(Safe::Spooled)
            }
            Err(refused) => {
                let again = || self.can_be_reached().then(|| self.line.push(item, asked)).flatten();
                let Some(mut answer) = pending.or_else(again) else { return Err(Unsafe(refused)) };
                match self.answered(&mut answer, last_resort).await {
                    Some(Ok(())) => Ok(Safe::Confirmed),
                    _ => Err(Unsafe(refused)),
                }
            }
        }
    }

    fn can_be_reached(&self) -> bool {
        *self.reachable.borrow()
    }

    /// The broker's answer, where it comes while there is hope for one.
    async fn answered(&self, answer: &mut oneshot::Receiver<Answer>, patience: Duration) -> Option<Answer> {
        let mut reachable = self.reachable.clone();
        let no_hope = async {
            tokio::select! {
                Ok(_) = reachable.wait_for(|reachable| !reachable) => {}
                () = async {
                    self.stop.cancelled().await;
                    tokio::time::sleep(LAST_PATIENCE).await;
                } => {}
            }
        };
        tokio::select! {
            biased;
            answered = answer => Some(answered.unwrap_or(Err(PublishError::Closed))),
            () = tokio::time::sleep(patience) => None,
            () = no_hope => None,
        }
    }
}

/// Waits for the late answer to an item that went to the spool meanwhile. While it is awaited the item is
/// not sent a second time; when it is a confirm, the item need not be.
async fn follow(answer: oneshot::Receiver<Answer>, held: spool::Held) {
    if let Ok(Ok(())) = answer.await {
        held.confirmed();
    }
}

#[cfg(test)]
mod tests;
