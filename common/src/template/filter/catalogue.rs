//! The filters, with what they do. `macros` lists them; the scanner knows them by this table.

use std::ops::RangeInclusive;

/// A filter that we know.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name, the same in any case.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it does, in one sentence.
    pub description: &'static str,
    pub(super) kind: Kind,
    /// How many arguments it takes.
    pub(super) takes: RangeInclusive<usize>,
}

macro_rules! filters {
    ($($kind:ident = $name:literal, $takes:expr, $usage:literal, $description:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($kind),* }

        /// Every filter.
        pub static ALL: &[Known] = &[$(Known {
            name: $name,
            usage: $usage,
            description: $description,
            kind: Kind::$kind,
            takes: $takes,
        }),*];
    };
}

filters! {
    Default = "default", 1..=1, "{{VALUE | default: \"0\"}}",
        "Gives another value where there is none, or an empty one.";
    Optional = "optional", 0..=0, "{{TTCLID | optional}}",
        "Leaves the parameter, header, JSON member or array element out that comes out empty. What it is of does not count as unresolved.";
    Trim = "trim", 0..=0, "{{EMAIL | trim}}",
        "Cuts white space off both ends.";
    Lower = "lower", 0..=0, "{{EMAIL | lower}}",
        "Makes lower case.";
    Upper = "upper", 0..=0, "{{COUNTRY | upper}}",
        "Makes upper case.";
    E164 = "e164", 0..=1, "{{PHONE | e164}} or {{PHONE | e164: \"US\"}}",
        "Writes a telephone number as +19053871234. A number without + or 00 is of the country that is named, by two letters, else of {{COUNTRY}}.";
    Digits = "digits", 0..=0, "{{PHONE | e164 | digits | sha256}}",
        "Keeps the digits alone, as Meta wants a telephone number before it is hashed.";
    Sha256 = "sha256", 0..=0, "{{EMAIL | sha256}}",
        "Makes the SHA-256, in lower-case hexadecimal.";
    Sha1 = "sha1", 0..=0, "{{EMAIL | sha1}}",
        "Makes the SHA-1, in lower-case hexadecimal.";
    Md5 = "md5", 0..=0, "{{EMAIL | md5}}",
        "Makes the MD5, in lower-case hexadecimal.";
    Hmac = "hmac", 1..=1, "{{EMAIL | hmac: secret.key}}",
        "Makes the HMAC-SHA-256 under a key, in lower-case hexadecimal.";
    Base64 = "base64", 0..=0, "{{EMAIL | base64}}",
        "Makes Base64, with padding.";
    Append = "append", 1..=16, "{{secret.key | append: TRANSACTION_ID, VALUE | md5}}",
        "Adds values at the end. Without one of them there is no value.";
    Prepend = "prepend", 1..=16, "{{VALUE | prepend: \"v=\"}}",
        "Adds values at the beginning, in their order. Without one of them there is no value.";
    MinorUnits = "minor_units", 0..=1, "{{VALUE | minor_units}}, {{VALUE | minor_units: \"JPY\"}} or {{VALUE | minor_units: 2}}",
        "Gives an amount in its currency's smallest unit, as 39600 for 396.00 USD: by ISO 4217, of the event's currency (of {{PAYOUT}}, the payout's), or of one that is named, or with so many digits. What lies half way goes away from zero.";
    Decimal = "decimal", 1..=1, "{{VALUE | decimal: 2}}",
        "Writes a number with so many decimal places, 0 to 12. What lies half way goes away from zero.";
    TsS = "ts_s", 0..=0, "{{created_at | ts_s}}",
        "Writes a time in whole seconds since 1970.";
    TsMs = "ts_ms", 0..=0, "{{created_at | ts_ms}}",
        "Writes a time in whole milliseconds since 1970.";
    TsIso = "ts_iso", 0..=0, "{{TIMESTAMP | ts_iso}}",
        "Writes a time as 2026-01-10T20:15:01.524Z.";
    Date = "date", 1..=1, "{{TIME_ISO | date: \"%Y-%m-%d %H:%M:%S%:z\"}}",
        "Writes a time in a format of strftime, in UTC.";
    Number = "number", 0..=0, "\"{{VALUE | number}}\"",
        "Sends a bare number where the macro is the whole of a JSON string; what is no number stays a string.";
}
