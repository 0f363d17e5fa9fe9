//! Steps that are taken together: what comes while one step is under way waits, and is the next one. At idle nobody
//! waits for anybody.
//!
//! A thousand attempts that end in the same moment are settled in a few transactions, and asked about in a few
//! readings. Nobody takes others along: what fails together is taken singly.

use crate::settle;
use carom_common::id::EventId;
use carom_common::store::{AttemptKey, AttemptStanding, Error, Settlement, Store};
use std::future::Future;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

/// The most that is taken as one step: a step is a commit, and commits are what a store has least of. What it takes holds
/// back who comes next; on PostgreSQL it holds its advertisers' locks for some four round trips each.
const MOST: usize = 128;

/// The steps of deliveries.
#[derive(Clone)]
pub struct Together {
    standings: Steps<(AttemptKey, EventId), AttemptStanding>,
    settlements: Steps<Settlement, bool>,
}

impl Together {
    /// Starts the tasks that take them. They end with the last clone.
    pub fn start(store: &Store) -> Self {
        let (reading, writing) = (store.clone(), store.clone());
        Self {
            standings: Steps::start("attempt_standing", move |asked| {
                let store = reading.clone();
                async move { store.attempt_standings(asked).await }
            }),
            settlements: Steps::start("settle", move |settlements| {
                let store = writing.clone();
                async move { store.settle(settlements).await }
            }),
        }
    }

    /// Whether an attempt of an event's delivery is to be made, when the store can say so.
    pub async fn standing(&self, key: AttemptKey, event: EventId) -> AttemptStanding {
        self.standings.take((key, event)).await
    }

    /// Settles an attempt; returns when that is durable, and says whether it was fresh.
    pub async fn settle(&self, settlement: Settlement) -> bool {
        self.settlements.take(settlement).await
    }
}

struct Steps<I, O> {
    waiting: mpsc::Sender<(I, oneshot::Sender<O>)>,
}

impl<I, O> Clone for Steps<I, O> {
    fn clone(&self) -> Self {
        Self { waiting: self.waiting.clone() }
    }
}

impl<I, O> Steps<I, O>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    fn start<F, W>(what: &'static str, work: W) -> Self
    where
        F: Future<Output = Result<Vec<O>, Error>> + Send + 'static,
        W: Fn(Vec<I>) -> F + Clone + Send + Sync + 'static,
    {
        let (sender, mut waiting) = mpsc::channel::<(I, oneshot::Sender<O>)>(MOST);
        tokio::spawn(async move {
            let mut taken = Vec::with_capacity(MOST);
            while waiting.recv_many(&mut taken, MOST).await > 0 {
                let (items, answers): (Vec<_>, Vec<_>) = taken.drain(..).unzip();
                match work(items.clone()).await {
                    Ok(done) => {
                        for (answer, done) in answers.into_iter().zip(done) {
                            // Whoever asked may have gone.
                            let _ = answer.send(done);
                        }
                    }
                    // One of them may be to blame, or the store is away: each is taken by itself, for as long as it
                    // takes, and those that come meanwhile find out for themselves.
                    Err(error) => {
                        settle::AGAIN.inc();
                        warn!(%error, store.step = what, "store.again");
                        for (item, answer) in items.into_iter().zip(answers) {
                            tokio::spawn(singly(what, work.clone(), item, answer));
                        }
                    }
                }
            }
        });
        Self { waiting: sender }
    }

    /// # Panics
    /// The store is closed, or our work made its writer panic: as [`settle::surely`].
    async fn take(&self, item: I) -> O {
        let (answer, answered) = oneshot::channel();
        let taken = match self.waiting.send((item, answer)).await {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        taken.unwrap_or_else(|| std::panic::resume_unwind(Box::new("the store did not do it")))
    }
}

async fn singly<I, O, F, W>(what: &'static str, work: W, item: I, answer: oneshot::Sender<O>)
where
    I: Clone,
    F: Future<Output = Result<Vec<O>, Error>>,
    W: Fn(Vec<I>) -> F,
{
    let done = settle::surely(what, || work(vec![item.clone()])).await;
    if let Some(done) = done.into_iter().next() {
        let _ = answer.send(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn what_comes_while_a_step_is_under_way_is_the_next_one() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let steps = Steps::start("double", {
            let sizes = sizes.clone();
            move |numbers: Vec<u32>| {
                sizes.lock().unwrap().push(numbers.len());
                async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Ok(numbers.into_iter().map(|number| number * 2).collect())
                }
            }
        });
        let mut asked = JoinSet::new();
        for number in 0..20 {
            let steps = steps.clone();
            asked.spawn(async move { (number, steps.take(number).await) });
        }
        while let Some(answered) = asked.join_next().await {
            let (number, doubled) = answered.unwrap();
            assert_eq!(doubled, number * 2);
        }
        let sizes = sizes.lock().unwrap().clone();
        assert_eq!(sizes.iter().sum::<usize>(), 20);
        assert!(sizes.len() < 20, "{sizes:?}");
    }

    #[tokio::test]
    async fn one_that_fails_takes_nobody_along() {
        let steps = Steps::start("odd", |numbers: Vec<u32>| async move {
            // The store is closed for whoever takes the seven along.
            if numbers.contains(&7) { Err(Error::Closed) } else { Ok(numbers) }
        });
        let mut asked = JoinSet::new();
        for number in 0..20 {
            let steps = steps.clone();
            asked.spawn(async move { steps.take(number).await });
        }
        let (mut fine, mut failed) = (0, 0);
        while let Some(answered) = asked.join_next().await {
            match answered {
                Ok(_) => fine += 1,
                Err(error) => failed += usize::from(error.is_panic()),
            }
        }
        assert_eq!((fine, failed), (19, 1));
    }
}
