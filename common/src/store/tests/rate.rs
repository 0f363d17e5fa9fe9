use super::*;
use std::time::Instant;

/// Printed, not asserted: what a machine makes of it is the machine's. `cargo nextest run --no-capture` shows it.
#[tokio::test(flavor = "multi_thread")]
async fn many_events_at_once_are_all_resolved() {
    let (place, store) = store();
    let started = Instant::now();
    let mut resolving = tokio::task::JoinSet::new();
    for worker in 0..8 {
        let store = store.clone();
        resolving.spawn(async move {
            for batch in 0..8 {
                let batch = (0..16).map(|n| candidate(&event(&format!("order:{worker}-{batch}-{n}"))));
                store.resolve(batch.collect::<Vec<_>>(), as_the_worker(&["meta"])).await.unwrap();
            }
        });
    }
    resolving.join_all().await;
    assert_eq!(place.count("events"), 1_024);
    let rate = 1_024.0 / started.elapsed().as_secs_f64();
    println!(
        "resolve on {}: {rate:.0} events/s",
        if place.settings.file().is_some() { "SQLite" } else { "PostgreSQL" }
    );
}
