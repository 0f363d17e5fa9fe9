//! Checking click ID matching: names and windows that nothing can match, and connectors that cannot be told apart.

use super::{Place, Places, fault};
use crate::config::Fault;
use crate::connector::{ClickIdMatching, Connector, Mode};
use crate::resources::Resources;

/// What is wrong with a connector's click ID matching.
pub(super) fn check(connector: &Connector, place: &Place, faults: &mut Vec<Fault>) {
    let Some(matching) = &connector.click_id else { return };
    if matching.parameter.trim().is_empty() {
        let remedy = "name the parameter that the platform appends to its links, such as \"aff_click_id\"";
        faults.push(fault(place, "click_id.parameter", "is empty", remedy));
    }
    if matching.window.0.is_zero() {
        let remedy = "say how long before the event the click may lie, such as \"14d\"";
        faults.push(fault(place, "click_id.window", "no click is that young", remedy));
    }
    if let Some(source) = &matching.source {
        for (key, text) in [("parameter", &source.parameter), ("value", &source.value)] {
            if text.trim().is_empty() {
                let remedy = "name the parameter and the value that only this platform's links carry, or leave \
                              out `source`";
                faults.push(fault(place, &format!("click_id.source.{key}"), "is empty", remedy));
            }
        }
    }
}

/// Warns of connectors of one advertiser that find their ids by the same parameter, where one takes every
/// link that carries it for its own.
pub(super) fn shared(resources: &Resources, places: &Places, warnings: &mut Vec<Fault>) {
    let matching: Vec<(&Connector, &ClickIdMatching, &Place)> = resources
        .connectors
        .iter()
        .zip(&places.connectors)
        .filter(|(connector, _)| connector.mode != Mode::Disabled)
        .filter_map(|(connector, place)| Some((connector, connector.click_id.as_ref()?, place)))
        .collect();
    for (connector, own, place) in matching.iter().filter(|(_, own, _)| own.source.is_none()) {
        let other = matching.iter().find(|(other, theirs, _)| {
            other.id != connector.id
                && other.advertiser == connector.advertiser
                && theirs.parameter.eq_ignore_ascii_case(&own.parameter)
        });
        if let Some((other, ..)) = other {
            let problem = format!(
                "`{}` is the parameter of connector `{}` too, and every link that carries it is taken for this one's",
                own.parameter, other.id
            );
            let remedy =
                "give it a `source`: a parameter and the value that only this platform's links carry";
            warnings.push(fault(place, "click_id.source", problem, remedy));
        }
    }
}
