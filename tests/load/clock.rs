//! When each numbered event was to be sent, was accepted and was delivered, without a lock: a slot per number.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Every number.
pub const ALL: fn(usize) -> bool = |_| true;

/// The slots of all events of a run.
pub struct Clock {
    begun: Instant,
    slots: Vec<Slot>,
    /// Deliveries beyond the first of an event, and of numbers that nobody sent.
    again: AtomicU32,
    strangers: AtomicU32,
    delivered: AtomicU64,
}

/// Nanoseconds since the run began, and one more: nought is never.
#[derive(Default)]
struct Slot {
    due: AtomicU64,
    accepted: AtomicU64,
    delivered: AtomicU64,
}

/// What became of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub accepted: usize,
    /// Of those that were accepted.
    pub delivered: usize,
    /// Postbacks beyond the first of an event.
    pub duplicates: usize,
    /// Postbacks of events that were never accepted: they were sent, and their answer never came.
    pub unanswered: usize,
}

impl Counts {
    /// Accepted and never delivered.
    pub fn lost(&self) -> usize {
        self.accepted - self.delivered
    }
}

impl Clock {
    /// For numbers below `most`.
    pub fn new(most: usize) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(most, Slot::default);
        Self {
            begun: Instant::now(),
            slots,
            again: AtomicU32::new(0),
            strangers: AtomicU32::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    /// How many numbers there are.
    pub fn most(&self) -> usize {
        self.slots.len()
    }

    fn stamp(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// It is to be sent then.
    pub fn due(&self, number: usize, at: Instant) {
        self.slots[number].due.store(self.stamp(at), Relaxed);
    }

    /// It was answered 202 now.
    pub fn accepted(&self, number: usize) {
        self.slots[number].accepted.store(self.stamp(Instant::now()), Relaxed);
    }

    /// Its postback came now.
    pub fn delivered(&self, number: usize) {
        let Some(slot) = self.slots.get(number) else {
            self.strangers.fetch_add(1, Relaxed);
            return;
        };
        let now = self.stamp(Instant::now());
        match slot.delivered.compare_exchange(0, now, Relaxed, Relaxed) {
            Ok(_) => self.delivered.fetch_add(1, Relaxed),
            Err(_) => u64::from(self.again.fetch_add(1, Relaxed)),
        };
    }

    /// How many postbacks came, each event counted once.
    pub fn delivered_count(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// What became of them all.
    pub fn counts(&self) -> Counts {
        self.counts_of(ALL)
    }

    /// What became of some of them. Duplicates and strangers are counted of all.
    pub fn counts_of(&self, of: impl Fn(usize) -> bool) -> Counts {
        let mut counts = Counts::default();
        for (_, slot) in self.slots.iter().enumerate().filter(|(number, _)| of(*number)) {
            let (accepted, delivered) = (slot.accepted.load(Relaxed) > 0, slot.delivered.load(Relaxed) > 0);
            counts.accepted += usize::from(accepted);
            counts.delivered += usize::from(accepted && delivered);
            counts.unanswered += usize::from(delivered && !accepted);
        }
        counts.duplicates = self.again.load(Relaxed) as usize;
        counts.unanswered += self.strangers.load(Relaxed) as usize;
        counts
    }

    /// From when it was to be sent to its 202, sorted.
    pub fn accepting(&self, of: impl Fn(usize) -> bool) -> Vec<Duration> {
        self.spans(of, |slot| (&slot.due, &slot.accepted))
    }

    /// From when it was to be sent to its postback, sorted.
    pub fn delivering(&self, of: impl Fn(usize) -> bool) -> Vec<Duration> {
        self.spans(of, |slot| (&slot.due, &slot.delivered))
    }

    /// From its 202 to its postback, sorted. A postback can be there before the 202 is read: that is no time.
    pub fn passing(&self, of: impl Fn(usize) -> bool) -> Vec<Duration> {
        self.spans(of, |slot| (&slot.accepted, &slot.delivered))
    }

    fn first_due(&self) -> u64 {
        self.slots.iter().map(|slot| slot.due.load(Relaxed)).filter(|at| *at > 0).min().unwrap_or(1)
    }

    /// From the first that was to be sent to the last 202, and to the last postback.
    pub fn took(&self) -> (Duration, Duration) {
        let first = self.first_due();
        let last = |of: fn(&Slot) -> &AtomicU64| {
            self.slots.iter().map(|slot| of(slot).load(Relaxed)).max().unwrap_or(0)
        };
        let since = |at: u64| Duration::from_nanos(at.saturating_sub(first));
        (since(last(|slot| &slot.accepted)), since(last(|slot| &slot.delivered)))
    }

    /// Per second since the first was to be sent, how many were accepted and delivered: what a picture shows. The
    /// last second is seldom a whole one.
    pub fn by_second(&self) -> Vec<(u64, u64)> {
        let first = self.first_due();
        let mut seconds: Vec<(u64, u64)> = Vec::new();
        let mut count = |at: u64, of: fn(&mut (u64, u64)) -> &mut u64| {
            if at > 0 {
                let second = usize::try_from(at.saturating_sub(first) / 1_000_000_000).unwrap_or(0);
                if seconds.len() <= second {
                    seconds.resize(second + 1, (0, 0));
                }
                *of(&mut seconds[second]) += 1;
            }
        };
        for slot in &self.slots {
            count(slot.accepted.load(Relaxed), |second| &mut second.0);
            count(slot.delivered.load(Relaxed), |second| &mut second.1);
        }
        seconds
    }

    fn spans(
        &self,
        of: impl Fn(usize) -> bool,
        ends: fn(&Slot) -> (&AtomicU64, &AtomicU64),
    ) -> Vec<Duration> {
        let some = self.slots.iter().enumerate().filter(|(number, _)| of(*number));
        let spans = some.filter_map(|(_, slot)| {
            let (from, to) = ends(slot);
            let (from, to) = (from.load(Relaxed), to.load(Relaxed));
            (from > 0 && to > 0).then(|| Duration::from_nanos(to.saturating_sub(from)))
        });
        let mut spans: Vec<_> = spans.collect();
        spans.sort_unstable();
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_and_never_came_is_lost_and_what_came_twice_is_a_duplicate() {
        let clock = Clock::new(4);
        for number in 0..3 {
            clock.due(number, Instant::now());
            clock.accepted(number);
        }
        for number in [0, 0, 1, 3, 99] {
            clock.delivered(number);
        }
        let counts = clock.counts();
        assert_eq!(counts, Counts { accepted: 3, delivered: 2, duplicates: 1, unanswered: 2 });
        assert_eq!(counts.lost(), 1);
        assert_eq!((clock.accepting(ALL).len(), clock.delivering(ALL).len()), (3, 2));
        assert_eq!(clock.accepting(|number| number > 0).len(), 2);
        assert_eq!(clock.counts_of(|number| number == 2).lost(), 1);
        let seconds = clock.by_second();
        assert_eq!(seconds.iter().map(|second| second.0).sum::<u64>(), 3);
    }
}
