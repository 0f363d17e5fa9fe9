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

/// Serves until `stop`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    ready: Readiness,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let bound = listener.local_addr()?;
    let text = move || async move {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.text())
    };
    let readyz = move || async move {
        let missing = ready();
        if missing.is_empty() {
            (StatusCode::OK, "ready\n".to_owned()).into_response()
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", "))).into_response()
        }
    };
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
