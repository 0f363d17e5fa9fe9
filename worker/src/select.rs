//! Selection: which connectors are told of an event, each with a delivery of a stable id, or why not.

use carom_common::click::Click;
use carom_common::connector::{Connector, FireAt, Mode, Trigger};
use carom_common::conversion::{Conversion, Step};
use carom_common::delivery::Delivery;
use carom_common::event::{ConversionFacts, Event, Facts, Kind};
use carom_common::id::DeliveryId;
use carom_common::trace::Code;
use jiff::Timestamp;

/// What is to be told, before anybody is asked whether they want to hear it.
pub struct News<'a> {
    /// The event.
    pub event: &'a Event,
    /// The attributed click.
    pub click: Option<&'a Click>,
    /// The conversion as it stands now, and its new steps.
    pub conversion: Option<(&'a Conversion, &'a [Step])>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Selection {
    /// One per connector and step or event.
    pub deliveries: Vec<Delivery>,
    /// Each connector's decision.
    pub decisions: Vec<(Code, String)>,
}

/// Selects among the connectors of the event's advertiser.
pub fn select(news: &News<'_>, connectors: &[Connector], now: Timestamp) -> Selection {
    let mut selection = Selection::default();
    if news.event.test {
        selection.decisions.push((Code::TestOrder, "recorded; nothing is sent".to_owned()));
        return selection;
    }
    for connector in connectors.iter().filter(|connector| connector.advertiser == news.event.advertiser) {
        let told = told(news, connector);
        let id = &connector.id;
        if connector.mode == Mode::Disabled || !connector.webhook.enabled {
            selection.decisions.push((Code::SkippedDisabled, id.to_string()));
            continue;
        }
        if let Some(code) = told.withheld {
            selection.decisions.push((code, id.to_string()));
        } else if told.news.is_empty() {
            selection.decisions.push((Code::SkippedTrigger, id.to_string()));
        }
        if told.news.is_empty() {
            continue;
        }
        if connector.mode == Mode::Test {
            selection.decisions.push((Code::SkippedTestMode, id.to_string()));
        } else {
            for (delivery, conversion) in told.news {
                selection.decisions.push((Code::Selected, format!("{id} by delivery {delivery}")));
                let facts =
                    Facts { click: news.click.cloned(), conversion, ..Facts::new(news.event.clone()) };
                selection.deliveries.push(Delivery::new(delivery, id.clone(), now, facts));
            }
        }
    }
    selection
}

/// What one connector is told, and why it is not told of a step that its triggers name.
#[derive(Default)]
struct Told {
    news: Vec<(DeliveryId, Option<ConversionFacts>)>,
    withheld: Option<Code>,
}

/// What one connector is told. Several triggers on the same step are one request; a step and a raw type
/// are two, as they are two kinds of news.
fn told(news: &News<'_>, connector: &Connector) -> Told {
    let mut told = Told::default();
    if let Some((conversion, steps)) = news.conversion {
        for step in steps {
            let fires = |trigger: &&Trigger| fires_on_step(trigger, step, conversion, news.event);
            // A pending step and the approval after it are one delivery by its id; whoever was told of the
            // one is known to the store, and is not told of the other.
            let early = *step == Step::Pending && connector.fire_at == FireAt::Approved;
            if early || !connector.triggers.iter().any(|trigger| fires(&trigger)) {
                continue;
            }
            match withheld(step, conversion, connector, news.event) {
                Some(code) => told.withheld = Some(code),
                None => {
                    let id = DeliveryId::of_step(&connector.id, &conversion.key, &step.id());
                    told.news.push((id, Some(facts(conversion, step))));
                }
            }
        }
    }
    // What has steps is told by them. An adjustment with money of its own, such as the transaction of a
    // rebill, reports what another event's conversion tells.
    let reports = news.event.kind == Kind::Adjustment && news.event.value.is_some();
    let has_steps = reports || matches!(news.event.kind, Kind::Conversion | Kind::Refund);
    let by_event = connector.triggers.iter().any(|trigger| match trigger {
        Trigger::Raw(raw) => *raw == news.event.raw_type,
        // A custom or named event that is of no conversion fires once for itself.
        Trigger::Name(name) => !has_steps && is_named(news.event, name),
        Trigger::Number(number) => !has_steps && news.event.number == Some(*number),
        Trigger::Conversion | Trigger::Refund => false,
    });
    if by_event {
        told.news.push((DeliveryId::of_event(&connector.id, &news.event.key), None));
    }
    told
}

/// Why nothing is told of a step that fires: the payout rule has paid for this click, or makes it a KPI,
/// which fires by its name and number alone. A refund follows its sale: who was not told of the one is not
/// told of the other, or would take back what it never gave.
fn withheld(step: &Step, conversion: &Conversion, connector: &Connector, event: &Event) -> Option<Code> {
    if conversion.already_paid {
        return Some(Code::AlreadyPaid);
    }
    // The number is the event's own, and a refund's event has none of its sale's.
    let of_sale = |trigger: &Trigger| match (trigger, step) {
        (Trigger::Conversion | Trigger::Refund, _) | (Trigger::Number(_), Step::Refund(_)) => false,
        _ => fires_on_step(trigger, &Step::Conversion, conversion, event),
    };
    (conversion.kpi && !connector.triggers.iter().any(of_sale)).then_some(Code::SkippedKpi)
}

fn fires_on_step(trigger: &Trigger, step: &Step, conversion: &Conversion, event: &Event) -> bool {
    match (trigger, step) {
        (Trigger::Conversion, Step::Pending | Step::Conversion) | (Trigger::Refund, Step::Refund(_)) => true,
        (Trigger::Name(name), Step::Pending | Step::Conversion) => {
            conversion.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        }
        (Trigger::Number(number), Step::Pending | Step::Conversion) => event.number == Some(*number),
        _ => false,
    }
}

fn is_named(event: &Event, name: &str) -> bool {
    event.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn facts(conversion: &Conversion, step: &Step) -> ConversionFacts {
    let (name, value, payout) = match step {
        Step::Pending | Step::Conversion => (conversion.name.clone(), conversion.value, conversion.payout),
        Step::Refund(amount) => {
            (Some("refund".to_owned()), Some(conversion.money(*amount)), conversion.refund_payout)
        }
    };
    ConversionFacts { key: conversion.key.clone(), name, status: conversion.status, value, payout }
}

#[cfg(test)]
mod tests;
