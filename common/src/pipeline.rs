//! The pipeline: what happens to an event between its queue and its deliveries, a call per stage.
//!
//! Stages do not call each other, and what they decide they decide as functions of their arguments; the
//! store runs `decide` inside the transaction that makes the decision durable. It is the worker's. Ingest runs
//! it as well, as a preview: which pixels a browser is given has to be known before it is gone.

mod dedupe;
mod payouts;
pub mod roster;
pub mod select;

use crate::attribution::{self, Attribution, Clues, FoundBy};
use crate::click::Click;
use crate::conversion::{self, Claim, Conversion, Says};
use crate::dead_letter::Letter;
use crate::decode;
use crate::delivery::Reason;
use crate::event::{Envelope, Event, Kind};
use crate::id::EventId;
use crate::identity::{Hasher, Who};
use crate::intake::{Intake, Parked};
use crate::news::{self, News, Steps};
use crate::offer;
use crate::placeholder;
use crate::redact;
use crate::retry::{Schedule, Tier};
use crate::source::{self, Source};
use crate::store::{Candidate, Decided, Known, Park, PixelReport, Resolution, Sale, Verdict, sale_key};
use crate::touch::History;
use crate::trace::{Code, Decision};
use crate::track;
use dedupe::Judgement;
use jiff::{SignedDuration, Timestamp};
use roster::Roster;
use select::Selection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Up to so many connectors that are passed by, each has a line of the trace.
const PASSED_BY_SINGLY: usize = 16;

/// What decisions depend on besides the event and the store.
#[derive(Clone)]
pub struct Rules {
    /// The resources as they are now.
    pub roster: Arc<Roster>,
    /// The tiers to park in.
    pub schedule: Schedule,
    /// How long an event may wait for what it belongs to.
    pub parking: Duration,
    /// What persons are joined by.
    pub hasher: Hasher,
}

/// An intake as read: on its way to be decided, or to the dead letters.
pub enum Read {
    /// To be decided.
    Candidate(Box<Candidate>),
    /// A visit that a tag reports: a touch, about which nothing is decided.
    Visit(Box<Candidate>),
    /// What became of pixels in a browser.
    Reports(Vec<PixelReport>),
    /// It cannot be.
    Letter(Box<Letter>),
}

/// Reads an intake: bytes become an event, or a letter that says why not.
pub fn read(intake: Intake, rules: &Rules, now: Timestamp) -> Read {
    let Some(source) = rules.roster.resources().source(&intake.source) else {
        let detail = format!("there is no source {}", intake.source);
        return Read::Letter(Box::new(Letter::of_intake(intake, Reason::SourceRemoved, now).because(detail)));
    };
    if source.kind == source::Kind::Tag
        && let Ok(request) = track::Request::read(&intake.body.0)
        && let track::Says::Reports(reports) = request.says
    {
        let told = |mut report: track::Report| {
            // It may name an address that a pixel's values stand in.
            let (masked, _) = redact::body(report.detail.as_bytes(), &source.click_id_keys);
            report.detail = String::from_utf8_lossy(&masked).into_owned();
            PixelReport { report, source: intake.source.clone(), at: intake.received_at }
        };
        return Read::Reports(reports.into_iter().map(told).collect());
    }
    let mut decoded = match decode::decode(&intake, source) {
        Ok(decoded) => decoded,
        Err(error) => {
            let letter = Letter::of_intake(intake, Reason::UndecodableBody, now).because(error.to_string());
            return Read::Letter(Box::new(letter));
        }
    };
    if let Some(key) = &intake.key {
        decoded.event.key.clone_from(key);
    }
    let masked = redact::value(&mut decoded.event.data, &source.click_id_keys);
    for visit in &mut decoded.visits {
        // What is masked here is masked in its data too, and was counted there.
        redact::parameters(&mut visit.parameters, &source.click_id_keys);
    }
    let mut decisions = Vec::new();
    if intake.parked.is_none() {
        decisions.push(note(intake.received_at, Code::Received, format!("from source {}", intake.source)));
        decisions.extend(intake.verified.told().map(|how| note(intake.received_at, Code::Verified, how)));
        let detail = format!(
            "{} as {}; click id by {}",
            decoded.event.raw_type,
            decoded.event.kind.as_str(),
            decoded.found_by.as_str()
        );
        decisions.push(note(now, Code::Decoded, detail));
        if masked > 0 {
            decisions.push(note(now, Code::Redacted, format!("{masked} values in its data")));
        }
        decisions.extend(decoded.notes.into_iter().map(|(code, detail)| note(now, code, detail)));
    }
    let intake = Arc::new(intake);
    let who = Who::of(&decoded.event, &rules.hasher);
    let is_visit = decoded.is_visit;
    let candidate = Candidate {
        named: decoded.named,
        found_by: decoded.found_by,
        claim: decoded.claim,
        who,
        order: decoded.order,
        visits: decoded.visits,
        erases: decoded.erases,
        trl_test: decoded.trl_test,
        upsell_window: source.upsell_window.0,
        spared: source.click_id_keys.clone(),
        event: decoded.event,
        intake,
        decisions,
    };
    if is_visit { Read::Visit(Box::new(candidate)) } else { Read::Candidate(Box::new(candidate)) }
}

