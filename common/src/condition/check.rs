//! What `check` says of conditions: every wrong pairing of field, operator, value and click, all at once; and
//! conditions that are sound and can never hold, or always do.

use super::field::{Field, Kind, NAMED};
use super::{Condition, Operand, Operator, pattern};
use crate::click::Device;
use crate::money;
use crate::offer::Offer;
use crate::spelling;
use crate::template::Fault;
use rust_decimal::Decimal;

/// Every fault of a connector's conditions, with its key, as in `condition[1].operator`.
pub fn faults(conditions: &[Condition]) -> Vec<Fault> {
    each(conditions, |condition| condition.faults())
}

/// What is allowed and probably not meant. `offers` are those of the connector's advertiser. A faulty
/// condition has no warnings: mend its faults first.
pub fn warnings(conditions: &[Condition], offers: &[&Offer]) -> Vec<Fault> {
    each(
        conditions,
        |condition| {
            if condition.faults().is_empty() { condition.warnings(offers) } else { Vec::new() }
        },
    )
}

fn each(conditions: &[Condition], told: impl Fn(&Condition) -> Vec<Fault>) -> Vec<Fault> {
    let keyed = |(index, condition)| {
        let within = move |fault: Fault| Fault { key: format!("condition[{index}].{}", fault.key), ..fault };
        told(condition).into_iter().map(within)
    };
    conditions.iter().enumerate().flat_map(keyed).collect()
}

impl Operator {
    fn takes_nothing(self) -> bool {
        matches!(self, Self::Exists | Self::Missing)
    }

    fn takes_a_list(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }

    /// Whether it compares which is more.
    fn compares_size(self) -> bool {
        matches!(self, Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual)
    }

    /// Whether it compares the whole of a value.
    fn compares_whole(self) -> bool {
        matches!(self, Self::Equals | Self::NotEquals) || self.takes_a_list()
    }

    fn looks_into_text(self) -> bool {
        !self.compares_whole() && !self.compares_size() && !self.takes_nothing()
    }
}

impl Condition {
    fn faults(&self) -> Vec<Fault> {
        let field = Field::named(&self.field);
        let mut faults = Vec::new();
        match field {
            None => faults.push(self.unknown()),
            Some(Field::OfEvent(path)) => faults.extend(bad_path(path, "event.PATH, such as event.plan")),
            Some(Field::OfClick(name)) => faults.extend(bad_path(name, "click.NAME, such as click.sub1")),
            Some(_) => {}
        }
        if self.click.is_some() && field.is_some_and(|field| !field.has_choice()) {
            let problem = format!("{} is not of the first or the last click", self.field);
            let remedy = match field {
                Some(Field::Email | Field::Phone | Field::Contact) => {
                    "leave `click` out: events name a person, and touches do not"
                }
                _ => "leave `click` out: it is for utm_*, country, deviceType, referrer and click.NAME",
            };
            faults.push(Fault::new("click", problem, remedy));
        }
        match field.and_then(|field| self.unfit_operator(field)) {
            Some(fault) => faults.push(fault),
            None => faults.extend(self.value_faults(field.map_or(Kind::Any, Field::kind))),
        }
        faults
    }

    fn unknown(&self) -> Fault {
        let problem = format!("`{}` is no field", excerpt(&self.field));
        let remedy = match spelling::nearest(&self.field, NAMED.map(|(name, _)| name)) {
            Some(name) => format!("did you mean {name}?"),
            None => {
                let names = NAMED.map(|(name, _)| name).join(", ");
                format!(
                    "the fields are {names}, event.PATH for the event's own data, click.NAME for what a link carried"
                )
            }
        };
        Fault::new("field", problem, remedy)
    }

    fn unfit_operator(&self, field: Field<'_>) -> Option<Fault> {
        let (name, operator) = (&self.field, self.operator);
        let refuse = |problem: String, remedy: &str| Some(Fault::new("operator", problem, remedy));
        if operator.takes_nothing() && field.is_always_known() {
            let remedy = "remove the condition, or compare it with a value";
            return refuse(format!("{name} always has a value"), remedy);
        }
        match field.kind() {
            Kind::Text if operator.compares_size() => refuse(
                format!("{name} is a text, and `{}` compares numbers", operator.as_str()),
                "use equals, contains, starts_with, ends_with, matches, in, their not_ forms, exists or missing",
            ),
            Kind::Number if operator.looks_into_text() => refuse(
                format!("{name} is a number, and `{}` looks into texts", operator.as_str()),
                "use equals, not_equals, in, not_in, greater, greater_or_equal, less, less_or_equal, exists or missing",
            ),
            Kind::Truth if !matches!(operator, Operator::Equals | Operator::NotEquals) => refuse(
                format!("{name} is true or false, and `{}` is not for these", operator.as_str()),
                "use equals or not_equals",
            ),
            _ => None,
        }
    }

