//! Selection: which connectors are told of an event, each with a delivery of a stable id, or why not.
//!
//! A function of the news and the connectors: what was decided once can be decided again, by the same rules,
//! for a click that comes late and for a connector that is only being tried.

use crate::click_id_matching;
use crate::condition::{self, Circumstances};
use crate::connector::{Connector, FireAt, Mode, Trigger};
use crate::conversion::Step;
use crate::delivery::Delivery;
use crate::event::{ConversionFacts, Event, Facts, Kind};
use crate::id::{ConnectorId, DeliveryId};
use crate::money::Amount;
use crate::news::{News, Steps};
use crate::touch::{History, Touch};
use crate::trace::Code;
use jiff::Timestamp;

/// What came of it.
#[derive(Debug, Default)]
pub struct Selection {
    /// One per connector and step or event.
    pub deliveries: Vec<Delivery>,
    /// Each connector's decision.
    pub decisions: Vec<(Code, String)>,
    /// The connectors that were skipped only for want of a click.
    pub wanting: Vec<ConnectorId>,
}

/// Selects among the connectors of the event's advertiser: triggers → conditions → currencies → click id →
/// mode.
pub fn select(news: &News, connectors: &[Connector], now: Timestamp) -> Selection {
    let of_advertiser = |connector: &&Connector| connector.advertiser == news.event.advertiser;
    let own: Vec<&Connector> = connectors.iter().filter(of_advertiser).collect();
    select_among(news, &own, &own, now)
}

/// Selects among some connectors of the event's advertiser. `all` are that one's: by their parameters it is
/// known which touches are click sources.
pub fn select_among(news: &News, connectors: &[&Connector], all: &[&Connector], now: Timestamp) -> Selection {
    // Who has a pixel alone has no webhook that could be skipped.
    let with_webhook: Vec<_> = connectors.iter().copied().filter(|one| one.webhook.is_some()).collect();
    select_half(Half::Webhook, news, &with_webhook, all, now)
}

/// Selects the pixels that a browser is given which has just sent the event: by the same rules and under the same
/// ids. Where nothing could be looked up, those that depend on what could have been are left out.
pub fn pixels(news: &News, connectors: &[Connector], looked_up: bool, now: Timestamp) -> Selection {
    let of_advertiser = |connector: &&Connector| connector.advertiser == news.event.advertiser;
    let all: Vec<&Connector> = connectors.iter().filter(of_advertiser).collect();
    let with_pixel: Vec<_> = all.iter().copied().filter(|connector| connector.pixel.is_some()).collect();
    select_half(Half::Pixel { looked_up }, news, &with_pixel, &all, now)
}

/// The connectors that would be told of an event by their pixel, and have no webhook.
pub fn pixels_alone<'a>(
    news: &'a News,
    connectors: &'a [Connector],
) -> impl Iterator<Item = &'a ConnectorId> + 'a {
    let of_advertiser = |connector: &&Connector| connector.advertiser == news.event.advertiser;
    let alone = |connector: &&Connector| connector.webhook.is_none() && is_live(connector, Half::PIXEL);
    let own = connectors.iter().filter(of_advertiser).filter(alone);
    own.filter(|connector| !told(news, connector).news.is_empty()).map(|connector| &connector.id)
}

/// The two halves of a connector, each with a switch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Webhook,
    Pixel { looked_up: bool },
}

impl Half {
    const PIXEL: Self = Self::Pixel { looked_up: true };

    /// How a trace names this half of a connector.
    fn of(self, connector: &Connector) -> String {
        match self {
            Self::Webhook => connector.id.to_string(),
            Self::Pixel { .. } => format!("pixel of {}", connector.id),
        }
    }
}

fn is_live(connector: &Connector, half: Half) -> bool {
    connector.mode != Mode::Disabled
        && match half {
            Half::Webhook => connector.live_webhook().is_some(),
            Half::Pixel { .. } => connector.live_pixel().is_some(),
        }
}