/// Decides an event: dedupe → attribute → conversion → select.
pub fn decide(candidate: &Candidate, known: &Known, rules: &Rules, now: Timestamp) -> Resolution {
    let event = &candidate.event;
    let mut decisions = candidate.decisions.clone();
    let mut tell = |code, detail: String| decisions.push(note(now, code, detail));

    match dedupe::judge(event.id, known.marker) {
        Judgement::Duplicate(first) => {
            // The first intake's trace has all the rest; this one only adds that it came. A parked event's
            // timer, or a second release of it, is not even that.
            let detail = format!("intake {} of the same event", event.id);
            let copy = candidate.intake.parked.is_some() && first == event.id;
            let mut decisions = if copy { Vec::new() } else { vec![note(now, Code::Duplicate, detail)] };
            // It may have come before the first was decided, and its browser was told as if there were none.
            decisions.extend(told_to_browser(&candidate.intake).filter(|_| !copy));
            return Resolution { verdict: Verdict::Duplicate { first }, decisions };
        }
        Judgement::Resume => {
            let deliveries = known.unsettled.clone();
            let detail = format!("{} deliveries to hand over again", deliveries.len());
            let decisions = vec![note(now, Code::Resumed, detail)];
            return Resolution { verdict: Verdict::Resume(deliveries), decisions };
        }
        Judgement::Decide => {}
    }

    let source = rules.roster.resources().source(&event.source);
    let found = attribute(candidate, known, rules, source);
    let awaited = awaits(candidate, known, &found, source.is_some_and(|source| source.foreign_click_ids));
    if !awaited.is_empty() {
        match park(candidate.intake.parked, rules, now) {
            Some((parked, tier)) => {
                if candidate.intake.parked.is_none() {
                    tell(Code::Parked, format!("until one of these is known: {}", shown(&awaited)));
                }
                let park = Park { keys: awaited, parked, tier };
                return Resolution { verdict: Verdict::Park(park), decisions };
            }
            None => tell(Code::ParkingOver, format!("it goes on without {}", shown(&awaited))),
        }
    } else if candidate.intake.parked.is_some() {
        tell(Code::Released, "what it waited for has come".to_owned());
    }
    tell(found.code, found.detail);

    let claim = candidate.claim.clone().map(|claim| named_claim(claim, candidate, known, source));
    if let Some((_, Some(detail))) = &claim {
        tell(Code::Upsell, detail.clone());
    }
    if candidate.order.as_ref().is_some_and(|order| order.bump) {
        tell(Code::OrderBump, "it is part of the total".to_owned());
    }
    let claim = claim.map(|(claim, _)| claim);
    let mut change = claim.as_ref().map(|claim| {
        let click = found.click.as_ref().map(|click| click.id);
        conversion::apply(known.conversion.clone(), &event.advertiser, claim, click)
    });
    let foreign = found.foreign.clone().or_else(|| event.foreign_click.clone());
    let event = Event { foreign_click: foreign, ..event.clone() };
    let mut payout = None;
    match &mut change {
        Some(change) => {
            tell(Code::Conversion, told(change));
            for corrected in [change.corrected, change.refund_corrected].into_iter().flatten() {
                tell(Code::Corrected, corrected.to_string());
            }
            let paid = payouts::settle(change, &event, found.click.as_ref(), known, rules.roster.resources());
            for (code, detail) in paid.decisions {
                tell(code, detail);
            }
            payout = paid.claim;
        }
        None => tell(Code::NoConversion, event.kind.as_str().to_owned()),
    }

    if let Some(change) = change.as_mut().filter(|_| !is_approved(known)) {
        change.conversion.decided_by = Some(event.id);
    }
    let sale = follows_a_sale(candidate, known).then(|| sale_of(known)).flatten();
    let news = News {
        click: found.click.clone(),
        conversion: change.as_ref().and_then(|change| Steps::of(&change.conversion, &change.steps)),
        history: history(&event, known, sale, change.as_ref().map(|change| &change.conversion)),
        sale: sale.map(|sale| sale.event),
        inherited: sale.map(|sale| sale.matched.clone()).unwrap_or_default(),
        trl_test: candidate.trl_test || asks_to_send(candidate),
        event,
    };
    // Only a click that the event names, and that nobody has recorded, can still come.
    let foreign_ids = source.is_some_and(|source| source.foreign_click_ids);
    let unknown = candidate.names_click().is_some() && known.named_click.is_none();
    let may_come = unknown && !foreign_ids;
    let mut selection = select::select(&news, &rules.roster, may_come, now);
    decisions.extend(passed_by(&selection, &news, rules, now));
    let told = std::mem::take(&mut selection.decisions);
    decisions.extend(told.into_iter().map(|(code, detail)| note(now, code, detail)));
    if source.is_some_and(|source| source.kind != source::Kind::Tag) {
        for connector in select::pixels_alone(&news, &rules.roster) {
            let detail = format!("{connector} has a pixel alone, and no browser sent this");
            decisions.push(note(now, Code::PixelNoBrowser, detail));
        }
    }
    decisions.extend(told_to_browser(&candidate.intake));
    let others = found.code == Code::ClickOfOtherAdvertiser;
    let settles = claim.filter(|claim| claim.says == Says::Approved && !claim.is_rebill() && !claim.test);
    let decided = Decided {
        click_given: match (&found.click, &found.foreign) {
            (Some(click), _) => Some(click.id.to_string()),
            (None, Some(foreign)) => Some(foreign.clone()),
            (None, None) => attribution::given(&candidate.named).filter(|_| !others),
        },
        click: found.click,
        found_by: found.found_by,
        foreign_click: found.foreign,
        paid_at: settles.map(|claim| claim.at),
        payout,
        conversion: change.map(|change| change.conversion),
        wanting: if may_come { selection.wanting } else { Vec::new() },
        news: Some(news),
        deliveries: selection.deliveries,
    };
    Resolution { verdict: Verdict::Decide(Box::new(decided)), decisions }
}