    fn value_faults(&self, kind: Kind) -> Vec<Fault> {
        let refuse = |problem: String, remedy: &str| vec![Fault::new("value", problem, remedy)];
        let operator = self.operator;
        let word = operator.as_str();
        match &self.value {
            None if operator.takes_nothing() => Vec::new(),
            Some(_) if operator.takes_nothing() => {
                refuse(format!("`{word}` compares with nothing"), "leave `value` out")
            }
            None => refuse("is missing".to_owned(), "say with what to compare, or use exists or missing"),
            Some(Operand::List(items)) if operator.takes_a_list() => {
                if items.is_empty() {
                    return refuse("the list is empty".to_owned(), "name at least one value");
                }
                let unfit = |(index, item): (usize, &Operand)| {
                    let (problem, remedy) = self.unfit(kind, item)?;
                    Some(Fault::new(format!("value[{index}]"), problem, remedy))
                };
                items.iter().enumerate().filter_map(unfit).collect()
            }
            Some(_) if operator.takes_a_list() => {
                refuse(format!("`{word}` takes a list"), "write it in brackets, as in [\"a\", \"b\"]")
            }
            Some(value) => {
                self.unfit(kind, value).map_or_else(Vec::new, |(problem, remedy)| refuse(problem, &remedy))
            }
        }
    }

    /// Why a single value cannot be compared with, and what could.
    fn unfit(&self, kind: Kind, value: &Operand) -> Option<(String, String)> {
        let operator = self.operator;
        let wanted = match kind {
            _ if operator.compares_size() => Kind::Number,
            _ if operator.looks_into_text() => Kind::Text,
            kind => kind,
        };
        let refuse = |problem: &str, remedy: &str| Some((problem.to_owned(), remedy.to_owned()));
        match (wanted, value) {
            (_, Operand::List(_)) => {
                refuse("is a list", "write one value, or use in or not_in with a list of them")
            }
            (Kind::Number, Operand::Number(_)) | (Kind::Any, Operand::Number(_)) => None,
            (Kind::Number, Operand::Text(text)) if money::decimal(text).is_some() => None,
            (Kind::Number, _) => refuse("is no number", "write a number such as 50 or 49.99, with a point"),
            (Kind::Truth, Operand::Truth(_)) => None,
            (Kind::Any, Operand::Truth(_)) if !operator.takes_a_list() => None,
            (Kind::Any, Operand::Truth(_)) => refuse("is true or false", "list texts or numbers"),
            (Kind::Truth, _) => refuse("is neither true nor false", "write true or false, without quotes"),
            (Kind::Text, Operand::Number(_) | Operand::Truth(_)) => {
                refuse("is no text", "write it in quotes, as in \"50\"")
            }
            (Kind::Text | Kind::Any, Operand::Text(text)) => self.unfit_text(text),
        }
    }

    fn unfit_text(&self, text: &str) -> Option<(String, String)> {
        let remedy = |remedy: &str| remedy.to_owned();
        if text.trim().is_empty() {
            return Some(("is blank".to_owned(), remedy("name a value, or use missing or exists")));
        }
        if self.operator == Operator::Matches {
            return match pattern::compile(text).err()? {
                regex::Error::CompiledTooBig(_) => {
                    Some(("is too large an expression".to_owned(), remedy("repeat fewer things")))
                }
                // The message draws the place over several lines; the last says what is wrong.
                error => {
                    let message = error.to_string();
                    let why = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    let problem = format!("is no regular expression: {why}");
                    Some((problem, remedy("mend it, or use contains to look for it as it stands")))
                }
            };
        }
        // A value that is found has no blanks around it, so what pins one there can never be it.
        let whole = self.operator.compares_whole();
        let before = whole || self.operator == Operator::StartsWith;
        let after = whole || self.operator == Operator::EndsWith;
        let blank = (before && text.trim_start() != text) || (after && text.trim_end() != text);
        blank.then(|| ("has a blank where no value has one".to_owned(), remedy("remove it")))
    }

