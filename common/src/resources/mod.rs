//! The configuration resources: advertisers, sources, offers, connectors.
//!
//! Files describe them, `apply` checks them and writes them to the store as its next version, and both
//! binaries follow that version, where they can (`newest`). What is in the store has passed `check`.

pub mod check;
pub mod files;
pub mod newest;
pub mod place;

use crate::connector::Connector;
use crate::id::{ConnectorId, OfferId, SourceId};
use crate::offer::{Advertiser, Offer};
use crate::pixel::Approvals;
use crate::source::Source;
use serde::{Deserialize, Serialize};

/// All resources, as one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// `[[advertiser]]`
    #[serde(default, rename = "advertiser")]
    pub advertisers: Vec<Advertiser>,
    /// `[[source]]`
    #[serde(default, rename = "source")]
    pub sources: Vec<Source>,
    /// `[[offer]]`
    #[serde(default, rename = "offer")]
    pub offers: Vec<Offer>,
    /// `[[connector]]`
    #[serde(default, rename = "connector")]
    pub connectors: Vec<Connector>,
}

/// The resources of one version of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// Counts up with every `apply` that changed something; 0 before the first.
    pub version: u64,
    /// The resources.
    pub resources: Resources,
    /// Which pixels may fire: decided apart from the resources, and followed with them.
    #[serde(default)]
    pub approvals: Approvals,
}

impl Resources {
    /// The source with this id.
    pub fn source(&self, id: &SourceId) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == *id)
    }

    /// The offer with this id.
    pub fn offer(&self, id: &OfferId) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.id == *id)
    }

    /// The connector with this id.
    pub fn connector(&self, id: &ConnectorId) -> Option<&Connector> {
        self.connectors.iter().find(|connector| connector.id == *id)
    }

    /// The same without the text of any token: what is written to the store.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.sources = std::mem::take(&mut self.sources).into_iter().map(Source::sealed).collect();
        self
    }
}
