//! A click: a visitor who crossed our redirect on the way to an offer.

use crate::id::{AdvertiserId, ClickId, OfferId, VisitorId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A recorded click.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    /// Its id, as handed to the offer.
    pub id: ClickId,
    /// Whose offer it was.
    pub advertiser: AdvertiserId,
    /// The offer.
    pub offer: OfferId,
    /// The id of the offer's tracking URL at that time.
    pub target: String,
    /// Who clicked, by the cookie on our domain.
    pub visitor: VisitorId,
    /// When, by our clock.
    pub at: Timestamp,
    /// The redirect's own query, decoded, in its order, repeated names kept.
    pub parameters: Vec<(String, String)>,
    /// The page they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// Their browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Why this is no touch of a person, where it is none. It is redirected and recorded all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_a_touch: Option<NotATouch>,
}

/// Why a request to the redirect is not counted as a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotATouch {
    /// A HEAD request: a link checker, not a visit.
    Head,
    /// The browser said that it only prefetches.
    Prefetch,
    /// No user agent was named.
    EmptyUserAgent,
}

impl Click {
    /// The click without its details: when, on what, by which visitor. Attribution needs no more.
    #[must_use]
    pub fn without_details(self) -> Self {
        // Every field by name: whoever adds one decides here whether it is a detail.
        let Self {
            id,
            advertiser,
            offer,
            target,
            visitor,
            at,
            parameters: _,
            referrer: _,
            user_agent: _,
            not_a_touch,
        } = self;
        let (parameters, referrer, user_agent) = (Vec::new(), None, None);
        Self { id, advertiser, offer, target, visitor, at, parameters, referrer, user_agent, not_a_touch }
    }

    /// The click when its person was erased: without its details, of a visitor that nobody is.
    #[must_use]
    pub fn without_person(self) -> Self {
        Self { visitor: VisitorId::new(), ..self.without_details() }
    }

    /// The first value of a parameter of the redirect's query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}
