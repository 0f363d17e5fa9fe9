//! Pixels: which a browser was given, as the webhook log shows it, and what it reports of them.
//!
//! A pixel stands in the log as attempt 0 of round 0 of its delivery: the webhook's own attempts count from 1. So it
//! is listed, followed, blanked and erased with them.

use super::Store;
use super::column::{fit, millis, time, word};
use super::reach::Reach;
use super::session::Session;
use crate::event::Event;
use crate::id::{DeliveryId, EventId};
use crate::intake::{Shown, Told};
use crate::store::{AttemptRecord, Error, PixelReport, Reported};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many reports are kept of one event: several for each pixel that it could have.
const MOST_REPORTS: i64 = 128;

impl Store {
    /// Keeps what became of pixels, each outcome of a pixel once. The event need not be known yet: a browser is quicker
    /// than a queue.
    ///
    /// # Errors
    /// The database failed; none of them is kept.
    pub async fn keep_pixel_reports(&self, reports: Vec<PixelReport>) -> Result<(), Error> {
        self.write(Reach::nothing(), move |session| {
            reports.iter().try_for_each(|one| keep_report(session, one))
        })
        .await
    }

    /// Which of these deliveries' pixels a browser was given before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn pixels_given(&self, deliveries: Vec<DeliveryId>) -> Result<BTreeSet<DeliveryId>, Error> {
        self.read(move |session| {
            let sql = "SELECT 1 FROM attempts
                       WHERE delivery_id = ?1 AND round = 0 AND attempt = 0 AND outcome = 'pixel'";
            let mut given = BTreeSet::new();
            for id in deliveries {
                if session.exists(sql, [id.0.as_bytes()])? {
                    given.insert(id);
                }
            }
            Ok(given)
        })
        .await
    }
}

/// Which deliveries' pixels a browser has reported something of, of an event.
pub(super) fn reported(session: &Session<'_>, event: EventId) -> Result<BTreeSet<DeliveryId>, Error> {
    let sql = "SELECT delivery_id FROM pixel_reports WHERE event_id = ?1";
    let ids = session.rows(sql, [event.0.as_bytes()], |row| Ok(DeliveryId(Uuid::from_bytes(row.get(0)?))))?;
    Ok(ids.into_iter().collect())
}

/// Keeps the pixels that a browser was told of with an event. Told twice, of copies that raced, is told once; what was
/// only shown in Test mode may be given later.
pub(super) fn keep(session: &Session<'_>, id: EventId, event: &Event, told: &Told) -> Result<(), Error> {
    let sql =
        "INSERT INTO attempts (delivery_id, round, attempt, connector, event_id, event_type, at, outcome,
                   detail, method, url, duration_us, response, request_headers, request_body)
               VALUES (?1, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7, 'PIXEL', ?8, 0, '', '', ?9)
               ON CONFLICT (delivery_id, round, attempt) DO UPDATE SET
                   event_id = excluded.event_id, event_type = excluded.event_type, at = excluded.at,
                   outcome = excluded.outcome, detail = excluded.detail, url = excluded.url,
                   request_body = excluded.request_body
               WHERE attempts.outcome = 'test' AND excluded.outcome = 'pixel'";
    for Shown { connector, delivery, given, sandbox, page, code } in &told.pixels {
        session.execute(
            sql,
            (
                delivery.0.as_bytes(),
                connector.as_str(),
                id.0.as_bytes(),
                &event.raw_type,
                millis(told.at),
                if *given { "pixel" } else { "test" },
                if *sandbox { "sandbox" } else { "main window" },
                // What has no URL counts as blanked.
                if page.is_empty() { "about:blank" } else { page.as_str() },
                code,
            ),
        )?;
    }
    Ok(())
}

fn keep_report(session: &Session<'_>, told: &PixelReport) -> Result<(), Error> {
    let PixelReport { report, source, at } = told;
    // A copy's browser was told the copy's id.
    let known = session.exists("SELECT 1 FROM events WHERE id = ?1", [report.event.0.as_bytes()])?;
    let first = if known { None } else { first_of(session, report.event)? };
    let event = first.unwrap_or(report.event);
    let sql = "INSERT INTO pixel_reports (event_id, delivery_id, outcome, connector, source, at, detail)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
               WHERE (SELECT count(*) FROM pixel_reports WHERE event_id = ?1 AND source = ?5) < ?8
               ON CONFLICT (event_id, source, delivery_id, outcome) DO NOTHING";
    session.execute(
        sql,
        (
            event.0.as_bytes(),
            report.delivery.0.as_bytes(),
            report.outcome.as_str(),
            report.connector.as_str(),
            source.as_str(),
            millis(*at),
            &report.detail,
            MOST_REPORTS,
        ),
    )?;
    Ok(())
}

/// The event that came by an intake of another id before.
fn first_of(session: &Session<'_>, intake: EventId) -> Result<Option<EventId>, Error> {
    let sql = "SELECT event_id FROM subjects WHERE subject = ?1 LIMIT 1";
    session.first(sql, [fit(&format!("intake:{intake}"))], |row| Ok(EventId(Uuid::from_bytes(row.get(0)?))))
}

/// Adds to pixels what their browsers reported of them.
pub(super) fn with_reports(
    session: &Session<'_>,
    mut attempts: Vec<AttemptRecord>,
) -> Result<Vec<AttemptRecord>, Error> {
    // Of another source's event, a report is a stranger's.
    let sql = "SELECT outcome, at, detail FROM pixel_reports WHERE event_id = ?1 AND delivery_id = ?2
               AND source = (SELECT source FROM events WHERE id = ?1) ORDER BY at, outcome";
    for pixel in attempts.iter_mut().filter(|attempt| attempt.is_pixel()) {
        let key = (pixel.event.0.as_bytes(), pixel.delivery.0.as_bytes());
        pixel.reports = session.rows(sql, key, |row| {
            let detail = row.get(2)?;
            Ok(Reported { outcome: word("outcome", row.get(0)?)?, at: time(row.get(1)?)?, detail })
        })?;
    }
    Ok(attempts)
}

/// Blanks what is kept of an event's pixels.
pub(super) fn blank(session: &Session<'_>, event: EventId) -> Result<usize, Error> {
    let sql = "UPDATE pixel_reports SET detail = '' WHERE event_id = ?1 AND detail <> ''";
    session.execute(sql, [event.0.as_bytes()])?;
    let sql = "UPDATE attempts SET url = '', request_body = ''
               WHERE attempt = 0 AND event_id = ?1 AND url <> ''";
    session.execute(sql, [event.0.as_bytes()])
}
