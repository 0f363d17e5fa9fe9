//! A source: who may send events to us, and how we know them.

pub mod api;
pub mod endpoint;
pub mod origin;

use crate::connector::Rate;
use crate::id::{AdvertiserId, OfferId, SourceId};
use crate::mapping::Row;
use crate::secret::{SecretRef, TokenHash};
use crate::signature::Signature;
use crate::time::Span;
use api::Api;
use origin::Origin;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// What a source's bodies look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ClickFunnels' webhooks (specification 001 and 003).
    Clickfunnels,
    /// Parameters in the query, a form or a flat JSON object (specification 000).
    Plain,
    /// What our tag on an advertiser's pages reports (specification 004).
    Tag,
}

/// A sender of events, owned by one advertiser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its fixed id.
    pub id: SourceId,
    /// Who owns it.
    pub advertiser: AdvertiserId,
    /// What its bodies look like.
    pub kind: Kind,
    /// Whether anybody may send as this source. Nothing else makes a source unauthenticated.
    #[serde(default)]
    pub open: bool,
    /// The tokens that name and authenticate it in `/api/v1/events/{token}`; several while one is rotated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
    /// The hosts (no port) whose `/api/v1/events` speaks for it. A host names a source and proves nothing, so
    /// the source is signed or open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_domains: Vec<String>,
    /// The key by which our tag names it; of kind `tag` alone. It stands in every page, and proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_key: Option<String>,
    /// The origins of the pages that may report as it; of kind `tag` alone. Only browsers are held to that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<Origin>,
    /// Whether the conversions that it reports are only pending, until another source approves them; of kind `tag` alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// How its requests are signed. Where it is there, every event must be: by token or by host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The names under which a click id may come, in the order of preference; compared without case.
    #[serde(default = "default_click_id_keys")]
    pub click_id_keys: Vec<String>,
    /// Whether its click ids are those of another tracker: they are passed through as they are, and nothing
    /// waits for a click of ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign_click_ids: bool,
    /// The offer whose payout rules count where no click of ours names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<OfferId>,
    /// Rows of the event mapping that come before those that ship (`data/event-mapping.toml`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<Row>,
    /// How long after a paid order another of the same contact and funnel is an upsell.
    #[serde(default = "default_upsell_window")]
    pub upsell_window: Span,
    /// Products whose orders are upsells whenever they come: the funnel's one-time offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_time_offers: Vec<String>,
    /// How many requests it may send in a time; as many as it likes where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many of its requests may be in work at once; `ingest.max_in_flight_per_source` where this is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<NonZeroU32>,
    /// How its sender's own API is used, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
}

impl Source {
    /// The same without the text of any token: neither in `tokens` nor in the URL of its endpoint.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let hashes = self.token_hashes();
        if let Some(url) = self.api.as_mut().and_then(|api| api.endpoint_url.as_mut()) {
            *url = endpoint::sealed(url, &hashes);
        }
        self.tokens = std::mem::take(&mut self.tokens).into_iter().map(Token::sealed).collect();
        self
    }

    /// The hashes of its tokens, of those that can be read now.
    pub fn token_hashes(&self) -> Vec<TokenHash> {
        self.tokens.iter().filter_map(|token| token.hash().ok()).collect()
    }
}

/// A source's token as configuration gives it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// Written out in the file. `apply` keeps only its hash.
    Given(String),
    /// Kept elsewhere.
    Kept(Kept),
}

/// Where a token is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Kept {
    /// In an environment variable of ingest.
    Env(String),
    /// In a file that ingest can read.
    File(PathBuf),
    /// Nowhere: this is its SHA-256 in hexadecimal.
    Sha256(TokenHash),
}

impl Token {
    /// The hash to compare presented tokens with.
    ///
    /// # Errors
    /// The variable or file that keeps it cannot be read.
    pub fn hash(&self) -> Result<TokenHash, crate::secret::Error> {
        match self {
            Self::Given(token) => Ok(TokenHash::of(token)),
            Self::Kept(Kept::Sha256(hash)) => Ok(hash.clone()),
            Self::Kept(Kept::Env(name)) => Ok(TokenHash::of(&SecretRef::Env(name.clone()).read()?)),
            Self::Kept(Kept::File(path)) => Ok(TokenHash::of(&SecretRef::File(path.clone()).read()?)),
        }
    }

    /// The same token without its text.
    pub fn sealed(self) -> Self {
        match self {
            Self::Given(token) => Self::Kept(Kept::Sha256(TokenHash::of(&token))),
            kept @ Self::Kept(_) => kept,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Token(…)"),
            Self::Kept(Kept::Env(name)) => write!(f, "Token(env {name})"),
            Self::Kept(Kept::File(path)) => write!(f, "Token(file {})", path.display()),
            Self::Kept(Kept::Sha256(_)) => f.write_str("Token(sha256 …)"),
        }
    }
}

fn default_upsell_window() -> Span {
    Span::from_secs(60 * 60)
}

/// The names that trackers and funnels commonly give to a click id.
pub fn default_click_id_keys() -> Vec<String> {
    ["clickid", "click_id", "rtclickid", "cid", "subid", "sub_id", "aff_sub", "tid"].map(String::from).into()
}
