//! The timer: reconciles each source that has an API, every so often, while the worker runs.

use super::api::Client;
use super::reconcile::{Error, Parts, Report, name_of_cursor, reconcile};
use crate::shared::Shared;
use crate::turn::in_turn;
use carom_common::id::SourceId;
use carom_common::source::Source;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use uuid::Uuid;

/// After a start, or a change, the first run comes within this: sources do not all ask at once.
const FIRST: Duration = Duration::from_secs(10);
/// After a failure the next run comes within this, or when it would have come anyway.
const AGAIN: Duration = Duration::from_secs(60);

struct Running {
    source: Source,
    stop: CancellationToken,
}

/// Keeps a timer for every source that wants one, as the resources are now, until `stop`.
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut running: BTreeMap<SourceId, Running> = BTreeMap::new();
    let mut roster = shared.roster.clone();
    loop {
        let now = roster.borrow_and_update().resources().clone();
        running.retain(|id, timer| {
            let same = now.source(id).is_some_and(|source| *source == timer.source);
            if !same {
                timer.stop.cancel();
            }
            same
        });
        for source in now.sources.iter().filter(|source| wants(source)) {
            if !running.contains_key(&source.id) {
                let (source, stop) = (source.clone(), stop.child_token());
                tasks.spawn(serve(shared.clone(), source.clone(), stop.clone()));
                running.insert(source.id.clone(), Running { source, stop });
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = roster.changed() => if changed.is_err() { break },
        }
    }
    for timer in running.values() {
        timer.stop.cancel();
    }
    tasks.close();
    tasks.wait().await;
}

fn wants(source: &Source) -> bool {
    source.api.as_ref().is_some_and(|api| !api.reconcile_every.0.is_zero())
}

/// Reconciles one source while it is our turn: of several workers one does.
async fn serve(shared: Arc<Shared>, source: Source, stop: CancellationToken) {
    let name = format!("reconcile:{}", source.id);
    in_turn(&shared.store, name, &stop, || again_and_again(&shared, &source, &stop)).await;
}

/// Reconciles one source, again and again. Stopped in the middle of a run it drops it, as a crash would: what
/// was not confirmed is read again.
async fn again_and_again(shared: &Shared, source: &Source, stop: &CancellationToken) {
    let Some(every) = source.api.as_ref().map(|api| api.reconcile_every.0) else { return };
    let mut wait = share(every.min(FIRST), random(), 0.0, 1.0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = once(shared, source) => done,
        };
        let pause = if done { every } else { every.min(AGAIN) };
        wait = share(pause, random(), 0.9, 1.1);
    }
}

/// One run, counted and logged; whether it came to its end.
async fn once(shared: &Shared, source: &Source) -> bool {
    let Some(api) = &source.api else { return true };
    let (metrics, label) = (&shared.metrics, source.id.as_str());
    let mut report = Report::new(source, false);
    let done = async {
        let client = Client::new(shared.egress.clone(), api)?;
        let parts = Parts {
            client: &client,
            store: &shared.store,
            publisher: Some(&shared.publisher),
            source,
            api,
            memory: shared.config.worker.marker_retention.0,
        };
        reconcile(&parts, None, &mut report).await
    };
    let done: Result<(), Error> = Box::pin(done).await;
    metrics.reconcile_missing.with_label_values(&[label]).inc_by(report.published);
    let Report { read, known, missing, published, passed_over, waiting, cursor, .. } = report;
    let outcome = if done.is_ok() { "done" } else { "failed" };
    metrics.reconcile_runs.with_label_values(&[label, outcome]).inc();
    match &done {
        Ok(()) => {
            metrics.reconcile_last_success.with_label_values(&[label]).set(Timestamp::now().as_second());
            info!(source = label, read, known, missing, passed_over, waiting, cursor, "reconcile.done");
        }
        Err(error) => {
            let cursor_name = name_of_cursor(source, api);
            warn!(%error, source = label, read, missing, published, cursor_name, "reconcile.failed");
        }
    }
    if missing > 0 {
        warn!(source = label, missing, published, "reconcile.gap");
    }
    done.is_ok()
}

/// `span` times a number between `least` and `most`, of which `random` (0 to 1) says which.
fn share(span: Duration, random: f64, least: f64, most: f64) -> Duration {
    span.mul_f64(least + (most - least) * random)
}

/// A number between 0 and 1.
fn random() -> f64 {
    f64::from(u16::from_le_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[1]])) / 65_535.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_spread_around_their_time_and_never_far_from_it() {
        let hour = Duration::from_secs(3_600);
        for random in [0.0, 0.5, 1.0, random()] {
            let wait = share(hour, random, 0.9, 1.1);
            assert!((hour * 9 / 10..=hour * 11 / 10).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn a_source_without_an_api_or_with_a_period_of_nothing_has_no_timer() {
        let source = |api: serde_json::Value| -> Source {
            let source = serde_json::json!({
                "id": "s", "advertiser": "a", "kind": "clickfunnels", "open": true, "api": api,
            });
            serde_json::from_value(source).unwrap()
        };
        let api = |every: &str| {
            serde_json::json!({
                "base_url": "https://w.example/api/v2", "workspace": "1", "token": {"env": "X"},
                "reconcile_every": every,
            })
        };
        assert!(wants(&source(api("1h"))));
        assert!(!wants(&source(api("0s"))));
        assert!(!wants(&source(serde_json::Value::Null)));
    }
}
