//! The gate that every attempt of a connector passes: so many at once per worker, and so many in a time, of which
//! each of the workers that take from the connector's queue has an equal share.
//!
//! Whoever waits at it has not begun anything, and can be sent back at no cost.

use crate::breaker::Breaker;
use crate::shares::LOOK;
use carom_common::connector::Rate;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::IntCounter;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// Attempts that are due within this time may begin together: timers are no finer.
const GRAIN: Duration = Duration::from_millis(10);

/// A connector's limits, as one worker keeps them.
pub struct Gate {
    /// One for each attempt that may be under way.
    pub slots: Semaphore,
    /// What is known of its destination.
    pub breaker: Arc<Breaker>,
    pace: Option<Pace>,
}

/// Who comes to others waits for so long, until they have counted it.
const NOTICED: Duration = LOOK.saturating_mul(2);
/// Who cannot count the others waits for so long, and then counts itself only.
const UNCOUNTED: Duration = LOOK.saturating_mul(5);

struct Pace {
    rate: Rate,
    /// How many workers share the rate; 0 as long as that is not known.
    workers: watch::Receiver<u32>,
    clock: DefaultClock,
    /// Held by whoever is next, so that turns are taken in the order of asking, and one wakes at a time.
    next: Mutex<Limit>,
    waits: IntCounter,
}

/// The share of the rate that holds now.
struct Limit {
    workers: u32,
    /// None where the share is not known yet.
    limiter: Option<DefaultDirectRateLimiter>,
}

impl Gate {
    /// The gate of a connector, whose rate is shared by so many `workers`. `waits` counts who had to wait for it.
    pub fn new(
        at_once: u16,
        rate: Option<Rate>,
        workers: watch::Receiver<u32>,
        breaker: Arc<Breaker>,
        waits: IntCounter,
    ) -> Self {
        let clock = DefaultClock::default();
        let next = Mutex::new(Limit { workers: 0, limiter: None });
        let pace = rate.map(|rate| Pace { rate, workers, clock, next, waits });
        Self { slots: Semaphore::new(usize::from(at_once.max(1))), breaker, pace }
    }

    /// Waits until the rate allows another attempt. One that gives up waiting takes nobody's turn.
    pub async fn turn(&self) {
        let Some(pace) = &self.pace else { return };
        let mut limit = pace.next.lock().await;
        let mut workers = pace.workers.clone();
        let mut waited = false;
        loop {
            let known = *workers.borrow_and_update();
            if known == 0 && limit.limiter.is_none() {
                if tokio::time::timeout(UNCOUNTED, change(&mut workers)).await.is_err() {
                    *limit = pace.limit(1, true);
                }
                continue;
            }
            if known != 0 && known != limit.workers {
                let first = limit.limiter.is_none();
                if first && known > 1 {
                    tokio::time::sleep(NOTICED).await;
                }
                // Where the share changes, what was saved up is void.
                *limit = pace.limit(known, first);
            }
            let Some(limiter) = &limit.limiter else { continue };
            let Err(not_yet) = limiter.check() else { break };
            waited = true;
            let wait = not_yet.wait_time_from(pace.clock.now());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = change(&mut workers) => {}
            }
        }
        if waited {
            pace.waits.inc();
        }
    }
}

impl Pace {
    /// Evenly, as far as timers go: a receiver that counts in any window of time finds no more than the rate,
    /// give or take a hundredth.
    fn limit(&self, workers: u32, at_once: bool) -> Limit {
        let every = (self.rate.interval() * workers.max(1)).max(Duration::from_nanos(1));
        let together = GRAIN.as_nanos() / every.as_nanos();
        let burst = u32::try_from(together).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(every)
            .map_or(Quota::per_second(self.rate.count()), |quota| quota.allow_burst(burst));
        let limiter = RateLimiter::direct(quota);
        if !at_once {
            let _ = limiter.check_n(burst);
        }
        Limit { workers, limiter: Some(limiter) }
    }
}

/// Ends when the number of workers has changed; never where nobody counts them any more.
async fn change(workers: &mut watch::Receiver<u32>) {
    if workers.changed().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn gate(rate: Option<&str>) -> Gate {
        shared(rate, watch::channel(1).1)
    }

    fn shared(rate: Option<&str>, workers: watch::Receiver<u32>) -> Gate {
        let waits = IntCounter::new("w", "w").unwrap();
        Gate::new(1, rate.map(|rate| rate.parse().unwrap()), workers, Arc::new(Breaker::new(0)), waits)
    }

    #[tokio::test]
    async fn the_rate_is_shared_with_who_comes_and_whole_again_when_that_one_leaves() {
        let (count, workers) = watch::channel(1);
        let gate = shared(Some("50/s"), workers);
        gate.turn().await;
        count.send_replace(4);
        let began = Instant::now();
        for _ in 0..3 {
            gate.turn().await;
        }
        // A quarter of the rate: three turns are three intervals of 80 ms.
        assert!(began.elapsed() >= Duration::from_millis(240), "{:?}", began.elapsed());
        // Whoever waits for a long turn has a shorter one as soon as the others are gone.
        let (count, workers) = watch::channel(60);
        let gate = Arc::new(shared(Some("10/s"), workers));
        gate.turn().await;
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.turn().await }
        });
        tokio::task::yield_now().await;
        count.send_replace(1);
        tokio::time::timeout(Duration::from_secs(3), waiting).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_comes_to_others_begins_when_they_have_noticed() {
        let (count, workers) = watch::channel(0);
        let gate = shared(Some("50/s"), workers);
        let began = Instant::now();
        tokio::join!(gate.turn(), async { count.send_replace(2) });
        assert!(began.elapsed() >= NOTICED, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn turns_come_no_faster_than_the_rate() {
        let gate = gate(Some("50/s"));
        let began = Instant::now();
        for _ in 0..11 {
            gate.turn().await;
        }
        // The first goes at once, so eleven take ten intervals of 20 ms.
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        assert_eq!(gate.pace.as_ref().map(|pace| pace.waits.get()), Some(10));
    }

    #[tokio::test]
    async fn without_a_rate_nobody_waits_and_who_gives_up_takes_nobodys_turn() {
        let free = gate(None);
        for _ in 0..100_000 {
            free.turn().await;
        }
        let gate = gate(Some("20/s"));
        gate.turn().await;
        let began = Instant::now();
        for _ in 0..50 {
            tokio::select! {
                biased;
                () = gate.turn() => panic!("it was not its turn"),
                () = std::future::ready(()) => {}
            }
        }
        gate.turn().await;
        assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    }
}
