//! Payouts: what an offer gives for a conversion, by rules that are tried in their order (specification 000).
//!
//! Pure. A *value* is what an event is worth; a *payout* is what the offer's rule gives for it. Whether a
//! rule that pays once per click has paid is for the store to know; here it only says that it does.

pub mod check;
mod pay;

use crate::conversion::Conversion;
use crate::money::Amount;
use crate::offer::Offer;
use serde::{Deserialize, Serialize};

pub use pay::Pay;

/// The name of the default among the rules.
pub const DEFAULT: &str = "default";

/// What is named where an offer has neither rules nor a default.
pub const NONE: &str = "none";

/// A payout rule of an offer, `[[offer.payout]]`. All that it names must match; what it leaves out matches
/// anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name within the offer. What it has paid once is kept under it: another name pays again.
    pub name: String,
    /// The event parameters that it is for, such as `purchase`, compared without case.
    pub event: Words,
    /// The countries of the click, by ISO 3166: `US`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Words>,
    /// The kinds of device of the click, such as `mobile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Words>,
    /// The sources of the event, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Words>,
    /// What it gives. A KPI gives nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay: Option<Pay>,
    /// How often.
    #[serde(default)]
    pub per_click: PerClick,
    /// Whether a conversion by it is one to pay for.
    #[serde(default)]
    pub counts_as: CountsAs,
}

/// What holds where no rule matches, `[offer.payout_default]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// What it gives. A KPI gives nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay: Option<Pay>,
    /// How often.
    #[serde(default)]
    pub per_click: PerClick,
    /// Whether a conversion by it is one to pay for.
    #[serde(default)]
    pub counts_as: CountsAs,
}

/// How often a rule pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PerClick {
    /// Once for each click. Later conversions of that click are recorded and told to nobody.
    Once,
    /// For every conversion.
    #[default]
    Every,
}

/// What a conversion counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountsAs {
    /// One to pay for.
    #[default]
    Payable,
    /// A milestone: it fires triggers by its name, and no conversion trigger.
    Kpi,
}

/// One word, or a list of them. They are compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "Vec<String>")]
pub struct Words(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a word such as \"purchase\", or a list of words")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Words {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(word) => Self(vec![word]),
            OneOrMany::Many(words) => Self(words),
        }
    }
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        words.0
    }
}

impl Words {
    /// Whether this word is among them.
    pub fn have(&self, word: &str) -> bool {
        self.0.iter().any(|own| own.eq_ignore_ascii_case(word))
    }
}

/// What rules are matched against, and what they are a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Case<'a> {
    /// The event parameter: the conversion's name, or `refund`.
    pub event: &'a str,
    /// The country of the click, where it is known.
    pub country: Option<&'a str>,
    /// The kind of device of the click, where it is known.
    pub device: Option<&'a str>,
    /// The source of the event.
    pub source: &'a str,
    /// What the conversion is worth; of a refund, all that has been refunded.
    pub value: Option<Amount>,
}

/// What a rule makes of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The rule's name; [`DEFAULT`], or [`NONE`] of an offer without any.
    pub rule: String,
    /// Whether it is one to pay for, and no KPI.
    pub payable: bool,
    /// Whether the rule pays once per click.
    pub once: bool,
    /// What it gives; none of a KPI, and where the value is not known that it would be a part of.
    pub payout: Option<Amount>,
}

/// Settles a case by the offer's first rule that matches, else by its default. An offer without either pays
/// nothing, and whatever counts is payable.
pub fn decide(offer: &Offer, case: &Case<'_>) -> Settled {
    let terms = match (offer.payout.iter().find(|rule| rule.matches(case)), &offer.payout_default) {
        (Some(rule), _) => (rule.name.as_str(), &rule.pay, rule.per_click, rule.counts_as),
        (None, Some(rest)) => (DEFAULT, &rest.pay, rest.per_click, rest.counts_as),
        (None, None) => (NONE, &None, PerClick::Every, CountsAs::Payable),
    };
    let (rule, pay, per_click, counts_as) = terms;
    let payable = counts_as == CountsAs::Payable;
    Settled {
        rule: rule.to_owned(),
        payable,
        // A refund follows its sale, and is told each time that more went back.
        once: per_click == PerClick::Once && !case.event.eq_ignore_ascii_case("refund"),
        payout: pay.as_ref().filter(|_| payable).and_then(|pay| pay.of(case.value)),
    }
}

impl Rule {
    fn matches(&self, case: &Case<'_>) -> bool {
        let allows = |words: &Option<Words>, word: Option<&str>| {
            words.as_ref().is_none_or(|words| word.is_some_and(|word| words.have(word)))
        };
        self.event.have(case.event)
            && allows(&self.country, case.country)
            && allows(&self.device, case.device)
            && allows(&self.source, Some(case.source))
    }
}

impl Settled {
    /// Enters into a conversion what was settled for its conversion step. `already_paid` says that the rule
    /// pays once per click, and has paid for another conversion.
    pub fn enter(self, conversion: &mut Conversion, already_paid: bool) {
        conversion.payout = self.payout.filter(|_| !already_paid);
        conversion.payout_rule = Some(self.rule);
        conversion.already_paid = already_paid;
        conversion.kpi = !self.payable;
    }
}

#[cfg(test)]
mod tests;
