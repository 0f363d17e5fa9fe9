//! How far an attempt has come: what it was doing when its time was over, or when it failed.
//!
//! "No answer in time" means one thing where the request was sent (the receiver may have taken it) and another where
//! there was no connection yet. Only the resolver and the connector know, deep inside the client; both run in the
//! attempt's own task, so they leave word in a variable of that task.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

tokio::task_local! {
    static REACHED: Arc<AtomicU8>;
}

/// What an attempt is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Sending its request and waiting for the answer, on a connection that stands.
    Exchanging = 0,
    /// Asking for the name's addresses.
    Resolving = 1,
    /// Connecting, the TLS handshake included.
    Connecting = 2,
}

impl Stage {
    /// The attempt of this task has come so far. Elsewhere (a connection that is made for the pool, after another
    /// has become free for its attempt) it says nothing.
    pub(super) fn reached(self) {
        let _ = REACHED.try_with(|reached| reached.store(self as u8, Ordering::Relaxed));
    }
}

/// Runs an attempt; beside it, what tells how far it has come.
pub(super) fn watched<F: Future>(attempt: F) -> (impl Future<Output = F::Output>, impl Fn() -> Stage) {
    let reached = Arc::new(AtomicU8::new(Stage::Exchanging as u8));
    let watching = REACHED.scope(Arc::clone(&reached), attempt);
    let stage = move || match reached.load(Ordering::Relaxed) {
        1 => Stage::Resolving,
        2 => Stage::Connecting,
        _ => Stage::Exchanging,
    };
    (watching, stage)
}

/// Says when connecting begins and when it has ended; to be laid around the client's connector.
#[derive(Clone)]
pub(super) struct Watch;

/// The connector with [`Watch`] around it.
#[derive(Clone)]
pub(super) struct Watched<S>(S);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, connector: S) -> Watched<S> {
        Watched(connector)
    }
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move {
            Stage::Connecting.reached();
            let connected = connecting.await;
            if connected.is_ok() {
                Stage::Exchanging.reached();
            }
            connected
        })
    }
}
