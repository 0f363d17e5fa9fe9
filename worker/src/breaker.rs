//! The breaker of one connector, in one worker: what speaks of its destination is counted here.
//!
//! So many failures in a row open it; the first answer closes it. What follows from that for the connector's
//! queue is `attend`'s. Nothing here waits for anything but a change, or does I/O.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// The time to the first probe, and the longest between two.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// What an attempt says of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answers; be it that it refuses.
    Alive,
    /// It cannot be reached, does not answer in time, or says itself that it cannot (5xx, 429).
    Failing,
    /// Nothing: it was not asked.
    Nothing,
}

/// The breaker.
pub struct Breaker {
    /// How many failures in a row open it; 0 for never.
    threshold: u32,
    in_a_row: AtomicU32,
    open: watch::Sender<bool>,
}

impl Breaker {
    /// A closed one.
    pub fn new(threshold: u32) -> Self {
        Self { threshold, in_a_row: AtomicU32::new(0), open: watch::Sender::new(false) }
    }

    /// Hears what an attempt says.
    pub fn heard(&self, sign: Sign) {
        match sign {
            Sign::Nothing => {}
            Sign::Alive => {
                self.in_a_row.store(0, Ordering::Relaxed);
                self.turn(false);
            }
            Sign::Failing => {
                let in_a_row = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                if self.threshold > 0 && in_a_row >= self.threshold {
                    self.turn(true);
                }
            }
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        self.becomes(true).await;
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        self.becomes(false).await;
    }

    async fn becomes(&self, wanted: bool) {
        // It fails only when the sender is gone, and that is ours.
        let _ = self.open.subscribe().wait_for(|open| *open == wanted).await;
    }

    fn turn(&self, to: bool) {
        self.open.send_if_modified(|open| std::mem::replace(open, to) != to);
    }
}

/// The time between probes: 1 s, doubling to 30 s.
#[derive(Clone, Copy, Debug)]
pub struct Interval(Duration);

impl Interval {
    /// The first.
    pub fn new() -> Self {
        Self(SHORTEST)
    }

    /// How long to wait now.
    pub fn length(self) -> Duration {
        self.0
    }

    /// The one after a probe that failed.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self((self.0 * 2).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_closes_it() {
        let breaker = Breaker::new(3);
        for (sign, open) in [
            (Sign::Failing, false),
            (Sign::Failing, false),
            (Sign::Alive, false),
            (Sign::Failing, false),
            (Sign::Nothing, false),
            (Sign::Failing, false),
            (Sign::Failing, true),
            (Sign::Failing, true),
            (Sign::Nothing, true),
            (Sign::Alive, false),
            (Sign::Failing, false),
            (Sign::Failing, false),
            (Sign::Failing, true),
        ] {
            breaker.heard(sign);
            assert_eq!(breaker.is_open(), open, "{sign:?}");
        }
    }

    #[test]
    fn one_that_is_switched_off_never_opens() {
        let breaker = Breaker::new(0);
        for _ in 0..1_000 {
            breaker.heard(Sign::Failing);
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_a_change() {
        let breaker = Breaker::new(1);
        breaker.closed().await;
        tokio::join!(breaker.opened(), async { breaker.heard(Sign::Failing) });
        tokio::join!(breaker.closed(), async { breaker.heard(Sign::Alive) });
    }

    #[test]
    fn probes_are_1_s_apart_at_first_and_30_s_at_most() {
        let intervals = std::iter::successors(Some(Interval::new()), |interval| Some(interval.doubled()));
        let seconds: Vec<_> = intervals.take(7).map(|interval| interval.length().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }
}
