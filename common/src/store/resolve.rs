//! Resolving events: what is known of each, what is decided about it, and what is kept of that, in one
//! transaction. The decision itself is a function that is handed in.

use super::column::{json, millis, word};
use super::reach::{Hold, Reach};
use super::session::Session;
use super::{
    Store, clicks, conversions, counted, deliveries, erase, foreign, identities, late, news, orders, parking,
    payouts, pixels, seen, subjects, touches, trace, visits,
};
use crate::conversion::{Claim, Says};
use crate::event::{Event, Kind};
use crate::id::{AdvertiserId, ClickId, EventId};
use crate::identity::Who;
use crate::intake::{Intake, Parked};
use crate::redact;
use crate::store::{
    Candidate, Decided, Error, ForBrowser, Known, Marker, Past, PayoutClaim, Progress, Resolution, Resolved,
    Sale, Somebody, Verdict, sale_key,
};
use crate::trace::{Code, Decision};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

impl Store {
    /// Resolves candidates in their order; each sees what was decided about those before it. All of it
    /// becomes durable together, or none.
    ///
    /// # Errors
    /// The database failed; nothing was kept of any of them.
    pub async fn resolve<F>(
        &self,
        candidates: impl Into<Arc<[Candidate]>>,
        decide: F,
    ) -> Result<Vec<Resolved>, Error>
    where
        F: Fn(&Candidate, &Known) -> Resolution + Send + 'static,
    {
        let candidates = candidates.into();
        let reach = Reach::of(candidates.iter().map(|one| &one.event.advertiser), Hold::Alone);
        self.write(reach, move |session| {
            // Who nobody was erased before is not looked for among the erased, until one of these erases somebody.
            let mut graves = erase::are_there_graves(session)?;
            let resolve = |candidate: &Candidate| {
                if candidate.erases || erase::is_of_the_erased(session, candidate, graves)? {
                    graves |= candidate.erases;
                    return resolve_erased(session, candidate, &decide);
                }
                let known = known(session, candidate)?;
                keep(session, candidate, &known, decide(candidate, &known))
            };
            candidates.iter().map(resolve).collect()
        })
        .await
    }
}

impl Store {
    /// What may be looked at for a browser that has sent this and waits for the answer: nothing is held, and nobody
    /// waits for it. None where it is of a person who was erased.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn known_to_browser(&self, candidate: Arc<Candidate>) -> Result<Option<ForBrowser>, Error> {
        self.read(move |session| {
            if erase::is_of_the_erased(session, &candidate, true)? {
                return Ok(None);
            }
            let alone = Candidate::clone(&candidate).by_its_browser_alone();
            let (event, advertiser) = (&alone.event, &alone.event.advertiser);
            let before = marker(session, advertiser, &event.key)?.filter(|marker| marker.event != event.id);
            let mut known = known_of(session, &alone, None)?;
            let mut reported = BTreeSet::new();
            let copy_of = before.map(|marker| marker.event);
            if let Some(first) = copy_of {
                // What its browser was told the first time it is told again, unless it has said what became of that.
                reported = pixels::reported(session, first)?;
                if known.conversion.as_ref().is_some_and(|conversion| conversion.decided_by == Some(first)) {
                    (known.conversion, known.conversion_click) = (None, None);
                }
            }
            Ok(Some(ForBrowser { known, copy_of, reported }))
        })
        .await
    }
}

