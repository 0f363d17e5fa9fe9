//! The process configuration: embedded defaults, then the file, then the environment.
//!
//! A bad configuration is refused whole, with one line per fault that names the key. The defaults are
//! the reference: every key stands in `default.toml` with a comment.

mod broker;
mod fault;
mod layers;
mod listeners;
mod retention;
mod spool;
mod tag;

pub use broker::Broker;
pub use fault::{Fault, Faults};
pub use retention::{Keep, Retention};

use crate::retry::Schedule;
use crate::store;
use crate::time::Span;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The commented defaults.
pub const DEFAULTS: &str = include_str!("default.toml");

/// The exit code for a bad configuration (`EX_USAGE`).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// Everything that a process can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The broker.
    pub broker: Broker,
    /// The store.
    pub store: Store,
    /// The spool of carom-ingest.
    pub spool: Spool,
    /// Delivery retries.
    pub retry: Retry,
    /// Process logs.
    pub log: Log,
    /// carom-ingest.
    pub ingest: Ingest,
    /// The tag that carom-ingest serves.
    pub tag: Tag,
    /// carom-worker.
    pub worker: Worker,
    /// Outbound requests.
    pub egress: Egress,
    /// How long data is kept.
    pub retention: Retention,
    /// The files that keys were read from, by key, as in `broker.url`: what is a secret may be read again there.
    #[serde(skip)]
    pub files: BTreeMap<String, PathBuf>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The SQLite file.
    pub path: PathBuf,
    /// The PostgreSQL database in its place; none for SQLite.
    #[serde(deserialize_with = "postgres")]
    pub url: Option<store::Url>,
    /// Who may vouch for its server; empty for those whom the system trusts.
    pub ca_file: PathBuf,
}

/// `[spool]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// The spool's file.
    pub path: PathBuf,
    /// How large it may become, in bytes.
    pub max_bytes: u64,
}

/// `[retry]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The tiers.
    pub schedule: Schedule,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines there are.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person at a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// `[ingest]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Whether it declares queues and exchanges.
    pub declare: bool,
    /// The public listener.
    pub listen: SocketAddr,
    /// The ops listener.
    pub ops_listen: SocketAddr,
    /// The last good resources on disk.
    pub snapshot_path: PathBuf,
    /// How often to look for new resources.
    pub follow_interval: Span,
    /// The largest body, in bytes.
    pub max_body_bytes: usize,
    /// Requests in work at once.
    pub max_in_flight: usize,
    /// Requests of one source in work at once, where it does not say its own number.
    pub max_in_flight_per_source: usize,
    /// Bytes of events in memory at once.
    pub max_bytes_in_flight: usize,
    /// Connections open at once.
    pub max_connections: usize,
    /// The time limit of a request's head.
    pub header_timeout: Span,
    /// The time limit of a request's body.
    pub body_timeout: Span,
    /// How long a client may leave an answer unread.
    pub write_timeout: Span,
    /// How long a redirect waits for its click's confirm.
    pub click_patience: Span,
    /// Whose word is taken for the client's address.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedHeader,
    /// The database of countries; empty for none.
    pub country_database: PathBuf,
    /// The time limit of a drain.
    pub drain_timeout: Span,
}

/// A PostgreSQL database's URL; empty for none.
fn postgres<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<store::Url>, D::Error> {
    let text = String::deserialize(given)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

/// By which header proxies say whose request they pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded`, as in RFC 7239.
    Forwarded,
}

/// Networks, of which one of a single address may be written as that address.
fn networks<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| alone()).map_err(|_| {
            let wrong =
                format!("`{text}` is no network, as 10.0.0.0/8 is one, and no address, as 192.0.2.7 is");
            serde::de::Error::custom(wrong)
        })
    };
    Vec::<String>::deserialize(given)?.into_iter().map(network).collect()
}

/// `[tag]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The path of the script.
    pub script: String,
    /// The path of the endpoint that it sends to.
    pub track: String,
    /// How long an event of its waits for the store.
    pub patience: Span,
}

/// `[worker]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// The ops listener.
    pub ops_listen: SocketAddr,
    /// How often to look for new resources.
    pub follow_interval: Span,
    /// Messages held at once, per queue.
    pub prefetch: u16,
    /// How long an event waits for its click.
    pub parking: Span,
    /// How long a delivery may be due.
    pub max_due: Span,
    /// How long a delivery may be due, with its queue empty, before its message is taken for lost.
    pub overdue_after: Span,
    /// How many failures in a row open a connector's breaker; 0 for never.
    pub breaker_failures: u32,
    /// How much of a request the webhook log keeps: of its headers and of its body, in bytes each.
    pub log_body_bytes: usize,
    /// How long dedupe markers live.
    pub marker_retention: Span,
    /// How often queues are measured.
    pub measure_interval: Span,
    /// The time limit of a drain.
    pub drain_timeout: Span,
}

/// `[egress]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Networks that are allowed though they are not public.
    pub allow: Vec<IpNet>,
    /// How much of a response is read, in bytes.
    pub response_bytes: usize,
    /// Authorities that are trusted beside the system's, in PEM; empty for none.
    pub ca_file: PathBuf,
}

impl Config {
    /// Loads the configuration of this process: defaults, then `file`, then `CAROM_*`.
    ///
    /// # Errors
    /// Every fault that it has, each with its key.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                let remedy = "name an existing file with --config, or leave it out to run on defaults";
                Faults::one(Fault::new(
                    path.display().to_string(),
                    "",
                    format!("cannot be read: {error}"),
                    remedy,
                ))
            })?,
        };
        let name = file.map_or("defaults".to_owned(), |path| path.display().to_string());
        layers::load(&name, &text, std::env::vars().filter(|(key, _)| key.starts_with("CAROM_")))
    }
}

#[cfg(test)]
mod tests;
