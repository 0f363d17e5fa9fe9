//! Traces: decisions in their order, and an event with all that came of it.

use super::column::{document, millis, time, word};
use super::session::{Bind, Cell, Given, Params, Row, Session};
use super::{Store, attempts, clicks, conversions, deliveries, resources};
use crate::conversion::Conversion;
use crate::event::Event;
use crate::id::{ClickId, DeliveryId, EventId};
use crate::resources::Resources;
use crate::store::{ClickRecord, ConversionRecord, Error, EventTrace, Scope};
use crate::trace::{Decision, PassedBy};
use iso_currency::Currency;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// How many events a key may name in an answer.
const KEYED: i64 = 100;
/// How many decisions are written by one statement: all that an event usually has.
const AT_ONCE: usize = 16;

impl Store {
    /// An event with its decisions, deliveries and attempts.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn trace_of_event(&self, id: EventId) -> Result<Option<EventTrace>, Error> {
        self.read(move |session| trace_of_event(session, id)).await
    }

    /// The events that were attributed to a click, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_of_click(&self, click: ClickId, limit: u32) -> Result<Vec<EventId>, Error> {
        self.read(move |session| {
            let sql = "SELECT id FROM events WHERE click_id = ?1 ORDER BY id LIMIT ?2";
            event_ids(session, sql, (click.0.as_bytes(), limit))
        })
        .await
    }

    /// The event that a delivery is for.
    ///
    /// # Errors
    /// The database failed.
    pub async fn event_of_delivery(&self, delivery: DeliveryId) -> Result<Option<EventId>, Error> {
        self.read(move |session| deliveries::event(session, delivery)).await
    }

    /// The events with this dedupe key, sender's id or conversion key, oldest first; at most 100.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_by_key(&self, scope: Scope, key: &str) -> Result<Vec<EventId>, Error> {
        let key = key.to_owned();
        self.read(move |session| {
            let sql = "SELECT id FROM events WHERE id IN (
                           SELECT id FROM events WHERE dedupe_key = ?1
                           UNION SELECT id FROM events WHERE source_event_id = ?1
                           UNION SELECT id FROM events WHERE conversion_key = ?1)
                       AND (CAST(?2 AS TEXT) IS NULL OR advertiser = ?2) ORDER BY id LIMIT ?3";
            let advertiser = scope.as_ref().map(crate::id::AdvertiserId::as_str);
            event_ids(session, sql, (key, advertiser, KEYED))
        })
        .await
    }
}

/// Adds decisions to the end of an event's trace.
pub(super) fn append(session: &Session<'_>, event: EventId, decisions: &[Decision]) -> Result<(), Error> {
    if let [decision] = decisions
        && decision.passed_by.is_none()
    {
        let sql = "INSERT INTO decisions (event_id, seq, at, code, detail)
                   VALUES (?1, (SELECT coalesce(max(seq) + 1, 0) FROM decisions WHERE event_id = ?1), ?2, ?3, ?4)";
        let code = decision.code.as_str();
        session.execute(sql, (event.0.as_bytes(), millis(decision.at), code, &decision.detail))?;
        return Ok(());
    }
    if decisions.is_empty() {
        return Ok(());
    }
    let sql = "SELECT coalesce(max(seq) + 1, 0) FROM decisions WHERE event_id = ?1";
    let next: i64 = session.one(sql, [event.0.as_bytes()], |row| row.get(0))?;
    let numbered: Vec<_> = (next..).zip(decisions).collect();
    let (together, singly): (Vec<_>, Vec<_>) =
        numbered.into_iter().partition(|(_, decision)| decision.passed_by.is_some());
    for some in singly.chunks(AT_ONCE) {
        let mut given = Given::default();
        let id = given.place(event.0.as_bytes().cell());
        let mut rows = Vec::with_capacity(some.len());
        for (seq, decision) in some {
            let code = Cell::Text(decision.code.as_str().into());
            let cells = [(*seq).into(), millis(decision.at).into(), code, decision.detail.cell()];
            rows.push(format!("({id}, {})", given.places(cells)));
        }
        let rows = rows.join(", ");
        let sql = format!("INSERT INTO decisions (event_id, seq, at, code, detail) VALUES {rows}");
        session.execute(&sql, given)?;
    }
    for (seq, decision) in together {
        let Some(passed_by) = &decision.passed_by else { continue };
        let version = i64::try_from(passed_by.version).unwrap_or(i64::MAX);
        let sql = "INSERT INTO decisions (event_id, seq, at, code, detail, resources, condition, connectors)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let (id, code, bits) = (event.0.as_bytes(), decision.code.as_str(), passed_by.to_bits());
        let of = (version, passed_by.condition.map(i64::from), bits);
        session.execute(sql, (id, seq, millis(decision.at), code, &decision.detail, of.0, of.1, of.2))?;
    }
    Ok(())
}