/// Which pixels a browser is given that has just sent an event: what [`decide`] would come to now, and nobody is
/// bound by. What is known is none where the store could not be asked; then the event is looked at by itself.
pub fn preview(candidate: &Candidate, known: Option<&Known>, rules: &Rules, now: Timestamp) -> Selection {
    // The browser does not wait for a click that is late, as the event will.
    let rules = Rules { parking: Duration::ZERO, ..rules.clone() };
    let nothing = Known::default();
    match decide(candidate, known.unwrap_or(&nothing), &rules, now).verdict {
        Verdict::Decide(decided) => decided.news.map_or_else(Selection::default, |news| {
            select::pixels(&news, &rules.roster.resources().connectors, known.is_some(), now)
        }),
        // Of what came before, its browser was told then.
        Verdict::Duplicate { .. } | Verdict::Resume(_) | Verdict::Park(_) => Selection::default(),
    }
}

/// Which click earned it.
fn attribute(candidate: &Candidate, known: &Known, rules: &Rules, source: Option<&Source>) -> Attribution {
    let event = &candidate.event;
    let window = |click: &Click| {
        let offer = rules.roster.resources().offer(&click.offer);
        offer.map_or(offer::default_window().0, |offer| offer.attribution_window.0)
    };
    // Until it is approved, an upsell has the click of the sale before it, whatever it was found by so far.
    let sale = match is_approved(known) {
        true => [&known.conversion_click, &known.earlier_click, &known.order_click],
        false => [&known.earlier_click, &known.conversion_click, &known.order_click],
    };
    let inherited = sale.into_iter().flatten().next().cloned();
    // A refund of a sale that nobody's click earned is nobody's, whatever its person has clicked since.
    let of_nobody = inherited.is_none() && refunds(candidate) && is_approved(known);
    let clues = Clues {
        named: known.named_click.clone(),
        foreign_ids: source.is_some_and(|source| source.foreign_click_ids),
        inherited,
        follows_a_sale: follows_a_sale(candidate, known),
        touches: if of_nobody { Vec::new() } else { known.touches.clone() },
        foreign: known.foreign_click.clone(),
    };
    attribution::attribute(event, &candidate.named, candidate.found_by, clues, window)
}

