//! Touches: each time that a visitor came, by a click of ours or by a visit that the funnel recorded.
//!
//! On the path they are read when an event is decided: conditions ask for the first and the last, click ID
//! matching for those that carry a platform's id.

use crate::click::{Click, Device};
use crate::event::Visit;
use crate::id::{ClickId, OfferId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// When.
    pub at: Timestamp,
    /// The click that it was; none of a funnel's visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<ClickId>,
    /// The offer that was clicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferId>,
    /// The id of the offer's tracking URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What its link carried, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
    /// The page that they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// The page that they landed on, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landing_page: Option<String>,
    /// The browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What they held in their hands, in lower case: `desktop`, `mobile`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The country of their address, as two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Touch {
    /// The first value of a parameter, whatever the case of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let named = |(given, _): &&(String, String)| given.eq_ignore_ascii_case(name);
        self.parameters.iter().find(named).map(|(_, value)| value.as_str())
    }
}

impl Touch {
    /// Takes what it does not know itself from the visit that it led to.
    fn take(&mut self, visit: Touch) {
        let known = self.parameters.clone();
        let new = |(name, _): &(String, String)| !known.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        self.parameters.extend(visit.parameters.into_iter().filter(new));
        self.referrer = self.referrer.take().or(visit.referrer);
        self.landing_page = self.landing_page.take().or(visit.landing_page);
        self.device = self.device.take().or(visit.device);
    }
}

impl From<&Click> for Touch {
    fn from(click: &Click) -> Self {
        Self {
            at: click.at,
            click: Some(click.id),
            offer: Some(click.offer.clone()),
            target: Some(click.target.clone()),
            parameters: click.parameters.clone(),
            referrer: click.referrer.clone(),
            landing_page: None,
            user_agent: click.user_agent.clone(),
            device: click.device.map(Device::as_str).map(str::to_owned),
            country: click.country.clone(),
        }
    }
}

impl From<&Visit> for Touch {
    fn from(visit: &Visit) -> Self {
        Self {
            at: visit.at,
            click: None,
            offer: None,
            target: None,
            parameters: visit.parameters.clone(),
            referrer: visit.referrer.clone(),
            landing_page: visit.landing_page.clone(),
            user_agent: None,
            device: visit.device.clone(),
            country: None,
        }
    }
}

/// Touches, the newest first, each once. Whoever follows a link of ours makes two a moment apart: our click, and
/// the funnel's visit of the page that they landed on, whose address carries the click's id. They are one touch:
/// the click, with what only the visit tells.
pub fn joined(touches: Vec<Touch>) -> Vec<Touch> {
    let (visits, mut clicks): (Vec<_>, Vec<_>) =
        touches.into_iter().enumerate().partition(|(_, touch)| touch.click.is_none());
    let mut alone = Vec::new();
    for (place, visit) in visits {
        let named: Vec<ClickId> =
            visit.parameters.iter().filter_map(|(_, v)| v.trim().parse().ok()).collect();
        let click = clicks.iter_mut().find(|(_, click)| click.click.is_some_and(|id| named.contains(&id)));
        match click {
            Some((_, click)) => click.take(visit),
            None => alone.push((place, visit)),
        }
    }
    clicks.append(&mut alone);
    clicks.sort_by_key(|(place, _)| *place);
    clicks.into_iter().map(|(_, touch)| touch).collect()
}

/// What a visitor had done by the time of an event, as it was known when the event was decided. A refund, a
/// rebill and an upsell have the touches of their sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Windows are measured back from here: when the event happened, or the sale that it follows.
    pub at: Timestamp,
    /// The oldest touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Touch>,
    /// The newest touches, the newest first; the store bounds how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Touch>,
    /// How many conversions of the visitor have been approved, by their keys, this one included.
    pub conversions: u32,
    /// How many distinct named events the visitor has had, this one included.
    pub events: u32,
}

impl History {
    /// Of a visitor of whom nothing is known.
    pub fn empty(at: Timestamp) -> Self {
        Self { at, first: None, recent: Vec::new(), conversions: 0, events: 0 }
    }

    /// The newest touch.
    pub fn last(&self) -> Option<&Touch> {
        self.recent.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(at: &str, click: Option<ClickId>, parameters: &[(&str, &str)]) -> Touch {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Touch {
            at: at.parse().unwrap(),
            click,
            offer: None,
            target: None,
            parameters: parameters.iter().map(owned).collect(),
            referrer: None,
            landing_page: None,
            user_agent: None,
            device: None,
            country: None,
        }
    }

    #[test]
    fn a_visit_that_began_at_a_click_of_ours_is_one_touch_with_it() {
        let (one, other) = (ClickId::new(), ClickId::new());
        let id = one.to_string();
        let us = touch("2026-01-10T12:00:00Z", Some(one), &[("utm_source", "network"), ("sub1", "a")]);
        let us = Touch { country: Some("US".to_owned()), ..us };
        let landed =
            touch("2026-01-10T12:00:01Z", None, &[("clickid", &id), ("UTM_Source", "own"), ("gclid", "g")]);
        let landed = Touch { landing_page: Some("https://f.example/".to_owned()), ..landed };
        let direct = touch("2026-01-10T12:00:02Z", None, &[]);
        let newest = touch("2026-01-10T12:00:03Z", Some(other), &[]);
        let found = joined(vec![newest.clone(), direct.clone(), landed.clone(), us.clone()]);
        assert_eq!(found.len(), 3);
        assert_eq!(found[..2], [newest, direct.clone()]);
        assert_eq!((found[2].at, found[2].country.as_deref()), (us.at, Some("US")));
        assert_eq!(found[2].landing_page, landed.landing_page);
        let named = |name: &str| found[2].parameter(name);
        // What the click itself carried stands.
        assert_eq!(
            (named("utm_source"), named("sub1"), named("gclid")),
            (Some("network"), Some("a"), Some("g"))
        );
        // Of a click that is not among them, the visit is a touch of its own.
        assert_eq!(joined(vec![landed.clone(), direct.clone()]), [landed, direct]);
    }
}
