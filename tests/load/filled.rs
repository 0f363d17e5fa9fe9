//! A store that has been in use for long: very many clicks, very many deliveries that wait for their next attempt.
//!
//! Written as the store writes them (`common/src/store/clicks.rs` and `deliveries.rs`), past the store itself: its
//! transactions are synced, and ten million of them would take hours. The file is made whole before a worker sees it.

use anyhow::{Context, Result};
use carom_common::click::{Click, Device};
use carom_common::delivery::Delivery;
use carom_common::event::{Event, Facts};
use carom_common::id::{ClickId, ConnectorId, DeliveryId, EventId, VisitorId};
use carom_common::retry::{Schedule, Tier};
use carom_common::store::{Settings, Store};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use std::path::Path;
use uuid::{Builder, Uuid};

/// Rows of a transaction.
const ROWS: usize = 200_000;
/// When the last of the clicks was: a moment before the events of the fixtures.
const LAST_CLICK: &str = "2026-01-09T15:00:00Z";
/// Since when there have been clicks.
const DAYS: i64 = 20;

/// Makes a store with so many clicks and so many deliveries in the last tier.
pub fn make(path: &Path, clicks: usize, waiting: usize) -> Result<()> {
    Store::migrate(&Settings::Sqlite(path.to_owned()))?;
    let mut connection = Connection::open(path)?;
    // What is lost in a crash here is made again.
    for (name, value) in [("journal_mode", "OFF"), ("synchronous", "OFF"), ("cache_size", "-131072")] {
        connection.pragma_update(None, name, value)?;
    }
    fill_clicks(&mut connection, clicks).context("the clicks")?;
    fill_deliveries(&mut connection, waiting).context("the deliveries")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    // What the measurement begins with is on the disk, not on its way there.
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}

/// Inserts rows in large transactions, with the table's indexes made afterwards: they are sorted then, not searched.
fn fill(
    connection: &mut Connection,
    table: &str,
    count: usize,
    sql: &str,
    mut row: impl FnMut(&mut rusqlite::Statement<'_>, usize) -> Result<()>,
) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let indexes: Vec<(String, String)> = connection
        .prepare(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL",
        )?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    for from in (0..count).step_by(ROWS) {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare(sql)?;
            for number in from..count.min(from + ROWS) {
                row(&mut insert, number)?;
            }
        }
        transaction.commit()?;
    }
    for (_, sql) in &indexes {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

fn fill_clicks(connection: &mut Connection, count: usize) -> Result<()> {
    let sql =
        "INSERT INTO clicks (id, advertiser, visitor, at, touch, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    fill(connection, "clicks", count, sql, |insert, number| {
        let click = click(number, count)?;
        insert.execute((
            click.id.0.as_bytes(),
            click.advertiser.as_str(),
            click.visitor.0.as_bytes(),
            click.at.as_millisecond(),
            click.not_a_touch.is_none(),
            serde_json::to_string(&click)?,
        ))?;
        Ok(())
    })
}

/// One of so many clicks, from a visitor of its own.
fn click(number: usize, of: usize) -> Result<Click> {
    let mut visitor = [0; 16];
    visitor[..8].copy_from_slice(&chance(number, 1).to_be_bytes());
    visitor[8..].copy_from_slice(&chance(number, 2).to_be_bytes());
    let visitor = VisitorId(Builder::from_random_bytes(visitor).into_uuid());
    let bare = Click::new("acme".parse()?, "demo".parse()?, visitor, clicked_at(number, of)?);
    Ok(Click {
        id: ClickId(click_id(number, of)),
        parameters: vec![
            ("sub1".to_owned(), format!("{number:012}")),
            ("utm_source".to_owned(), "load".to_owned()),
            ("utm_campaign".to_owned(), "spring_sale".to_owned()),
        ],
        user_agent: Some("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36".to_owned()),
        device: Some(Device::Desktop),
        address: Some("192.0.2.0/24".parse()?),
        ..bare
    })
}

/// The id of one of so many clicks: greater than those before it, as ids are that are made one after the other.
pub fn click_id(number: usize, of: usize) -> Uuid {
    let at = clicked_at(number, of).map(Timestamp::as_millisecond).unwrap_or_default().unsigned_abs();
    let mut rest = [0; 10];
    rest[..8].copy_from_slice(&chance(number, 3).to_be_bytes());
    Builder::from_unix_timestamp_millis(at, &rest).into_uuid()
}