/// Whether an event has the click of the sale that it follows: a refund, a rebill, an upsell.
fn follows_a_sale(candidate: &Candidate, known: &Known) -> bool {
    candidate.event.kind == Kind::Refund
        || known.earlier.is_some()
        || refunds(candidate)
        || candidate.claim.as_ref().is_some_and(Claim::is_rebill)
}

/// Whether an event claims that money of a sale went back.
fn refunds(candidate: &Candidate) -> bool {
    candidate.claim.as_ref().is_some_and(|claim| matches!(claim.says, Says::Refund(_)))
}

/// Whether the conversion that an event is about has been approved before.
fn is_approved(known: &Known) -> bool {
    known.conversion.as_ref().is_some_and(|conversion| conversion.approved)
}

/// The sale whose touches an event has that follows one: the same whose click it has.
fn sale_of(known: &Known) -> Option<&Sale> {
    let conversion = known.conversion.as_ref().and_then(|conversion| conversion.decided_by);
    let earlier = known.earlier.as_ref().and_then(|earlier| earlier.order.sale);
    let order = known.order.as_ref().and_then(|order| order.sale);
    let events = match is_approved(known) {
        true => [conversion, earlier, order],
        false => [earlier, conversion, order],
    };
    let of_event = |event: EventId| known.sales.iter().find(|sale| sale.event == event);
    events.into_iter().flatten().find_map(of_event)
}

/// What the event's visitor had done by then, this event included; the touches are those of the sale that it
/// follows.
fn history(event: &Event, known: &Known, sale: Option<&Sale>, conversion: Option<&Conversion>) -> History {
    let approved = conversion.filter(|conversion| conversion.approved).map(|conversion| &conversion.key);
    let named = event.counted_as();
    let touches = match sale {
        Some(sale) => sale.touches.history(sale.at),
        None => known.past.touches.history(event.at),
    };
    History {
        conversions: count(&known.past.conversions, approved),
        events: count(&known.past.events, named.as_ref()),
        ..touches
    }
}

fn count(before: &BTreeSet<String>, now: Option<&String>) -> u32 {
    let new = now.is_some_and(|key| !before.contains(key));
    u32::try_from(before.len()).unwrap_or(u32::MAX).saturating_add(new.into())
}

/// Whether `trl_test=1` stands on the URL that the event came by, or among its parameters.
fn asks_to_send(candidate: &Candidate) -> bool {
    let of_query = news::query_asks_to_send(&candidate.intake.query);
    let of_data = candidate.event.data.as_object().into_iter().flatten();
    let mut of_data = of_data.filter_map(|(name, value)| Some((name, placeholder::text(value)?)));
    of_query || of_data.any(|(name, value)| news::asks_to_send(name, &value))
}

/// What an event waits for. Only an unknown click of our own form, an unknown order or contact of an event
/// that names nobody, and an unknown sale of a refund: an organic sale must not be late.
fn awaits(candidate: &Candidate, known: &Known, found: &Attribution, foreign_ids: bool) -> Vec<String> {
    let (event, who) = (&candidate.event, &candidate.who);
    if event.kind == Kind::Ignored || candidate.erases {
        return Vec::new();
    }
    let mut keys = Vec::new();
    let settled =
        follows_a_sale(candidate, known) && found.click.is_some() && found.found_by == FoundBy::Order;
    if let Some(click) = candidate.names_click()
        && known.named_click.is_none()
        && !foreign_ids
        && !settled
    {
        keys.push(format!("click:{click}"));
        // What follows a sale needs no click of its own: the sale's order brings one as well.
        keys.extend(who.order.clone().filter(|_| follows_a_sale(candidate, known)));
    }
    let attributed = found.click.is_some() || found.foreign.is_some();
    let named = attributed || candidate.names_click().is_some() || who.names_a_person();
    if !named && event.envelope != Envelope::Plain {
        let described = candidate.order.as_ref().is_some_and(|order| order.described);
        let order = who.order.as_ref().filter(|_| !described);
        let one_is_known = (order.is_some() && known.order.is_some()) || known.contact_known;
        if !one_is_known {
            let contact = who.contact.as_ref().filter(|_| !who.describes_contact);
            keys.extend(order.into_iter().chain(contact).cloned());
        }
    }
    let refund = candidate.claim.as_ref().filter(|claim| matches!(claim.says, Says::Refund(_)));
    if let Some(claim) = refund
        && !known.conversion.as_ref().is_some_and(sale_is_known)
    {
        keys.push(sale_key(&claim.key));
    }
    keys
}

