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

/// What is known that may lead from an event to its click.
#[derive(Clone, Debug, Default)]
pub struct Clues {
    /// The click that the event names, whoever's it is.
    pub named: Option<Click>,
    /// Whether the source's click ids are another tracker's, to be passed through.
    pub foreign_ids: bool,
    /// The click of the sale or order that the event belongs to.
    pub inherited: Option<Click>,
    /// Whether that counts whatever the event names: it follows a sale, which was decided once.
    pub follows_a_sale: bool,
    /// The newest touches of the event's visitor at or before it, the newest first.
    pub touches: Vec<(Click, FoundBy)>,
    /// Another tracker's click id that its order or person was named with before.
    pub foreign: Option<(String, FoundBy)>,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The click, if one was found.
    pub click: Option<Click>,
    /// How it was found; where it was not, how the id was that led to none.
    pub found_by: FoundBy,
    /// Another tracker's click id, to be passed through in its place.
    pub foreign: Option<String>,
    /// Why, or why not.
    pub code: Code,
    /// The same in words.
    pub detail: String,
}

impl Attribution {
    fn found(click: Click, found_by: FoundBy, how: &str) -> Self {
        let detail = format!("click {} {how}", click.id);
        Self { click: Some(click), found_by, foreign: None, code: Code::ClickFound, detail }
    }

