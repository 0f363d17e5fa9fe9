//! Holds the code against `table.toml`, and the table against completeness.

use super::field::{Field, NAMED};
use super::*;
use crate::click::Click;
use crate::event::testing::event;
use crate::id::VisitorId;
use crate::money::Amount;
use crate::touch::{History, Touch};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const ABSENT: &str = "(absent)";
const NO_CLICK: &str = "(no click)";
const CLICKS: [Option<Which>; 3] = [None, Some(Which::First), Some(Which::Last)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    section: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    about: String,
    fields: Vec<String>,
    click: Vec<Which>,
    found: Vec<String>,
    given: Given,
    verdicts: BTreeMap<String, [String; 5]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    text: Operand,
    number: Operand,
    truth: Operand,
    list: Operand,
}

impl Section {
    fn operands(&self) -> [Option<Operand>; 5] {
        let Given { text, number, truth, list } = &self.given;
        [None, Some(text.clone()), Some(number.clone()), Some(truth.clone()), Some(list.clone())]
    }
}

fn table() -> Vec<Section> {
    toml::from_str::<Table>(include_str!("table.toml")).unwrap().section
}

/// An event, its click and its history.
struct World {
    event: Event,
    conversion: Option<ConversionFacts>,
    click: Option<Click>,
    history: History,
}

impl World {
    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            event: &self.event,
            conversion: self.conversion.as_ref(),
            click: self.click.as_ref(),
            history: &self.history,
        }
    }

    fn unmet(&self, condition: &Condition) -> Option<Unmet> {
        unmet(std::slice::from_ref(condition), &self.circumstances())
    }
}

fn click() -> Click {
    let at = "2026-01-10T12:00:00Z".parse().unwrap();
    Click::new("acme".parse().unwrap(), "other".parse().unwrap(), VisitorId::new(), at)
}

/// A touch without a signal of quality.
fn bare_touch() -> Touch {
    let click = click();
    Touch { click: None, offer: None, target: None, ..Touch::from(&click) }
}

/// A touch that has this value of the field, if any.
fn touch(field: Field<'_>, found: &str) -> Touch {
    let mut touch = bare_touch();
    if found == ABSENT {
        return touch;
    }
    let found = found.to_owned();
    match field {
        Field::Utm(name) => touch.parameters = vec![(name.to_owned(), found)],
        Field::OfClick(name) => touch.parameters = vec![(name.to_owned(), found)],
        Field::Country => touch.country = Some(found),
        Field::DeviceType => touch.device = Some(found),
        Field::Referrer => touch.referrer = Some(found),
        other => panic!("{other:?} is of no touch"),
    }
    touch
}

/// What the table says is found, and something else wherever it must not be looked for.
fn world(section: &Section, field: Field<'_>, click_asked: Option<Which>, found: &str) -> World {
    let mut event = event("acme");
    event.value = None;
    let history = History::empty(event.at);
    let mut world = World { event, conversion: None, click: None, history };
    if found == NO_CLICK {
        return world;
    }
    let text = || found.to_owned();
    let number = || found.parse::<u8>().unwrap();
    match field {
        _ if field.has_choice() => {
            let another = if found == section.found[0] { &section.found[2] } else { &section.found[0] };
            let (asked, other) = (touch(field, found), touch(field, another));
            let (first, last) = match click_asked {
                Some(Which::First) => (asked, other),
                Some(Which::Last) | None => (other, asked),
            };
            world.history.recent = vec![last, first.clone()];
            world.history.first = Some(first);
        }
        Field::LinkId | Field::TargetId => {
            let (mut attributed, mut decoy) = (click(), Touch::from(&click()));
            if field == Field::LinkId {
                attributed.offer = found.parse().unwrap();
                decoy.offer = Some("decoy".parse().unwrap());
            } else {
                attributed.target = text();
                decoy.target = Some("decoy".into());
            }
            world.click = Some(attributed);
            world.history.recent = vec![decoy.clone()];
            world.history.first = Some(decoy);
        }
        Field::IsFrom(names) => {
            let mut attributed = click();
            let name = if found == "true" { names[0] } else { "msclkid" };
            attributed.parameters = vec![(name.to_owned(), "id-1".into())];
            world.click = Some(attributed);
        }
        Field::QualityScore => {
            let mut touch = bare_touch();
            touch.at = "2026-01-10T11:00:00Z".parse().unwrap();
            touch.device = Some("mobile".into());
            touch.country = Some("US".into());
            touch.referrer = Some("https://blog.example/".into());
            world.event.person.phone = (found == "50").then(|| "+18005550199".into());
            world.event.person.email = (found == "55").then(|| "jane@example.com".into());
            world.history.recent = vec![touch.clone()];
            world.history.first = Some(touch);
        }
        _ if found == ABSENT => {}
        Field::Email => world.event.person.email = Some(text()),
        Field::Phone => world.event.person.phone = Some(text()),
        Field::Contact => world.event.person.contact = Some(text()),
        Field::Revenue => {
            world.event.value = Some(Amount { amount: found.parse().unwrap(), currency: None });
        }
        Field::EventNumber => world.event.number = Some(number()),
        Field::ConversionCount => world.history.conversions = number().into(),
        Field::EventCount => world.history.events = number().into(),
        Field::OfEvent(path) => world.event.data = json!({ path: found }),
        other => panic!("the table finds `{found}` of {other:?}"),
    }
    world
}

