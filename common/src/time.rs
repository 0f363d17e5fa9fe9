//! Durations as people write them in configuration: `100ms`, `15s`, `1m`, `12h`, `30d`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration that reads and writes as one number and one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// Why a duration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a whole number and a unit, as in 100ms, 15s, 1m, 12h or 30d")]
pub struct InvalidSpan(String);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    /// Whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The length in milliseconds, the broker's unit.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let refuse = || InvalidSpan(text.chars().take(40).collect());
        let digits = text.trim().find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let (number, unit) = text.trim().split_at(digits);
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
        // A century is more than anything here can mean, and keeps additions to timestamps in range.
        let millis = number.checked_mul(*scale).filter(|ms| *ms <= 36_525 * 86_400_000).ok_or_else(refuse)?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Span {
    /// The largest unit up to hours that divides it: a day is `24h`, as in `carom.retry.24h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.as_millis();
        let (name, scale) = UNITS[..4]
            .iter()
            .rev()
            .find(|(_, scale)| millis > 0 && millis.is_multiple_of(*scale))
            .unwrap_or(&UNITS[0]);
        write!(f, "{}{name}", millis / scale)
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;

    fn try_from(text: String) -> Result<Self, InvalidSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiers_names_are_their_durations() {
        let names = ["1s", "15s", "1m", "5m", "15m", "1h", "12h", "24h", "100ms"];
        for name in names {
            assert_eq!(name.parse::<Span>().unwrap().to_string(), name);
        }
        assert_eq!("86400s".parse::<Span>().unwrap().to_string(), "24h");
        assert_eq!("1d".parse::<Span>().unwrap().to_string(), "24h");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for bad in ["", "s", "1", "-1s", "1.5s", "1w", "1 s", "99999999999999999999s", "9999999999h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
