//! The row of a delivery: where it stands, and what it tells of the conversion. The rest of its facts
//! stands with its event.

use super::column::{document, json, maybe_uuid, millis, time, uuid, word};
use super::session::{Row, Session};
use crate::delivery::{Delivery, Reason};
use crate::event::{ConversionFacts, Facts};
use crate::id::{ClickId, ConnectorId, DeliveryId, EventId};
use crate::news::News;
use crate::retry::Tier;
use crate::store::{DeliveryRecord, Error, Standing};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What changes in a delivery's row.
pub(super) struct Change {
    pub(super) standing: &'static str,
    pub(super) round: u32,
    /// The last settled attempt of the round.
    pub(super) attempt: u32,
    pub(super) reason: Option<Reason>,
    /// The tier that it waits in, and since when.
    pub(super) parked: Option<(Tier, Timestamp)>,
    pub(super) queued_at: Timestamp,
    pub(super) at: Timestamp,
}

/// Stores a delivery that was just selected; false where its id is there already.
pub(super) fn insert_new(session: &Session<'_>, delivery: &Delivery) -> Result<bool, Error> {
    let change = Change {
        standing: "queued",
        round: delivery.round,
        attempt: delivery.attempt.saturating_sub(1),
        reason: None,
        parked: None,
        queued_at: delivery.due_since,
        at: delivery.due_since,
    };
    Ok(write(session, delivery, &change, "DO NOTHING")? == 1)
}

/// The same of one that was selected after its event was decided, for a click that came late.
pub(super) fn insert_late(session: &Session<'_>, delivery: &Delivery, click: ClickId) -> Result<bool, Error> {
    let new = insert_new(session, delivery)?;
    if new {
        let sql = "UPDATE deliveries SET late_click = ?2 WHERE id = ?1";
        session.execute(sql, (delivery.id.0.as_bytes(), click.0.as_bytes()))?;
    }
    Ok(new)
}

/// Changes a delivery's row to what a later round or attempt made of it, or inserts it where the store
/// has never heard of it. What is settled late never hides what came after it.
pub(super) fn advance(session: &Session<'_>, delivery: &Delivery, change: &Change) -> Result<usize, Error> {
    let later =
        "DO UPDATE SET standing = excluded.standing, round = excluded.round, attempt = excluded.attempt,
                     reason = excluded.reason, tier = excluded.tier, parked_at = excluded.parked_at,
                     due_at = excluded.due_at, updated_at = excluded.updated_at,
                     queued_at = CASE WHEN excluded.round > deliveries.round
                         THEN excluded.queued_at ELSE deliveries.queued_at END
                 WHERE (excluded.round, excluded.attempt) > (deliveries.round, deliveries.attempt)";
    write(session, delivery, change, later)
}

/// Changes where a delivery stands, of no other round than this, or inserts it. What was delivered, or
/// removed, stays so.
pub(super) fn give_up(session: &Session<'_>, delivery: &Delivery, change: &Change) -> Result<usize, Error> {
    let open = "DO UPDATE SET standing = excluded.standing, round = excluded.round,
                    attempt = CASE WHEN (excluded.round, excluded.attempt) > (deliveries.round, deliveries.attempt)
                        THEN excluded.attempt ELSE deliveries.attempt END,
                    reason = excluded.reason, tier = NULL, parked_at = NULL, due_at = NULL,
                    updated_at = excluded.updated_at
                WHERE excluded.round > deliveries.round
                   OR (excluded.round = deliveries.round
                       AND deliveries.standing NOT IN ('delivered', 'tested', 'purged'))";
    write(session, delivery, change, open)
}

fn write(
    session: &Session<'_>,
    delivery: &Delivery,
    change: &Change,
    conflict: &str,
) -> Result<usize, Error> {
    let sql = format!(
        "INSERT INTO deliveries (id, connector, event_id, conversion, standing, round, attempt, reason,
             queued_at, tier, parked_at, due_at, updated_at, test, matched_click_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (id) {conflict}"
    );
    let conversion = delivery.facts.conversion.as_ref().map(|facts| json("conversion", facts)).transpose()?;
    let due_at = change.parked.and_then(|(tier, since)| since.checked_add(tier.delay()).ok());
    let written = session.execute(
        &sql,
        (
            delivery.id.0.as_bytes(),
            delivery.connector.as_str(),
            delivery.facts.event.id.0.as_bytes(),
            conversion,
            change.standing,
            change.round,
            change.attempt,
            change.reason.map(Reason::as_str),
            millis(change.queued_at),
            change.parked.map(|(tier, _)| tier.to_string()),
            change.parked.map(|(_, since)| millis(since)),
            due_at.map(millis),
            millis(change.at),
            delivery.test,
            &delivery.facts.matched_click_id,
        ),
    )?;
    Ok(written)
}

