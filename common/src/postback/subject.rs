//! What a connector's macros read: the conversion, the event, the click, the visitor's newest touch, the
//! event's own data.
//!
//! Each macro says where it looks, in that order. Two rules keep strangers out of it. Money and status
//! come from the conversion or the event alone: whoever clicks can write `?value=999` into a link, and a
//! declined transaction has an `amount` too. And a name of the user's own means the event's data before
//! it means a parameter of the click, for the same reason.

mod data;

pub use data::fields;

use crate::attribution::is_given;
use crate::click::Device;
use crate::connector::{Connector, Mode};
use crate::event::Facts;
use crate::id::{ClickId, DeliveryId};
use crate::money::Amount;
use crate::template::{Values, catalogue};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is told, and to whom.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The connector.
    pub(crate) connector: &'a Connector,
    /// The delivery.
    pub(crate) delivery: &'a DeliveryId,
    /// What it tells.
    pub(crate) facts: &'a Facts,
    /// Its own names for events, by ours.
    pub(crate) rename: &'a BTreeMap<String, String>,
    /// The secrets that the connector's templates name.
    pub(crate) secrets: &'a BTreeMap<String, String>,
}

type Text<'a> = Option<Cow<'a, str>>;

impl Values for Subject<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        let event = &self.facts.event;
        let click = self.facts.click.as_ref();
        let touch = self.facts.touch.as_ref();
        if let Some(secret) = name.strip_prefix(catalogue::SECRET) {
            return borrowed(self.secret(secret));
        }
        match name {
            "VALUE" => self.money().map(|money| money.amount.to_string().into()),
            "CURRENCY" => self.money()?.currency.map(|currency| currency.code().to_owned().into()),
            "PAYOUT" => self.payout().map(|payout| payout.amount.to_string().into()),
            "PAYOUT_CURRENCY" => self.payout()?.currency.map(|currency| currency.code().to_owned().into()),
            "EVENT_NAME" => {
                let told = self.facts.conversion.as_ref().and_then(|conversion| conversion.name.as_deref());
                borrowed(Some(self.renamed(told.or(event.name.as_deref()).unwrap_or(&event.raw_type))))
            }
            "EVENT_TYPE" => borrowed(Some(&event.raw_type)),
            "EVENT_NUMBER" => event.number.map(|number| number.to_string().into()),
            "EVENT_ID" => Some(self.delivery.to_string().into()),
            "SOURCE_EVENT_ID" => borrowed(event.source_event_id.as_deref()),
            "TRANSACTION_ID" => {
                borrowed(event.transaction.as_deref()).or_else(|| self.data(&["transaction_id", "txid"]))
            }
            "CONVERSION_KEY" => {
                borrowed(self.facts.conversion.as_ref().map(|conversion| conversion.key.as_str()))
            }
            "STATUS" => borrowed(self.facts.conversion.as_ref().map(|conversion| conversion.status.as_str())),
            "CLICK_ID" => borrowed(self.facts.matched_click_id.as_deref())
                .or_else(|| click.map(|click| click.id.to_string().into()))
                .or_else(|| self.foreign_click_id()),
            "VISITOR_ID" => {
                let visitor = click.map(|click| click.visitor).or(event.person.visitor);
                visitor.map(|visitor| visitor.to_string().into())
            }
            "OFFER" => borrowed(click.map(|click| click.offer.as_str())),
            "TARGET" => borrowed(click.map(|click| click.target.as_str())),
            "REFERRER" => borrowed(click.and_then(|click| click.referrer.as_deref()))
                .or_else(|| borrowed(touch?.referrer.as_deref()))
                .or_else(|| self.data(&["referrer"])),
            "LANDING_PAGE" => borrowed(touch.and_then(|touch| touch.landing_page.as_deref()))
                .or_else(|| self.data(data::LANDING_PAGE)),
            "USER_AGENT" => borrowed(click.and_then(|click| click.user_agent.as_deref()))
                .or_else(|| borrowed(touch?.user_agent.as_deref()))
                .or_else(|| self.data(&["user_agent"])),
            "DEVICE" => borrowed(click.and_then(|click| click.device).map(Device::as_str))
                .or_else(|| borrowed(touch?.device.as_deref()))
                .or_else(|| self.data(&["device"])),
            "COUNTRY" => borrowed(click.and_then(|click| click.country.as_deref()))
                .or_else(|| borrowed(touch?.country.as_deref()))
                .or_else(|| self.data(&["country_code", "country"])),
            "EMAIL" => borrowed(event.person.email.as_deref())
                .or_else(|| self.of_contact(&["email_address", "email"])),
            "PHONE" => borrowed(event.person.phone.as_deref())
                .or_else(|| self.of_contact(&["phone_number", "phone"])),
            "CONTACT_ID" => {
                borrowed(event.person.contact.as_deref()).or_else(|| self.data(&["contact_id", "contact.id"]))
            }
            "FIRST_NAME" => self.of_contact(&["first_name"]),
            "LAST_NAME" => self.of_contact(&["last_name"]),
            "PRODUCT" => self.data(data::PRODUCT),
            "QUANTITY" => self.data(data::QUANTITY),
            "VOUCHER" => self.data(data::VOUCHER),
            "FBC" => click
                .and_then(|click| fbc(click.parameter_in_any_case("fbclid"), click.at))
                .or_else(|| touch.and_then(|touch| fbc(touch.parameter("fbclid"), touch.at)))
                .or_else(|| self.of_click("fbc")),
            "TTP" => self.of_click("ttp").or_else(|| self.of_click("_ttp")),
            "GA_CLIENT_ID" => {
                self.of_click("ga_client_id").or_else(|| self.of_click("_ga").and_then(data::ga_client_id))
            }
            "TEST" => Some(if self.is_a_test() { "1" } else { "0" }.into()),
            "TIMESTAMP" => Some(event.at.as_second().to_string().into()),
            "TIMESTAMP_MS" => Some(event.at.as_millisecond().to_string().into()),
            "TIME_ISO" => Some(event.at.to_string().into()),
            "CONNECTOR_ID" => borrowed(Some(self.connector.id.as_str())),
            "UTM_SOURCE" | "UTM_MEDIUM" | "UTM_CAMPAIGN" | "UTM_CONTENT" | "UTM_TERM" | "GCLID"
            | "GBRAID" | "WBRAID" | "FBCLID" | "FBP" | "TTCLID" | "MSCLKID" | "SUB1" | "SUB2" | "SUB3"
            | "SUB4" | "SUB5" | "SUB6" | "SUB7" | "SUB8" | "SUB9" | "SUB10" => {
                self.of_click(&name.to_ascii_lowercase())
            }
            _ => self.own(name),
        }
    }
}

