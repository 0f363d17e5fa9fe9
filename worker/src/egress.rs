//! The only way out: one HTTP exchange with a destination that may be slow, broken or hostile.
//!
//! Stands between `deliver`, which has rendered a request, and the network. What holds for every attempt:
//!
//! - It reaches no address that is not globally reachable, unless the operator allowed its range (G10):
//!   hosts that are IP literals are vetted here, names in [`resolver`], and connections go to what was
//!   vetted. Redirects are not followed and no proxy is asked, so there is no other way round.
//! - It ends at its deadline, which covers everything from the name to the last byte of the body.
//! - It costs a bounded amount of memory, whatever comes back: hyper ends an HTTP/1 answer at 100 headers or
//!   a head of 408 KiB (and holds no more than that of a body at once); HTTP/2 is bound to
//!   [`HTTP2_HEADERS`] and [`HTTP2_WINDOW`] below; of a body the first `response_cap` bytes, or as
//!   many as the caller asks for, are kept, as they came: nothing is decompressed. What is longer costs the
//!   connection.
//! - It shares nothing that another destination's attempts could use up (G7): no limit, no queue and no
//!   retry budget across hosts. How many attempts there are at a time, and so how many sockets, is each
//!   connector's limit to set. Attempts to one host over HTTP/2 do share its connection.
//!
//! It must never log a request or an answer: they hold tokens and personal data (G9).

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carom_common::config::Config;
use http::Method;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

pub use self::address::vet;
pub use self::failure::Failure;
use self::stage::Stage;

pub mod address;
mod failure;
mod resolver;
mod retry_after;
mod stage;

/// Connecting, with TLS, may take no longer than this even where the deadline is later. It is divided over a
/// name's addresses, so that one that swallows packets leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the keep-alive of usual servers, so that they seldom close a connection as we reuse it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// As many as a busy connector has attempts under way: one that is closed for want of a place is opened again at once.
const IDLE_PER_HOST: usize = 64;
const HTTP2_HEADERS: u32 = 64 * 1024;
const HTTP2_WINDOW: u32 = 256 * 1024;
/// A shared HTTP/2 connection whose other end is gone would fail every attempt to that host until TCP
/// notices; with these it is found out within 30 s.
const HTTP2_PING: Duration = Duration::from_secs(10);
const HTTP2_PONG: Duration = Duration::from_secs(20);

/// Headers that describe the connection or the framing: ours, or two parties disagree on where a request ends.
const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ranges that deliveries may go to although they are not globally reachable.
    pub allow: Vec<IpNet>,
    /// How many bytes of a body are kept of an attempt's answer.
    pub response_cap: usize,
    /// The `User-Agent` of requests that bring none.
    pub user_agent: String,
    /// Certificates (PEM) of authorities that are trusted beside the system's; none where it is empty.
    pub ca_file: PathBuf,
}

/// What the operator has decided, by the configuration.
pub fn settings(config: &Config) -> Settings {
    Settings {
        allow: config.egress.allow.clone(),
        response_cap: config.egress.response_bytes,
        user_agent: concat!("carom/", env!("CARGO_PKG_VERSION")).to_owned(),
        ca_file: config.egress.ca_file.clone(),
    }
}

/// Why there is no way out at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `main` installs rustls' provider before anything else.
    #[error("no process-wide rustls provider is installed")]
    NoTlsProvider,
    /// The operator's file of authorities cannot be read, or holds none.
    #[error("egress.ca_file: {} {problem}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The user agent is not a header value, or the system has no root certificates.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// A request, ready to be sent. Not `Debug`: it holds tokens and personal data.
pub struct Request {
    /// GET, POST and so on.
    pub method: Method,
    /// `http` or `https`; a user and password in it become Basic authorization.
    pub url: Url,
    /// Names and values as rendered; one given twice is sent twice. They win over our own defaults.
    pub headers: Vec<(String, String)>,
    /// Content type and bytes. The type is left out where `headers` has one.
    pub body: Option<(String, Vec<u8>)>,
}

/// One attempt: how long it took and how it ended.
#[derive(Debug)]
pub struct Exchange {
    /// From the call until its end, the body's reading included.
    pub duration: Duration,
    /// The receiver's answer, whatever its status, or why there is none.
    pub result: Result<Response, Failure>,
}

/// The receiver's answer.
pub struct Response {
    /// The HTTP status. Redirects are answers as any other.
    pub status: u16,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// How long the receiver asked us to wait, as it said it: unbounded.
    pub retry_after: Option<Duration>,
    /// The first bytes of the body as they came, at most as many as were asked for; not decompressed, perhaps not
    /// UTF-8.
    pub body_excerpt: Vec<u8>,
    /// The excerpt is not the whole body: it was longer, or the connection broke or the deadline came in
    /// the middle of it. The status stands all the same: with its headers the receiver has answered, and to
    /// send again what it has taken would only make a duplicate. A success rule that reads the body has
    /// to decide on what there is.
    pub truncated: bool,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("body_bytes", &self.body_excerpt.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// The HTTP client with its pool of connections. Cheap to clone; one serves the process.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    allowed: Arc<[IpNet]>,
    response_cap: usize,
}

impl Egress {
    /// Builds the client. Needs rustls' process-wide provider and the system's root certificates; does no
    /// network I/O.
    ///
    /// # Errors
    /// There is no provider, no root certificate, or the operator's own cannot be read.
    pub fn new(settings: &Settings) -> Result<Egress, SetupError> {
        Egress::with_lookup(settings, resolver::system())
    }

