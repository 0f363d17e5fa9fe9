//! `pause` and `resume`: whether anything is taken from a connector's queue. All workers follow within
//! `worker.follow_interval`.

use super::chosen::named;
use super::{parsed, settings, usage};
use anyhow::Context;
use carom_common::config::Config;
use carom_common::id::ConnectorId;
use carom_common::store::{Pause, Store};
use jiff::Timestamp;

/// The longest reason that is kept, in characters.
const LONGEST: usize = 300;

/// Pauses a connector.
pub async fn pause(config: &Config, connector: &str, because: &str) -> anyhow::Result<()> {
    let (store, connector) = found(config, connector).await?;
    let why: String = because.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let paused = store.pause(&connector, Pause { since: Timestamp::now(), why }).await;
    let pauses = store.pauses().await;
    store.close().await;
    let since = pauses?.get(&connector).map(|pause| pause.since);
    match (paused?, since) {
        (true, _) => println!("{connector} is paused; it goes on selecting into its queue"),
        (false, Some(since)) => println!("{connector} has been paused since {since}"),
        (false, None) => println!("{connector} was resumed by somebody else just now"),
    }
    Ok(())
}

/// Resumes one.
pub async fn resume(config: &Config, connector: &str) -> anyhow::Result<()> {
    let (store, connector) = found(config, connector).await?;
    let resumed = store.resume(&connector).await;
    store.close().await;
    match resumed? {
        Some(pause) => {
            println!("{connector} is resumed; it was paused since {} ({})", pause.since, pause.why);
        }
        None => println!("{connector} was not paused"),
    }
    Ok(())
}

/// The store, and the connector that is meant: one that is configured, or paused though it is gone.
async fn found(config: &Config, connector: &str) -> anyhow::Result<(Store, ConnectorId)> {
    let id: ConnectorId = parsed(Some(connector))?.ok_or_else(|| usage("name a connector"))?;
    let settings = settings(config);
    let store = Store::open(&settings, |_, _| {}).with_context(|| settings.to_string())?;
    let resources = store.resources().await?.resources;
    if let Err(unknown) = named(&resources.connectors, id.as_str())
        && !store.pauses().await?.contains_key(&id)
    {
        store.close().await;
        return Err(unknown.into());
    }
    Ok((store, id))
}