fn select_half(
    half: Half,
    news: &News,
    connectors: &[&Connector],
    all: &[&Connector],
    now: Timestamp,
) -> Selection {
    let mut selection = Selection::default();
    if news.event.test {
        selection.decisions.push((Code::TestOrder, "recorded; nothing is sent".to_owned()));
        return selection;
    }
    let sends_for_real = news.sends_for_real();
    for connector in connectors {
        let (id, name) = (&connector.id, half.of(connector));
        if !is_live(connector, half) {
            selection.decisions.push((Code::SkippedDisabled, name));
            continue;
        }
        let told = told(news, connector);
        if let Some(code) = told.withheld {
            selection.decisions.push((code, name.clone()));
        } else if told.news.is_empty() {
            selection.decisions.push((Code::SkippedTrigger, name.clone()));
        }
        for (delivery, conversion) in told.news {
            if half == (Half::Pixel { looked_up: false }) && needs_history(connector) {
                let detail = format!("{name} depends on what the visitor did before");
                selection.decisions.push((Code::HistoryUnknown, detail));
                continue;
            }
            let matched_click_id = match may_be_told(news, conversion.as_ref(), connector, all) {
                Ok(matched) => matched,
                Err(skip) => {
                    selection.decisions.push((skip.code, format!("{name}: {}", skip.detail)));
                    // One after the other: a connector's steps come together.
                    if skip.for_want_of_a_click && selection.wanting.last() != Some(id) {
                        selection.wanting.push(id.clone());
                    }
                    continue;
                }
            };
            let test = connector.mode == Mode::Test && !sends_for_real;
            if half == Half::Webhook {
                let mode = if test { " (test mode)" } else { "" };
                selection.decisions.push((Code::Selected, format!("{name} by delivery {delivery}{mode}")));
            }
            let facts = Facts {
                event: news.event.clone(),
                click: news.click.clone(),
                conversion,
                touch: news.touch().cloned(),
                matched_click_id,
                trl_test: sends_for_real,
            };
            selection.deliveries.push(Delivery { test, ..Delivery::new(delivery, id.clone(), now, facts) });
        }
    }
    selection
}

/// Whether what a connector is told, or whether, depends on more than the event itself says.
fn needs_history(connector: &Connector) -> bool {
    connector.click_id.is_some() || condition::need_history(&connector.conditions)
}

/// Why a connector that listens is not told of a step or event all the same.
struct Skip {
    code: Code,
    detail: String,
    for_want_of_a_click: bool,
}

/// Whether a connector may be told of one step or event, and with which click id of its own.
fn may_be_told(
    news: &News,
    conversion: Option<&ConversionFacts>,
    connector: &Connector,
    all: &[&Connector],
) -> Result<Option<String>, Skip> {
    let circumstances =
        Circumstances { event: &news.event, conversion, click: news.click.as_ref(), history: &news.history };
    if let Some(unmet) = condition::unmet(&connector.conditions, &circumstances) {
        // The click that is not known may be the first or the last in the place of the funnel's visits.
        let clicks = clicks_alone(&news.history);
        let without_visits = Circumstances { history: &clicks, ..circumstances };
        let for_want_of_a_click = news.click.is_none()
            && condition::unmet(&connector.conditions, &without_visits)
                .is_none_or(|unmet| unmet.for_want_of_a_click);
        return Err(Skip { code: Code::SkippedCondition, detail: unmet.detail, for_want_of_a_click });
    }
    let value = conversion.map_or(news.event.value, |conversion| conversion.value);
    if let Some(detail) = foreign_currency(value, &connector.currencies) {
        return Err(Skip { code: Code::SkippedCurrency, detail, for_want_of_a_click: false });
    }
    let Some(matching) = &connector.click_id else { return Ok(None) };
    // What follows a sale has the sale's id, whatever has become of the click since.
    if let Some(inherited) = news.inherited.get(&connector.id) {
        return Ok(Some(inherited.clone()));
    }
    match click_id_matching::matched(matching, all, &news.history) {
        Ok(matched) => Ok(Some(matched.to_owned())),
        Err(why) => Err(Skip {
            code: Code::SkippedClickId,
            // The click that is not known may be the newest, and within the window.
            for_want_of_a_click: news.click.is_none(),
            detail: why.to_string(),
        }),
    }
}