    fn with_lookup(settings: &Settings, lookup: resolver::Lookup) -> Result<Egress, SetupError> {
        // reqwest would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(SetupError::NoTlsProvider);
        }
        let allowed: Arc<[IpNet]> = settings.allow.as_slice().into();
        let client = reqwest::Client::builder()
            .tls_certs_merge(authorities(&settings.ca_file)?)
            .connector_layer(stage::Watch)
            .dns_resolver(resolver::Resolver::new(lookup, Arc::clone(&allowed)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            // An attempt is one exchange; retries are the tiers'. reqwest's have a budget that hosts share.
            .retry(reqwest::retry::never())
            .user_agent(&settings.user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http2_max_header_list_size(HTTP2_HEADERS)
            .http2_initial_stream_window_size(HTTP2_WINDOW)
            .http2_initial_connection_window_size(4 * HTTP2_WINDOW)
            .http2_keep_alive_interval(HTTP2_PING)
            .http2_keep_alive_timeout(HTTP2_PONG)
            .build()?;
        Ok(Egress { client, allowed, response_cap: settings.response_cap })
    }

    /// Makes one attempt, which ends `deadline` from now at the latest. Dropping the future ends it, too.
    pub async fn attempt(&self, request: Request, deadline: Duration) -> Exchange {
        self.attempt_up_to(self.response_cap, request, deadline).await
    }

    /// The same, keeping `cap` bytes of the body: of an answer that is of use only when it is whole.
    pub async fn attempt_up_to(&self, cap: usize, request: Request, deadline: Duration) -> Exchange {
        let started = Instant::now();
        let result = self.exchange(cap, request, started + deadline).await;
        Exchange { duration: started.elapsed(), result }
    }

    async fn exchange(&self, cap: usize, request: Request, until: Instant) -> Result<Response, Failure> {
        let https = request.url.scheme() == "https";
        self.vet_literal(&request.url)?;
        let request = self.prepare(request)?;
        let (executing, stage) = stage::watched(self.client.execute(request));
        let mut response = match timeout_at(until, executing).await {
            Ok(answered) => answered.map_err(|error| Failure::of(&error.without_url(), https))?,
            Err(_) => return Err(late(stage())),
        };
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after::parse(value, Timestamp::now()));
        let mut body_excerpt = Vec::new();
        let reading = read_up_to(cap, &mut response, &mut body_excerpt);
        let whole = timeout_at(until, reading).await.unwrap_or(false);
        let headers = std::mem::take(response.headers_mut());
        let status = response.status().as_u16();
        Ok(Response { status, headers, retry_after, body_excerpt, truncated: !whole })
    }

    /// Vets a host that is an address, which no resolver will be asked about. The url crate has read every
    /// spelling that a browser takes (`2130706433`, `0x7f.1`, `127.1`) as the address that it means.
    fn vet_literal(&self, url: &Url) -> Result<(), Failure> {
        let ip: IpAddr = match url.host() {
            Some(Host::Ipv4(ip)) => ip.into(),
            Some(Host::Ipv6(ip)) => ip.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Failure::Unsendable("the URL has no host".to_owned())),
        };
        Ok(vet(ip, &self.allowed)?)
    }

    fn prepare(&self, request: Request) -> Result<reqwest::Request, Failure> {
        let unsendable = |what: String| Failure::Unsendable(what);
        if !matches!(request.url.scheme(), "http" | "https") {
            return Err(unsendable(format!("the URL's scheme is {}", request.url.scheme())));
        }
        // Values stay out of the texts: they hold tokens.
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let parsed = HeaderName::try_from(name)
                .map_err(|_| unsendable(format!("{name:?} is not a header name")))?;
            if OURS.contains(&parsed) {
                return Err(unsendable(format!("the header {parsed} is not the connector's to set")));
            }
            let value = HeaderValue::try_from(value).map_err(|_| {
                unsendable(format!("the value of the header {parsed} has control characters"))
            })?;
            headers.try_append(parsed, value).map_err(|_| unsendable("too many headers".to_owned()))?;
        }
        let (content_type, body) = request.body.unzip();
        if let Some(content_type) = content_type
            && !headers.contains_key(header::CONTENT_TYPE)
        {
            let value = HeaderValue::try_from(content_type)
                .map_err(|_| unsendable("the content type has control characters".to_owned()))?;
            headers.insert(header::CONTENT_TYPE, value);
        }
        // hyper leaves the length of nothing out, and some servers refuse a POST without one (411).
        let body = body.unwrap_or_default();
        if body.is_empty() && matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let builder = self.client.request(request.method, request.url).headers(headers).body(body);
        builder.build().map_err(|error| Failure::of(&error.without_url(), false))
    }
}

/// The deadline came while an attempt was doing this.
fn late(stage: Stage) -> Failure {
    match stage {
        Stage::Resolving => Failure::Dns("no answer in time".to_owned()),
        Stage::Connecting => Failure::Connect("none in time, its TLS handshake included".to_owned()),
        Stage::Exchanging => Failure::Timeout,
    }
}

/// The authorities in a file of the operator's; none where there is no such file to be read.
fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, SetupError> {
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |problem: String| SetupError::CaFile { path: path.to_owned(), problem };
    let pem = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let mut store = RootCertStore::empty();
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| wrong("is not PEM".to_owned()))?;
        let read = reqwest::Certificate::from_der(&certificate);
        match (read, store.add(certificate)) {
            (Ok(read), Ok(())) => found.push(read),
            _ => return Err(wrong("holds something that is no certificate".to_owned())),
        }
    }
    if found.is_empty() {
        return Err(wrong("holds no certificate in PEM".to_owned()));
    }
    Ok(found)
}

/// Reads at most `cap` bytes of the body into `kept`; true if that was all of it.
async fn read_up_to(cap: usize, response: &mut reqwest::Response, kept: &mut Vec<u8>) -> bool {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = cap - kept.len();
                kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    return false;
                }
            }
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
