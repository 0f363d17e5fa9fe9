//! The names of macros, with what they mean. `macros` lists them; the scanner knows names by them.

use std::borrow::Cow;

/// What the name of a secret begins with, as in `{{secret.api_key}}`.
pub const SECRET: &str = "secret.";

/// A macro that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macro {
    /// Its name. Names and aliases are the same in any case.
    pub name: &'static str,
    /// Its other names.
    pub aliases: &'static [&'static str],
    /// What it stands for, in one sentence.
    pub description: &'static str,
}

/// Which spellings are macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// `{{NAME}}` always; `[name]` and `{name}` where the name is known.
    All,
    /// `{name}` alone, and the name must be known.
    Braces,
    /// `{{NAME}}` alone: code has brackets and braces of its own.
    DoubleBraces,
}

/// The macros of one kind of template.
#[derive(Clone, Copy, Debug)]
pub struct Catalogue {
    /// Which spellings are macros.
    pub syntax: Syntax,
    /// The known macros.
    pub macros: &'static [Macro],
    /// What `{name}` may begin with, besides the known names, to name a parameter: `param.`.
    pub prefix: Option<&'static str>,
}

impl Catalogue {
    /// The name proper of a known macro, by any of its names in any case.
    pub fn known(&self, name: &str) -> Option<&'static str> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        self.macros
            .iter()
            .find(|known| is(known.name) || known.aliases.iter().copied().any(is))
            .map(|m| m.name)
    }

    /// What a name in `{{…}}`, or of a filter's argument, stands for: a known macro by its name proper, a
    /// secret, or a path.
    pub(super) fn name(&self, name: &str) -> Cow<'static, str> {
        if let Some(known) = self.known(name) {
            return known.into();
        }
        match name.split_at_checked(SECRET.len()) {
            Some((prefix, of)) if prefix.eq_ignore_ascii_case(SECRET) => format!("{SECRET}{of}").into(),
            _ => name.to_owned().into(),
        }
    }

    /// What `{name}` stands for, if it is a macro.
    pub(super) fn single(&self, name: &str) -> Option<Cow<'static, str>> {
        let prefixed =
            || self.prefix.is_some_and(|prefix| name.starts_with(prefix)).then(|| name.to_owned().into());
        self.known(name).map(Cow::Borrowed).or_else(prefixed)
    }

    /// Every `{name}`, for a message.
    pub(super) fn listed(&self) -> String {
        let names: Vec<_> = self.macros.iter().map(|known| format!("{{{}}}", known.name)).collect();
        let prefixed = self.prefix.map(|prefix| format!(" and {{{prefix}NAME}}")).unwrap_or_default();
        names.join(", ") + &prefixed
    }
}

macro_rules! macros {
    ($($name:literal $(| $alias:literal)* => $description:literal,)*) => {
        &[$(Macro { name: $name, aliases: &[$($alias),*], description: $description }),*]
    };
}