/// Whether more is known of a conversion than its refunds.
fn sale_is_known(conversion: &Conversion) -> bool {
    conversion.opened || conversion.approved
}

/// Keys as a trace shows them: what kinds of things, and no personal data.
fn shown(keys: &[String]) -> String {
    keys.join(", ")
}

/// A claim under the name that it counts under, and why that is `upsell` where it is.
fn named_claim(
    mut claim: Claim,
    candidate: &Candidate,
    known: &Known,
    source: Option<&Source>,
) -> (Claim, Option<String>) {
    if claim.says != Says::Approved
        || is_approved(known)
        || claim.is_rebill()
        || candidate.who.order.is_none()
    {
        return (claim, None);
    }
    if claim.name.is_none() {
        let of_order = known.order.as_ref().map(|order| order.counts_as().to_owned());
        let so_far = known.conversion.as_ref().and_then(|conversion| conversion.name.clone());
        claim.name = of_order.or(so_far).or_else(|| Some("purchase".to_owned()));
    }
    let products = candidate.order.as_ref().map_or(&[][..], |order| &order.products);
    let offered = source.is_some_and(|source| {
        !products.is_empty() && products.iter().all(|product| source.one_time_offers.contains(product))
    });
    let why = match (&known.earlier, offered) {
        (Some(earlier), _) => Some(format!("it follows {} in the same funnel", earlier.key)),
        (None, true) => Some("its products are one-time offers".to_owned()),
        (None, false) => None,
    };
    if why.is_some() {
        claim.name = Some("upsell".to_owned());
    }
    (claim, why)
}

/// The decisions about connectors that are passed by: each by itself where they are few.
fn passed_by(selection: &Selection, news: &News, rules: &Rules, now: Timestamp) -> Vec<Decision> {
    let count: usize = selection.passed_by.iter().map(|(_, _, them)| them.connectors.count_ones(..)).sum();
    let own = rules.roster.connectors(&news.event.advertiser);
    let mut told = Vec::new();
    for (code, why, them) in &selection.passed_by {
        if count > PASSED_BY_SINGLY {
            told.push(Decision { passed_by: Some(them.clone()), ..note(now, *code, why.clone()) });
        } else {
            told.extend(them.each(why, &own).map(|detail| note(now, *code, detail)));
        }
    }
    told
}

/// What the browser that sent an event was told of pixels, while it waited for the answer.
fn told_to_browser(intake: &Intake) -> impl Iterator<Item = Decision> {
    let told = intake.told.as_deref();
    let decisions = told.into_iter().flat_map(|told| told.decisions.iter().map(|one| (told.at, one)));
    decisions.map(|(at, (code, detail))| note(at, *code, detail.clone()))
}

fn note(at: Timestamp, code: Code, detail: String) -> Decision {
    Decision::new(at, code, detail)
}

/// How an event waits on; none when it has waited long enough. Its timer is the longest tier within what
/// is left, or the shortest there is. A released copy's timer still runs: it needs no other.
fn park(parked: Option<Parked>, rules: &Rules, now: Timestamp) -> Option<(Parked, Option<Tier>)> {
    let before = parked.unwrap_or(Parked { since: now, times: 0, released: false });
    let waited = now.duration_since(before.since).max(SignedDuration::ZERO);
    let left = rules.parking.checked_sub(waited.unsigned_abs()).filter(|left| !left.is_zero())?;
    let tiers = rules.schedule.tiers();
    let fitting = tiers.iter().rev().find(|tier| tier.delay() <= left).or(tiers.first()).copied();
    let tier = fitting.filter(|_| !before.released);
    Some((Parked { since: before.since, times: before.times + 1, released: false }, tier))
}

fn told(change: &conversion::Change) -> String {
    let conversion = &change.conversion;
    let value = conversion.value.map_or_else(String::new, |value| {
        let currency = value.currency.map_or("", |currency| currency.code());
        format!(" {} {currency}", value.amount)
    });
    let steps: Vec<_> = change.steps.iter().map(conversion::Step::id).collect();
    let steps = if steps.is_empty() {
        "nothing new to tell".to_owned()
    } else {
        format!("to tell: {}", steps.join(", "))
    };
    format!("{} {}{value}; {steps}", conversion.key, conversion.status.as_str())
}

#[cfg(test)]
mod tests;
