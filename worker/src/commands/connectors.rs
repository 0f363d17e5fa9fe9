//! `connectors`: each connector and how it stands, by the store's account. Breakers are each worker's own, and
//! are in its metrics.

use super::{json_line, pixel, reading};
use carom_common::config::Config;
use carom_common::connector::{Connector, Mode};
use carom_common::id::{AdvertiserId, ConnectorId};
use carom_common::pixel::Standing;
use carom_common::resources::Versioned;
use carom_common::store::{Pause, Store};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashMap;

/// A connector as `--json` prints it.
#[derive(Debug, Serialize)]
struct ConnectorStanding {
    /// Its id.
    id: ConnectorId,
    /// Whose it is.
    advertiser: AdvertiserId,
    /// `enabled`, `test` or `disabled`.
    mode: Mode,
    /// Whether its webhook is switched on; none where it has none.
    webhook: Option<bool>,
    /// Its pixel; none where it has none.
    pixel: Option<PixelStanding>,
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

/// A connector's pixel.
#[derive(Debug, Serialize)]
struct PixelStanding {
    /// Whether it is switched on.
    enabled: bool,
    /// Whether it runs in a frame without access to the page.
    sandbox: bool,
    /// Whether its code was approved, by whom and when.
    approval: Standing,
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

async fn standings(store: &Store) -> anyhow::Result<Vec<ConnectorStanding>> {
    let Versioned { resources, approvals, .. } = store.resources().await?;
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
    for connector in resources.connectors {
        let pixel = connector.pixel.as_ref().zip(approvals.standing(&connector)).map(|(pixel, approval)| {
            PixelStanding { enabled: pixel.enabled, sandbox: pixel.sandbox, approval }
        });
        let Connector { id, advertiser, mode, webhook, .. } = connector;
        standings.push(ConnectorStanding {
            last_delivered: store.last_delivered(&id).await?,
            due: due.get(&id).map_or(0, |(count, _)| *count),
            oldest_due: due.get(&id).map(|(_, since)| *since),
            dead: dead.get(&id).copied().unwrap_or_default(),
            paused: pauses.remove(&id),
            webhook: webhook.map(|webhook| webhook.enabled),
            pixel,
            id,
            advertiser,
            mode,
        });
    }
    Ok(standings)
}

fn tell(standing: &ConnectorStanding) {
    let mode = match (standing.mode, standing.webhook) {
        (Mode::Disabled, _) => "disabled",
        (_, Some(false)) => "webhook off",
        (Mode::Enabled, _) => "enabled",
        (Mode::Test, _) => "test",
    };
    let last = standing.last_delivered.map_or("never".to_owned(), |at| at.to_string());
    let oldest = standing.oldest_due.map_or(String::new(), |since| format!(", the oldest since {since}"));
    println!(
        "{:<24} {mode:<12} {} due{oldest}, {} dead, last delivered {last}",
        standing.id.as_str(),
        standing.due,
        standing.dead
    );
    if let Some(pixel) = &standing.pixel {
        let on = if pixel.enabled { "on" } else { "off" };
        let approval = pixel::in_words(Some(&pixel.approval));
        println!("{:<24} pixel {on}, in {}: {approval}", "", pixel::place(pixel.sandbox));
    }
    if let Some(pause) = &standing.paused {
        println!("{:<24} paused since {}: {}", "", pause.since, pause.why);
    }
}
