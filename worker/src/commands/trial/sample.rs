//! Sample values: one event for each kind of trigger, read as a plain source's would be. `samples.json` has
//! them; their ids begin with `TEST`, so that a receiver that counted one can find it again.

use carom_common::click::{Click, Device};
use carom_common::connector::{Connector, Trigger};
use carom_common::conversion;
use carom_common::decode::{self, Decoded};
use carom_common::id::{AdvertiserId, EventId, OfferId, SourceId, VisitorId};
use carom_common::intake::{Body, Intake, Verified};
use carom_common::news::{News, Steps};
use carom_common::source::Source;
use carom_common::touch::{History, Touch};
use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const SAMPLES: &str = include_str!("samples.json");

/// What a sample is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sample {
    /// A purchase of 49.90 USD.
    Purchase,
    /// A lead, which is worth nothing.
    Lead,
    /// A refund of 20.00 USD of that purchase.
    Refund,
    /// A custom event, or one of a source's own type.
    Event,
}

impl Sample {
    /// What a connector that fires on this is tried with.
    pub fn of(trigger: &Trigger) -> Self {
        match trigger {
            Trigger::Conversion => Self::Purchase,
            Trigger::Refund => Self::Refund,
            Trigger::Name(name) if name.eq_ignore_ascii_case("lead") => Self::Lead,
            Trigger::Name(name) if name.to_ascii_lowercase().starts_with("event") => Self::Event,
            Trigger::Name(_) => Self::Purchase,
            Trigger::Number(_) | Trigger::Raw(_) => Self::Event,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Lead => "lead",
            Self::Refund => "refund",
            Self::Event => "event",
        }
    }
}

/// The news of a sample, as a connector would get it: named as its trigger has it, and with a click that carries
/// the click id that it looks for.
pub fn news(connector: &Connector, sample: Sample, now: Timestamp) -> anyhow::Result<News> {
    let samples: Map<String, Value> = serde_json::from_str(SAMPLES)?;
    let trigger = connector.triggers.iter().find(|trigger| Sample::of(trigger) == sample);
    let mut values = samples[sample.key()].clone();
    match trigger {
        Some(Trigger::Name(name)) => values["event"] = json!(name),
        Some(Trigger::Number(number)) => values["event"] = json!(format!("event{number}")),
        _ => {}
    }
    let click = click(connector, &samples["click"], now)?;
    let decoded = decoded(&connector.advertiser, &values, now)?;
    let mut event = decoded.event;
    if let Some(Trigger::Raw(raw)) = trigger {
        event.raw_type.clone_from(raw);
        event.number = None;
    }
    let mut known = None;
    if sample == Sample::Refund {
        let sale = self::decoded(&connector.advertiser, &samples["purchase"], now)?;
        known = sale
            .claim
            .map(|claim| conversion::apply(None, &connector.advertiser, &claim, Some(click.id)).conversion);
    }
    let change =
        decoded.claim.map(|claim| conversion::apply(known, &connector.advertiser, &claim, Some(click.id)));
    let touch = Touch::from(&click);
    Ok(News {
        event,
        conversion: change.and_then(|change| Steps::of(&change.conversion, &change.steps)),
        history: History {
            first: Some(touch.clone()),
            recent: vec![touch],
            conversions: 1,
            events: 1,
            ..History::empty(now)
        },
        click: Some(click),
        sale: None,
        inherited: BTreeMap::new(),
        trl_test: false,
    })
}

fn decoded(advertiser: &AdvertiserId, values: &Value, now: Timestamp) -> anyhow::Result<Decoded> {
    let source: SourceId = "sample".parse()?;
    let source: Source =
        serde_json::from_value(json!({"id": source, "advertiser": advertiser, "kind": "plain"}))?;
    let intake = Intake {
        id: EventId::new(),
        source: source.id.clone(),
        verified: Verified::Unrecorded,
        received_at: now,
        query: String::new(),
        content_type: Some("application/json".to_owned()),
        body: Body(values.to_string().into_bytes()),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    };
    Ok(decode::decode(&intake, &source)?)
}

fn click(connector: &Connector, values: &Value, now: Timestamp) -> anyhow::Result<Click> {
    let offer: OfferId = "test-offer".parse()?;
    let at = now - SignedDuration::from_mins(10);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut parameters: Vec<_> =
        values.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
    if let Some(matching) = &connector.click_id {
        let mut carry = |name: &str, value: &str| {
            parameters.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            parameters.push((name.to_owned(), value.to_owned()));
        };
        carry(&matching.parameter, "TEST-CLICK-ID");
        if let Some(source) = &matching.source {
            carry(&source.parameter, &source.value);
        }
    }
    let click = Click::new(connector.advertiser.clone(), offer, VisitorId::new(), at);
    Ok(Click {
        parameters,
        referrer: Some("https://referrer.example/page".to_owned()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned()),
        device: Some(Device::Desktop),
        country: Some("US".to_owned()),
        ..click
    })
}
