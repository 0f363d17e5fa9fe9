//! The resources as a request needs them: offers parsed, sources by host, tokens as hashes.

use crate::problem::{Kind, Problem};
use carom_common::id::OfferId;
use carom_common::offer::{Offer, TrackingUrl};
use carom_common::resources::Versioned;
use carom_common::secret::TokenHash;
use carom_common::source::{Kept, Source, Token};
use std::collections::HashMap;
use std::sync::Arc;
use tracing::{error, warn};

/// An offer that can be redirected to.
#[derive(Debug)]
pub struct Target {
    /// The offer.
    pub offer: Offer,
    /// Its tracking URL, parsed.
    pub url: TrackingUrl,
}

/// The resources of one version. Never changed, only replaced.
#[derive(Debug, Default)]
pub struct Index {
    resources: Arc<Versioned>,
    offers: HashMap<OfferId, Arc<Target>>,
    sources: Vec<Arc<Source>>,
    /// The position in `sources` of the source that speaks for a host.
    hosts: HashMap<String, usize>,
    /// Every readable token's hash, and the position of its source.
    tokens: Vec<(TokenHash, usize)>,
    /// How many tokens cannot be read.
    unreadable: usize,
}

impl Index {
    /// Makes the index, and reads the tokens that are kept elsewhere. What cannot be used is told once,
    /// here, and left out; everything else works.
    pub fn new(resources: Arc<Versioned>) -> Self {
        let mut offers = HashMap::new();
        for offer in &resources.resources.offers {
            match TrackingUrl::parse(&offer.tracking_url) {
                Ok(url) => {
                    offers.insert(offer.id.clone(), Arc::new(Target { offer: offer.clone(), url }));
                }
                Err(_) => error!(offer = %offer.id, "resources.faulty_offer"),
            }
        }
        let sources: Vec<_> = resources.resources.sources.iter().cloned().map(Arc::new).collect();
        let hosts = hosts(&sources);
        let (tokens, unreadable) = read_tokens(&sources);
        for (source, error) in &unreadable {
            warn!(source = %sources[*source].id, %error, "resources.unreadable_token");
        }
        Self { resources, offers, sources, hosts, tokens, unreadable: unreadable.len() }
    }

    /// Whether there is anything to answer from. Before the first `apply`, or with neither store nor
    /// snapshot at hand, nobody's token is wrong and no offer is unknown: it is too early to say.
    ///
    /// # Errors
    /// The problem to answer with.
    pub fn in_use(&self) -> Result<(), Problem> {
        if self.resources.version > 0 {
            return Ok(());
        }
        let detail = "Send the request again later. If you run this relay: `carom-worker apply` sets it up.";
        Err(Problem::new(Kind::NoResources, detail))
    }

    /// What it was made from.
    pub fn resources(&self) -> &Arc<Versioned> {
        &self.resources
    }

    /// How many tokens cannot be read.
    pub fn unreadable_tokens(&self) -> usize {
        self.unreadable
    }

    /// The offer of this name.
    pub fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.offers.get(&name.parse().ok()?)
    }

    /// The source that speaks for a host, given in lower case and without its port.
    pub fn source_of_host(&self, host: &str) -> Option<&Arc<Source>> {
        self.hosts.get(host).map(|source| &self.sources[*source])
    }

    /// The source that has this token. Every token is compared, in a time that does not depend on which
    /// of them is right, or how nearly.
    pub fn source_of_token(&self, presented: &str) -> Option<&Arc<Source>> {
        let presented = TokenHash::of(presented);
        let mut found = None;
        for (token, source) in &self.tokens {
            if token.matches(&presented) {
                found = Some(*source);
            }
        }
        found.map(|source| &self.sources[source])
    }

    /// Whether a token that is kept in a file or variable reads otherwise now.
    pub fn tokens_changed(&self) -> bool {
        let elsewhere = |token: &Token| matches!(token, Token::Kept(Kept::Env(_) | Kept::File(_)));
        if !self.sources.iter().any(|source| source.tokens.iter().any(elsewhere)) {
            return false;
        }
        let (tokens, unreadable) = read_tokens(&self.sources);
        tokens != self.tokens || unreadable.len() != self.unreadable
    }
}

/// Open sources come first: a host that one of them speaks for needs no token.
fn hosts(sources: &[Arc<Source>]) -> HashMap<String, usize> {
    let mut hosts = HashMap::new();
    for open in [true, false] {
        for (position, source) in sources.iter().enumerate().filter(|(_, source)| source.open == open) {
            for domain in &source.event_domains {
                hosts.entry(domain.trim_end_matches('.').to_ascii_lowercase()).or_insert(position);
            }
        }
    }
    hosts
}

type Unreadable = (usize, carom_common::secret::Error);

fn read_tokens(sources: &[Arc<Source>]) -> (Vec<(TokenHash, usize)>, Vec<Unreadable>) {
    let (mut tokens, mut unreadable) = (Vec::new(), Vec::new());
    for (position, source) in sources.iter().enumerate() {
        for token in &source.tokens {
            match token.hash() {
                Ok(hash) => tokens.push((hash, position)),
                Err(error) => unreadable.push((position, error)),
            }
        }
    }
    (tokens, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::resources::Resources;

    fn index(resources: serde_json::Value) -> Index {
        let resources: Resources = serde_json::from_value(resources).unwrap();
        Index::new(Arc::new(Versioned { version: 1, resources }))
    }

    #[test]
    fn a_token_names_its_source_and_none_but_its_source() {
        let index = index(serde_json::json!({"source": [
            {"id": "a", "advertiser": "x", "kind": "plain", "tokens": ["first", "second"]},
            {"id": "b", "advertiser": "x", "kind": "plain", "tokens": ["third"]},
            {"id": "c", "advertiser": "x", "kind": "plain"},
        ]}));
        let named = |token: &str| index.source_of_token(token).map(|source| source.id.to_string());
        for (token, source) in [("first", "a"), ("second", "a"), ("third", "b")] {
            assert_eq!(named(token).as_deref(), Some(source), "{token}");
        }
        for stranger in ["", "firs", "first ", "First", "firstsecond", "\0", "c", &"x".repeat(100_000)] {
            assert_eq!(named(stranger), None, "{stranger:.20}");
        }
    }

    #[test]
    fn an_unreadable_token_is_left_out_and_the_others_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let index = index(serde_json::json!({"source": [
            {"id": "a", "advertiser": "x", "kind": "plain", "tokens": [{"file": path}, "other"]},
        ]}));
        assert_eq!(index.unreadable_tokens(), 1);
        assert!(index.source_of_token("other").is_some());
        assert!(!index.tokens_changed());

        std::fs::write(&path, "late\n").unwrap();
        assert!(index.tokens_changed());
        let index = Index::new(index.resources().clone());
        assert!(index.source_of_token("late").is_some());
        std::fs::write(&path, "rotated\n").unwrap();
        assert!(index.tokens_changed());
    }

    #[test]
    fn an_open_source_speaks_for_a_host_that_it_shares() {
        let index = index(serde_json::json!({"source": [
            {"id": "closed", "advertiser": "x", "kind": "plain", "event_domains": ["e.example"]},
            {"id": "open", "advertiser": "x", "kind": "plain", "open": true, "event_domains": ["E.Example."]},
        ]}));
        assert_eq!(index.source_of_host("e.example").unwrap().id.as_str(), "open");
        assert!(index.source_of_host("f.example").is_none());
    }
}
