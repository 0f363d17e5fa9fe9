//! The resources as a request needs them: offers parsed, sources by host, tokens as hashes, signing secrets
//! read.

use crate::problem::{Kind, Problem};
use carom_common::id::{AdvertiserId, ConnectorId, OfferId, SourceId};
use carom_common::offer::{Offer, TrackingUrl};
use carom_common::pipeline::roster::Roster;
use carom_common::pixel::Code;
use carom_common::resources::Versioned;
use carom_common::secret::TokenHash;
use carom_common::signature::Verifier;
use carom_common::source::{Kept, Source, Token};
use std::collections::{HashMap, HashSet};
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

/// What a signed source's requests are verified with.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    /// The verifier, with the secrets that can be read.
    pub verifier: Verifier,
    /// How many of its secrets can be read.
    pub readable: usize,
    /// How many of its secrets cannot.
    pub unreadable: usize,
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
    /// What verifies the sources that are signed.
    signed: HashMap<SourceId, Signed>,
    /// What a page's event is decided by, where a source is a tag.
    tags: Option<Tags>,
}

/// What a page's event is decided by.
#[derive(Debug)]
struct Tags {
    /// The position of the source that a site key names.
    keys: HashMap<String, usize>,
    /// The resources, as decisions take them.
    roster: Arc<Roster>,
    /// The code of the pixels that can be filled in.
    pixels: HashMap<ConnectorId, Code>,
    /// Who has a connector with a pixel.
    advertisers: HashSet<AdvertiserId>,
}

impl Tags {
    fn of(Versioned { version, resources, .. }: &Versioned, sources: &[Arc<Source>]) -> Option<Self> {
        let named = |(position, source): (usize, &Arc<Source>)| Some((source.site_key.clone()?, position));
        let keys: HashMap<_, _> = sources.iter().enumerate().filter_map(named).collect();
        if keys.is_empty() {
            return None;
        }
        let with_pixel = resources.connectors.iter().filter(|connector| connector.pixel.is_some());
        let advertisers = with_pixel.clone().map(|connector| connector.advertiser.clone()).collect();
        let mut pixels = HashMap::new();
        for connector in with_pixel {
            match connector.pixel.as_ref().map(|pixel| Code::parse(&pixel.code)) {
                Some(Ok(code)) => drop(pixels.insert(connector.id.clone(), code)),
                _ => error!(connector = %connector.id, "resources.faulty_pixel"),
            }
        }
        let roster = Arc::new(Roster::new(*version, Arc::new(resources.clone().sealed())));
        Some(Self { keys, roster, pixels, advertisers })
    }
}

impl Index {
    /// Makes the index, and reads the tokens and secrets that are kept elsewhere. What cannot be used is told once,
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
        let unreadable = unreadable.len();
        let (signed, unread) = read_secrets(&sources);
        for (source, error) in &unread {
            warn!(%source, error, "resources.unreadable_secret");
        }
        let tags = Tags::of(&resources, &sources);
        Self { resources, offers, sources, hosts, tokens, unreadable, signed, tags }
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

    /// How many signing secrets cannot be read.
    pub fn unreadable_secrets(&self) -> usize {
        self.signed.values().map(|signed| signed.unreadable).sum()
    }

