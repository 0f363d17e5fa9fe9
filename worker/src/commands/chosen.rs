//! Which connectors a command is about: those that are applied, or those of a file that is not yet.

use super::{Usage, reading, settings, usage};
use carom_common::config::Config;
use carom_common::connector::Connector;
use carom_common::id::ConnectorId;
use carom_common::resources::{Resources, files};
use carom_common::spelling;
use carom_common::store::Store;
use std::path::Path;

/// The resources that a command works with.
pub struct Chosen {
    /// The store, where there is one.
    pub store: Option<Store>,
    /// The connectors that are applied.
    pub applied: Vec<Connector>,
    /// They with those of the file in their place or beside them.
    pub connectors: Vec<Connector>,
    /// Those of the file, in its order.
    pub of_file: Vec<ConnectorId>,
}

impl Chosen {
    /// Reads what is applied, and the file over it. Without a store a file must do.
    ///
    /// # Errors
    /// There is neither, or the file has faults.
    pub async fn read(config: &Config, file: Option<&Path>) -> anyhow::Result<Self> {
        let store = match file {
            Some(_) if settings(config).file().is_some_and(|path| !path.exists()) => None,
            _ => Some(reading(config)?),
        };
        let applied = match &store {
            Some(store) => Some(store.resources().await?.resources),
            None => None,
        };
        let overlaid =
            file.map(|file| files::load_over(file, applied.as_ref())).transpose().map_err(usage)?;
        let applied = applied.unwrap_or_else(Resources::default).connectors;
        let (connectors, of_file) = match overlaid {
            Some(overlaid) => {
                super::check::tell("warning", &overlaid.warnings);
                (overlaid.resources.connectors, overlaid.connectors)
            }
            None => (applied.clone(), Vec::new()),
        };
        Ok(Self { store, applied, connectors, of_file })
    }

    /// The connector with this id; without one, the only one that the file has.
    pub fn connector(&self, id: Option<&str>) -> Result<&Connector, Usage> {
        if self.connectors.is_empty() {
            let remedy = "`carom-worker apply` a file that has one, or name that with --file";
            return Err(Usage(format!("there is no connector: {remedy}")));
        }
        let id = match (id, self.of_file.as_slice()) {
            (Some(id), _) => id,
            (None, [only]) => only.as_str(),
            (None, []) => return Err(Usage(format!("name a connector{}", listed(&self.connectors)))),
            (None, several) => {
                let several: Vec<_> = several.iter().map(ConnectorId::as_str).collect();
                return Err(Usage(format!(
                    "the file has several connectors, name one: {}",
                    several.join(", ")
                )));
            }
        };
        named(&self.connectors, id)
    }
}

/// The connector with this id, or which one may have been meant.
pub fn named<'a>(connectors: &'a [Connector], id: &str) -> Result<&'a Connector, Usage> {
    if let Some(found) = connectors.iter().find(|connector| connector.id.as_str() == id) {
        return Ok(found);
    }
    let ids = connectors.iter().map(|connector| connector.id.as_str());
    Err(Usage(match spelling::nearest(id, ids) {
        Some(near) => format!("there is no connector `{id}`: did you mean `{near}`?"),
        None => format!("there is no connector `{id}`{}", listed(connectors)),
    }))
}

fn listed(connectors: &[Connector]) -> String {
    const MOST: usize = 20;
    let ids: Vec<_> = connectors.iter().take(MOST).map(|connector| connector.id.as_str()).collect();
    match ids.as_slice() {
        [] => "; none is applied: `carom-worker apply` a file that has one".to_owned(),
        ids if connectors.len() > MOST => format!("; there are {}, …", ids.join(", ")),
        ids => format!("; there are {}", ids.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_connector_is_answered_with_the_nearest_or_with_all() {
        let connector = |id: &str| -> Connector {
            let webhook = serde_json::json!({"url": "https://n.example/"});
            let whole = serde_json::json!({"id": id, "advertiser": "a", "triggers": [], "webhook": webhook});
            serde_json::from_value(whole).unwrap()
        };
        let some = [connector("meta"), connector("tiktok")];
        assert_eq!(named(&some, "meta").unwrap().id.as_str(), "meta");
        assert_eq!(named(&some, "mata").unwrap_err().0, "there is no connector `mata`: did you mean `meta`?");
        let far = named(&some, "something").unwrap_err().0;
        assert_eq!(far, "there is no connector `something`; there are meta, tiktok");
        assert!(named(&[], "meta").unwrap_err().0.contains("apply"));
        let nothing = Chosen { store: None, applied: vec![], connectors: vec![], of_file: vec![] };
        for id in [None, Some("meta")] {
            assert!(nothing.connector(id).unwrap_err().0.contains("--file"), "{id:?}");
        }
    }
}