/// The macros of connectors. In `{{…}}` any other name is a field of the event's own data, by path, or
/// else a parameter of the click; `{{data.NAME}}` and `{{param.NAME}}` name the one or the other alone.
pub static CONNECTOR: Catalogue = Catalogue {
    syntax: Syntax::All,
    prefix: None,
    macros: macros! {
        "VALUE" | "revenue" | "amount" => "What the conversion is worth, else the event; of a refund, all that has been refunded.",
        "CURRENCY" => "The ISO 4217 code of the value's currency, where the sender named one.",
        "PAYOUT" => "What the offer's payout rule gives for this step; of a refund, for all that has been refunded. Without a rule that pays there is none.",
        "PAYOUT_CURRENCY" => "The ISO 4217 code of the payout's currency.",
        "EVENT_NAME" | "event_param" | "event_parameter" => "The name of the conversion's step, such as purchase or refund, else the event's mapped name, else its source's type.",
        "EVENT_TYPE" => "The event's type in its source's own words, such as order.created.",
        "EVENT_NUMBER" => "The number of a custom event, 1 to 10.",
        "EVENT_ID" | "delivery_id" => "The stable id of this delivery, the same at every attempt and replay: what receivers deduplicate by.",
        "SOURCE_EVENT_ID" => "The id that the funnel gave the event.",
        "TRANSACTION_ID" | "transaction" | "txid" => "The sender's id of the purchase.",
        "CONVERSION_KEY" | "order" => "The key under which several events are one conversion, such as order:22642.",
        "STATUS" => "Where the conversion stood: pending, approved, partially_refunded, refunded, rejected or void.",
        "CLICK_ID" | "clickid" => "The id that the connector's click ID matching found; else the id of the attributed click; else a click id of a foreign form that the event itself names.",
        "VISITOR_ID" | "visitor" => "The visitor whom our cookie knows.",
        "OFFER" | "offer_id" | "linkId" => "The offer that was clicked.",
        "TARGET" | "targetId" | "target_id" => "The id of the offer's tracking URL that the click went to.",
        "REFERRER" | "referer" => "The page that the click came from.",
        "LANDING_PAGE" | "landing_url" => "The page that the visitor landed on, where the funnel recorded it.",
        "USER_AGENT" | "ua" => "The browser of the click.",
        "DEVICE" => "The kind of device of the click: desktop, mobile, tablet, tv, console or other.",
        "COUNTRY" => "The country of the click, as two letters (ISO 3166-1), else the event's country_code or country as it stands.",
        "EMAIL" => "The e-mail address of the person, as the event gives it.",
        "PHONE" => "The telephone number of the person, as the event gives it.",
        "CONTACT_ID" => "The sender's id of the contact.",
        "FIRST_NAME" => "The contact's first name.",
        "LAST_NAME" => "The contact's last name.",
        "PRODUCT" | "product_name" => "The name of the first product, where the event has one.",
        "QUANTITY" => "How many of the first product, where the event says so.",
        "VOUCHER" | "coupon" => "The voucher's code, where the event has one.",
        "UTM_SOURCE" => "The click's utm_source.",
        "UTM_MEDIUM" => "The click's utm_medium.",
        "UTM_CAMPAIGN" => "The click's utm_campaign.",
        "UTM_CONTENT" => "The click's utm_content.",
        "UTM_TERM" => "The click's utm_term.",
        "GCLID" => "Google Ads' click id.",
        "GBRAID" => "Google Ads' id of a click from an app to the web.",
        "WBRAID" => "Google Ads' id of a click from the web to an app.",
        "FBCLID" => "Meta's click id as it stands in a link.",
        "FBC" => "Meta's click id as its API wants it: made of the click's time and fbclid, else the fbc parameter.",
        "FBP" => "Meta's browser id.",
        "TTCLID" => "TikTok's click id.",
        "TTP" => "TikTok's browser id.",
        "MSCLKID" => "Microsoft Advertising's click id.",
        "GA_CLIENT_ID" | "ga_cid" => "Google Analytics' client id: the parameter ga_client_id, else of the cookie _ga where that was passed on.",
        "TIMESTAMP" | "ts" | "ts_s" => "When the event happened, in seconds since 1970.",
        "TIMESTAMP_MS" | "ts_ms" => "When the event happened, in milliseconds since 1970.",
        "TIME_ISO" | "ts_iso" => "When the event happened, as 2026-01-10T20:15:02Z.",
        "SUB1" => "The click's sub1.",
        "SUB2" => "The click's sub2.",
        "SUB3" => "The click's sub3.",
        "SUB4" => "The click's sub4.",
        "SUB5" => "The click's sub5.",
        "SUB6" => "The click's sub6.",
        "SUB7" => "The click's sub7.",
        "SUB8" => "The click's sub8.",
        "SUB9" => "The click's sub9.",
        "SUB10" => "The click's sub10.",
        "CONNECTOR_ID" => "The id of the connector that sends this.",
        "TEST" => "1 of a test order, and of what a connector in Test mode is made to send; else 0.",
    },
};

/// The macros of a pixel's code: those of connectors, in double braces only.
pub static PIXEL: Catalogue =
    Catalogue { syntax: Syntax::DoubleBraces, prefix: None, macros: CONNECTOR.macros };

/// The macros of an offer's tracking URL.
pub static OFFER: Catalogue = Catalogue {
    syntax: Syntax::Braces,
    prefix: Some("param."),
    macros: macros! {
        "click_id" | "clickid" => "The id of this click: what the funnel must hand back.",
        "offer" | "offer_id" => "The offer.",
        "target" | "target_id" => "The id of the tracking URL.",
        "visitor" | "visitor_id" => "The visitor whom our cookie knows.",
        "referrer" | "referer" => "The page that the click came from.",
        "user_agent" => "The browser.",
        "device" => "The kind of device: desktop, mobile, tablet, tv, console or other.",
        "country" => "The country of the visitor's address, as two letters (ISO 3166-1), where a country database is set up.",
        "utm_source" => "The redirect's utm_source.",
        "utm_medium" => "The redirect's utm_medium.",
        "utm_campaign" => "The redirect's utm_campaign.",
        "utm_content" => "The redirect's utm_content.",
        "utm_term" => "The redirect's utm_term.",
        "gclid" => "Google Ads' click id.",
        "gbraid" => "Google Ads' id of a click from an app to the web.",
        "wbraid" => "Google Ads' id of a click from the web to an app.",
        "fbclid" => "Meta's click id.",
        "ttclid" => "TikTok's click id.",
        "msclkid" => "Microsoft Advertising's click id.",
        "sub1" => "The redirect's sub1.",
        "sub2" => "The redirect's sub2.",
        "sub3" => "The redirect's sub3.",
        "sub4" => "The redirect's sub4.",
        "sub5" => "The redirect's sub5.",
        "sub6" => "The redirect's sub6.",
        "sub7" => "The redirect's sub7.",
        "sub8" => "The redirect's sub8.",
        "sub9" => "The redirect's sub9.",
        "sub10" => "The redirect's sub10.",
    },
};
