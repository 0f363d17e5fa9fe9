//! Why an attempt got no answer: typed, because the worker branches on it and never on a text.
//!
//! reqwest, hyper, rustls and the system each report in their own type, nested in one another; the
//! right one is found by its type along the chain of sources. The URL is never part of a message: it
//! carries tokens and click ids (G9).

use std::error::Error;
use std::io::{self, ErrorKind};
use std::iter;

use super::address::Blocked;
use super::resolver::NotFound;

/// An attempt that ended without an HTTP status. The texts are for people; none contains the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The destination's address is not open to deliveries; nothing was sent. Another attempt will not
    /// change it, unless the name's addresses change.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The request cannot be put on the wire as it is (a line break in a header, a scheme other than
    /// http and https); nothing was sent, and another attempt will not change it.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// The name has no address, or no name server answered, or none in time; nothing was sent.
    #[error("the name was not resolved: {0}")]
    Dns(String),
    /// No TCP connection, or none in time, with its TLS handshake; nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// No trustworthy TLS connection, nearly always before anything was sent.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The deadline came after the request had been sent, or was on its way, and before the answer's
    /// headers. The receiver may have taken the request.
    #[error("no answer in time")]
    Timeout,
    /// The connection was cut before the answer's headers had come. The receiver may have taken the
    /// request.
    #[error("the connection was cut before an answer: {0}")]
    Reset(String),
    /// What came back is not HTTP, or its headers are larger than any honest answer's. The receiver may
    /// have taken the request.
    #[error("the answer is not acceptable HTTP: {0}")]
    InvalidResponse(String),
}

impl Failure {
    /// A short, stable name for metrics and listings.
    pub fn class(&self) -> &'static str {
        match self {
            Failure::Blocked(_) => "blocked",
            Failure::Unsendable(_) => "unsendable",
            Failure::Dns(_) => "dns",
            Failure::Connect(_) => "connect",
            Failure::Tls(_) => "tls",
            Failure::Timeout => "timeout",
            Failure::Reset(_) => "reset",
            Failure::InvalidResponse(_) => "protocol",
        }
    }

    /// What reqwest's error is, of a request to an `https` URL or not.
    pub(super) fn of(error: &reqwest::Error, https: bool) -> Failure {
        if let Some(blocked) = find::<Blocked>(error) {
            return Failure::Blocked(blocked.clone());
        }
        if let Some(not_found) = find::<NotFound>(error) {
            return Failure::Dns(detail(not_found));
        }
        if let Some(tls) = find::<rustls::Error>(error) {
            return Failure::Tls(detail(tls));
        }
        if error.is_timeout() {
            return match error.is_connect() {
                true => Failure::Connect("none in time, its TLS handshake included".to_owned()),
                false => Failure::Timeout,
            };
        }
        if error.is_builder() {
            return Failure::Unsendable(detail(innermost(error)));
        }
        let io = find::<io::Error>(error);
        if error.is_connect() {
            // Dialling does not end in these, so the connection stood and the handshake was cut.
            let cut = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            return match io.map(io::Error::kind) {
                Some(kind) if https && cut.contains(&kind) => {
                    Failure::Tls("the connection was cut in the handshake".to_owned())
                }
                _ => Failure::Connect(detail(innermost(error))),
            };
        }
        if let Some(io) = io {
            return Failure::Reset(detail(io));
        }
        // An HTTP/2 receiver that goes away, as all do when they are restarted, or that gives this request back.
        if let Some(http2) = find::<h2::Error>(error)
            && http2.is_remote()
            && (http2.is_go_away() || http2.is_reset())
        {
            return Failure::Reset(detail(http2));
        }
        match find::<hyper::Error>(error) {
            Some(hyper) if hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed() => {
                Failure::Reset(detail(hyper))
            }
            _ => Failure::InvalidResponse(detail(innermost(error))),
        }
    }
}

/// The error and all that is under it. An [`io::Error`] that wraps another error reports as its source
/// what is under the wrapped one, so that one is taken by hand.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// The innermost error of one type: of nested [`io::Error`]s the one that the system made.
fn find<T: Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).filter_map(|cause| cause.downcast_ref()).last()
}

/// The last of the chain; it is reqwest's own error, the only one to print a URL, where there is no other.
fn innermost(error: &reqwest::Error) -> &(dyn Error + 'static) {
    chain(error).last().unwrap_or(error)
}

/// An error's text, with a bound and on one line: a certificate's names are the other side's words.
fn detail(error: &dyn Error) -> String {
    const LONGEST: usize = 200;
    error.to_string().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
