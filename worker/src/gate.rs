//! The gate that every attempt of a connector passes: so many at once, and so many in a time, per worker.
//!
//! Whoever waits at it has not begun anything, and can be sent back at no cost.

use crate::breaker::Breaker;
use carom_common::connector::Rate;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::IntCounter;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

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

struct Pace {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    /// Held by whoever is next, so that turns are taken in the order of asking, and one wakes at a time.
    next: Mutex<()>,
    waits: IntCounter,
}

impl Gate {
    /// The gate of a connector. `waits` counts who had to wait for the rate.
    pub fn new(at_once: u16, rate: Option<Rate>, breaker: Arc<Breaker>, waits: IntCounter) -> Self {
        let pace = rate.map(|rate| Pace::new(rate, waits));
        Self { slots: Semaphore::new(usize::from(at_once.max(1))), breaker, pace }
    }

    /// Waits until the rate allows another attempt. One that gives up waiting takes nobody's turn.
    pub async fn turn(&self) {
        let Some(pace) = &self.pace else { return };
        let _next = pace.next.lock().await;
        let mut waited = false;
        while let Err(not_yet) = pace.limiter.check() {
            waited = true;
            let wait = not_yet.wait_time_from(pace.clock.now());
            tokio::time::sleep(wait).await;
        }
        if waited {
            pace.waits.inc();
        }
    }
}

impl Pace {
    /// Evenly, as far as timers go: a receiver that counts in any window of time finds no more than the rate,
    /// give or take a hundredth.
    fn new(rate: Rate, waits: IntCounter) -> Self {
        let together = GRAIN.as_nanos() / rate.interval().as_nanos().max(1);
        let burst = u32::try_from(together).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let every = rate.interval().max(Duration::from_nanos(1));
        let quota = Quota::with_period(every)
            .map_or(Quota::per_second(rate.count()), |quota| quota.allow_burst(burst));
        let (limiter, clock) = (RateLimiter::direct(quota), DefaultClock::default());
        Self { limiter, clock, next: Mutex::new(()), waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn gate(rate: Option<&str>) -> Gate {
        let waits = IntCounter::new("w", "w").unwrap();
        Gate::new(1, rate.map(|rate| rate.parse().unwrap()), Arc::new(Breaker::new(0)), waits)
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