fn borrowed(text: Option<&str>) -> Text<'_> {
    text.map(Cow::Borrowed)
}

/// Meta's click id: the version, the level of the domain, when the click was seen, and the click id itself.
fn fbc(fbclid: Option<&str>, at: Timestamp) -> Text<'static> {
    let fbclid = fbclid.filter(|fbclid| is_given(fbclid))?;
    Some(format!("fb.1.{}.{fbclid}", at.as_millisecond()).into())
}

impl<'a> Subject<'a> {
    fn money(&self) -> Option<&'a Amount> {
        let conversion = self.facts.conversion.as_ref().and_then(|conversion| conversion.value.as_ref());
        conversion.or(self.facts.event.value.as_ref())
    }

    fn payout(&self) -> Option<&'a Amount> {
        self.facts.conversion.as_ref().and_then(|conversion| conversion.payout.as_ref())
    }

    /// A click id that the event names and that is none of ours. One of ours that was not attributed is
    /// lost, or another advertiser's, and tells nobody anything; nor does a macro that nobody filled.
    fn foreign_click_id(&self) -> Text<'a> {
        let ours = |id: &Cow<'_, str>| id.parse::<ClickId>().is_ok();
        borrowed(self.facts.event.foreign_click.as_deref())
            .or_else(|| self.data(&["click_id", "clickid"]).filter(|id| !ours(id) && is_given(id)))
    }

    /// A secret of the connector, read.
    pub(super) fn secret(&self, name: &str) -> Option<&'a str> {
        self.secrets.get(name).map(String::as_str)
    }

    /// The connector's own name for an event, where it has one.
    fn renamed(&self, name: &'a str) -> &'a str {
        // Lower case by Unicode: a custom event's name can be in any script.
        let lower = name.to_lowercase();
        let exact = self.rename.get(name);
        let other = || self.rename.iter().find(|(ours, _)| ours.to_lowercase() == lower).map(|(_, new)| new);
        exact.or_else(other).map_or(name, String::as_str)
    }

    /// Whether it is a request that only exists for somebody's test: of a test order, or of a connector in Test
    /// mode that was made to send. Anybody can write `trl_test=1` into a link, so that alone tells nothing.
    fn is_a_test(&self) -> bool {
        self.facts.event.test || self.connector.mode == Mode::Test && self.facts.trl_test
    }

    /// A parameter of the click, else of the visitor's newest touch. One that is empty, or a macro that nobody
    /// filled in, is none, and hides no other.
    fn parameter(&self, name: &str) -> Text<'a> {
        let given = |value: &&str| is_given(value);
        let click = self.facts.click.as_ref().and_then(|click| click.parameter_in_any_case(name));
        let touch = || self.facts.touch.as_ref().and_then(|touch| touch.parameter(name));
        borrowed(click.filter(given).or_else(|| touch().filter(given)))
    }

    /// What came with the click: its parameter, else the event's field of that name.
    fn of_click(&self, name: &str) -> Text<'a> {
        self.parameter(name).or_else(|| self.data(&[name]).filter(|value| is_given(value)))
    }

    /// A name that is the user's own.
    fn own(&self, name: &str) -> Text<'a> {
        match name.strip_prefix("param.") {
            Some(parameter) => self.parameter(parameter).or_else(|| self.data(&[name])),
            None => self.data(&[name]).or_else(|| self.parameter(name)),
        }
    }

    fn of_contact(&self, fields: &[&str]) -> Text<'a> {
        ["", "contact.", "primary_contact.", "order.contact."]
            .iter()
            .flat_map(|prefix| fields.iter().map(move |field| format!("{prefix}{field}")))
            .find_map(|path| self.data(&[&path]))
    }

    /// The first of these paths that leads to a value in the event's data.
    fn data(&self, paths: &[&str]) -> Text<'a> {
        paths.iter().find_map(|path| self.facts.event.datum(path))
    }
}
