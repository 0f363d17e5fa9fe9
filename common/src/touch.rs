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
