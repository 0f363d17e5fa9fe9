//! Selection: which connectors are told of an event, each with a delivery of a stable id, or why not.

use carom_common::click::Click;
use carom_common::connector::{Connector, Mode, Trigger};
use carom_common::conversion::{Conversion, Step};
use carom_common::delivery::Delivery;
use carom_common::event::{ConversionFacts, Event, Facts, Kind};
use carom_common::id::DeliveryId;
use carom_common::money::Amount;
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
        } else if told.is_empty() {
            selection.decisions.push((Code::SkippedTrigger, id.to_string()));
        } else if connector.mode == Mode::Test {
            selection.decisions.push((Code::SkippedTestMode, id.to_string()));
        } else {
            for (delivery, conversion) in told {
                selection.decisions.push((Code::Selected, format!("{id} by delivery {delivery}")));
                selection.deliveries.push(Delivery {
                    id: delivery,
                    connector: id.clone(),
                    round: 0,
                    attempt: 1,
                    due_since: now,
                    facts: Facts { event: news.event.clone(), click: news.click.cloned(), conversion },
                });
            }
        }
    }
    selection
}

/// What one connector is told. Several triggers on the same step are one request; a step and a raw type
/// are two, as they are two kinds of news.
fn told(news: &News<'_>, connector: &Connector) -> Vec<(DeliveryId, Option<ConversionFacts>)> {
    let mut told = Vec::new();
    if let Some((conversion, steps)) = news.conversion {
        for step in steps {
            if connector.triggers.iter().any(|trigger| fires_on_step(trigger, step, conversion, news.event)) {
                let id = DeliveryId::of_step(&connector.id, &conversion.key, &step.id());
                told.push((id, Some(facts(conversion, step))));
            }
        }
    }
    let has_steps = matches!(news.event.kind, Kind::Conversion | Kind::Refund);
    let by_event = connector.triggers.iter().any(|trigger| match trigger {
        Trigger::Raw(raw) => *raw == news.event.raw_type,
        // A custom or named event that is of no conversion fires once for itself.
        Trigger::Name(name) => !has_steps && is_named(news.event, name),
        Trigger::Number(number) => !has_steps && news.event.number == Some(*number),
        Trigger::Conversion | Trigger::Refund => false,
    });
    if by_event {
        told.push((DeliveryId::of_event(&connector.id, &news.event.key), None));
    }
    told
}

fn fires_on_step(trigger: &Trigger, step: &Step, conversion: &Conversion, event: &Event) -> bool {
    match (trigger, step) {
        (Trigger::Conversion, Step::Conversion) | (Trigger::Refund, Step::Refund(_)) => true,
        (Trigger::Name(name), Step::Conversion) => {
            conversion.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        }
        (Trigger::Number(number), Step::Conversion) => event.number == Some(*number),
        _ => false,
    }
}

fn is_named(event: &Event, name: &str) -> bool {
    event.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

fn facts(conversion: &Conversion, step: &Step) -> ConversionFacts {
    let currency = conversion.value.and_then(|value| value.currency);
    let (name, value) = match step {
        Step::Conversion => (conversion.name.clone(), conversion.value),
        Step::Refund(amount) => (Some("refund".to_owned()), Some(Amount { amount: *amount, currency })),
    };
    ConversionFacts { key: conversion.key.clone(), name, status: conversion.status, value }
}

#[cfg(test)]
mod tests;
