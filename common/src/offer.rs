//! An offer: where a click is sent, and which of its values travel along (specification 000).

use crate::click::Click;
use crate::connector::Empty;
use crate::id::{AdvertiserId, OfferId};
use crate::payout;
use crate::template::location::{Location, Unfit};
use crate::template::{Fault, Values, catalogue};
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// An advertiser: the scope of everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advertiser {
    /// Its fixed id.
    pub id: AdvertiserId,
    /// A name for people.
    #[serde(default)]
    pub name: String,
}

/// An offer of an advertiser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Its fixed id, as in `/c/{offer}`.
    pub id: OfferId,
    /// Who owns it.
    pub advertiser: AdvertiserId,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// Where a click goes, with macros such as `{click_id}`.
    pub tracking_url: String,
    /// The id of this tracking URL, kept with each click as its target.
    #[serde(default = "default_target")]
    pub target: String,
    /// How old a visitor's newest click may be when an event names none.
    #[serde(default = "default_window")]
    pub attribution_window: Span,
    /// What it gives for conversions: `[[offer.payout]]`, in their order; the first that matches counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payout: Vec<payout::Rule>,
    /// What holds where none matches; an offer with rules must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout_default: Option<payout::Fallback>,
}

fn default_target() -> String {
    "main".to_owned()
}

/// 30 days.
pub fn default_window() -> Span {
    Span::from_secs(30 * 86_400)
}

/// Why a click cannot be sent on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The tracking URL itself is faulty; `check` says so before it is ever used.
    #[error("the offer is faulty: {}", crate::template::list(.0))]
    Faulty(Vec<Fault>),
    /// This click's values make no URL of it.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Offer {
    /// Where this click goes: the tracking URL with its macros filled in.
    ///
    /// # Errors
    /// The tracking URL is faulty, or a value of the click cannot stand where the URL wants it.
    pub fn location(&self, click: &Click) -> Result<String, Unsendable> {
        let url = TrackingUrl::parse(&self.tracking_url).map_err(Unsendable::Faulty)?;
        Ok(url.fill(click)?)
    }

    /// Every fault of the offer, for `check`.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = TrackingUrl::parse(&self.tracking_url).err().unwrap_or_default();
        faults.extend(payout::check::faults(self));
        faults
    }

    /// What is allowed and probably not meant, for `check`.
    pub fn warnings(&self) -> Vec<Fault> {
        payout::check::warnings(self)
    }
}

/// A parsed tracking URL: for whoever fills one often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackingUrl(Location);

impl TrackingUrl {
    /// Parses a tracking URL. `{name}` is a macro and must be known; `[name]` is text.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        Location::parse("tracking_url", text, &catalogue::OFFER).map(Self)
    }

    /// The URL for this click. What the click does not have is empty.
    ///
    /// # Errors
    /// A value of the click cannot stand where the URL wants it.
    pub fn fill(&self, click: &Click) -> Result<String, Unfit> {
        Ok(self.0.fill(click, Vec::new(), Empty::Keep)?.url.into())
    }
}

/// A click's values for the macros of its offer's URL.
impl Values for Click {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "click_id" => Some(self.id.to_string().into()),
            "offer" => Some(self.offer.as_str().into()),
            "target" => Some(self.target.as_str().into()),
            "visitor" => Some(self.visitor.to_string().into()),
            "referrer" => self.referrer.as_deref().map(Cow::Borrowed),
            "user_agent" => self.user_agent.as_deref().map(Cow::Borrowed),
            "device" => self.device.map(|device| device.as_str().into()),
            "country" => self.country.as_deref().map(Cow::Borrowed),
            _ => {
                let parameter = name.strip_prefix("param.").unwrap_or(name);
                self.parameter_in_any_case(parameter).map(Cow::Borrowed)
            }
        }
    }
}

impl Click {
    /// The first value of a parameter of the redirect's query, of this very name if there is one, else of
    /// the same name in another case: `GCLID` for `gclid`.
    pub fn parameter_in_any_case(&self, name: &str) -> Option<&str> {
        self.parameter(name).or_else(|| {
            let mut same = self.parameters.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            same.next().map(|(_, value)| value.as_str())
        })
    }
}

#[cfg(test)]
mod tests;
