//! Selection: which connectors are told of an event, each with a delivery of a stable id, or why not.
//!
//! A function of the news and the connectors: what was decided once can be decided again, by the same rules,
//! for a click that comes late and for a connector that is only being tried.

use super::roster::Roster;
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
use crate::trace::{Code, PassedBy};
use fixedbitset::FixedBitSet;
use jiff::Timestamp;

/// What came of it.
#[derive(Debug, Default)]
pub struct Selection {
    /// One per connector and step or event.
    pub deliveries: Vec<Delivery>,
    /// Each connector's decision; where a roster was asked, without those that are passed by.
    pub decisions: Vec<(Code, String)>,
    /// The connectors of a roster that are passed by, with why, once for each reason.
    pub passed_by: Vec<(Code, String, PassedBy)>,
    /// The connectors that were skipped only for want of a click.
    pub wanting: Vec<ConnectorId>,
}

/// Selects among the connectors of the event's advertiser: triggers → conditions → currencies → click id →
/// mode. Only where `may_come`, because the event names a click that nobody has recorded yet, it is also looked who
/// is wanting it.
pub fn select(news: &News, roster: &Roster, may_come: bool, now: Timestamp) -> Selection {
    let mut selection = Selection::default();
    if is_test_order(news, &mut selection) {
        return selection;
    }
    let own = roster.connectors(&news.event.advertiser);
    let ears = roster.ears(&news.event.advertiser);
    let told: Vec<Told> = ears.iter().map(|ear| told(news, own[ear.one])).collect();
    let mut passed_by = Reasons { version: roster.version(), of: Vec::new(), connectors: own.len() };
    let mut asked = Vec::new();
    for (ear, told) in ears.iter().zip(&told) {
        if !ear.live {
            passed_by.all(Code::SkippedDisabled, &Why::Itself, &ear.members);
            continue;
        }
        if let Some(code) = told.withheld {
            passed_by.all(code, &Why::Itself, &ear.members);
        } else if told.news.is_empty() {
            passed_by.all(Code::SkippedTrigger, &Why::Itself, &ear.members);
        }
        if told.news.is_empty() {
            continue;
        }
        if may_come {
            asked.extend(ear.members.ones().map(|place| (place, told)));
            continue;
        }
        // What sorts them is the same for every step of a conversion.
        let (singly, others) = ear.sort(&circumstances(news, None));
        passed_by.all(Code::SkippedCondition, &Why::Condition(0), &others);
        asked.extend(singly.into_iter().map(|place| (place, told)));
    }
    asked.sort_unstable_by_key(|(place, _)| *place);
    for (place, told) in asked {
        for item in &told.news {
            match ask(Half::Webhook, news, item, own[place], &own, now) {
                Ok(delivery) => selection.tell(Half::Webhook, own[place], delivery),
                Err(skip) => {
                    passed_by.one(skip.code, &skip.why, place);
                    selection.want(own[place], &skip);
                }
            }
        }
    }
    selection.passed_by = passed_by.of;
    selection
}

/// Connectors by why they are passed by.
struct Reasons {
    version: u64,
    of: Vec<(Code, String, PassedBy)>,
    connectors: usize,
}

impl Reasons {
    fn all(&mut self, code: Code, why: &Why, places: &FixedBitSet) {
        if !places.is_clear() {
            self.given(code, why).union_with(places);
        }
    }

    fn one(&mut self, code: Code, why: &Why, place: usize) {
        self.given(code, why).insert(place);
    }

    fn given(&mut self, code: Code, why: &Why) -> &mut FixedBitSet {
        let (condition, detail) = match why {
            Why::Itself => (None, ""),
            Why::Condition(index) => (Some(*index), ""),
            Why::Because(detail) => (None, detail.as_str()),
        };
        let same = |(of, because, passed): &(Code, String, PassedBy)| {
            *of == code && because == detail && passed.condition == condition
        };
        let reason = self.of.iter().position(same).unwrap_or_else(|| {
            let connectors = FixedBitSet::with_capacity(self.connectors);
            let passed_by = PassedBy { version: self.version, condition, connectors };
            self.of.push((code, detail.to_owned(), passed_by));
            self.of.len() - 1
        });
        &mut self.of[reason].2.connectors
    }
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
pub fn pixels_alone<'a>(news: &'a News, roster: &'a Roster) -> impl Iterator<Item = &'a ConnectorId> + 'a {
    let live = roster.without_webhook(&news.event.advertiser).filter(|one| is_live(one, Half::PIXEL));
    live.filter(|connector| !told(news, connector).news.is_empty()).map(|connector| &connector.id)
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
    if is_test_order(news, &mut selection) {
        return selection;
    }
    for connector in connectors {
        if !is_live(connector, half) {
            selection.decisions.push((Code::SkippedDisabled, half.of(connector)));
            continue;
        }
        let told = told(news, connector);
        if let Some(code) = told.withheld {
            selection.decisions.push((code, half.of(connector)));
        } else if told.news.is_empty() {
            selection.decisions.push((Code::SkippedTrigger, half.of(connector)));
        }
        for item in &told.news {
            match ask(half, news, item, connector, all, now) {
                Ok(delivery) => selection.tell(half, connector, delivery),
                Err(skip) => {
                    let detail = format!("{}{}", half.of(connector), skip.why.of(connector));
                    selection.decisions.push((skip.code, detail));
                    selection.want(connector, &skip);
                }
            }
        }
    }
    selection
}