/// Resolves what is an erased person's, or erases one: it counts, is nobody's, and is told to nobody.
fn resolve_erased(
    session: &Session<'_>,
    candidate: &Candidate,
    decide: impl Fn(&Candidate, &Known) -> Resolution,
) -> Result<Resolved, Error> {
    let nobodys = candidate.clone().without_person();
    let known = known(session, &nobodys)?;
    let mut resolution = decide(&nobodys, &known);
    let Verdict::Decide(decided) = &mut resolution.verdict else {
        return keep(session, &nobodys, &known, resolution);
    };
    decided.deliveries.clear();
    decided.wanting.clear();
    decided.news = None;
    decided.foreign_click = None;
    decided.click_given = decided.click.as_ref().map(|click| click.id.to_string());
    resolution.decisions.retain(|decision| decision.code != Code::Selected);
    let at = resolution.decisions.last().map_or(candidate.event.received_at, |last| last.at);
    let detail = match candidate.erases {
        true => "it erases the person that it names",
        false => "it is of a person who was erased; it counts and is told to nobody",
    };
    resolution.decisions.push(Decision::new(at, Code::Erased, detail));
    let resolved = keep(session, &nobodys, &known, resolution)?;
    erase::mark(session, candidate.event.id)?;
    if candidate.erases {
        let who = &candidate.who;
        let somebody = Somebody {
            advertiser: candidate.event.advertiser.clone(),
            marks: who.email.iter().chain(&who.phone).cloned().collect(),
            contacts: who.contact.iter().cloned().collect(),
        };
        // A sender's clock may be ahead; nobody is erased for what is yet to come.
        let happened = candidate.event.at.min(candidate.event.received_at);
        erase::erase_contact(session, somebody, happened, at)?;
    }
    Ok(resolved)
}

fn known(session: &Session<'_>, candidate: &Candidate) -> Result<Known, Error> {
    let event = &candidate.event;
    let marker = marker(session, &event.advertiser, &event.key)?;
    let stopped = Marker { event: event.id, progress: Progress::Decided };
    let unsettled = if marker == Some(stopped) { unsettled(session, event.id)? } else { Vec::new() };
    if marker.is_some_and(|marker| marker.event != event.id || marker.progress != Progress::Parked) {
        // Nothing is decided about a copy.
        return Ok(Known { marker, unsettled, ..Known::default() });
    }
    Ok(Known { unsettled, ..known_of(session, candidate, marker)? })
}

/// What is known of a candidate about which something is to be decided.
fn known_of(session: &Session<'_>, candidate: &Candidate, marker: Option<Marker>) -> Result<Known, Error> {
    let (event, who) = (&candidate.event, &candidate.who);
    let advertiser = event.advertiser.as_str();
    let conversion = match &candidate.claim {
        Some(claim) => conversions::find(session, &event.advertiser, &claim.key)?,
        None => None,
    };
    let click = |id: Option<ClickId>| id.map_or(Ok(None), |id| clicks::find(session, id));
    let named_click = click(candidate.names_click())?;
    let ours = named_click.as_ref().is_some_and(|click| click.advertiser == event.advertiser);
    let order = match &who.order {
        Some(key) => orders::find(session, advertiser, key)?,
        None => None,
    };
    let earlier = match (&who.order, &candidate.claim) {
        // A rebill follows its own order, and is no upsell of another.
        (Some(key), Some(claim)) if claim.says == Says::Approved && !claim.is_rebill() => {
            let seen = candidate.order.clone().unwrap_or_default();
            let order = order.clone().unwrap_or_default().with(&seen, who.contact.as_deref());
            orders::earlier(session, event, key, &order, candidate.upsell_window)?
        }
        _ => None,
    };
    // Whoever ordered is whom an event of the order is about, where it names nobody itself.
    let buyer = || order.as_ref().and_then(|order| order.buyer.clone());
    let who = &Who { contact: who.contact.clone().or_else(buyer), ..who.clone() };
    let own_click = named_click.as_ref().filter(|_| ours);
    let visitor = identities::visitor(session, event, who, own_click)?;
    let gathered = touches::gather(session, event, &visitor, &candidate.visits, own_click)?;
    let (conversions, events) = counted::of(session, event, &visitor.holders)?;
    let past = Past { touches: gathered.touches, conversions, events };
    let mut known = Known {
        touches: if ours { Vec::new() } else { gathered.clicks },
        past,
        sales: Vec::new(),
        conversion_click: click(conversion.as_ref().and_then(|conversion| conversion.click))?,
        order_click: click(order.as_ref().and_then(|order| order.click))?,
        foreign_click: if ours { None } else { foreign::find(session, advertiser, who)? },
        contact_known: visitor.contact_known,
        earlier_click: click(earlier.as_ref().and_then(|earlier| earlier.order.click))?,
        payouts: Vec::new(),
        marker,
        named_click,
        conversion,
        order,
        earlier,
        unsettled: Vec::new(),
    };
    if candidate.claim.is_some() {
        known.payouts = payouts(session, candidate, &known)?;
    }
    known.sales = sales(session, candidate, &known)?;
    Ok(known)
}

