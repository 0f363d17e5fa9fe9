//! A click: a visitor who crossed our redirect on the way to an offer.

use crate::id::{AdvertiserId, ClickId, OfferId, VisitorId};
use ipnet::IpNet;
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
    /// What kind of device that runs on, as far as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// The country of the client's address: ISO 3166-1 alpha-2, in upper case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The network of the client's address. The address itself is kept nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpNet>,
    /// Whether the browser asked for Global Privacy Control. Then there is no address, and the visitor is
    /// of this click alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gpc: bool,
    /// Why this is no touch of a person, where it is none. It is redirected and recorded all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_a_touch: Option<NotATouch>,
}

/// What kind of device a user agent runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A computer. A recent iPad says that it is one.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A television, or a box at one.
    Tv,
    /// A game console.
    Console,
    /// None of these, or not said: programs, and whoever hides.
    Other,
}

impl Device {
    /// Its name, in the macros `{device}` and `{{DEVICE}}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
            Self::Tv => "tv",
            Self::Console => "console",
            Self::Other => "other",
        }
    }
}

/// Why a request to the redirect is not counted as a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotATouch {
    /// A HEAD request: a link checker, not a visit.
    Head,
    /// An OPTIONS request: a script or a scanner that asks what it may.
    Options,
    /// The browser said that it only prefetches.
    Prefetch,
    /// No user agent was named.
    EmptyUserAgent,
    /// A program that shows a link's preview where somebody posted it.
    LinkPreview,
    /// A crawler, a monitor or an HTTP library.
    Bot,
}

impl NotATouch {
    /// Its name, as in the click's record and in the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Options => "options",
            Self::Prefetch => "prefetch",
            Self::EmptyUserAgent => "empty_user_agent",
            Self::LinkPreview => "link_preview",
            Self::Bot => "bot",
        }
    }
}

impl Click {
    /// A touch of `visitor` at `at` on the offer's tracking URL `main`, with a new id, of which nothing else
    /// is known.
    pub fn new(advertiser: AdvertiserId, offer: OfferId, visitor: VisitorId, at: Timestamp) -> Self {
        Self {
            id: ClickId::new(),
            advertiser,
            offer,
            target: "main".to_owned(),
            visitor,
            at,
            parameters: Vec::new(),
            referrer: None,
            user_agent: None,
            device: None,
            country: None,
            address: None,
            gpc: false,
            not_a_touch: None,
        }
    }

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
            device,
            country,
            address: _,
            gpc,
            not_a_touch,
        } = self;
        let bare = Self::new(advertiser, offer, visitor, at);
        Self { id, target, device, country, gpc, not_a_touch, ..bare }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn click() -> Click {
        let at = "2026-01-10T20:00:00Z".parse().unwrap();
        Click::new("acme".parse().unwrap(), "summer".parse().unwrap(), VisitorId::new(), at)
    }

    #[test]
    fn a_click_of_before_is_read_and_what_is_not_known_is_not_written() {
        let mut old = serde_json::to_value(click()).unwrap();
        let names: Vec<_> = old.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["id", "advertiser", "offer", "target", "visitor", "at", "parameters"]);
        old["not_a_touch"] = json!("prefetch");
        let read: Click = serde_json::from_value(old).unwrap();
        assert_eq!((read.device, read.country, read.address, read.gpc), (None, None, None, false));
        assert_eq!(read.not_a_touch, Some(NotATouch::Prefetch));
    }

    #[test]
    fn a_click_comes_back_as_it_was_with_all_that_it_has() {
        let mut click = click();
        click.device = Some(Device::Tv);
        click.country = Some("DE".to_owned());
        click.address = Some("2001:db8:7::/48".parse().unwrap());
        click.gpc = true;
        click.not_a_touch = Some(NotATouch::LinkPreview);
        let written = serde_json::to_value(&click).unwrap();
        assert_eq!(written["address"], "2001:db8:7::/48");
        assert_eq!(written["gpc"], true);
        assert_eq!(serde_json::from_value::<Click>(written).unwrap(), click);
    }

    #[test]
    fn a_word_is_the_same_in_the_record_in_macros_and_in_labels() {
        use Device::{Console, Desktop, Mobile, Other, Tablet, Tv};
        for device in [Desktop, Mobile, Tablet, Tv, Console, Other] {
            assert_eq!(serde_json::to_value(device).unwrap(), Value::from(device.as_str()));
        }
        use NotATouch::{Bot, EmptyUserAgent, Head, LinkPreview, Options, Prefetch};
        for reason in [Head, Options, Prefetch, EmptyUserAgent, LinkPreview, Bot] {
            assert_eq!(serde_json::to_value(reason).unwrap(), Value::from(reason.as_str()));
        }
    }
}
