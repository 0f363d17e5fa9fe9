//! What the store says of every event, delivery and attempt: the one place where the account reads it.
//!
//! By SQL and read-only, because a command per event would take longer than the scenario. Thousands of events
//! are one reading.

use crate::stack::Stack;
use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// An event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// `parked`, `decided` or `handed_over`.
    pub progress: String,
    /// Its trace: code and detail of each decision, in order.
    pub decisions: Vec<(String, String)>,
    pub deliveries: Vec<Uuid>,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub connector: String,
    pub standing: String,
    /// Of a dead one.
    pub reason: String,
    /// Its settled attempts, in their order.
    pub attempts: Vec<Attempt>,
}

/// A settled attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub round: u32,
    pub number: u32,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
    /// How long its exchange took, in milliseconds.
    pub took: i64,
    pub outcome: String,
    /// Of a retry: the tier.
    pub detail: String,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Ledger {
    events: HashMap<Uuid, Event>,
    /// Intakes of events that had come before, and those events.
    copies: HashMap<Uuid, Uuid>,
    pub deliveries: HashMap<Uuid, Delivery>,
    /// The events that a dead letter is about; of deliveries too.
    pub buried: HashSet<Uuid>,
    /// How many dead letters lie there.
    pub letters: u64,
    pub clicks: HashSet<Uuid>,
}

impl Ledger {
    /// Reads everything.
    pub async fn read(stack: &Stack) -> Result<Self> {
        on(stack, |connection| {
            let mut ledger = Self::default();
            ledger.read_events(connection)?;
            ledger.read_deliveries(connection)?;
            ledger.clicks = all(connection, "SELECT id FROM clicks", |row| id(row, 0))?.into_iter().collect();
            let sql = "SELECT event_id FROM letters WHERE state = 'dead'";
            let letters = all(connection, sql, |row| row.get::<_, Option<[u8; 16]>>(0))?;
            ledger.letters = letters.len() as u64;
            ledger.buried = letters.into_iter().flatten().map(Uuid::from_bytes).collect();
            Ok(ledger)
        })
        .await
    }

    /// How much is on its way: events that are not handed over, deliveries without an end.
    pub async fn on_their_way(stack: &Stack) -> Result<u64> {
        on(stack, |connection| {
            let sql = "SELECT (SELECT count(*) FROM events WHERE progress <> 'handed_over')
                            + (SELECT count(*) FROM deliveries WHERE standing IN ('queued', 'retrying'))";
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
        })
        .await
    }

    /// An event by the id that its 202 gave, which may be a later intake's of the same event.
    pub fn event(&self, accepted: &str) -> Option<(Uuid, &Event)> {
        let id = Uuid::try_parse(accepted).ok()?;
        let id = self.copies.get(&id).copied().unwrap_or(id);
        self.events.get(&id).map(|event| (id, event))
    }

    fn read_events(&mut self, connection: &Connection) -> Result<()> {
        let events =
            all(connection, "SELECT id, progress FROM events", |row| Ok((id(row, 0)?, row.get(1)?)))?;
        for (id, progress) in events {
            self.events.insert(id, Event { progress, ..Event::default() });
        }
        let sql = "SELECT event_id, code, detail FROM decisions ORDER BY event_id, seq";
        for (event, code, detail) in all(connection, sql, |row| Ok((id(row, 0)?, row.get(1)?, row.get(2)?)))?
        {
            self.events.entry(event).or_default().decisions.push((code, detail));
        }
        let sql = "SELECT substr(subject, 8), event_id FROM subjects WHERE subject LIKE 'intake:%'";
        for (intake, event) in all(connection, sql, |row| Ok((row.get::<_, String>(0)?, id(row, 1)?)))? {
            self.copies.insert(Uuid::try_parse(&intake)?, event);
        }
        Ok(())
    }

    fn read_deliveries(&mut self, connection: &Connection) -> Result<()> {
        let sql = "SELECT id, event_id, connector, standing, coalesce(reason, '') FROM deliveries";
        let deliveries = all(connection, sql, |row| {
            let (connector, standing, reason) = (row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((id(row, 0)?, id(row, 1)?, Delivery { connector, standing, reason, attempts: Vec::new() }))
        })?;
        for (id, event, delivery) in deliveries {
            self.events.entry(event).or_default().deliveries.push(id);
            self.deliveries.insert(id, delivery);
        }
        let sql = "SELECT delivery_id, round, attempt, at, coalesce(duration_us, 0) / 1000, outcome, detail
                   FROM attempts ORDER BY delivery_id, round, attempt";
        let attempts = all(connection, sql, |row| {
            let (round, number, at) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let (took, outcome, detail) = (row.get(4)?, row.get(5)?, row.get(6)?);
            Ok((id(row, 0)?, Attempt { round, number, at, took, outcome, detail }))
        })?;
        for (delivery, attempt) in attempts {
            let of = self.deliveries.get_mut(&delivery).context("an attempt of no delivery")?;
            of.attempts.push(attempt);
        }
        Ok(())
    }
}

/// Holds the store's one place for a writer, so that whoever writes must wait, until it is dropped.
pub struct Locked(#[allow(dead_code, reason = "held for its transaction")] Connection);

impl Locked {
    /// Takes it.
    pub fn now(stack: &Stack) -> Result<Self> {
        let connection = Connection::open(path(stack.dir()))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("carom.db")
}

async fn on<T: Send + 'static>(
    stack: &Stack,
    read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let path = path(stack.dir());
    tokio::task::spawn_blocking(move || {
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // One snapshot for all of it: what changes meanwhile is not half seen.
        connection.execute_batch("BEGIN")?;
        read(&connection)
    })
    .await?
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}
