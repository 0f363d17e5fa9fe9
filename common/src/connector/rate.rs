//! A rate: so many in a time, as in `30/s` or `1000/m`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// Why a rate was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate: write how many in a second, minute or hour, as in 30/s, 1000/m or 500/h")]
pub struct InvalidRate(String);

impl Rate {
    /// How many in [`Rate::per`].
    pub fn count(self) -> NonZeroU32 {
        self.count
    }

    /// In how long.
    pub fn per(self) -> Duration {
        Duration::from_secs(match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3_600,
        })
    }

    /// The time from one to the next, where they come evenly.
    pub fn interval(self) -> Duration {
        self.per() / self.count().get()
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let read = || {
            let (count, unit) = text.split_once('/')?;
            let unit = match unit {
                "s" => Unit::Second,
                "m" => Unit::Minute,
                "h" => Unit::Hour,
                _ => return None,
            };
            Some(Self { count: count.parse().ok()?, unit })
        };
        read().ok_or_else(|| InvalidRate(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl TryFrom<String> for Rate {
    type Error = InvalidRate;

    fn try_from(text: String) -> Result<Self, InvalidRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_in_a_second_a_minute_or_an_hour() {
        for (text, count, seconds) in [("30/s", 30, 1), ("1000/m", 1000, 60), ("1/h", 1, 3_600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.count().get(), rate.per().as_secs()), (count, seconds));
            assert_eq!(rate.to_string(), text);
        }
        for bad in ["", "30", "0/s", "-1/s", "1.5/s", "30/d", "30 /s", "30/s ", "99999999999/s"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
    }
}
