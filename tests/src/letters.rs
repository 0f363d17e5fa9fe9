//! Many dead letters in a short time: events straight to `carom.events`, whose deliveries are too late for a worker
//! that gives up what was due for a millisecond. No attempt is made. Replayed by another worker, they are as good
//! as new.

use crate::eventually::eventually;
use crate::stack::{Binary, Setup, Stack};
use anyhow::{Context, Result, ensure};
use carom_common::dead_letter::Letter;
use carom_common::delivery::{Delivery, Reason};
use carom_common::envelope;
use carom_common::event::{Event, Facts};
use carom_common::id::{ConnectorId, DeliveryId, EventId};
use carom_common::intake::{Body, Intake};
use carom_common::store::{Settings, Store};
use jiff::Timestamp;
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::Value;
use std::time::Duration;

/// How long a worker that makes letters waits for nothing.
const TOO_LATE: (&str, &str) = ("CAROM_WORKER_MAX_DUE", "1ms");
/// How many events travel in one message.
pub const BATCH: usize = 64;

/// A set-up whose worker gives everything up.
#[must_use]
pub fn giving_up(setup: Setup) -> Setup {
    setup.env(TOO_LATE.0, TOO_LATE.1)
}

/// The event of a letter: a plain one of this name, as the purchase `tx`.
pub fn event(name: &str, tx: &str) -> Intake {
    Intake {
        id: EventId::new(),
        source: "plain".parse().unwrap(),
        verified: Default::default(),
        received_at: Timestamp::now(),
        query: format!("event={name}&txid={tx}&payout=2"),
        content_type: None,
        body: Body::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}

/// Makes a letter of each event, in a stack whose worker gives up; then starts one that does not.
pub async fn make(stack: &mut Stack, events: &[Intake], limit: Duration) -> Result<()> {
    publish(&stack.vhost()?.url, events).await?;
    lie(stack, events.len(), limit).await?;
    stack.stop(Binary::Worker).await?;
    stack.set_env(TOO_LATE.0, "48h");
    stack.start_binary(Binary::Worker)?;
    stack.ready().await
}

/// Buries letters as a worker does, on `carom.dead` and then in the store, without a worker: of deliveries that
/// expired, of plain purchases, each to the connector and as the purchase `tx` that `of` gives. For very many.
pub async fn bury(stack: &Stack, count: usize, of: impl Fn(usize) -> (&'static str, String)) -> Result<()> {
    let connection = Connection::connect(&stack.vhost()?.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let settings = Settings::Sqlite(stack.dir().join("carom.db"));
    let store = Store::open(&settings, |_, _| {})?;
    let all: Vec<usize> = (0..count).collect();
    for some in all.chunks(1_000) {
        let letters: Vec<Letter> = some.iter().map(|index| expired(of(*index))).collect::<Result<_>>()?;
        let mut confirms = Vec::new();
        for letter in &letters {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let body = envelope::encode(std::slice::from_ref(letter));
            let sent = channel.basic_publish("".into(), "carom.dead".into(), options, &body, properties);
            confirms.push(sent.await?);
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack(), "the broker did not take it");
        }
        store.bury(letters).await?;
    }
    store.close().await;
    connection.close(200, "bye".into()).await?;
    Ok(())
}

fn expired((connector, tx): (&str, String)) -> Result<Letter> {
    let connector: ConnectorId = connector.parse()?;
    let now = Timestamp::now().to_string();
    let event: Event = serde_json::from_value(serde_json::json!({
        "id": EventId::new(), "advertiser": "acme", "source": "plain", "key": &tx, "type": "purchase",
        "name": "purchase", "kind": "conversion", "at": &now, "received_at": &now, "transaction": &tx
    }))?;
    let id = DeliveryId::of_event(&connector, &tx);
    let delivery = Delivery::new(id, connector, Timestamp::now(), Facts::new(event));
    Ok(Letter::of_delivery(delivery, Reason::Expired, Timestamp::now()).because("it was due for too long"))
}

/// Waits until so many letters lie on `carom.dead`, and the list has them.
pub async fn lie(stack: &Stack, count: usize, limit: Duration) -> Result<()> {
    eventually(limit, format!("{count} letters lie there"), async || {
        let dead = stack.vhost()?.depth("carom.dead").await?.context("there is no carom.dead")?;
        ensure!(dead.messages == count as u64, "there are {}", dead.messages);
        let said = stack.carom_ok(&["dlq", "list", "--limit", "1"]).await?;
        ensure!(said.ends_with(&format!("of {count} dead letters\n")), "{said}");
        Ok(())
    })
    .await
}

/// Puts events onto `carom.events`, [`BATCH`] in a message, as ingest would.
pub async fn publish(url: &str, events: &[Intake]) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    for some in events.chunks(BATCH * 16) {
        let mut confirms = Vec::new();
        for batch in some.chunks(BATCH) {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let body = envelope::encode(batch);
            let sent = channel.basic_publish("".into(), "carom.events".into(), options, &body, properties);
            confirms.push(sent.await?);
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack(), "the broker did not take it");
        }
    }
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// How far a letter lies at most from where it would lie by its age, among the first `count` on `carom.dead`. They
/// are taken and let go, which disorders them: the broker returns what a connection held in no order.
pub async fn disorder(url: &str, count: usize) -> Result<usize> {
    let lying = order(url, count).await?;
    let mut by_age = lying.clone();
    by_age.sort_unstable();
    let place = |id: &String| by_age.binary_search(id).unwrap_or(count);
    Ok(lying.iter().enumerate().map(|(index, id)| index.abs_diff(place(id))).max().unwrap_or(0))
}

/// The ids of the first `count` letters, from the head on.
async fn order(url: &str, count: usize) -> Result<Vec<String>> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut ids = Vec::with_capacity(count);
    while ids.len() < count {
        let got = channel.basic_get("carom.dead".into(), BasicGetOptions::default()).await?;
        let letter = got.context("no more letters")?.delivery;
        let body: Value = serde_json::from_slice(&letter.data)?;
        ids.push(body["items"][0]["id"].as_str().context("a letter without an id")?.to_owned());
    }
    connection.close(200, "bye".into()).await?;
    Ok(ids)
}