    fn passed(click: String, found_by: FoundBy, how: &str) -> Self {
        let detail = format!("another tracker's click id, {how}");
        Self { click: None, found_by, foreign: Some(click), code: Code::ClickPassedThrough, detail }
    }
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

/// Whether a parameter's value says anything: a blank does not, and neither does a macro that nobody filled in.
pub fn is_given(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && !is_placeholder(value)
}

/// Whether a value is a macro that was never filled in: `{…}`, `[…]`, `${…}`, `%…%`.
pub fn is_placeholder(value: &str) -> bool {
    let wrapped = |open: &str, close: &str| {
        value.len() > open.len() && value.starts_with(open) && value.ends_with(close)
    };
    wrapped("{", "}") || wrapped("[", "]") || wrapped("${", "}") || (value.len() > 2 && wrapped("%", "%"))
}

/// Attributes an event. `found_by` is where it names a click; `window` gives the attribution window of a
/// click's offer. In this order: what follows a sale has the sale's click; the click that the event names
/// counts, whatever the times say; then its order's; then its visitor's newest within the window.
pub fn attribute(
    event: &Event,
    named: &Named,
    found_by: FoundBy,
    clues: Clues,
    window: impl Fn(&Click) -> Duration,
) -> Attribution {
    let Clues { named: known, foreign_ids, inherited, follows_a_sale, touches, foreign } = clues;
    let (known, others) = match known {
        Some(click) if click.advertiser == event.advertiser => (Some(click), false),
        other => (None, other.is_some()),
    };
    let same = inherited.is_some() && inherited == known;
    let by_name = |click| Attribution::found(click, found_by, "by the id that the event names");
    let by_order =
        |click| Attribution::found(click, FoundBy::Order, "of the sale or order that it belongs to");
    if let Some(click) = inherited.clone().filter(|_| follows_a_sale && !same) {
        return by_order(click);
    }
    if let Some(click) = known {
        return by_name(click);
    }
    if foreign_ids && let Some(id) = given(named) {
        return Attribution::passed(id, found_by, "as the event names it");
    }
    if let Some(click) = inherited {
        return by_order(click);
    }
    if let Some((click, found_by)) =
        touches.into_iter().find(|(click, _)| within(click.at, event.at, window(click)))
    {
        return Attribution::found(click, found_by, "as the visitor's last before the event");
    }
    if let Some((click, found_by)) = foreign {
        return Attribution::passed(click, found_by, "as it was named with the same order or person");
    }
    let nothing =
        |code, detail: String, found_by| Attribution { click: None, found_by, foreign: None, code, detail };
    if others {
        let detail = "the click that it names belongs to another advertiser".to_owned();
        return nothing(Code::ClickOfOtherAdvertiser, detail, FoundBy::None);
    }
    match named {
        Named::Click(id) => nothing(Code::ClickUnknown, format!("click {id} is not recorded"), found_by),
        Named::Placeholder(text) => {
            nothing(Code::UnresolvedMacro, format!("the click id is the placeholder {text}"), FoundBy::None)
        }
        Named::Foreign(_) => {
            nothing(Code::ClickForeign, "the click id is of no form that we give out".to_owned(), found_by)
        }
        Named::Nothing => {
            let detail = "it names no click, and no visitor with one".to_owned();
            nothing(Code::ClickNone, detail, FoundBy::None)
        }
    }
}

/// A click id as it was given, where it is one.
pub fn given(named: &Named) -> Option<String> {
    match named {
        Named::Click(id) => Some(id.to_string()),
        Named::Foreign(text) => Some(text.clone()),
        Named::Placeholder(_) | Named::Nothing => None,
    }
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
        let clues = Clues { named: Some(late.clone()), ..Clues::default() };
        let result = attribute(&event("acme"), &Named::Click(late.id), FoundBy::Query, clues, |_| DAY);
        assert_eq!((result.click, result.found_by), (Some(late), FoundBy::Query));
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
            let touches = vec![(click("acme", at), FoundBy::Email)];
            let clues = Clues { touches, ..Clues::default() };
            let result = attribute(&event, &Named::Nothing, FoundBy::None, clues, |_| DAY);
            let expected = if found { FoundBy::Email } else { FoundBy::None };
            assert_eq!((result.click.is_some(), result.found_by), (found, expected), "{at}");
        }
    }

    #[test]
    fn another_advertisers_click_is_told_apart_from_an_unknown_one() {
        let other = click("other", "2026-01-10T11:00:00Z");
        let named = Named::Click(other.id);
        let clues = Clues { named: Some(other), ..Clues::default() };
        let result = attribute(&event("acme"), &named, FoundBy::Query, clues, |_| DAY);
        assert_eq!((result.click, result.code), (None, Code::ClickOfOtherAdvertiser));
    }

    #[test]
    fn what_follows_a_sale_has_its_click_and_what_precedes_it_the_one_that_it_names() {
        let (sale, named) = (click("acme", "2020-01-01T00:00:00Z"), click("acme", "2026-01-10T11:00:00Z"));
        for (follows_a_sale, names, found) in [
            (true, Some(&named), (&sale, FoundBy::Order)),
            (true, Some(&sale), (&sale, FoundBy::Query)),
            (true, None, (&sale, FoundBy::Order)),
            (false, Some(&named), (&named, FoundBy::Query)),
            (false, None, (&sale, FoundBy::Order)),
        ] {
            let clues = Clues {
                named: names.cloned(),
                inherited: Some(sale.clone()),
                follows_a_sale,
                ..Clues::default()
            };
            let id = names.map_or(Named::Nothing, |click| Named::Click(click.id));
            let result = attribute(&event("acme"), &id, FoundBy::Query, clues, |_| DAY);
            assert_eq!((result.click.as_ref(), result.found_by), (Some(found.0), found.1));
        }
    }

    #[test]
    fn another_trackers_ids_are_passed_through_where_the_source_says_so() {
        let named = Named::Foreign("abc".into());
        let attribute = |foreign_ids, foreign| {
            let clues = Clues { foreign_ids, foreign, ..Clues::default() };
            attribute(&event("acme"), &named, FoundBy::CustomAttribute, clues, |_| DAY)
        };
        let passed = attribute(true, None);
        assert_eq!((passed.foreign.as_deref(), passed.found_by), (Some("abc"), FoundBy::CustomAttribute));
        assert_eq!(attribute(false, None).code, Code::ClickForeign);
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