fn clicked_at(number: usize, of: usize) -> Result<Timestamp> {
    let last: Timestamp = LAST_CLICK.parse()?;
    let span = DAYS * 86_400_000;
    let before = i64::try_from(of.saturating_sub(number))? * span / i64::try_from(of.max(1))?;
    Ok(last.checked_sub(SignedDuration::from_millis(before))?)
}

/// A number that looks like chance, the same every time (SplitMix64).
fn chance(number: usize, turn: u64) -> u64 {
    let mut mixed = (number as u64).wrapping_mul(4).wrapping_add(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn fill_deliveries(connection: &mut Connection, count: usize) -> Result<()> {
    let (tier, now) = (last_tier()?, Timestamp::now());
    let due = now.checked_add(tier.delay())?;
    let waiting = Waiting::new()?;
    let sql = "INSERT INTO deliveries (id, connector, event_id, conversion, standing, round, attempt, reason,
                   queued_at, tier, parked_at, due_at, updated_at, test, matched_click_id)
               VALUES (?1, ?2, ?3, NULL, 'retrying', ?4, ?5, NULL, ?6, ?7, ?6, ?8, ?6, 0, NULL)";
    fill(connection, "deliveries", count, sql, |insert, number| {
        let (id, event) = waiting.ids(number);
        insert.execute((
            id.0.as_bytes(),
            waiting.connector.as_str(),
            event.0.as_bytes(),
            0,
            ATTEMPTS,
            now.as_millisecond(),
            tier.to_string(),
            due.as_millisecond(),
        ))?;
        Ok(())
    })
}

/// The tier in which deliveries wait for longest.
pub fn last_tier() -> Result<Tier> {
    Schedule::default().tiers().last().copied().context("a schedule has a tier")
}

/// How often those that wait were tried: the default schedule has eight tiers, and they are in the last.
const ATTEMPTS: u32 = 8;

/// Deliveries to the bench's connector that wait in the last tier, as their rows tell.
pub struct Waiting {
    pub connector: ConnectorId,
    event: Event,
}

impl Waiting {
    /// Of a form's contact, who is another in each.
    pub fn new() -> Result<Self> {
        let form: serde_json::Value =
            serde_json::from_str(&carom_tests::fixture::raw("cf2_contact.identified.spec001.json")?)?;
        let now = Timestamp::now().to_string();
        let event = serde_json::from_value(serde_json::json!({
            "id": EventId::new(), "advertiser": "acme", "source": "funnel", "key": "waiting",
            "type": "contact.identified", "name": "lead", "kind": "conversion", "at": &now, "received_at": &now,
            "data": form["data"],
        }))?;
        Ok(Self { connector: crate::bench::MATCHING.parse()?, event })
    }

    fn ids(&self, number: usize) -> (DeliveryId, EventId) {
        // The same in the row and in the message, whenever each was made.
        let event = Builder::from_random_bytes((number as u128).to_be_bytes()).into_uuid();
        (DeliveryId::of_event(&self.connector, &key(number)), EventId(event))
    }

    /// One of them, as it travels.
    pub fn delivery(&self, number: usize) -> Delivery {
        let (id, event) = self.ids(number);
        let facts = Facts::new(Event { id: event, key: key(number), ..self.event.clone() });
        let first = Delivery::new(id, self.connector.clone(), Timestamp::now(), facts);
        Delivery { attempt: ATTEMPTS + 1, ..first }
    }
}

fn key(number: usize) -> String {
    format!("waiting:{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_store_is_filled_with_what_the_store_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("carom.db");
        make(&path, 50, 20).unwrap();
        let settings = Settings::Sqlite(path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open_read_only(&settings).unwrap();
            let read = store.click(ClickId(click_id(7, 50))).await.unwrap().unwrap();
            assert_eq!(read, click(7, 50).unwrap());
            let waiting = store.waiting(Timestamp::now()).await.unwrap();
            assert_eq!(waiting.tiers.len(), 1);
            assert_eq!((waiting.tiers[0].0, waiting.tiers[0].1), (last_tier().unwrap(), 20));
            store.close().await;
        });
    }

    #[test]
    fn ids_rise_and_are_each_another() {
        let ids: Vec<_> = (0..1_000).map(|number| click_id(number, 1_000)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let (one, other) = (Waiting::new().unwrap(), Waiting::new().unwrap());
        assert_eq!(one.ids(3), other.ids(3));
        assert_ne!(one.ids(3), one.ids(4));
    }
}
