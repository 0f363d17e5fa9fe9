//! What one source may ask of us: so many requests in a time, and so many in work at once. A sender that has
//! gone wild, or whoever has a stolen token, meets these before it meets everybody else's bounds.

use crate::problem::{Kind, Problem};
use crate::room::Rooms;
use carom_common::connector::Rate;
use carom_common::id::SourceId;
use carom_common::source::Source;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What may come together at most, however high the rate: a page that fires a few events at once.
const BURST: Duration = Duration::from_millis(500);

/// The limits of all sources. What is counted lives as long as the source is asked about.
pub struct Limits {
    /// For sources that do not say how many.
    at_once: usize,
    /// How many bytes of a source's events may be in memory.
    bytes: usize,
    clock: DefaultClock,
    sources: Mutex<HashMap<SourceId, Counted>>,
}

struct Counted {
    in_work: Arc<AtomicUsize>,
    share: Rooms,
    pace: Option<(Rate, DefaultDirectRateLimiter)>,
}

/// A request in work, until it is dropped.
#[derive(Debug)]
pub struct InWork {
    in_work: Arc<AtomicUsize>,
    /// The memory that its source may take.
    pub share: Rooms,
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    /// With at most `at_once` requests of a source in work, where it does not say otherwise, and at most `bytes` of
    /// its events in memory.
    pub fn new(at_once: usize, bytes: usize) -> Self {
        Self { at_once: at_once.max(1), bytes, clock: DefaultClock::default(), sources: Mutex::default() }
    }

    /// Lets a request of a source in.
    ///
    /// # Errors
    /// It is one more than the source may send: 429, with the time after which it may.
    pub fn admit(&self, source: &Source) -> Result<InWork, Problem> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = sources.entry(source.id.clone()).or_insert_with(|| Counted {
            in_work: Arc::default(),
            share: Rooms::new(self.bytes),
            pace: None,
        });
        let most = source.at_once.map_or(self.at_once, |most| most.get() as usize);
        if counted.in_work.load(Ordering::Relaxed) >= most {
            let detail = "Wait for answers before you send more. The operator of this relay sets how many of a \
                          source's requests may be in work at once.";
            return Err(Problem::new(Kind::TooManyAtOnce, detail).retry_after(Duration::from_secs(1)));
        }
        if counted.pace.as_ref().map(|(rate, _)| *rate) != source.rate {
            counted.pace = source.rate.map(|rate| (rate, limiter(rate)));
        }
        if let Some((_, limiter)) = &counted.pace
            && let Err(not_yet) = limiter.check()
        {
            let wait = not_yet.wait_time_from(self.clock.now());
            let detail = "Send the event again after the time that Retry-After gives. The operator of this relay \
                          sets the rate of each source.";
            return Err(Problem::new(Kind::TooManyRequests, detail).retry_after(wait));
        }
        // Only here, under the lock, does it grow.
        counted.in_work.fetch_add(1, Ordering::Relaxed);
        Ok(InWork { in_work: counted.in_work.clone(), share: counted.share.clone() })
    }
}

fn limiter(rate: Rate) -> DefaultDirectRateLimiter {
    let every = rate.interval().max(Duration::from_nanos(1));
    let together = BURST.as_nanos() / every.as_nanos();
    let burst = u32::try_from(together).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(every);
    RateLimiter::direct(quota.map_or(Quota::per_second(rate.count()), |quota| quota.allow_burst(burst)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(id: &str, rate: Option<&str>, at_once: Option<u32>) -> Source {
        let source = json!({"id": id, "advertiser": "x", "kind": "plain", "rate": rate, "at_once": at_once});
        serde_json::from_value(source).unwrap()
    }

    fn kind(refused: Result<InWork, Problem>) -> Option<Kind> {
        refused.err().map(|problem| problem.kind)
    }

    #[test]
    fn a_source_has_so_many_requests_in_work_and_no_more_whatever_others_do() {
        let limits = Limits::new(2, 100);
        let (usual, own) = (source("usual", None, None), source("own", None, Some(1)));
        let first = limits.admit(&usual).unwrap();
        let _second = limits.admit(&usual).unwrap();
        assert_eq!(kind(limits.admit(&usual)), Some(Kind::TooManyAtOnce));
        let _own = limits.admit(&own).unwrap();
        assert_eq!(kind(limits.admit(&own)), Some(Kind::TooManyAtOnce));
        drop(first);
        assert!(limits.admit(&usual).is_ok());
        let widened = source("own", None, Some(2));
        assert!(limits.admit(&widened).is_ok(), "a limit that is changed counts at once");
    }

    #[test]
    fn a_rate_lets_a_few_come_together_and_then_says_when_the_next_may() {
        let limits = Limits::new(100, 100);
        let slow = source("slow", Some("1/h"), None);
        drop(limits.admit(&slow).unwrap());
        let refused = limits.admit(&slow).unwrap_err();
        assert_eq!(refused.kind, Kind::TooManyRequests);
        assert!((3_590..=3_600).contains(&refused.retry_after_seconds().unwrap()), "{refused:?}");
        let quick = source("quick", Some("20/s"), None);
        let together = (0..30).filter(|_| limits.admit(&quick).is_ok()).count();
        assert!((10..=12).contains(&together), "{together}");
        let changed = source("slow", Some("1000/s"), None);
        assert!(limits.admit(&changed).is_ok(), "a rate that is changed counts at once");
    }
}
