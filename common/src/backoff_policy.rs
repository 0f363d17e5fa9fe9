//! The one file that uses the crate `backoff`: delays between attempts to reconnect.
//!
//! The crate is given by the project's owner and no longer maintained (RUSTSEC-2025-0012, see
//! `deny.toml`), so nothing else of ours depends on it. Delivery retries are the broker's: `retry`.

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use std::time::Duration;

const LONGEST: Duration = Duration::from_secs(5);

/// Growing delays with jitter, without an end: 50 ms at first, 5 s (give or take half) at most.
pub struct Reconnect(ExponentialBackoff);

impl Reconnect {
    /// Starts anew.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let builder = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(50))
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            .with_max_interval(LONGEST)
            .with_max_elapsed_time(None)
            .build();
        Self(builder)
    }

    /// The next delay.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so it is no iterator")]
    pub fn next(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stay_bounded_for_ever() {
        let mut delays = Reconnect::new();
        assert!(delays.next() <= Duration::from_millis(75));
        let later: Vec<_> = (0..100).map(|_| delays.next()).collect();
        assert!(later[20..].iter().all(|delay| (LONGEST / 2..=LONGEST * 3 / 2).contains(delay)));
    }
}