/// What was decided about the sales that an event may follow: a refund, a rebill and an upsell do.
fn sales(session: &Session<'_>, candidate: &Candidate, known: &Known) -> Result<Vec<Sale>, Error> {
    let follows = |claim: &Claim| matches!(claim.says, Says::Refund(_)) || claim.is_rebill();
    let may = candidate.event.kind == Kind::Refund
        || known.earlier.is_some()
        || candidate.claim.as_ref().is_some_and(follows);
    let mut sales = Vec::new();
    if may {
        let conversion = known.conversion.as_ref().and_then(|conversion| conversion.decided_by);
        let earlier = known.earlier.as_ref().and_then(|earlier| earlier.order.sale);
        let order = known.order.as_ref().and_then(|order| order.sale);
        let events: BTreeSet<EventId> = [conversion, earlier, order].into_iter().flatten().collect();
        for event in events {
            sales.extend(news::sale(session, candidate.event.advertiser.as_str(), event)?);
        }
    }
    Ok(sales)
}

/// What was paid once per click, of all clicks that the event may be attributed to.
fn payouts(session: &Session<'_>, candidate: &Candidate, known: &Known) -> Result<Vec<PayoutClaim>, Error> {
    let clicks = [&known.named_click, &known.conversion_click, &known.order_click, &known.earlier_click];
    let touches = known.touches.iter().map(|(click, _)| click);
    let mut ids: BTreeSet<String> =
        clicks.into_iter().flatten().chain(touches).map(|click| click.id.to_string()).collect();
    ids.extend(candidate.event.foreign_click.clone());
    ids.extend(known.foreign_click.clone().map(|(click, _)| click));
    let mut paid = Vec::new();
    for id in ids {
        paid.extend(payouts::of_click(session, candidate.event.advertiser.as_str(), &id)?);
    }
    Ok(paid)
}

fn marker(session: &Session<'_>, advertiser: &AdvertiserId, key: &str) -> Result<Option<Marker>, Error> {
    let sql = "SELECT id, progress FROM events WHERE dedupe_key = ?1 AND advertiser = ?2";
    session.first(sql, (key, advertiser.as_str()), |row| {
        let event = EventId(Uuid::from_bytes(row.get(0)?));
        Ok(Marker { event, progress: word("progress", row.get(1)?)? })
    })
}

/// The deliveries of an event that were decided and, for all we know, never reached their queues.
fn unsettled(session: &Session<'_>, event: EventId) -> Result<Vec<crate::delivery::Delivery>, Error> {
    // The event as it was stored, not as this message decoded it: a copy is to be the same.
    match news::of_event(session, event)? {
        Some(news) => deliveries::unsettled(session, &news, None),
        None => Ok(Vec::new()),
    }
}

