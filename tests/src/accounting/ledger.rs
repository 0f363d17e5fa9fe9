//! What the store says of every event, delivery and attempt: the one place where the account reads it.
//!
//! By SQL and read-only, because a command per event would take longer than the scenario. Thousands of events
//! are one reading.

use crate::stack::Stack;
use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::collections::{HashMap, HashSet};
use std::num::ParseIntError;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::SimpleQueryMessage;
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

/// What a table says, row by row and column by column, as text: ids in hexadecimal digits, nothing as none.
type Rows = Vec<Vec<Option<String>>>;

/// All that the ledger is made of, in this order.
const TABLES: [&str; 6] = [
    "SELECT id, progress FROM events",
    // By their own times: of two workers the one that was first may write last.
    "SELECT event_id, code, detail FROM decisions ORDER BY event_id, at, seq",
    "SELECT substr(subject, 8), event_id FROM subjects WHERE subject LIKE 'intake:%'",
    "SELECT id, event_id, connector, standing, reason FROM deliveries",
    "SELECT delivery_id, round, attempt, at, coalesce(duration_us, 0) / 1000, outcome, detail
     FROM attempts ORDER BY delivery_id, round, attempt",
    "SELECT event_id FROM letters WHERE state = 'dead'",
];

impl Ledger {
    /// Reads everything.
    pub async fn read(stack: &Stack) -> Result<Self> {
        let mut ledger = Self::default();
        let mut tables = read(stack, &[&TABLES[..], &["SELECT id FROM clicks"]].concat()).await?.into_iter();
        let mut next = || tables.next().unwrap_or_default();
        ledger.enter_events(next(), next(), next())?;
        ledger.enter_deliveries(next(), next())?;
        let letters = next();
        ledger.letters = letters.len() as u64;
        for row in letters.into_iter().filter(|row| row[0].is_some()) {
            ledger.buried.insert(id(&row, 0)?);
        }
        ledger.clicks = next().iter().map(|row| id(row, 0)).collect::<Result<_>>()?;
        Ok(ledger)
    }

    /// How much is on its way: events that are not handed over, deliveries without an end.
    pub async fn on_their_way(stack: &Stack) -> Result<u64> {
        let sql = "SELECT (SELECT count(*) FROM events WHERE progress <> 'handed_over')
                        + (SELECT count(*) FROM deliveries WHERE standing IN ('queued', 'retrying'))";
        let tables = read(stack, &[sql]).await?;
        number(tables.first().and_then(|rows| rows.first()).context("no count")?, 0)
    }

    /// The same of what was read.
    pub fn unfinished(&self) -> usize {
        let events = self.events.values().filter(|event| event.progress != "handed_over").count();
        let open = |delivery: &&Delivery| matches!(delivery.standing.as_str(), "queued" | "retrying");
        events + self.deliveries.values().filter(open).count()
    }

    /// An event by the id that its 202 gave, which may be a later intake's of the same event.
    pub fn event(&self, accepted: &str) -> Option<(Uuid, &Event)> {
        let id = Uuid::try_parse(accepted).ok()?;
        let id = self.copies.get(&id).copied().unwrap_or(id);
        self.events.get(&id).map(|event| (id, event))
    }

    fn enter_events(&mut self, events: Rows, decisions: Rows, subjects: Rows) -> Result<()> {
        for row in &events {
            self.events.insert(id(row, 0)?, Event { progress: text(row, 1), ..Event::default() });
        }
        for row in &decisions {
            self.events.entry(id(row, 0)?).or_default().decisions.push((text(row, 1), text(row, 2)));
        }
        for row in &subjects {
            self.copies.insert(id(row, 0)?, id(row, 1)?);
        }
        Ok(())
    }

    fn enter_deliveries(&mut self, deliveries: Rows, attempts: Rows) -> Result<()> {
        for row in &deliveries {
            let (connector, standing, reason) = (text(row, 2), text(row, 3), text(row, 4));
            let delivery = Delivery { connector, standing, reason, attempts: Vec::new() };
            self.events.entry(id(row, 1)?).or_default().deliveries.push(id(row, 0)?);
            self.deliveries.insert(id(row, 0)?, delivery);
        }
        for row in &attempts {
            let of = self.deliveries.get_mut(&id(row, 0)?).context("an attempt of no delivery")?;
            of.attempts.push(Attempt {
                round: number(row, 1)?,
                number: number(row, 2)?,
                at: number(row, 3)?,
                took: number(row, 4)?,
                outcome: text(row, 5),
                detail: text(row, 6),
            });
        }
        Ok(())
    }
}

/// Holds the store's one place for a writer, so that whoever writes must wait, until it is dropped.
pub struct Locked(#[allow(dead_code, reason = "held for its transaction")] Connection);

impl Locked {
    /// Takes it.
    pub fn now(stack: &Stack) -> Result<Self> {
        let connection = Connection::open(stack.store_path())?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self(connection))
    }
}

/// Runs these queries in one snapshot: what changes meanwhile is not half seen.
async fn read(stack: &Stack, queries: &[&'static str]) -> Result<Vec<Rows>> {
    match stack.store_url() {
        Some(url) => read_server(url, queries).await,
        None => {
            let (path, within, queries) = (stack.store_path(), stack.namespace_root(), queries.to_vec());
            tokio::task::spawn_blocking(move || match within {
                None => read_file(&path, &queries),
                Some(root) => read_copy(&root, &path, &queries),
            })
            .await?
        }
    }
}

async fn read_server(url: &str, queries: &[&str]) -> Result<Vec<Rows>> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut tables = Vec::new();
    for query in queries {
        let mut rows = Rows::new();
        for message in client.simple_query(query).await? {
            if let SimpleQueryMessage::Row(row) = message {
                // Bytes come as `\x` and digits.
                let cell = |at| row.get(at).map(|text| text.strip_prefix("\\x").unwrap_or(text).to_owned());
                rows.push((0..row.len()).map(cell).collect());
            }
        }
        tables.push(rows);
    }
    Ok(tables)
}

/// Reads a copy of a file that only a namespace sees: SQLite would look for it on this side.
fn read_copy(root: &Path, path: &Path, queries: &[&str]) -> Result<Vec<Rows>> {
    let dir = tempfile::tempdir()?;
    for end in ["", "-wal"] {
        let mut there = root.join(path.strip_prefix("/")?).into_os_string();
        there.push(end);
        std::fs::copy(&there, dir.path().join(format!("carom.db{end}")))?;
    }
    // The copy's log is its own to bring in.
    Connection::open(dir.path().join("carom.db"))?.execute_batch("PRAGMA wal_checkpoint")?;
    read_file(&dir.path().join("carom.db"), queries)
}

fn read_file(path: &Path, queries: &[&str]) -> Result<Vec<Rows>> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("BEGIN")?;
    let table = |query: &&str| {
        let mut statement = connection.prepare(query)?;
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| Ok(cell(row.get_ref(at)?))).collect();
        let rows = statement.query_map([], row)?.collect::<rusqlite::Result<Rows>>();
        Ok(rows?)
    };
    queries.iter().map(table).collect()
}

fn cell(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(hex::encode(bytes)),
    }
}

fn text(row: &[Option<String>], column: usize) -> String {
    row[column].clone().unwrap_or_default()
}

fn id(row: &[Option<String>], column: usize) -> Result<Uuid> {
    Ok(Uuid::try_parse(row[column].as_deref().context("no id")?)?)
}

fn number<T: FromStr<Err = ParseIntError>>(row: &[Option<String>], column: usize) -> Result<T> {
    Ok(row[column].as_deref().context("no number")?.parse()?)
}
