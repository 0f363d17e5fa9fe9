//! Filters: what is done to a macro's value before it is escaped, as in `{{EMAIL | trim | lower | sha256}}`.
//!
//! A missing or empty value passes through every filter but `default` as missing: the hash of nothing would be
//! a value that many share. A filter that cannot do its work, as `e164` of `abc`, leaves nothing as well.

mod catalogue;
mod hash;
mod number;
mod time;

pub use catalogue::{ALL, Known};

use super::catalogue::Catalogue;
use super::scan::{check_name, excerpt};
use super::{Malformed, Values, quoted};
use crate::identity;
use crate::spelling;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalogue::Kind;
use std::borrow::Cow;

/// The most filters that one macro may have.
pub const MOST: usize = 10;

/// A filter with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    kind: Kind,
    arguments: Vec<Argument>,
}

/// An argument of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Argument {
    Literal(String),
    /// The value of this macro.
    Macro(Cow<'static, str>),
}

impl Argument {
    fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, Malformed> {
        let text = text.trim();
        if let Some(literal) = quoted::literal(text) {
            return Ok(Self::Literal(literal.to_owned()));
        }
        // A bare number is no field of anything: it stands for itself.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Literal(text.to_owned()));
        }
        check_name(text).map_err(|_| Malformed::Argument(excerpt(text)))?;
        Ok(Self::Macro(catalogue.name(text)))
    }

    fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Macro(_) => None,
        }
    }

    /// Its text; none where the macro has no value, or an empty one.
    fn text<'v>(&'v self, values: &'v dyn Values) -> Option<Cow<'v, str>> {
        match self {
            Self::Literal(text) => Some(text.as_str().into()),
            Self::Macro(name) => values.value(name).filter(|text| !text.is_empty()),
        }
    }
}

/// The nearest name of a filter to one that is none.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    spelling::nearest(name, ALL.iter().map(|known| known.name))
}

/// How a filter is written, for a message.
pub(super) fn usage(name: &str) -> &'static str {
    ALL.iter().find(|known| known.name == name).map_or("", |known| known.usage)
}

impl Filter {
    /// The filters after the first `|` of a macro, or everything that is wrong with them.
    pub(super) fn parse(of: &str, text: &str, catalogue: &Catalogue) -> Result<Vec<Self>, Vec<Malformed>> {
        let written = quoted::split(text, '|');
        if written.len() > MOST {
            return Err(vec![Malformed::TooManyFilters(excerpt(of.trim()))]);
        }
        let mut filters = Vec::with_capacity(written.len());
        let mut faults = Vec::new();
        for one in written {
            match Self::parse_one(of, one.trim(), catalogue) {
                Ok(filter) => filters.push(filter),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(filters) } else { Err(faults) }
    }

    fn parse_one(of: &str, text: &str, catalogue: &Catalogue) -> Result<Self, Malformed> {
        let (name, arguments) = match text.split_once(':') {
            Some((name, arguments)) => (name.trim(), Some(arguments)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(Malformed::NoFilter(excerpt(of.trim())));
        }
        let known = ALL
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| Malformed::UnknownFilter(excerpt(name)))?;
        let arguments = arguments
            .map(|text| quoted::split(text, ','))
            .unwrap_or_default()
            .into_iter()
            .map(|argument| Argument::parse(argument, catalogue))
            .collect::<Result<Vec<_>, _>>()?;
        let filter = Self { kind: known.kind, arguments };
        if filter.kind == Kind::Default && filter.arguments.first().and_then(Argument::literal) == Some("") {
            return Err(Malformed::EmptyDefault);
        }
        if known.takes.contains(&filter.arguments.len()) && filter.can_take() {
            Ok(filter)
        } else {
            let given = if text.contains(':') { excerpt(text) } else { "no argument".to_owned() };
            Err(Malformed::Arguments { filter: known.name, given })
        }
    }

    /// Whether its literal arguments are such as it can work with. What comes by a macro is seen when it comes.
    fn can_take(&self) -> bool {
        let literal = self.arguments.first().and_then(Argument::literal);
        match self.kind {
            Kind::Decimal => literal.is_some_and(|text| number::digits(text).is_some()),
            Kind::Date => literal.is_some_and(time::is_format),
            Kind::MinorUnits => literal.is_none_or(|text| number::places(text).is_some()),
            Kind::E164 => literal.is_none_or(identity::is_country),
            Kind::Hmac => literal != Some(""),
            _ => true,
        }
    }

    /// Whether this one only says what becomes of the result.
    pub(super) fn is_optional(&self) -> bool {
        self.kind == Kind::Optional
    }

    /// Whether it asks for a bare number in JSON.
    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    /// The macros among its arguments.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Literal(_) => None,
            Argument::Macro(name) => Some(&**name),
        })
    }

    /// Its work on the value of the macro `of`.
    pub(super) fn apply<'v>(
        &'v self,
        of: &str,
        value: Option<Cow<'v, str>>,
        values: &'v dyn Values,
    ) -> Option<Cow<'v, str>> {
        if self.kind == Kind::Default {
            return value.or_else(|| self.arguments.first()?.text(values));
        }
        let value = value?;
        let argument = || self.arguments.first()?.text(values);
        let joined = || -> Option<String> { self.arguments.iter().map(|part| part.text(values)).collect() };
        let becomes: String = match self.kind {
            Kind::Default | Kind::Optional | Kind::Number => return Some(value),
            Kind::Lower => value.to_lowercase(),
            Kind::Upper => value.to_uppercase(),
            Kind::Trim => value.trim().to_owned(),
            Kind::E164 if self.arguments.is_empty() => {
                identity::e164(&value, values.value("COUNTRY").as_deref())?
            }
            // A country that is asked for and missing is not replaced by another.
            Kind::E164 => identity::e164(&value, argument().as_deref())?,
            // None is no number, and not the empty one, whose hash many would share.
            Kind::Digits => Some(value.chars().filter(char::is_ascii_digit).collect())
                .filter(|text: &String| !text.is_empty())?,
            Kind::Sha256 => hash::sha256(&value),
            Kind::Sha1 => hash::sha1(&value),
            Kind::Md5 => hash::md5(&value),
            Kind::Hmac => hash::hmac(&argument()?, &value)?,
            Kind::Base64 => STANDARD.encode(value.as_bytes()),
            Kind::Append => format!("{value}{}", joined()?),
            Kind::Prepend => format!("{}{value}", joined()?),
            Kind::MinorUnits if self.arguments.is_empty() => {
                let code = if of == "PAYOUT" { "PAYOUT_CURRENCY" } else { "CURRENCY" };
                number::minor_units(&value, number::places(&values.value(code)?)?)?
            }
            Kind::MinorUnits => number::minor_units(&value, number::places(&argument()?)?)?,
            Kind::Decimal => number::decimal(&value, number::digits(&argument()?)?)?,
            Kind::TsS => time::instant(&value)?.as_second().to_string(),
            Kind::TsMs => time::instant(&value)?.as_millisecond().to_string(),
            Kind::TsIso => time::instant(&value)?.to_string(),
            Kind::Date => time::date(time::instant(&value)?, &argument()?)?,
        };
        Some(becomes.into())
    }
}

#[cfg(test)]
mod tests;
