//! News: what there is to tell of an event, as it was decided, before anybody is asked whether they want to
//! hear it.
//!
//! On the path it stands between the conversion and the connectors. Selection is a function of the news and
//! the connectors alone, so that it can be done again over what is stored: for a click that comes late, and
//! for a connector that is only being tried.

use crate::click::Click;
use crate::conversion::{Conversion, Step};
use crate::event::{ConversionFacts, Event};
use crate::id::{ConnectorId, EventId};
use crate::touch::{History, Touch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The parameter that makes a connector in Test mode send for real (specification 004, step 8).
const SEND_FOR_REAL: &str = "trl_test";

/// What there is to tell of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The event.
    pub event: Event,
    /// The attributed click.
    pub click: Option<Click>,
    /// The new steps of its conversion; none where it brought none.
    pub conversion: Option<Steps>,
    /// What its visitor had done by then.
    pub history: History,
    /// The event of the sale that it follows, whose touches its history has: of a refund, a rebill, an upsell.
    pub sale: Option<EventId>,
    /// The click ids that were matched for that sale, by connector.
    pub inherited: BTreeMap<ConnectorId, String>,
    /// Whether the request that it came by carried `trl_test=1`.
    pub trl_test: bool,
}

/// The new steps of a conversion, and what decides who hears of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// The name that the conversion counts under. A refund is told under its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether its payout rule makes it a KPI.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kpi: bool,
    /// Whether its payout rule has paid for another conversion of the click.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already_paid: bool,
    /// Each step, with what is told of it, in order.
    pub steps: Vec<(Step, ConversionFacts)>,
}

impl Steps {
    /// The new steps of a conversion as it stands now; none where there are none.
    pub fn of(conversion: &Conversion, steps: &[Step]) -> Option<Self> {
        let steps: Vec<_> = steps.iter().map(|step| (step.clone(), facts(conversion, step))).collect();
        let (kpi, already_paid) = (conversion.kpi, conversion.already_paid);
        let some = !steps.is_empty();
        some.then(|| Self { name: conversion.name.clone(), kpi, already_paid, steps })
    }
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

impl News {
    /// The visitor's newest touch. It may be the attributed click, and then has what only the funnel's visit
    /// told of it besides.
    pub fn touch(&self) -> Option<&Touch> {
        self.history.last()
    }

    /// Whether a connector in Test mode sends this for real: `trl_test=1` stood on the URL of the event, of
    /// its click or of the visitor's newest touch.
    pub fn sends_for_real(&self) -> bool {
        let click = self.click.iter().flat_map(|click| &click.parameters);
        let touch = self.history.last().into_iter().flat_map(|touch| &touch.parameters);
        self.trl_test || click.chain(touch).any(|(name, value)| asks_to_send(name, value))
    }
}

/// Whether a parameter asks for a real request in Test mode.
pub fn asks_to_send(name: &str, value: &str) -> bool {
    name.eq_ignore_ascii_case(SEND_FOR_REAL) && value.trim() == "1"
}

/// Whether a query string does.
pub fn query_asks_to_send(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| asks_to_send(&name, &value))
}