    /// What verifies a signed source's requests. There is none where its signature's description is faulty,
    /// and then nothing of that source can be verified.
    pub fn signed(&self, source: &SourceId) -> Option<&Signed> {
        self.signed.get(source)
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

    /// Whether any source is a tag.
    pub fn has_tags(&self) -> bool {
        self.tags.is_some()
    }

    /// The source that a page's key names.
    pub fn source_of_site_key(&self, key: &str) -> Option<&Arc<Source>> {
        self.tags.as_ref()?.keys.get(key).map(|source| &self.sources[*source])
    }

    /// Whether an advertiser has a connector with a pixel.
    pub fn has_pixels(&self, advertiser: &AdvertiserId) -> bool {
        self.tags.as_ref().is_some_and(|tags| tags.advertisers.contains(advertiser))
    }

    /// What a page's event is decided by.
    pub fn decided_by(&self) -> Option<&Arc<Roster>> {
        self.tags.as_ref().map(|tags| &tags.roster)
    }

    /// A connector's pixel; none where its code is faulty.
    pub fn pixel(&self, connector: &ConnectorId) -> Option<&Code> {
        self.tags.as_ref()?.pixels.get(connector)
    }

    /// Whether a token or secret that is kept in a file or variable reads otherwise now.
    pub fn secrets_changed(&self) -> bool {
        if !self.signed.is_empty() && read_secrets(&self.sources).0 != self.signed {
            return true;
        }
        let elsewhere = |token: &Token| matches!(token, Token::Kept(Kept::Env(_) | Kept::File(_)));
        if !self.sources.iter().any(|source| source.tokens.iter().any(elsewhere)) {
            return false;
        }
        let (tokens, unreadable) = read_tokens(&self.sources);
        tokens != self.tokens || unreadable.len() != self.unreadable
    }
}

/// Open sources come first, because a host that one of them speaks for needs no token; then those that are
/// signed, and need none either.
fn hosts(sources: &[Arc<Source>]) -> HashMap<String, usize> {
    let rank = |source: &Source| match (source.open, source.signature.is_some()) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    };
    let mut hosts = HashMap::new();
    for now in 0..3 {
        for (position, source) in sources.iter().enumerate().filter(|(_, source)| rank(source) == now) {
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

/// Reads the secrets of every signed source. Those of a source stand together, with how many are missing:
/// whoever verifies must know whether all that could be right were tried.
fn read_secrets(sources: &[Arc<Source>]) -> (HashMap<SourceId, Signed>, Vec<(SourceId, String)>) {
    let (mut signed, mut unread) = (HashMap::new(), Vec::new());
    for source in sources {
        let Some(signature) = &source.signature else { continue };
        let (mut keys, before) = (Vec::new(), unread.len());
        for secret in &signature.secrets {
            let key = secret.read().map_err(|error| error.to_string()).and_then(|text| {
                signature.key(&text).map_err(|error| format!("{secret} does not fit: {error}"))
            });
            match key {
                Ok(key) => keys.push(key),
                Err(error) => unread.push((source.id.clone(), error)),
            }
        }
        let (readable, unreadable) = (keys.len(), unread.len() - before);
        match Verifier::new(signature, keys) {
            Ok(verifier) => {
                signed.insert(source.id.clone(), Signed { verifier, readable, unreadable });
            }
            Err(faults) => unread.push((source.id.clone(), carom_common::template::list(&faults))),
        }
    }
    (signed, unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use carom_common::resources::Resources;

    fn index(resources: serde_json::Value) -> Index {
        let resources: Resources = serde_json::from_value(resources).unwrap();
        Index::new(Arc::new(Versioned { version: 1, resources, ..Versioned::default() }))
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
        assert!(!index.secrets_changed());

        std::fs::write(&path, "late\n").unwrap();
        assert!(index.secrets_changed());
        let index = Index::new(index.resources().clone());
        assert!(index.source_of_token("late").is_some());
        std::fs::write(&path, "rotated\n").unwrap();
        assert!(index.secrets_changed());
    }

    #[test]
    fn a_signing_secret_is_read_again_when_its_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("secret"), folder.path().join("other"));
        let signature = serde_json::json!({
            "scheme": "standard_webhooks", "secrets": [{"file": path}, {"file": other}],
        });
        let source =
            serde_json::json!({"id": "a", "advertiser": "x", "kind": "plain", "signature": signature});
        let mut index = index(serde_json::json!({"source": [source]}));
        let id = "a".parse().unwrap();
        let counts = |index: &Index| {
            let signed = index.signed(&id).unwrap();
            (signed.readable, signed.unreadable, index.unreadable_secrets())
        };
        assert_eq!(counts(&index), (0, 2, 2));
        assert!(!index.secrets_changed());
        for (path, text, expected) in [
            (&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", (1, 1, 1)),
            (&path, "whsec_d3Jvbmc=\n", (1, 1, 1)),
            (&other, "whsec_d3Jvbmc=", (2, 0, 0)),
            (&path, "no Base64", (1, 1, 1)),
            (&path, "", (1, 1, 1)),
        ] {
            std::fs::write(path, text).unwrap();
            // Not to be used and empty are the same: a secret that is not there.
            assert_eq!(index.secrets_changed(), !text.is_empty(), "{text}");
            index = Index::new(index.resources().clone());
            assert_eq!(counts(&index), expected, "{text}");
            assert!(!index.secrets_changed());
        }
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