fn keep(
    session: &Session<'_>,
    candidate: &Candidate,
    known: &Known,
    resolution: Resolution,
) -> Result<Resolved, Error> {
    let event = candidate.event.id;
    let advertiser = candidate.event.advertiser.as_str();
    let mut decisions = resolution.decisions;
    let mut resolved = Resolved {
        event,
        deliveries: Vec::new(),
        again: false,
        parked: false,
        timer: None,
        released: Vec::new(),
        duplicate: false,
    };
    let mut traced_with = event;
    let told = candidate.intake.told.as_deref();
    match resolution.verdict {
        Verdict::Duplicate { first } => {
            resolved.duplicate = true;
            traced_with = first;
            if first != event {
                subjects::also_came_as(session, first, event)?;
                told.map_or(Ok(()), |told| pixels::keep(session, first, &candidate.event, told))?;
            }
        }
        Verdict::Resume(deliveries) => {
            resolved.deliveries = deliveries;
            resolved.again = true;
            let contact = candidate.who.contact.as_ref();
            let known = contact.map(|contact| identities::knows(session, advertiser, contact)).transpose()?;
            resolved.released = brought(session, candidate, known == Some(true))?;
        }
        Verdict::Park(park) => {
            keep_event(session, candidate, "parked", None, None)?;
            let mut intake = Intake::clone(&candidate.intake);
            redact::intake(&mut intake, &candidate.spared);
            // A key can be the hash of the body, and what is masked hashes to another.
            intake.key = Some(candidate.event.key.clone());
            let parked =
                |released| Intake { parked: Some(Parked { released, ..park.parked }), ..intake.clone() };
            parking::park(session, advertiser, &parked(true), &park.keys, park.parked.since)?;
            resolved.parked = true;
            resolved.timer = park.tier.map(|tier| (tier, parked(false)));
        }
        Verdict::Decide(decided) => {
            let news = decided.news.as_ref().map(|news| news::kept(news, known)).transpose()?;
            keep_event(session, candidate, "decided", Some(&decided), news)?;
            told.map_or(Ok(()), |told| pixels::keep(session, event, &candidate.event, told))?;
            seen::note(session, &candidate.event)?;
            if let Some(click) = candidate.names_click().filter(|_| !decided.wanting.is_empty()) {
                late::want(session, click, event, &decided.wanting)?;
            }
            if let Some(conversion) = &decided.conversion {
                conversions::keep(session, conversion, candidate.event.received_at)?;
            }
            if known.marker.is_some() || candidate.intake.parked.is_some() {
                parking::unpark(session, event)?;
            }
            let contact_known = keep_ties(session, candidate, known, &decided)?;
            resolved.released = brought(session, candidate, contact_known)?;
            let at = decisions.last().map_or(candidate.event.received_at, |last| last.at);
            for delivery in decided.deliveries {
                if deliveries::insert_new(session, &delivery)? {
                    resolved.deliveries.push(delivery);
                } else {
                    let detail = format!("connector {}, delivery {}", delivery.connector, delivery.id);
                    decisions.push(Decision::new(at, Code::SkippedAlready, detail));
                }
            }
        }
    }
    trace::append(session, traced_with, &decisions)?;
    Ok(resolved)
}

/// Keeps what a decided event ties together: who is who, its order, its visits, what was paid. Says whether the contact
/// that it names is known now.
fn keep_ties(
    session: &Session<'_>,
    candidate: &Candidate,
    known: &Known,
    decided: &Decided,
) -> Result<bool, Error> {
    let (event, who) = (&candidate.event, &candidate.who);
    let advertiser = event.advertiser.as_str();
    // The click that it names ties its browser to the contact, also where the sale's click counts instead.
    let named = known.named_click.as_ref().filter(|click| click.advertiser == event.advertiser);
    let contact_known = identities::link(session, event, who, named)?;
    if !candidate.erases {
        let buyer = || known.order.as_ref().and_then(|order| order.buyer.clone());
        let who = Who { contact: who.contact.clone().or_else(buyer), ..who.clone() };
        if let Some(holder) = counted::holder(&who, named) {
            let approved = decided.conversion.as_ref().filter(|conversion| conversion.approved);
            let conversion = approved.map(|conversion| (counted::What::Conversion, conversion.key.clone()));
            let named = event.counted_as().map(|key| (counted::What::Event, key));
            let both: Vec<_> = conversion.into_iter().chain(named).collect();
            counted::count(session, event, &holder, &both)?;
        }
    }
    if let Some(key) = &who.order {
        let described = candidate.order.as_ref().is_some_and(|order| order.described);
        if described || known.order.is_some() {
            let seen = candidate.order.clone().unwrap_or_default();
            let mut order = known.order.clone().unwrap_or_default().with(&seen, who.contact.as_deref());
            // A rebill has a key of its own, and follows the sale.
            let of_sale = !candidate.claim.as_ref().is_some_and(Claim::is_rebill);
            let click = decided.click.as_ref().filter(|_| of_sale).map(|click| click.id);
            order.click = order.click.or(click);
            order.sale = order.sale.or(decided.paid_at.map(|_| event.id));
            order.paid_at = [order.paid_at, decided.paid_at].into_iter().flatten().min();
            orders::keep(session, advertiser, key, &order, event.received_at)?;
        }
    }
    if let Some(click) = &decided.foreign_click {
        foreign::keep(session, event, who, click)?;
    }
    let buyer = || known.order.as_ref().and_then(|order| order.buyer.clone());
    if !candidate.visits.is_empty() {
        // What a browser reports is its visitor's, until it says who that is.
        let whose = who.contact.clone().or_else(buyer).or_else(|| who.visitor.clone());
        let whose = whose.unwrap_or_else(|| visits::key_of_nobody(event.id));
        visits::keep(session, event, &whose, &candidate.visits)?;
    }
    if let Some(claim) = &decided.payout {
        payouts::claim(session, advertiser, claim)?;
    }
    Ok(contact_known)
}

