//! `pause` and `resume`: whether anything is taken from a connector's queue. All workers follow within
//! `worker.follow_interval`.

use super::{chosen, parsed, settings, usage};
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
    let store = Store::open(&settings, |_, _| {})
        .with_context(|| format!("store.path {}", settings.path.display()))?;
    match known(&store, &id).await {
        Ok(()) => Ok((store, id)),
        Err(unknown) => {
            store.close().await;
            Err(unknown)
        }
    }
}

async fn known(store: &Store, id: &ConnectorId) -> anyhow::Result<()> {
    match chosen::named(&store.resources().await?.resources.connectors, id.as_str()) {
        Err(unknown) if !store.pauses().await?.contains_key(id) => Err(unknown.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Usage;
    use crate::histories::desk::Desk;

    #[tokio::test]
    async fn what_is_neither_configured_nor_paused_is_told_as_everywhere() {
        let store = Desk::new(serde_json::json!([])).await.store;
        let meta: ConnectorId = "meta".parse().unwrap();
        let unknown = known(&store, &meta).await.unwrap_err().downcast::<Usage>().unwrap();
        assert!(unknown.0.starts_with("there is no connector `meta`; none is applied"), "{unknown}");
        store.pause(&meta, Pause { since: Timestamp::now(), why: "gone".into() }).await.unwrap();
        known(&store, &meta).await.unwrap();
    }
}
