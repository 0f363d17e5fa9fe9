//! When to try again: the schedule's tiers, each a queue of the broker (guarantee G5).

use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// One delay of a schedule. It is named by its duration, so another schedule never redeclares a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tier(Span);

impl Tier {
    /// How long it holds a message.
    pub fn delay(self) -> Duration {
        self.0.0
    }

    /// The same in milliseconds, as `x-message-ttl`.
    pub fn millis(self) -> u64 {
        self.0.as_millis()
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The delays after the first, second, … failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Span>", into = "Vec<Span>")]
pub struct Schedule(Vec<Tier>);

/// Why a schedule was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a retry schedule is 1 to 20 durations of 1ms to 30d, each longer than the one before")]
pub struct InvalidSchedule;

/// The longest tier: RabbitMQ takes a TTL of up to 2^32 − 1 ms.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

impl Schedule {
    /// The delays in their order.
    pub fn tiers(&self) -> &[Tier] {
        &self.0
    }

    /// Where a delivery waits after its `failed`th attempt (from 1); none when the schedule is spent.
    /// A receiver that asks for a later time (`Retry-After`) gets the first tier that is not earlier,
    /// or the last.
    pub fn after(&self, failed: u32, retry_after: Option<Duration>) -> Option<Tier> {
        let index = usize::try_from(failed).ok()?.checked_sub(1)?;
        let scheduled = *self.0.get(index)?;
        let asked = retry_after.and_then(|wait| self.at_least(wait));
        Some(asked.map_or(scheduled, |asked| asked.max(scheduled)))
    }

    /// The first tier that is not shorter than `wait`, or the last.
    pub fn at_least(&self, wait: Duration) -> Option<Tier> {
        self.0.iter().find(|tier| tier.delay() >= wait).or(self.0.last()).copied()
    }
}

impl TryFrom<Vec<Span>> for Schedule {
    type Error = InvalidSchedule;

    fn try_from(delays: Vec<Span>) -> Result<Self, InvalidSchedule> {
        let ascending = delays.windows(2).all(|pair| pair[0] < pair[1]);
        let bounded = delays.iter().all(|delay| !delay.0.is_zero() && delay.0 <= LONGEST);
        if ascending && bounded && (1..=20).contains(&delays.len()) {
            Ok(Self(delays.into_iter().map(Tier).collect()))
        } else {
            Err(InvalidSchedule)
        }
    }
}

impl From<Schedule> for Vec<Span> {
    fn from(schedule: Schedule) -> Self {
        schedule.0.into_iter().map(|tier| tier.0).collect()
    }
}

impl Default for Schedule {
    /// 1 s, 15 s, 1 min, 5 min, 15 min, 1 h, 12 h, 24 h (specification 001).
    fn default() -> Self {
        let secs = [1, 15, 60, 300, 900, 3_600, 43_200, 86_400];
        Self(secs.map(|secs| Tier(Span::from_secs(secs))).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(schedule: &Schedule, failed: u32, retry_after: Option<u64>) -> Option<String> {
        schedule.after(failed, retry_after.map(Duration::from_secs)).map(|tier| tier.to_string())
    }

    #[test]
    fn each_failed_attempt_waits_in_the_next_tier_until_the_schedule_is_spent() {
        let schedule = Schedule::default();
        let waits: Vec<_> = (1..=9).map(|failed| name(&schedule, failed, None)).collect();
        let expected = ["1s", "15s", "1m", "5m", "15m", "1h", "12h", "24h"].map(|tier| Some(tier.to_owned()));
        assert_eq!(waits[..8], expected);
        assert_eq!(waits[8], None);
        assert_eq!(name(&schedule, 0, None), None);
    }

    #[test]
    fn retry_after_never_shortens_a_wait_and_goes_to_the_first_tier_that_is_not_earlier() {
        let schedule = Schedule::default();
        assert_eq!(name(&schedule, 1, Some(0)).as_deref(), Some("1s"));
        assert_eq!(name(&schedule, 1, Some(2)).as_deref(), Some("15s"));
        assert_eq!(name(&schedule, 1, Some(60)).as_deref(), Some("1m"));
        assert_eq!(name(&schedule, 5, Some(2)).as_deref(), Some("15m"));
        assert_eq!(name(&schedule, 1, Some(999_999)).as_deref(), Some("24h"));
        assert_eq!(name(&schedule, 9, Some(1)), None);
    }

    #[test]
    fn a_schedule_that_does_not_ascend_is_refused() {
        let spans = |secs: &[u64]| secs.iter().map(|s| Span::from_secs(*s)).collect::<Vec<_>>();
        assert!(Schedule::try_from(spans(&[1, 2])).is_ok());
        for bad in [&[][..], &[0], &[2, 1], &[1, 1], &[40 * 86_400]] {
            assert!(Schedule::try_from(spans(bad)).is_err(), "{bad:?}");
        }
    }
}
