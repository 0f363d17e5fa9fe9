//! `connectors`: each connector and how it stands, by the store's account. Breakers are each worker's own, and
//! are in its metrics.

use super::{json_line, reading};
use carom_common::config::Config;
use carom_common::connector::{Connector, Mode};
use carom_common::id::{AdvertiserId, ConnectorId};
use carom_common::store::{Pause, Store};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

/// A connector as `--json` prints it.
#[derive(Debug, Serialize)]
struct Standing {
    /// Its id.
    id: ConnectorId,
    /// Whose it is.
    advertiser: AdvertiserId,
    /// `enabled`, `test` or `disabled`.
    mode: Mode,
    /// Whether its webhook is switched on.
    webhook: bool,
    /// Since when it is paused and why; none where it is not.
    paused: Option<Pause>,
    /// How many deliveries are due: on its queue, or on their way to it.
    due: u64,
    /// Since when the oldest of them is.
    oldest_due: Option<Timestamp>,
    /// How many lie in the dead letters.
    dead: u64,
    /// When its receiver last took something.
    last_delivered: Option<Timestamp>,
}

/// Lists the connectors.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<()> {
    for standing in standings(&reading(config)?).await? {
        if json {
            json_line(&standing)?;
        } else {
            tell(&standing);
        }
    }
    Ok(())
}

async fn standings(store: &Store) -> anyhow::Result<Vec<Standing>> {
    let resources = store.resources().await?.resources;
    let mut pauses = store.pauses().await?;
    let waiting = store.waiting(Timestamp::now()).await?;
    let due: HashMap<_, _> =
        waiting.connectors.into_iter().map(|(connector, count, since)| (connector, (count, since))).collect();
    let mut dead: HashMap<ConnectorId, u64> = HashMap::new();
    for (connector, _, count, _) in waiting.dead {
        if let Some(connector) = connector {
            *dead.entry(connector).or_default() += count;
        }
    }
    let mut standings = Vec::with_capacity(resources.connectors.len());
    for Connector { id, advertiser, mode, webhook, .. } in resources.connectors {
        standings.push(Standing {
            last_delivered: store.last_delivered(&id).await?,
            due: due.get(&id).map_or(0, |(count, _)| *count),
            oldest_due: due.get(&id).map(|(_, since)| *since),
            dead: dead.get(&id).copied().unwrap_or_default(),
            paused: pauses.remove(&id),
            webhook: webhook.is_some_and(|webhook| webhook.enabled),
            id,
            advertiser,
            mode,
        });
    }
    Ok(standings)
}

fn tell(standing: &Standing) {
    let mode = match (standing.mode, standing.webhook) {
        (Mode::Disabled, _) => "disabled",
        (_, false) => "webhook off",
        (Mode::Enabled, true) => "enabled",
        (Mode::Test, true) => "test",
    };
    let last = standing.last_delivered.map_or("never".to_owned(), |at| at.to_string());
    let oldest = standing.oldest_due.map_or(String::new(), |since| format!(", the oldest since {since}"));
    println!(
        "{:<24} {mode:<12} {} due{oldest}, {} dead, last delivered {last}",
        standing.id.as_str(),
        standing.due,
        standing.dead
    );
    if let Some(pause) = &standing.paused {
        println!("{:<24} paused since {}: {}", "", pause.since, pause.why);
    }
}
