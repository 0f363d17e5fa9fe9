//! What `check` says of an offer's payout rules: their faults, all at once, and rules that never match.

use super::{CountsAs, DEFAULT, NONE, Pay, PerClick, Rule, Words};
use crate::offer::Offer;
use crate::template::Fault;

/// Every fault of an offer's rules, with its key within the offer.
pub fn faults(offer: &Offer) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, rule) in offer.payout.iter().enumerate() {
        let key = |name: &str| format!("payout[{index}].{name}");
        if rule.name.trim().is_empty() || rule.name == DEFAULT || rule.name == NONE {
            let problem = format!("`{}` is no name for a rule", rule.name);
            faults.push(Fault::new(key("name"), problem, "name it for what it pays, such as \"purchase\""));
        } else if let Some(first) = offer.payout[..index].iter().position(|other| other.name == rule.name) {
            let problem = format!("`{}` is the name of payout[{first}] already", rule.name);
            faults.push(Fault::new(key("name"), problem, "give each rule of an offer its own name"));
        }
        faults.extend(words(&key("event"), Some(&rule.event)));
        faults.extend(words(&key("country"), rule.country.as_ref()));
        faults.extend(words(&key("device"), rule.device.as_ref()));
        faults.extend(words(&key("source"), rule.source.as_ref()));
        faults.extend(country(&key("country"), rule));
        faults.extend(pay(&key("pay"), rule.pay, rule.counts_as));
        faults.extend(once(&key("per_click"), rule));
    }
    match &offer.payout_default {
        Some(rest) => faults.extend(pay("payout_default.pay", rest.pay, rest.counts_as)),
        None if offer.payout.is_empty() => {}
        None => {
            let problem = "is missing: nothing says what holds where no rule matches";
            let remedy = "add [offer.payout_default], with counts_as = \"kpi\" to pay nothing for the rest";
            faults.push(Fault::new("payout_default", problem, remedy));
        }
    }
    faults
}

fn words(key: &str, words: Option<&Words>) -> Option<Fault> {
    let words = &words?.0;
    if !words.is_empty() && words.iter().all(|word| !word.is_empty() && word.trim() == word) {
        return None;
    }
    let remedy = "give one word or several, without blanks around them";
    Some(Fault::new(key, "has an empty list, or a word that nothing can be", remedy))
}

fn country(key: &str, rule: &Rule) -> Option<Fault> {
    let is_code = |word: &&String| word.len() == 2 && word.chars().all(|c| c.is_ascii_alphabetic());
    let odd = rule.country.as_ref()?.0.iter().find(|word| !word.trim().is_empty() && !is_code(word))?;
    let problem = format!("`{odd}` is not the code of a country");
    Some(Fault::new(key, problem, "write its two letters by ISO 3166, such as \"US\""))
}

fn pay(key: &str, pay: Option<Pay>, counts_as: CountsAs) -> Option<Fault> {
    match (pay, counts_as) {
        (None, CountsAs::Payable) => {
            let remedy = "say what it gives, such as { percent = \"30\" }, or counts_as = \"kpi\"";
            Some(Fault::new(key, "is missing", remedy))
        }
        (Some(_), CountsAs::Kpi) => {
            let remedy = "remove `pay`, or say counts_as = \"payable\"";
            Some(Fault::new(key, "a KPI pays nothing", remedy))
        }
        _ => None,
    }
}

/// A refund is told each time that more has been refunded, and is of a sale that was paid: paying it once
/// per click would keep the second sale's refund from being told.
fn once(key: &str, rule: &Rule) -> Option<Fault> {
    (rule.per_click == PerClick::Once && rule.event.have("refund")).then(|| {
        let remedy = "leave it out; and give refunds a rule of their own";
        Fault::new(key, "a refund is not paid once per click: it follows its sale", remedy)
    })
}

/// Rules that can never match, because rules before them take all that they could.
pub fn warnings(offer: &Offer) -> Vec<Fault> {
    let mut warnings = Vec::new();
    for (index, rule) in offer.payout.iter().enumerate() {
        let earlier = &offer.payout[..index];
        let takes =
            |event: &String| earlier.iter().find(|other| other.event.have(event) && other.takes(rule));
        let takers: Option<Vec<_>> = rule.event.0.iter().map(takes).collect();
        if let Some(taker) = takers.as_ref().and_then(|takers| takers.first()) {
            let problem =
                format!("the rule `{}` never matches: `{}` before it takes it all", rule.name, taker.name);
            let remedy = "put the narrower rule first, or remove it";
            warnings.push(Fault::new(format!("payout[{index}]"), problem, remedy));
        }
    }
    warnings
}

impl Rule {
    /// Whether its conditions besides the event let all through that those of `other` let through.
    fn takes(&self, other: &Self) -> bool {
        let wider = |own: &Option<Words>, other: &Option<Words>| match (own, other) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other.0.iter().all(|word| own.have(word)),
        };
        wider(&self.country, &other.country)
            && wider(&self.device, &other.device)
            && wider(&self.source, &other.source)
    }
}
