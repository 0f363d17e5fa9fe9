use super::*;
use crate::store::Error;
use crate::store::reach::Reach;
use crate::store::session::Session;
use std::sync::{Arc, Mutex};

fn clicks(count: usize) -> Vec<Click> {
    (0..count).map(|_| click(VisitorId::new(), at(0))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_committed_together() {
    let place = place();
    Store::migrate(&settings(&place)).unwrap();
    let groups = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&groups);
    let store =
        Store::open(&settings(&place), move |took, jobs| seen.lock().unwrap().push((took, jobs))).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let store = store.clone();
        writers.spawn(async move {
            for _ in 0..10 {
                assert_eq!(store.record_clicks(clicks(1)).await.unwrap().new, 1);
            }
        });
    }
    writers.join_all().await;
    store.close().await;
    let groups = groups.lock().unwrap();
    assert_eq!(groups.iter().map(|(_, jobs)| jobs).sum::<usize>(), 2_000);
    assert!(groups.len() < 500, "{} commits for 2,000 jobs", groups.len());
    assert_eq!(place.count("clicks"), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_or_panics_takes_nobody_with_it() {
    let (place, store) = store();
    let mut jobs = tokio::task::JoinSet::new();
    for number in 0..300_i64 {
        let store = store.clone();
        jobs.spawn(async move {
            let work = move |session: &Session<'_>| {
                session.execute("INSERT INTO resources VALUES (?1, '{}', 0)", [number])?;
                match number % 3 {
                    0 => session.execute("INSERT INTO nowhere VALUES (1)", ()),
                    1 => panic!("a decision went wrong"),
                    _ => Ok(1),
                }
            };
            (number % 3, store.write(Reach::nothing(), work).await)
        });
    }
    for (kind, result) in jobs.join_all().await {
        match kind {
            0 => assert!(matches!(result, Err(Error::Database(_)))),
            1 => assert!(matches!(result, Err(Error::Closed))),
            _ => assert_eq!(result.unwrap(), 1),
        }
    }
    assert_eq!(place.count("resources"), 100);
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_is_queued_and_ends_the_store_for_its_clones() {
    let (place, store) = store();
    let clone = store.clone();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        writers.spawn(async move { store.record_clicks(clicks(1)).await });
    }
    tokio::task::yield_now().await;
    store.close().await;
    let done = writers.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(place.count("clicks"), done as i64);
    assert!(matches!(clone.record_clicks(clicks(1)).await, Err(Error::Closed)));
    assert!(matches!(clone.click(ClickId::new()).await, Err(Error::Closed)));
    clone.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_store_finishes_what_is_queued() {
    let (place, store) = store();
    let mut writer = Box::pin(async move { store.record_clicks(clicks(7)).await });
    // Sent, and given up before the answer came.
    let _ = polled_once(&mut writer).await;
    drop(writer);
    for _ in 0..500 {
        if place.count("clicks") == 7 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was queued was lost");
}

async fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = std::future::ready(()) => None,
    }
}
