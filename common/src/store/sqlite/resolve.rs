//! Resolving events: what is known of each, what is decided about it, and what is kept of that, in one
//! transaction. The decision itself is a function that is handed in.

use super::column::{document, first, json, millis, word};
use super::{Store, clicks, conversions, deliveries, trace};
use crate::id::{AdvertiserId, ClickId, EventId};
use crate::store::{Candidate, Decided, Error, Known, Marker, Progress, Resolution, Resolved, Verdict};
use crate::trace::{Code, Decision};
use rusqlite::Connection;
use uuid::Uuid;

impl Store {
    /// Resolves candidates in their order; each sees what was decided about those before it. All of it
    /// becomes durable together, or none.
    ///
    /// # Errors
    /// The database failed; nothing was kept of any of them.
    pub async fn resolve<F>(&self, candidates: Vec<Candidate>, decide: F) -> Result<Vec<Resolved>, Error>
    where
        F: Fn(&Candidate, &Known) -> Resolution + Send + 'static,
    {
        self.write(move |connection| {
            let resolve = |candidate: &Candidate| {
                let known = known(connection, candidate)?;
                keep(connection, candidate, decide(candidate, &known))
            };
            candidates.iter().map(resolve).collect()
        })
        .await
    }
}

fn known(connection: &Connection, candidate: &Candidate) -> Result<Known, Error> {
    let event = &candidate.event;
    let marker = marker(connection, &event.advertiser, &event.key)?;
    let conversion = match &candidate.claim {
        Some(claim) => conversions::find(connection, &event.advertiser, &claim.key)?,
        None => None,
    };
    let click = |id: Option<ClickId>| id.map_or(Ok(None), |id| clicks::find(connection, id));
    let stopped = Marker { event: event.id, progress: Progress::Decided };
    Ok(Known {
        named_click: click(candidate.names_click())?,
        last_click: clicks::newest_touch(connection, event)?,
        conversion_click: click(conversion.as_ref().and_then(|conversion| conversion.click))?,
        unsettled: if marker == Some(stopped) { unsettled(connection, event.id)? } else { Vec::new() },
        marker,
        conversion,
    })
}

fn marker(connection: &Connection, advertiser: &AdvertiserId, key: &str) -> Result<Option<Marker>, Error> {
    let sql = "SELECT id, progress FROM events WHERE dedupe_key = ?1 AND advertiser = ?2";
    first(&mut *connection.prepare_cached(sql)?, (key, advertiser.as_str()), |row| {
        let event = EventId(Uuid::from_bytes(row.get(0)?));
        Ok(Marker { event, progress: word("progress", row.get(1)?)? })
    })
}

/// The deliveries of an event that were decided and, for all we know, never reached their queues.
fn unsettled(connection: &Connection, event: EventId) -> Result<Vec<crate::delivery::Delivery>, Error> {
    // The event as it was stored, not as this message decoded it: a copy is to be the same.
    let sql = "SELECT document, click_id FROM events WHERE id = ?1";
    let found = first(&mut *connection.prepare_cached(sql)?, [event.0.as_bytes()], |row| {
        let click = row.get::<_, Option<[u8; 16]>>(1)?.map(|id| ClickId(Uuid::from_bytes(id)));
        Ok((document("event", &row.get::<_, String>(0)?)?, click))
    })?;
    let Some((event, click)) = found else {
        return Ok(Vec::new());
    };
    let click = click.map_or(Ok(None), |id| clicks::find(connection, id))?;
    deliveries::unsettled(connection, &event, click.as_ref())
}

fn keep(connection: &Connection, candidate: &Candidate, resolution: Resolution) -> Result<Resolved, Error> {
    let event = candidate.event.id;
    let mut decisions = resolution.decisions;
    let mut resolved = Resolved { event, deliveries: Vec::new(), park: None, duplicate: false };
    let mut traced_with = event;
    match resolution.verdict {
        Verdict::Duplicate { first } => {
            resolved.duplicate = true;
            traced_with = first;
        }
        Verdict::Resume(deliveries) => resolved.deliveries = deliveries,
        Verdict::Park(tier) => {
            keep_event(connection, candidate, "parked", None)?;
            resolved.park = Some(tier);
        }
        Verdict::Decide(decided) => {
            keep_event(connection, candidate, "decided", Some(&decided))?;
            if let Some(conversion) = &decided.conversion {
                conversions::keep(connection, conversion, candidate.event.received_at)?;
            }
            let at = decisions.last().map_or(candidate.event.received_at, |last| last.at);
            for delivery in decided.deliveries {
                if deliveries::insert_new(connection, &delivery)? {
                    resolved.deliveries.push(delivery);
                } else {
                    let detail = format!("connector {}, delivery {}", delivery.connector, delivery.id);
                    decisions.push(Decision { at, code: Code::SkippedAlready, detail });
                }
            }
        }
    }
    trace::append(connection, traced_with, &decisions)?;
    Ok(resolved)
}

fn keep_event(
    connection: &Connection,
    candidate: &Candidate,
    progress: &str,
    decided: Option<&Decided>,
) -> Result<(), Error> {
    let sql =
        "INSERT INTO events (id, advertiser, source, source_event_id, dedupe_key, type, name, received_at,
                   progress, click_id, conversion_key, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
               ON CONFLICT (id) DO UPDATE SET source_event_id = excluded.source_event_id,
                   dedupe_key = excluded.dedupe_key, type = excluded.type, name = excluded.name,
                   progress = excluded.progress, click_id = excluded.click_id,
                   conversion_key = excluded.conversion_key, document = excluded.document";
    let event = &candidate.event;
    connection.prepare_cached(sql)?.execute((
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
    ))?;
    Ok(())
}
