//! Elsewhere: what another worker may still have in hand.
//!
//! A connection that is lost makes the broker give what one worker holds to another, while the first goes on with
//! what it has begun. Nobody writes down that an attempt begins. But an attempt ends within its connector's time,
//! and is settled when it is handed off: whoever gets the copy looks in the store until that time is over, and
//! only then begins. In one process copies meet in `in_hand`, so who is alone waits for nothing.

use crate::settle;
use crate::shared::Shared;
use carom_common::amqp::{PublishError, Taken};
use carom_common::config::Config;
use carom_common::connector::{Authorization, Webhook};
use std::time::{Duration, Instant};

/// Longer than settling takes once the broker has confirmed, and the store does what it is asked at once. Where it is
/// slow, it is asked first.
const SETTLING: Duration = Duration::from_secs(1);
/// The first and the longest wait between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Whether a message is to wait for whom it may be with.
pub fn may_be_in_hand(shared: &Shared, taken: &Taken) -> bool {
    taken.may_be_copy && !shared.company.is_alone()
}

/// How long an attempt that was begun elsewhere can take to be settled: the exchange, with its token, and the
/// confirm of what follows from it.
pub fn longest_attempt(config: &Config, webhook: Option<&Webhook>) -> Duration {
    let exchanges = webhook.map_or(Duration::ZERO, |webhook| {
        let token = matches!(webhook.authorization, Some(Authorization::OAuth2 { .. }));
        webhook.timeout.0 * if token { 2 } else { 1 }
    });
    exchanges + longest_hand_over(config)
}

/// How long it can take to hand over what was decided elsewhere.
pub fn longest_hand_over(config: &Config) -> Duration {
    config.broker.confirm_timeout.0 + SETTLING
}

/// Waits until `settled` says so, and gives true; or until `longest` is over since the message was taken, and the
/// store has written something since: while it does not, another may be waiting to settle there just as we do.
///
/// # Errors
/// The message is no longer ours; it comes again.
pub async fn outwait<F: Future<Output = bool>>(
    shared: &Shared,
    taken: &Taken,
    longest: Duration,
    settled: impl Fn() -> F,
) -> Result<bool, PublishError> {
    let mut look = LOOKS.0;
    loop {
        if settled().await {
            return Ok(true);
        }
        if !taken.is_current() {
            return Err(PublishError::Lost);
        }
        let left = longest.saturating_sub(taken.since.elapsed());
        if left.is_zero() {
            let asked = Instant::now();
            settle::surely("check", || shared.store.check()).await;
            if asked.elapsed() >= SETTLING / 2 {
                // Whoever waited beside us may be served after us.
                tokio::time::sleep(SETTLING).await;
            }
            return Ok(settled().await);
        }
        tokio::time::sleep(look.min(left)).await;
        look = (look * 2).min(LOOKS.1);
    }
}
