//! Waiting for something to become true, never for a time.

use anyhow::{Context, Result};
use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often to look. What is looked at is local and cheap.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until `look` is content, for `limit` at most. An error of `look` means "not yet"; the last one is
/// told when the time is over.
pub async fn eventually<T>(
    limit: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("not within {limit:?}: {what}"));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Looks until `limit` is over, and fails as soon as `look` does: for what must not happen.
pub async fn never(
    limit: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        look().await.with_context(|| format!("within {limit:?}, though it must not: {what}"))?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Seconds, for short scenarios.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