/// The events that wait for what a decided event has brought.
fn brought(session: &Session<'_>, candidate: &Candidate, contact_known: bool) -> Result<Vec<Intake>, Error> {
    let who = &candidate.who;
    let advertiser = candidate.event.advertiser.as_str();
    let mut keys = Vec::new();
    if candidate.order.as_ref().is_some_and(|order| order.described) {
        keys.extend(who.order.clone());
    }
    keys.extend(who.contact.clone().filter(|_| contact_known));
    let sale = candidate.claim.as_ref().filter(|claim| !matches!(claim.says, Says::Refund(_)));
    keys.extend(sale.map(|claim| sale_key(&claim.key)));
    parking::waiting_for(session, advertiser, &keys)
}

fn keep_event(
    session: &Session<'_>,
    candidate: &Candidate,
    progress: &str,
    decided: Option<&Decided>,
    news: Option<String>,
) -> Result<(), Error> {
    let sql =
        "INSERT INTO events (id, advertiser, source, source_event_id, dedupe_key, type, name, received_at,
                   progress, click_id, conversion_key, document, found_by, click_given, news)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
               ON CONFLICT (id) DO UPDATE SET source_event_id = excluded.source_event_id,
                   dedupe_key = excluded.dedupe_key, type = excluded.type, name = excluded.name,
                   progress = excluded.progress, click_id = excluded.click_id,
                   conversion_key = excluded.conversion_key, document = excluded.document,
                   found_by = excluded.found_by, click_given = excluded.click_given, news = excluded.news";
    let event = &candidate.event;
    let (found_by, click) = match decided {
        Some(decided) => (decided.found_by, decided.click_given.clone()),
        None => (candidate.found_by, candidate.names_click().map(|click| click.to_string())),
    };
    let attributed = decided.and_then(|decided| decided.click.as_ref()).map(|click| click.id.to_string());
    // With another tracker's id that was joined to it: a delivery that is handed over again tells the same.
    let joined = decided.and_then(|decided| decided.foreign_click.clone());
    let event = &match joined {
        Some(joined) => Cow::Owned(Event { foreign_click: Some(joined), ..event.clone() }),
        None => Cow::Borrowed(event),
    };
    subjects::note(session, event, &candidate.who, attributed.as_deref().or(click.as_deref()))?;
    session.execute(
        sql,
        (
            event.id.0.as_bytes(),
            event.advertiser.as_str(),
            event.source.as_str(),
            &event.source_event_id,
            &event.key,
            &event.raw_type,
            &event.name,
            millis(event.received_at),
            progress,
            decided.and_then(|decided| decided.click.as_ref()).map(|click| click.id.0.as_bytes()),
            decided.and_then(|decided| decided.conversion.as_ref()).map(|conversion| &conversion.key),
            json("event", event)?,
            found_by.as_str(),
            click,
            news,
        ),
    )?;
    Ok(())
}
