//! Click ID matching: the id that a connector's own platform gave a visitor's click, or why there is none
//! (specification 004, steps 6 and 7).
//!
//! On the path it is asked after the conditions. A *click source* is a touch that carries some Enabled or Test
//! connector's parameter, with its source's strict value, or an ad platform's click id; a direct visit is
//! none. It is a function of the history that the event was decided from, and knows no other time than that.

use crate::attribution::is_placeholder;
use crate::connector::{ClickIdMatching, Connector, Mode, Model};
use crate::id::ClickId;
use crate::touch::{History, Touch};
use jiff::SignedDuration;
use std::time::Duration;

/// The click ids of ad platforms, by the parameter's name.
pub const AD_CLICK_IDS: [&str; 16] = [
    "gclid",
    "gbraid",
    "wbraid",
    "dclid",
    "fbclid",
    "ttclid",
    "msclkid",
    "twclid",
    "li_fat_id",
    "sccid",
    "rdt_cid",
    "epik",
    "yclid",
    "dicbo",
    "tblci",
    "irclickid",
];

/// Why no click id was matched. The texts name no value, so they may stand in a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// Nothing that the visitor is known to have touched came from this platform.
    #[error("no click is known that carries {parameter}")]
    NoClick {
        /// The connector's parameter.
        parameter: String,
    },
    /// A touch carries the parameter with a macro that nobody filled in.
    #[error("{parameter} is a placeholder that nobody filled in")]
    Placeholder {
        /// The connector's parameter.
        parameter: String,
    },
    /// Another platform's click is newer, and the last click counts.
    #[error("the last click came from another source")]
    NotTheLast,
    /// The click that counts is too old.
    #[error("the click is older than the window")]
    TooOld,
}

impl NoMatch {
    /// Whether it is only a click that is missing: one that comes later may be the one.
    pub fn for_want_of_a_click(&self) -> bool {
        matches!(self, Self::NoClick { .. })
    }
}

/// The id of the touch that counts for a connector. `connectors` are all of its advertiser, itself among them:
/// by their parameters it is known which touches are click sources.
///
/// # Errors
/// No touch counts; the error says why.
pub fn matched<'h>(
    matching: &ClickIdMatching,
    connectors: &[&Connector],
    history: &'h History,
) -> Result<&'h str, NoMatch> {
    let own: Vec<(usize, &Touch, &str)> = history
        .recent
        .iter()
        .enumerate()
        .filter_map(|(place, touch)| Some((place, touch, id(matching, touch, history)?)))
        .collect();
    let Some((place, touch, id)) = own.first().copied() else {
        return Err(none(matching, history));
    };
    let newer = &history.recent[..place];
    if matching.model == Model::LastClick
        && newer.iter().any(|touch| is_a_click_source(touch, connectors, history))
    {
        return Err(NoMatch::NotTheLast);
    }
    // The newest of its own is within the window where any of them is.
    if is_within(touch, history, matching.window.0) { Ok(id) } else { Err(NoMatch::TooOld) }
}

/// Why none of the touches is this connector's.
fn none(matching: &ClickIdMatching, history: &History) -> NoMatch {
    let parameter = matching.parameter.clone();
    let unfilled = |touch: &Touch| {
        is_of_source(matching, touch)
            && values(touch, &matching.parameter).any(|value| is_placeholder(value.trim()))
    };
    match history.recent.iter().any(unfilled) {
        true => NoMatch::Placeholder { parameter },
        false => NoMatch::NoClick { parameter },
    }
}

/// Whether a touch came from some platform, rather than being a direct visit.
fn is_a_click_source(touch: &Touch, connectors: &[&Connector], history: &History) -> bool {
    let of_connector = connectors
        .iter()
        .filter(|connector| connector.mode != Mode::Disabled)
        .filter_map(|connector| connector.click_id.as_ref())
        .any(|matching| id(matching, touch, history).is_some());
    of_connector || AD_CLICK_IDS.iter().any(|name| values(touch, name).any(|value| is_an_id(value, history)))
}

/// The id by which a touch is this connector's.
fn id<'h>(matching: &ClickIdMatching, touch: &'h Touch, history: &History) -> Option<&'h str> {
    let found = values(touch, &matching.parameter).find(|value| is_an_id(value, history))?;
    is_of_source(matching, touch).then_some(found.trim())
}

fn is_of_source(matching: &ClickIdMatching, touch: &Touch) -> bool {
    let Some(source) = &matching.source else { return true };
    values(touch, &source.parameter).any(|value| value == source.value)
}

fn values<'t>(touch: &'t Touch, name: &str) -> impl Iterator<Item = &'t str> {
    touch
        .parameters
        .iter()
        .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Whether a value can be a platform's id: a macro that nobody filled in is none, and neither is the id that
/// our own redirect gave the visitor, which a landing page may carry under the same name.
fn is_an_id(value: &str, history: &History) -> bool {
    let value = value.trim();
    let ours = || value.parse::<ClickId>().is_ok_and(|id| history.recent.iter().any(|t| t.click == Some(id)));
    !value.is_empty() && !is_placeholder(value) && !ours()
}

/// From the touch to the event, inclusive. Clocks differ: a touch after the event is none the older.
fn is_within(touch: &Touch, history: &History, window: Duration) -> bool {
    let age = history.at.duration_since(touch.at).max(SignedDuration::ZERO);
    age.unsigned_abs() <= window
}

#[cfg(test)]
mod tests;
