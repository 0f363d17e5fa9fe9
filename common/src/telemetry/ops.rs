//! The ops listener: `/metrics`, `/livez`, `/readyz`, on an address of its own.
//!
//! Live means that the process answers: restart it when it does not. Ready means that it can do its work
//! now: send it none while it cannot. A process that waits for its broker is live and not ready.

use super::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Says what keeps the process from being ready; nothing when it is.
pub type Readiness = Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>;

/// Where a process stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What keeps it from being ready; nothing when it is.
    pub missing: Vec<&'static str>,
    /// What is not as it should be, though work goes on.
    pub degraded: Vec<&'static str>,
}

impl From<Vec<&'static str>> for Standing {
    fn from(missing: Vec<&'static str>) -> Self {
        Self { missing, degraded: Vec::new() }
    }
}

impl Standing {
    fn answer(&self) -> (StatusCode, String) {
        let degraded = match self.degraded.as_slice() {
            [] => String::new(),
            some => format!("degraded: {}\n", some.join(", ")),
        };
        if self.missing.is_empty() {
            return (StatusCode::OK, format!("ready\n{degraded}"));
        }
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n{degraded}", self.missing.join(", ")))
    }
}

/// Serves until `stop`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve<S: Into<Standing> + 'static>(
    listen: SocketAddr,
    metrics: Metrics,
    standing: Arc<dyn Fn() -> S + Send + Sync>,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let bound = listener.local_addr()?;
    let text = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
    };
    let readyz = move || async move { standing().into().answer().into_response() };
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(readyz));
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "ops.failed");
        }
    });
    Ok(bound)
}