/// Adds a decision to an event's trace where the store knows the event.
pub(super) fn append_if_known(
    session: &Session<'_>,
    event: EventId,
    decision: Decision,
) -> Result<(), Error> {
    if session.exists("SELECT 1 FROM events WHERE id = ?1", [event.0.as_bytes()])? {
        append(session, event, &[decision])
    } else {
        Ok(())
    }
}

fn trace_of_event(session: &Session<'_>, id: EventId) -> Result<Option<EventTrace>, Error> {
    let sql = "SELECT document, progress, click_id, conversion_key, found_by, click_given FROM events WHERE id = ?1";
    let found = session.first(sql, [id.0.as_bytes()], |row| {
        let click: Option<[u8; 16]> = row.get(2)?;
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            click,
            row.get::<_, Option<String>>(3)?,
            row.get::<_, String>(4)?,
            row.get::<_, Option<String>>(5)?,
        ))
    })?;
    let Some((event, progress, click, key, found_by, click_given)) = found else {
        return Ok(None);
    };
    let event: Event = document("event", &event)?;
    let click = click.map(|click| ClickId(Uuid::from_bytes(click)));
    let key = key.or_else(|| event.ledger_key.clone());
    let conversion = match &key {
        Some(key) => conversions::find(session, &event.advertiser, key)?,
        None => None,
    };
    let deliveries = deliveries::of_event(session, id)?;
    let tried = attempts::of_event(session, id, &deliveries)?;
    let recorded = click.map_or(Ok(None), |id| clicks::find(session, id))?;
    let decisions = decisions(session, &event)?;
    Ok(Some(EventTrace {
        progress,
        click: ClickRecord {
            id: click.map(|id| id.to_string()).or(click_given),
            found_by: word("found_by", found_by)?,
            recorded,
        },
        conversion: key.map(|key| record(key, &event, conversion)),
        event,
        deliveries,
        attempts: tried,
        decisions,
    }))
}

/// The decisions about an event, about each connector one.
fn decisions(session: &Session<'_>, event: &Event) -> Result<Vec<Decision>, Error> {
    let sql = "SELECT at, code, detail, resources, condition, connectors FROM decisions
               WHERE event_id = ?1 ORDER BY seq, at";
    let kept = session.rows(sql, [event.id.0.as_bytes()], |row| {
        let (version, condition): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        let bits: Option<Vec<u8>> = row.get(5)?;
        let passed_by = bits.map(|bits| PassedBy {
            version: version.unwrap_or_default().unsigned_abs(),
            condition: condition.and_then(|index| u32::try_from(index).ok()),
            connectors: PassedBy::places(&bits),
        });
        let decision =
            Decision::new(time(row.get(0)?)?, word("code", row.get(1)?)?, row.get::<_, String>(2)?);
        Ok(Decision { passed_by, ..decision })
    })?;
    let mut versions: HashMap<u64, Option<Resources>> = HashMap::new();
    let mut each = Vec::with_capacity(kept.len());
    for decision in kept {
        let Some(passed_by) = &decision.passed_by else {
            each.push(decision);
            continue;
        };
        let resources = match versions.entry(passed_by.version) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(resources::as_they_were(session, passed_by.version)?),
        };
        let Some(resources) = resources else {
            let (count, version) = (passed_by.connectors.count_ones(..), passed_by.version);
            let detail =
                format!("{count} connectors of version {version} of the resources, which the store lacks");
            each.push(Decision::new(decision.at, decision.code, detail));
            continue;
        };
        let own: Vec<_> = resources
            .connectors
            .iter()
            .filter(|connector| connector.advertiser == event.advertiser)
            .collect();
        let of_each = passed_by.each(&decision.detail, &own);
        each.extend(of_each.map(|detail| Decision::new(decision.at, decision.code, detail)));
    }
    Ok(each)
}

fn record(key: String, event: &Event, conversion: Option<Conversion>) -> ConversionRecord {
    let code = |currency: Currency| currency.code().to_owned();
    let refunded = conversion.as_ref().and_then(Conversion::refunded);
    let value = conversion.as_ref().and_then(|conversion| conversion.value);
    let amount = value.map(|value| value.amount).or(refunded);
    // A refund whose sale is unknown states its currency, and the conversion has none yet.
    let currency = value.or(event.value.filter(|_| refunded.is_some())).and_then(|value| value.currency);
    let payout = conversion.as_ref().and_then(|conversion| conversion.payout);
    ConversionRecord {
        key,
        kind: event.kind,
        status: conversion.as_ref().map(|conversion| conversion.status),
        amount: amount.map(|amount| amount.to_string()),
        currency: currency.map(code),
        refunded: refunded.map(|amount| amount.to_string()),
        payout: payout.map(|payout| payout.amount.to_string()),
        payout_currency: payout.and_then(|payout| payout.currency).map(code),
        name: conversion.and_then(|conversion| conversion.name),
    }
}

fn event_ids(session: &Session<'_>, sql: &str, parameters: impl Params) -> Result<Vec<EventId>, Error> {
    let read = |row: &Row<'_>| Ok(EventId(Uuid::from_bytes(row.get(0)?)));
    session.rows(sql, parameters, read)
}