/// Of a test order nobody is told; then that is the decision.
fn is_test_order(news: &News, selection: &mut Selection) -> bool {
    if news.event.test {
        selection.decisions.push((Code::TestOrder, "recorded; nothing is sent".to_owned()));
    }
    news.event.test
}

impl Selection {
    fn tell(&mut self, half: Half, connector: &Connector, delivery: Delivery) {
        if half == Half::Webhook {
            let mode = if delivery.test { " (test mode)" } else { "" };
            self.decisions
                .push((Code::Selected, format!("{} by delivery {}{mode}", connector.id, delivery.id)));
        }
        self.deliveries.push(delivery);
    }

    fn want(&mut self, connector: &Connector, skip: &Skip) {
        // One after the other: a connector's steps come together.
        if skip.for_want_of_a_click && self.wanting.last() != Some(&connector.id) {
            self.wanting.push(connector.id.clone());
        }
    }
}

/// The delivery of one step or event to a connector that listens to it, or why there is none.
fn ask(
    half: Half,
    news: &News,
    item: &Item,
    connector: &Connector,
    all: &[&Connector],
    now: Timestamp,
) -> Result<Delivery, Skip> {
    if half == (Half::Pixel { looked_up: false }) && needs_history(connector) {
        let why = Why::Because("it depends on what the visitor did before".to_owned());
        return Err(Skip { code: Code::HistoryUnknown, why, for_want_of_a_click: false });
    }
    let matched_click_id = may_be_told(news, item.conversion(), connector, all)?;
    let trl_test = news.sends_for_real();
    let facts = Facts {
        event: news.event.clone(),
        click: news.click.clone(),
        conversion: item.conversion().cloned(),
        touch: news.touch().cloned(),
        matched_click_id,
        trl_test,
    };
    let test = connector.mode == Mode::Test && !trl_test;
    Ok(Delivery { test, ..Delivery::new(item.delivery(connector, news), connector.id.clone(), now, facts) })
}

/// Whether what a connector is told, or whether, depends on more than the event itself says.
fn needs_history(connector: &Connector) -> bool {
    connector.click_id.is_some() || condition::need_history(&connector.conditions)
}

/// Why a connector that listens is not told of a step or event all the same.
struct Skip {
    code: Code,
    why: Why,
    for_want_of_a_click: bool,
}

/// Why, beyond what the code says.
enum Why {
    /// The code says it all.
    Itself,
    /// This of its conditions does not hold.
    Condition(u32),
    /// In words.
    Because(String),
}

impl Why {
    /// As it stands behind a connector's name in a trace.
    fn of(&self, connector: &Connector) -> String {
        match self {
            Self::Itself => String::new(),
            Self::Condition(index) => {
                format!(": {}", condition::told(&connector.conditions, *index as usize))
            }
            Self::Because(why) => format!(": {why}"),
        }
    }
}

fn circumstances<'a>(news: &'a News, conversion: Option<&'a ConversionFacts>) -> Circumstances<'a> {
    Circumstances { event: &news.event, conversion, click: news.click.as_ref(), history: &news.history }
}

/// Whether a connector may be told of one step or event, and with which click id of its own.
fn may_be_told(
    news: &News,
    conversion: Option<&ConversionFacts>,
    connector: &Connector,
    all: &[&Connector],
) -> Result<Option<String>, Skip> {
    let circumstances = circumstances(news, conversion);
    if let Some(unmet) = condition::unmet(&connector.conditions, &circumstances) {
        // The click that is not known may be the first or the last in the place of the funnel's visits.
        let clicks = clicks_alone(&news.history);
        let without_visits = Circumstances { history: &clicks, ..circumstances };
        let for_want_of_a_click = news.click.is_none()
            && condition::unmet(&connector.conditions, &without_visits)
                .is_none_or(|unmet| unmet.for_want_of_a_click);
        let why = Why::Condition(u32::try_from(unmet.index).unwrap_or(u32::MAX));
        return Err(Skip { code: Code::SkippedCondition, why, for_want_of_a_click });
    }
    let value = conversion.map_or(news.event.value, |conversion| conversion.value);
    if let Some(detail) = foreign_currency(value, &connector.currencies) {
        let why = Why::Because(detail);
        return Err(Skip { code: Code::SkippedCurrency, why, for_want_of_a_click: false });
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
            why: Why::Because(why.to_string()),
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

/// One thing to be told.
enum Item {
    /// A step of a conversion, by its id.
    Step(String, ConversionFacts),
    /// The event itself.
    Event,
}

impl Item {
    fn conversion(&self) -> Option<&ConversionFacts> {
        match self {
            Self::Step(_, facts) => Some(facts),
            Self::Event => None,
        }
    }

    fn delivery(&self, connector: &Connector, news: &News) -> DeliveryId {
        match self {
            Self::Step(step, facts) => DeliveryId::of_step(&connector.id, &facts.key, step),
            Self::Event => DeliveryId::of_event(&connector.id, &news.event.key),
        }
    }
}

/// What connectors are told that listen alike, and why they are not told of a step that their triggers name.
#[derive(Default)]
struct Told {
    news: Vec<Item>,
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
                None => told.news.push(Item::Step(step.id(), facts.clone())),
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
        told.news.push(Item::Event);
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
