//! How the broker is reached: its nodes, who we are to it, and whom we believe that it is.

use super::Error;
use crate::config::{Broker, Config};
use crate::secret::SecretRef;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::AsyncTcpStream;
use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use lapin::uri::{AMQPScheme, AMQPUri, SASLMechanism};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;

/// The broker's address. Clones share it.
#[derive(Clone)]
pub struct Address {
    broker: Arc<Broker>,
    /// The file that the URL was read from, read again for every connection, so that a password that was
    /// changed needs no restart.
    url_file: Option<PathBuf>,
    /// The last URL that was one: a file that is being written, or was written wrongly, must not take it from us.
    last_url: Arc<Mutex<String>>,
}

/// One node of the broker, and all that is needed to log in to it.
#[derive(Clone)]
pub struct Node {
    /// Its host and port, as in `rabbit-2:5672`.
    pub name: Arc<str>,
    /// Host, port, user, password and vhost; never with the scheme of TLS, which is ours to do.
    pub(super) uri: AMQPUri,
    /// Present where the URL says amqps.
    tls: Option<RustlsConnector>,
}

impl Address {
    /// The address that a configuration gives.
    pub fn new(config: &Config) -> Self {
        let url_file = config.files.get("broker.url").cloned();
        let last_url = Arc::new(Mutex::new(config.broker.url.clone()));
        Self { broker: Arc::new(config.broker.clone()), url_file, last_url }
    }

    /// The nodes, in the order of the configuration. URL file and certificates are read now.
    ///
    /// # Errors
    /// The URL is none, or certificates cannot be used.
    pub fn nodes(&self) -> Result<Vec<Node>, Error> {
        let uris = nodes(&self.broker, &self.url())?;
        let connector = match uris.iter().any(|(_, tls)| *tls) {
            true => Some(certificates(&self.broker)?),
            false => None,
        };
        let node = |(uri, _): (AMQPUri, bool)| {
            let name = name(&uri.authority.host, uri.authority.port).into();
            Node { name, uri, tls: connector.clone() }
        };
        Ok(uris.into_iter().map(node).collect())
    }

    /// The vhost that we work in.
    ///
    /// # Errors
    /// The URL is none.
    pub fn vhost(&self) -> Result<String, Error> {
        nodes(&self.broker, &self.url()).map(|mut nodes| nodes.swap_remove(0).0.vhost)
    }

    /// While its file cannot be read or holds no URL, as in the middle of being replaced, it is the last that was one.
    fn url(&self) -> String {
        let Some(path) = &self.url_file else { return self.broker.url.clone() };
        let mut last = self.last_url.lock().unwrap_or_else(PoisonError::into_inner);
        match SecretRef::File(path.clone()).read() {
            Ok(url) if nodes(&self.broker, &url).is_ok() => last.clone_from(&url),
            Ok(_) => warn!(file = %path.display(), "broker.url_file_holds_no_url"),
            Err(error) => warn!(%error, "broker.url_file_unreadable"),
        }
        last.clone()
    }
}

impl Node {
    /// The plain connection as it is, or TLS on it, with the node's name verified.
    pub(super) async fn secured<S>(&self, stream: AsyncTcpStream<S>) -> std::io::Result<AsyncTcpStream<S>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match &self.tls {
            Some(connector) => stream.into_rustls(connector, &self.uri.authority.host).await,
            None => Ok(stream),
        }
    }

    /// Who we are to it, for a person to read.
    pub(super) fn user(&self) -> String {
        match self.uri.query.auth_mechanism {
            Some(SASLMechanism::External) => "the user of the client certificate".to_owned(),
            _ => format!("user `{}`", self.uri.authority.userinfo.username),
        }
    }
}

/// The nodes that `url` and the further hosts name, and whether TLS is asked for.
///
/// # Errors
/// The URL is none. What is said of that never repeats it.
pub(crate) fn nodes(broker: &Broker, url: &str) -> Result<Vec<(AMQPUri, bool)>, Error> {
    let parsed = url::Url::parse(url).map_err(|_| Error::Url)?;
    if parsed.cannot_be_a_base() {
        return Err(Error::Url);
    }
    let mut uri: AMQPUri = url.parse().map_err(|_| Error::Url)?;
    // lapin takes an address in brackets for no host at all, and goes to localhost.
    if let Some(url::Host::Ipv6(address)) = parsed.host() {
        uri.authority.host = address.to_string();
    }
    let tls = uri.scheme == AMQPScheme::AMQPS;
    uri.scheme = AMQPScheme::AMQP;
    uri.query.heartbeat = uri.query.heartbeat.or_else(|| u16::try_from(broker.heartbeat.0.as_secs()).ok());
    let named = !parsed.username().is_empty() || parsed.password().is_some();
    if !named && !broker.client_cert_file.as_os_str().is_empty() {
        uri.query.auth_mechanism = uri.query.auth_mechanism.or(Some(SASLMechanism::External));
    }
    let mut nodes = vec![(uri.clone(), tls)];
    for (host, port) in broker.hosts.iter().filter_map(|host| host_and_port(host)) {
        let mut further = uri.clone();
        (further.authority.host, further.authority.port) = (host, port);
        nodes.push((further, tls));
    }
    Ok(nodes)
}

/// Reads `host:port`, of which the host may be an address in brackets.
pub(crate) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', '@', '[', ']', ' ']),
    };
    let port = port.parse().ok().filter(|port| *port != 0)?;
    good.then(|| (bare.unwrap_or(host).to_owned(), port))
}

fn name(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Whom we believe, and what we show: the authorities of `ca_file` and nobody else, or the system's where there
/// is none.
///
/// # Errors
/// A file cannot be read, or is no PEM of what it should be.
pub(crate) fn certificates(broker: &Broker) -> Result<RustlsConnector, Error> {
    let mut config = RustlsConnectorConfig::default();
    if broker.ca_file.as_os_str().is_empty() {
        config = RustlsConnectorConfig::new_with_platform_verifier();
    } else {
        config.add_parsable_certificates(chain("ca_file", &broker.ca_file)?);
    }
    if broker.client_cert_file.as_os_str().is_empty() {
        config.connector_with_no_client_auth().map_err(|error| refused("ca_file", &broker.ca_file, error))
    } else {
        let certificate = chain("client_cert_file", &broker.client_cert_file)?;
        let key = PrivateKeyDer::from_pem_file(&broker.client_key_file)
            .map_err(|error| refused("client_key_file", &broker.client_key_file, error))?;
        let connector = config.connector_with_single_cert(certificate, key);
        connector.map_err(|error| refused("client_cert_file", &broker.client_cert_file, error))
    }
}

fn chain(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = certificates.map_err(|error| refused(key, path, error))?;
    if certificates.is_empty() {
        return Err(refused(key, path, "there is no certificate in it"));
    }
    Ok(certificates)
}

fn refused(key: &'static str, path: &Path, why: impl ToString) -> Error {
    Error::Certificates { key, problem: format!("{} cannot be used: {}", path.display(), why.to_string()) }
}

#[cfg(test)]
mod tests;
