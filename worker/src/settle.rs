//! Settling: what was handed off becomes durable in the store; until then nothing is acked.

use carom_common::backoff_policy::Reconnect;
use carom_common::store::Error;
use prometheus::IntCounter;
use std::future::Future;
use std::sync::LazyLock;
use tracing::warn;

/// Steps that the store did not do, and that were tried again. One for the process, as every stage settles and few of
/// them have the metrics at hand; `Metrics::new` shows it.
#[allow(clippy::expect_used, reason = "a metric's name is a constant of the program")]
pub static AGAIN: LazyLock<IntCounter> = LazyLock::new(|| {
    let help =
        "Steps that the store did not do, and that are tried until it does; what they belong to waits.";
    IntCounter::new("store_retries_total", help).expect("valid")
});

/// Does something with the store until it succeeds. With the store away a worker holds what it has, takes
/// no more, and waits.
pub async fn surely<T, F: Future<Output = Result<T, Error>>>(what: &'static str, step: impl Fn() -> F) -> T {
    let mut delays = Reconnect::new();
    loop {
        match step().await {
            Ok(done) => return done,
            // The store is closed, or our work made its writer panic. Unwinding gives the messages that
            // we hold back, and counts them towards being poison; trying again would never end.
            Err(Error::Closed) => std::panic::resume_unwind(Box::new("the store did not do it")),
            Err(error) => {
                AGAIN.inc();
                warn!(%error, store.step = what, "store.again");
            }
        }
        tokio::time::sleep(delays.next()).await;
    }
}
