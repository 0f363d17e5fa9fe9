//! Times: read in the forms that senders write them, written in the form that a receiver wants. UTC throughout.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The time that a text means: `2026-01-10T20:15:01+01:00`, a date with or without a time (then in UTC), or
/// digits since 1970: up to 11 of them are seconds, up to 14 milliseconds.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            ..=11 => Timestamp::from_second(number).ok(),
            12..=14 => Timestamp::from_millisecond(number).ok(),
            _ => None,
        };
    }
    text.parse().ok().or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// Whether a text is a format that times can be written in.
pub(super) fn is_format(format: &str) -> bool {
    !format.is_empty() && date(Timestamp::UNIX_EPOCH, format).is_some()
}

/// A time in a format of strftime.
pub(super) fn date(at: Timestamp, format: &str) -> Option<String> {
    strtime::format(format, at).ok()
}