    fn warnings(&self, offers: &[&Offer]) -> Vec<Fault> {
        let items = match &self.value {
            Some(Operand::List(items)) => items.iter().collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let field = Field::named(&self.field);
        let listed = matches!(self.value, Some(Operand::List(_)));
        let odd = |(index, item): (usize, &Operand)| {
            let (problem, remedy) = self.odd(field?, item, offers)?;
            let key = if listed { format!("value[{index}]") } else { "value".to_owned() };
            Some(Fault::new(key, problem, remedy))
        };
        items.into_iter().enumerate().filter_map(odd).collect()
    }

    /// Why no value of the field is ever this one.
    fn odd(&self, field: Field<'_>, value: &Operand, offers: &[&Offer]) -> Option<(String, String)> {
        let range = match field {
            Field::QualityScore => Some((Decimal::ZERO, Decimal::ONE_HUNDRED)),
            Field::EventNumber => Some((Decimal::ONE, Decimal::TEN)),
            Field::ConversionCount | Field::EventCount => Some((Decimal::ZERO, Decimal::MAX)),
            _ => None,
        };
        if let Some((least, most)) = range {
            let number = match value {
                Operand::Number(number) => *number,
                Operand::Text(text) => money::decimal(text)?,
                Operand::Truth(_) | Operand::List(_) => return None,
            };
            let whole = number.is_integer() || !self.operator.compares_whole();
            let sound = (least..=most).contains(&number) && whole;
            let bounds = if most == Decimal::MAX { "0 or more".into() } else { format!("{least} to {most}") };
            let problem = format!("{} is a whole number, {bounds}, and never {number}", self.field);
            return (!sound).then(|| (problem, "choose a number that it can be".to_owned()));
        }
        let Operand::Text(text) = value else { return None };
        let is = |known: &&str| known.eq_ignore_ascii_case(text);
        match field {
            Field::Phone
                if matches!(
                    self.operator,
                    Operator::Contains | Operator::NotContains | Operator::StartsWith | Operator::EndsWith
                ) =>
            {
                let odd = !text.chars().all(|c| c.is_ascii_digit() || c == '+');
                let problem = "a phone number is compared as + and digits, without blanks or signs between";
                odd.then(|| (problem.to_owned(), "write + and digits alone".to_owned()))
            }
            _ if !self.operator.compares_whole() => None,
            Field::DeviceType => {
                let known = DEVICES.map(Device::as_str);
                let problem = || {
                    (
                        format!("no device is `{}`", excerpt(text)),
                        format!("it is one of {}", known.join(", ")),
                    )
                };
                (!known.iter().any(is)).then(problem)
            }
            Field::Country => match text.as_str() {
                _ if is(&"UK") => Some((
                    "no country is `UK` by ISO 3166".to_owned(),
                    "write GB for the United Kingdom".to_owned(),
                )),
                _ if text.len() == 2 && text.chars().all(|c| c.is_ascii_alphabetic()) => None,
                _ => Some((
                    format!("`{}` is not the code of a country", excerpt(text)),
                    "write its two letters by ISO 3166, such as \"US\"".to_owned(),
                )),
            },
            Field::LinkId => {
                let known: Vec<_> = offers.iter().map(|offer| offer.id.as_str()).collect();
                not_among(text, "offer", &known)
            }
            Field::TargetId => {
                let known: Vec<_> = offers.iter().map(|offer| offer.target.as_str()).collect();
                not_among(text, "offer with the target", &known)
            }
            _ => None,
        }
    }
}

const DEVICES: [Device; 6] =
    [Device::Desktop, Device::Mobile, Device::Tablet, Device::Tv, Device::Console, Device::Other];

fn not_among(text: &str, what: &str, known: &[&str]) -> Option<(String, String)> {
    if known.iter().any(|known| known.eq_ignore_ascii_case(text)) {
        return None;
    }
    let remedy = match spelling::nearest(text, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None => "name one of the advertiser's own".to_owned(),
    };
    Some((format!("the advertiser has no {what} `{}`", excerpt(text)), remedy))
}

/// A path or name that leads nowhere, whatever the data.
fn bad_path(path: &str, shape: &str) -> Option<Fault> {
    let nowhere = path.trim() != path || path.split('.').any(|step| step.trim().is_empty());
    let problem = || Fault::new("field", "has a step without a name", format!("write {shape}"));
    nowhere.then(problem)
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}