#[test]
fn the_table_has_every_field_with_every_operator_and_type_once() {
    let mut fields = BTreeSet::new();
    for section in table() {
        for field in &section.fields {
            assert!(fields.insert(field.clone()), "{field} is in two sections");
        }
        let operators: BTreeSet<_> = section.verdicts.keys().map(String::as_str).collect();
        assert_eq!(operators, Operator::ALL.map(Operator::as_str).into(), "{}", section.about);
        for (operator, cells) in &section.verdicts {
            for cell in cells {
                let signs = cell.len() == section.found.len() && cell.chars().all(|c| "+-w".contains(c));
                assert!(signs || cell == "operator" || cell == "value", "{}: {operator}", section.about);
            }
        }
        // What is not always known is asked for where it is missing.
        for field in section.fields.iter().map(|name| Field::named(name).unwrap()) {
            let missing = section.found.iter().any(|found| found == ABSENT || found == NO_CLICK);
            assert!(missing || field.is_always_known(), "{field:?}");
        }
    }
    let known = NAMED.map(|(name, _)| name.to_owned()).into_iter();
    let all: BTreeSet<_> = known.chain(["event.plan".to_owned(), "click.plan".to_owned()]).collect();
    assert_eq!(fields, all);
    for operator in Operator::ALL {
        assert_eq!(serde_json::to_value(operator).unwrap(), operator.as_str());
    }
}

#[test]
fn every_combination_comes_out_as_the_table_says() {
    let (mut pairings, mut verdicts, mut sorted) = (0, 0, 0);
    let mut wrong = Vec::new();
    for section in table() {
        let operators = Operator::ALL.into_iter().flat_map(|operator| {
            let cells = section.verdicts[operator.as_str()].iter().zip(section.operands());
            cells.map(move |(cell, operand)| (operator, cell, operand)).collect::<Vec<_>>()
        });
        for (operator, cell, value) in operators {
            for (name, click) in section.fields.iter().flat_map(|name| CLICKS.map(|click| (name, click))) {
                pairings += 1;
                let condition = Condition { field: name.clone(), click, operator, value: value.clone() };
                let mut expected = BTreeSet::new();
                if click.is_some_and(|which| !section.click.contains(&which)) {
                    expected.insert("condition[0].click");
                }
                match cell.as_str() {
                    "operator" => drop(expected.insert("condition[0].operator")),
                    "value" => drop(expected.insert("condition[0].value")),
                    _ => {}
                }
                let faults = faults(std::slice::from_ref(&condition));
                let found: BTreeSet<_> =
                    faults.iter().map(|fault| fault.key.split("value[").next().unwrap()).collect();
                if found != expected {
                    wrong.push(format!("{condition:?}: {faults:?} and not {expected:?}"));
                }
                if !expected.is_empty() {
                    continue;
                }
                for (found, sign) in section.found.iter().zip(cell.chars()) {
                    verdicts += 1;
                    let world = world(&section, Field::named(name).unwrap(), click, found);
                    let came = match world.unmet(&condition) {
                        None => '+',
                        Some(unmet) if unmet.for_want_of_a_click => 'w',
                        Some(_) => '-',
                    };
                    if let Some((question, texts)) = condition.wants_text() {
                        sorted += 1;
                        let answer = question.answer(&world.circumstances());
                        let wanted = answer.is_some_and(|answer| texts.contains(&answer));
                        assert_eq!(wanted, came == '+', "{condition:?} of {found}");
                    }
                    if came != sign {
                        wrong.push(format!("{condition:?} of {found}: {came} and not {sign}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {pairings} pairings:\n{}", wrong.len(), wrong.join("\n"));
    let fields = NAMED.len() + 2;
    assert_eq!(pairings, fields * Operator::ALL.len() * 5 * CLICKS.len());
    assert!(verdicts > 2_000 && sorted > 100, "{verdicts}, {sorted}");
}
