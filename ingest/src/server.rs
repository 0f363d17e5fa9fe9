//! The public listener: HTTP/1.1 connections, bounded in number, time and size.
//!
//! A client that is slow, silent or wrong loses its own connection and nothing else; an error of `accept`
//! never ends the listener.

mod deadline;

use crate::client::Peer;
use crate::metrics::Ingest;
use axum::Router;
use axum::middleware;
use axum::response::Response;
use carom_common::config;
use deadline::Deadline;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// The most that is buffered of a connection, its request's head included: a head that is longer is
/// answered 431, and a request target of 64 KiB and more 414.
const BUFFER_BYTES: usize = 128 * 1024;

/// The wait after an `accept` that failed, as it does when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients that keep a connection are given to use it once more after `stop`, and to read in the
/// answer that it closes. A request that is on its way to a connection closed at once would get no answer.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Serves until `stop`, then lets what is in work end, for as long as `drain` is not cancelled.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &config::Ingest,
    metrics: Arc<Ingest>,
    stop: CancellationToken,
    drain: CancellationToken,
) {
    let most = u32::try_from(limits.max_connections.max(1)).unwrap_or(u32::MAX);
    let connections = Arc::new(Semaphore::new(most as usize));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout.0).max_buf_size(BUFFER_BYTES);
    let stopping = stop.clone();
    let last_call = middleware::map_response(move |mut response: Response| {
        if stopping.is_cancelled() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(response)
    });
    let service = TowerToHyperService::new(router.layer(last_call));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = service.clone();
        let named = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let stream = Deadline::new(stream, limits.write_timeout.0);
        let connection = http.serve_connection(TokioIo::new(stream), named);
        let connection = graceful.watch(connection);
        let (metrics, cut) = (metrics.clone(), drain.clone());
        tokio::spawn(async move {
            metrics.connections.inc();
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    metrics.connections_failed.with_label_values(&[reason(&error)]).inc();
                    debug!(%error, "connection.failed");
                },
                () = cut.cancelled() => {}
            }
            metrics.connections.dec();
            drop(place);
        });
    }
    // New connections are refused from here on, not left waiting.
    drop(listener);
    let _ = tokio::time::timeout(LAST_CALL, connections.acquire_many(most)).await;
    graceful.shutdown().await;
}

/// The next connection, when there is a place for it. None when the system could not accept one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let place = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%error, "connection.no_nodelay");
            }
            Some((stream, Peer(address.ip()), place))
        }
        Err(error) => {
            warn!(%error, "connection.not_accepted");
            None
        }
    }
}

fn reason(error: &hyper::Error) -> &'static str {
    let system = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    if error.is_timeout() {
        "timeout"
    } else if system.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        "unread"
    } else if error.is_parse() {
        "malformed"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else {
        "broken"
    }
}

#[cfg(test)]
mod tests;
