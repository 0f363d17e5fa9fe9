//! `postgres://user:password@host:port/database?sslmode=…`, in libpq's words.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// A URL that is none of PostgreSQL's. It never quotes what was given: there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not of the form.
    #[error(
        "is not `postgres://user@host:port/database?sslmode=verify-full` (percent-encode a password's special characters)"
    )]
    Form,
    /// A word for `sslmode` that is not known here.
    #[error("sslmode is one of disable, prefer, require, verify-full")]
    SslMode,
    /// No database.
    #[error("names no host or no database: `postgres://user@host:port/database`")]
    Incomplete,
}

/// How sure a connection is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// None.
    Disable,
    /// Where the server has it; nobody is asked who they are.
    Prefer,
    /// Always. As with libpq, the certificate is checked where there is a `ca_file`, and the name is not.
    Require,
    /// Always, and the certificate must be of the host that was named.
    VerifyFull,
}

/// Where a PostgreSQL database is.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    config: Config,
    pub(super) tls: Tls,
    /// Who may vouch for the server; empty for those whom the system trusts.
    pub(super) ca_file: PathBuf,
}

impl Url {
    /// The same, with the authorities of this file trusted and no others, unless it is empty.
    #[must_use]
    pub fn trusting(self, ca_file: &Path) -> Self {
        Self { ca_file: ca_file.to_owned(), ..self }
    }

    /// As tokio-postgres takes it.
    pub(super) fn config(&self, connect: Duration) -> Config {
        let mut config = self.config.clone();
        config.connect_timeout(connect);
        config.keepalives_idle(Duration::from_secs(15));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(20));
        if config.get_application_name().is_none() {
            config.application_name("carom");
        }
        config.ssl_mode(match self.tls {
            Tls::Disable => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyFull => SslMode::Require,
        });
        config
    }
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(BadUrl::Form);
        }
        // tokio-postgres knows fewer words for sslmode than libpq: that one is ours to read.
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let mut tls = Tls::Prefer;
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.strip_prefix("sslmode=") {
                None => others.push(pair),
                Some("disable") => tls = Tls::Disable,
                Some("prefer") => tls = Tls::Prefer,
                Some("require") => tls = Tls::Require,
                Some("verify-full") => tls = Tls::VerifyFull,
                Some(_) => return Err(BadUrl::SslMode),
            }
        }
        let mut config: Config =
            format!("{before}?{}", others.join("&")).parse().map_err(|_| BadUrl::Form)?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none_or(str::is_empty) {
            return Err(BadUrl::Incomplete);
        }
        // Of several, the one that writes is meant: a standby takes connections just as well, and would be stayed
        // with, reading what is old and writing nothing.
        let said = others.iter().any(|pair| pair.starts_with("target_session_attrs="));
        if config.get_hosts().len() > 1 && !said {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Ok(Self { text: text.to_owned(), config, tls, ca_file: PathBuf::new() })
    }
}

/// Without the password.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let user = self.config.get_user().unwrap_or_default();
        write!(f, "postgres://{user}@{host}:{port}/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Url {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