/// The round and standing of a delivery.
pub(super) fn stands(session: &Session<'_>, id: DeliveryId) -> Result<Option<(u32, Standing)>, Error> {
    let found =
        session.first("SELECT round, standing FROM deliveries WHERE id = ?1", [id.0.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    found.map(|(round, standing)| Ok((round, word("standing", standing)?))).transpose()
}

/// An event's deliveries that no attempt has been settled of, as they were first handed over: those that were
/// selected when it was decided, or those that were for a click that came late.
pub(super) fn unsettled(
    session: &Session<'_>,
    news: &News,
    late: Option<ClickId>,
) -> Result<Vec<Delivery>, Error> {
    let sql = "SELECT id, connector, conversion, queued_at, test, matched_click_id FROM deliveries
               WHERE event_id = ?1 AND standing = 'queued' AND round = 0 AND attempt = 0
               AND late_click IS NOT DISTINCT FROM ?2 ORDER BY rowid";
    let key = (news.event.id.0.as_bytes(), late.as_ref().map(|click| click.0.as_bytes()));
    session.rows(sql, key, |row| {
        let facts = Facts {
            event: news.event.clone(),
            click: news.click.clone(),
            conversion: conversion(row)?,
            touch: news.touch().cloned(),
            matched_click_id: row.get("matched_click_id")?,
            trl_test: news.sends_for_real(),
        };
        let id = DeliveryId(uuid(row, "id")?);
        let connector = word("connector", row.get("connector")?)?;
        let delivery = Delivery::new(id, connector, time(row.get("queued_at")?)?, facts);
        Ok(Delivery { test: row.get("test")?, ..delivery })
    })
}

/// The click ids that connectors were told an event with.
pub(super) fn matched(session: &Session<'_>, event: EventId) -> Result<BTreeMap<ConnectorId, String>, Error> {
    let sql = "SELECT connector, matched_click_id FROM deliveries
               WHERE event_id = ?1 AND matched_click_id IS NOT NULL";
    let found =
        session.rows(sql, [event.0.as_bytes()], |row| Ok((word("connector", row.get(0)?)?, row.get(1)?)))?;
    Ok(found.into_iter().collect())
}

/// Blanks what an event's deliveries hold of clicks.
pub(super) fn blank(session: &Session<'_>, event: EventId) -> Result<(), Error> {
    let sql = "UPDATE deliveries SET matched_click_id = NULL
               WHERE event_id = ?1 AND matched_click_id IS NOT NULL";
    session.execute(sql, [event.0.as_bytes()])?;
    Ok(())
}

/// An event's deliveries, for its trace.
pub(super) fn of_event(session: &Session<'_>, event: EventId) -> Result<Vec<DeliveryRecord>, Error> {
    let sql =
        "SELECT id, connector, event_id, conversion, standing, round, attempt, reason, updated_at, due_at
               FROM deliveries WHERE event_id = ?1 ORDER BY rowid";
    session.rows(sql, [event.0.as_bytes()], |row| {
        let reason: Option<String> = row.get("reason")?;
        let due_at: Option<i64> = row.get("due_at")?;
        Ok(DeliveryRecord {
            id: DeliveryId(uuid(row, "id")?),
            connector: word("connector", row.get("connector")?)?,
            event,
            standing: word("standing", row.get("standing")?)?,
            round: row.get("round")?,
            attempt: row.get("attempt")?,
            reason: reason.map(|reason| word("reason", reason)).transpose()?,
            updated_at: time(row.get("updated_at")?)?,
            due_at: due_at.map(time).transpose()?,
            conversion: conversion(row)?,
        })
    })
}

/// The event that a delivery is for.
pub(super) fn event(session: &Session<'_>, id: DeliveryId) -> Result<Option<EventId>, Error> {
    let found = session.first("SELECT event_id FROM deliveries WHERE id = ?1", [id.0.as_bytes()], |row| {
        maybe_uuid(row, "event_id")
    })?;
    Ok(found.flatten().map(EventId))
}

fn conversion(row: &Row<'_>) -> Result<Option<ConversionFacts>, Error> {
    let text: Option<String> = row.get("conversion")?;
    text.map(|text| document("conversion", &text)).transpose()
}