/// A history without the visits that a funnel recorded.
fn clicks_alone(history: &History) -> History {
    let is_click = |touch: &&Touch| touch.click.is_some();
    let recent = history.recent.iter().filter(is_click).cloned().collect();
    History { first: history.first.as_ref().filter(is_click).cloned(), recent, ..history.clone() }
}

/// Why a value is in none of a connector's currencies; none where it is, or where there is no value.
fn foreign_currency(value: Option<Amount>, currencies: &[String]) -> Option<String> {
    let value = value?;
    let Some(currency) = value.currency else {
        return (!currencies.is_empty()).then(|| "the currency of the value is not known".to_owned());
    };
    let told =
        currencies.is_empty() || currencies.iter().any(|code| code.eq_ignore_ascii_case(currency.code()));
    (!told).then(|| format!("the value is in {}", currency.code()))
}

/// What one connector is told, and why it is not told of a step that its triggers name.
#[derive(Default)]
struct Told {
    news: Vec<(DeliveryId, Option<ConversionFacts>)>,
    withheld: Option<Code>,
}

/// What one connector is told. Several triggers on the same step are one request; a step and a raw type
/// are two, as they are two kinds of news.
fn told(news: &News, connector: &Connector) -> Told {
    let mut told = Told::default();
    if let Some(conversion) = &news.conversion {
        for (step, facts) in &conversion.steps {
            let fires = |trigger: &&Trigger| fires_on_step(trigger, step, conversion, &news.event);
            // A pending step and the approval after it are one delivery by its id; whoever was told of the
            // one is known to the store, and is not told of the other.
            let early = *step == Step::Pending && connector.fire_at == FireAt::Approved;
            if early || !connector.triggers.iter().any(|trigger| fires(&trigger)) {
                continue;
            }
            match withheld(step, conversion, connector, &news.event) {
                Some(code) => told.withheld = Some(code),
                None => {
                    let id = DeliveryId::of_step(&connector.id, &facts.key, &step.id());
                    told.news.push((id, Some(facts.clone())));
                }
            }
        }
    }
    // What has steps is told by them. An adjustment with money of its own, such as the transaction of a
    // rebill, reports what another event's conversion tells.
    let reports = news.event.kind == Kind::Adjustment && news.event.value.is_some();
    let has_steps = reports || matches!(news.event.kind, Kind::Conversion | Kind::Refund);
    let by_event = connector.triggers.iter().any(|trigger| match trigger {
        Trigger::Raw(raw) => *raw == news.event.raw_type,
        // A custom or named event that is of no conversion fires once for itself.
        Trigger::Name(name) => !has_steps && is_named(&news.event, name),
        Trigger::Number(number) => !has_steps && news.event.number == Some(*number),
        Trigger::Conversion | Trigger::Refund => false,
    });
    if by_event {
        told.news.push((DeliveryId::of_event(&connector.id, &news.event.key), None));
    }
    told
}

/// Why nothing is told of a step that fires: the payout rule has paid for this click, or makes it a KPI,
/// which fires by its name and number alone. A refund follows its sale: who was not told of the one is not
/// told of the other, or would take back what it never gave.
fn withheld(step: &Step, conversion: &Steps, connector: &Connector, event: &Event) -> Option<Code> {
    if conversion.already_paid {
        return Some(Code::AlreadyPaid);
    }
    // The number is the event's own, and a refund's event has none of its sale's.
    let of_sale = |trigger: &Trigger| match (trigger, step) {
        (Trigger::Conversion | Trigger::Refund, _) | (Trigger::Number(_), Step::Refund(_)) => false,
        _ => fires_on_step(trigger, &Step::Conversion, conversion, event),
    };
    (conversion.kpi && !connector.triggers.iter().any(of_sale)).then_some(Code::SkippedKpi)
}

fn fires_on_step(trigger: &Trigger, step: &Step, conversion: &Steps, event: &Event) -> bool {
    match (trigger, step) {
        (Trigger::Conversion, Step::Pending | Step::Conversion) | (Trigger::Refund, Step::Refund(_)) => true,
        (Trigger::Name(name), Step::Pending | Step::Conversion) => {
            conversion.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        }
        (Trigger::Number(number), Step::Pending | Step::Conversion) => event.number == Some(*number),
        _ => false,
    }
}

fn is_named(event: &Event, name: &str) -> bool {
    event.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
