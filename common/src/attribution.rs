//! Attribution: which click earned an event, by which model, and why not another.
//!
//! Pure. The click that the event names counts, whatever the times say, because clocks differ; else the
//! visitor's newest touch at or before the event, within the offer's window; else none.

use crate::click::Click;
use crate::event::Event;
use crate::id::ClickId;
use crate::trace::Code;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What an event's sender gave as a click id, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An id of our form.
    Click(ClickId),
    /// Still a placeholder: a macro that nobody filled in.
    Placeholder(String),
    /// Of no form that we give out: the first 200 characters of it.
    Foreign(String),
    /// None.
    Nothing,
}

macro_rules! found_by {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// How an event's click was found. The words are stable: they stand in `trace --json`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FoundBy {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl FoundBy {
            /// The word as it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(FoundBy::$name => $text),* }
            }
        }
    };
}

found_by! {
    /// A parameter of the request's own query, or of a plain body.
    Query = "query",
    /// A custom attribute of the contact.
    CustomAttribute = "custom_attribute",
    /// A field of the submitted form.
    FormField = "form_field",
    /// The query of a page that the contact landed on.
    LandingPage = "landing_page",
    /// A field of ClickFunnels Classic's contact.
    ClassicField = "classic_field",
    /// The order that the event belongs to, or the sale that it follows.
    Order = "order",
    /// The contact that the event names.
    Contact = "contact",
    /// The e-mail that the event names.
    Email = "email",
    /// The phone number that the event names.
    Phone = "phone",
    /// The visitor's cookie.
    Visitor = "visitor",
    /// Not at all.
    #[default]
    None = "none",
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The click, if one was found.
    pub click: Option<Click>,
    /// Why, or why not.
    pub code: Code,
    /// The same in words.
    pub detail: String,
}

/// Reads what a sender gave as a click id.
pub fn named(value: &str) -> Named {
    let value = value.trim();
    if value.is_empty() {
        return Named::Nothing;
    }
    if is_placeholder(value) {
        return Named::Placeholder(value.chars().take(100).collect());
    }
    value.parse().map_or_else(
        |_| Named::Foreign(value.chars().filter(|c| !c.is_control()).take(200).collect()),
        Named::Click,
    )
}

/// Whether a value is a macro that was never filled in: `{…}`, `[…]`, `${…}`, `%…%`.
pub fn is_placeholder(value: &str) -> bool {
    let wrapped = |open: &str, close: &str| {
        value.len() > open.len() && value.starts_with(open) && value.ends_with(close)
    };
    wrapped("{", "}") || wrapped("[", "]") || wrapped("${", "}") || (value.len() > 2 && wrapped("%", "%"))
}

/// Attributes an event. `last` is its visitor's newest touch at or before it; `window` gives the
/// attribution window of a click's offer.
pub fn attribute(
    event: &Event,
    named: &Named,
    named_click: Option<Click>,
    last: Option<Click>,
    window: impl Fn(&Click) -> Duration,
) -> Attribution {
    let mut refused = None;
    if let Some(click) = named_click {
        if click.advertiser == event.advertiser {
            let detail = format!("click {} by the id that the event names", click.id);
            return Attribution { click: Some(click), code: Code::ClickFound, detail };
        }
        refused = Some((
            Code::ClickOfOtherAdvertiser,
            "the click that it names belongs to another advertiser".to_owned(),
        ));
    }
    if let Some(click) = last.filter(|click| within(click.at, event.at, window(click))) {
        let detail = format!("click {} as the visitor's last before the event", click.id);
        return Attribution { click: Some(click), code: Code::ClickFound, detail };
    }
    let (code, detail) = refused.unwrap_or_else(|| match named {
        Named::Click(id) => (Code::ClickUnknown, format!("click {id} is not recorded")),
        Named::Placeholder(text) => {
            (Code::UnresolvedMacro, format!("the click id is the placeholder {text}"))
        }
        Named::Foreign(_) => (Code::ClickForeign, "the click id is of no form that we give out".to_owned()),
        Named::Nothing => (Code::ClickNone, "it names no click, and no visitor with one".to_owned()),
    });
    Attribution { click: None, code, detail }
}

/// Whether a click is at or before the event and no older than the window. A click that is later by the
/// clocks is not the visitor's last before the event.
fn within(click: Timestamp, event: Timestamp, window: Duration) -> bool {
    let age = event.duration_since(click);
    let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
    !age.is_negative() && age <= window
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testing::event;

    const DAY: Duration = Duration::from_secs(86_400);

    fn click(advertiser: &str, at: &str) -> Click {
        let advertiser = advertiser.parse().unwrap();
        Click::new(advertiser, "demo".parse().unwrap(), crate::id::VisitorId::new(), at.parse().unwrap())
    }

    #[test]
    fn a_named_click_counts_whatever_the_clocks_say() {
        let late = click("acme", "2030-01-01T00:00:00Z");
        let result = attribute(&event("acme"), &Named::Click(late.id), Some(late.clone()), None, |_| DAY);
        assert_eq!(result.click, Some(late));
    }

    #[test]
    fn without_a_name_the_visitors_last_click_counts_within_its_window() {
        let event = event("acme");
        for (at, found) in [
            ("2026-01-10T12:00:00Z", true),
            ("2026-01-09T12:00:00Z", true),
            ("2026-01-09T11:59:59.999Z", false),
            ("2026-01-10T12:00:00.001Z", false),
        ] {
            let result = attribute(&event, &Named::Nothing, None, Some(click("acme", at)), |_| DAY);
            assert_eq!(result.click.is_some(), found, "{at}");
        }
    }

    #[test]
    fn another_advertisers_click_is_told_apart_from_an_unknown_one() {
        let other = click("other", "2026-01-10T11:00:00Z");
        let result = attribute(&event("acme"), &Named::Click(other.id), Some(other), None, |_| DAY);
        assert_eq!((result.click, result.code), (None, Code::ClickOfOtherAdvertiser));
    }

    #[test]
    fn what_is_given_as_a_click_id_is_told_apart() {
        let id = ClickId::new();
        for (given, read) in [
            (id.to_string(), Named::Click(id)),
            (id.0.as_simple().to_string().to_uppercase(), Named::Click(id)),
            ("{click_id}".into(), Named::Placeholder("{click_id}".into())),
            ("[clickid]".into(), Named::Placeholder("[clickid]".into())),
            ("${cid}".into(), Named::Placeholder("${cid}".into())),
            ("%clickid%".into(), Named::Placeholder("%clickid%".into())),
            ("01JD3V7Q9ZK4T8M2N5X6C7B8A9".into(), Named::Foreign("01JD3V7Q9ZK4T8M2N5X6C7B8A9".into())),
            ("x".repeat(100_000), Named::Foreign("x".repeat(200))),
            ("\0".into(), Named::Foreign(String::new())),
            ("  ".into(), Named::Nothing),
        ] {
            assert_eq!(named(&given), read);
        }
    }
}
