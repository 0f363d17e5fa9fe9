use super::*;
use crate::store::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

fn clicks(count: usize) -> Vec<Click> {
    (0..count).map(|_| click(VisitorId::new(), at(0))).collect()
}

fn count(folder: &TempDir, table: &str) -> i64 {
    let connection = rusqlite::Connection::open(settings(folder).path).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    Store::migrate(&settings(&folder)).unwrap();
    let groups = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&groups);
    let store =
        Store::open(&settings(&folder), move |took, jobs| seen.lock().unwrap().push((took, jobs))).unwrap();
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
    assert_eq!(count(&folder, "clicks"), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_or_panics_takes_nobody_with_it() {
    let (folder, store) = store();
    let mut jobs = tokio::task::JoinSet::new();
    for number in 0..300 {
        let store = store.clone();
        jobs.spawn(async move {
            let work = move |connection: &rusqlite::Connection| {
                connection.execute("INSERT INTO resources VALUES (?1, '{}', 0)", [number])?;
                match number % 3 {
                    0 => Ok(connection.execute("INSERT INTO nowhere VALUES (1)", [])?),
                    1 => panic!("a decision went wrong"),
                    _ => Ok(1),
                }
            };
            (number % 3, store.write(work).await)
        });
    }
    for (kind, result) in jobs.join_all().await {
        match kind {
            0 => assert!(matches!(result, Err(Error::Database(_)))),
            1 => assert!(matches!(result, Err(Error::Closed))),
            _ => assert_eq!(result.unwrap(), 1),
        }
    }
    assert_eq!(count(&folder, "resources"), 100);
    store.check().await.unwrap();
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_for_others_to_see() {
    let (folder, store) = store();
    for n in 1..=20 {
        store.record_clicks(clicks(1)).await.unwrap();
        // As a process that starts after this one was killed would: the log is there, nothing was closed.
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("state")).unwrap();
        for name in ["carom.db", "carom.db-wal"] {
            let from = folder.path().join("state").join(name);
            std::fs::copy(from, copy.path().join("state").join(name)).unwrap();
        }
        assert_eq!(count(&copy, "clicks"), n);
    }
    let connection = rusqlite::Connection::open(settings(&folder).path).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let synchronous = store.write(|c| Ok(c.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(synchronous.await.unwrap(), 2, "FULL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_for_each_and_passes() {
    let (folder, store) = store();
    let limit = |pages: i64| {
        store.write(move |c| {
            let pages =
                if pages == 0 { c.query_row("PRAGMA page_count", [], |row| row.get(0))? } else { pages };
            Ok(c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
        })
    };
    limit(0).await.unwrap();
    let before = count(&folder, "clicks");
    let mut writers = tokio::task::JoinSet::new();
    let good = Arc::new(AtomicUsize::new(0));
    for _ in 0..50 {
        let (store, good) = (store.clone(), Arc::clone(&good));
        writers.spawn(async move {
            if let Ok(recorded) = store.record_clicks(clicks(50)).await {
                good.fetch_add(recorded.new, Ordering::Relaxed);
            }
        });
    }
    let all = async { writers.join_all().await };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("nobody is left waiting");
    let good = good.load(Ordering::Relaxed);
    assert!(good < 2_500, "the disk was full");
    assert_eq!(count(&folder, "clicks") - before, good as i64, "answered is stored, refused is not");

    limit(1_000_000).await.unwrap();
    assert_eq!(store.record_clicks(clicks(50)).await.unwrap().new, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_with_the_lock_is_waited_for() {
    let (folder, store) = store();
    let other = rusqlite::Connection::open(settings(&folder).path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn(async move { store.record_clicks(clicks(1)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writing.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(writing.await.unwrap().unwrap().new, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_is_queued_and_ends_the_store_for_its_clones() {
    let (folder, store) = store();
    let clone = store.clone();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        writers.spawn(async move { store.record_clicks(clicks(1)).await });
    }
    tokio::task::yield_now().await;
    store.close().await;
    let done = writers.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(count(&folder, "clicks"), done as i64);
    assert!(matches!(clone.record_clicks(clicks(1)).await, Err(Error::Closed)));
    assert!(matches!(clone.click(ClickId::new()).await, Err(Error::Closed)));
    assert!(!folder.path().join("state/carom.db-wal").exists(), "the log was emptied");
    clone.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_store_finishes_what_is_queued() {
    let (folder, store) = store();
    let mut writer = Box::pin(async move { store.record_clicks(clicks(7)).await });
    // Sent, and given up before the answer came.
    let _ = polled_once(&mut writer).await;
    drop(writer);
    for _ in 0..500 {
        if count(&folder, "clicks") == 7 {
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

/// A writer on a table whose `parent` is checked at the commit, as a disk that fails there would.
fn strict_writer(folder: &TempDir) -> super::super::writer::Writer {
    let path = folder.path().join("strict.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let setup = "PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL;
                 CREATE TABLE things (id INTEGER PRIMARY KEY,
                     parent INTEGER REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED);";
    connection.execute_batch(setup).unwrap();
    super::super::writer::spawn(connection, &path, |_, _| {}).unwrap()
}

/// Runs a good job, `bad` and another good job of one group, and says how each went and what is stored.
async fn around(folder: &TempDir, bad: &'static str) -> ([bool; 3], Vec<i64>) {
    let writer = strict_writer(folder);
    let insert = |id: i64| {
        writer.run(move |c| Ok(c.execute("INSERT INTO things (id, parent) VALUES (?1, NULL)", [id])?))
    };
    let (release, held) = std::sync::mpsc::channel::<()>();
    // Holds the writer until all have queued up behind it.
    let hold = writer.run(move |_| Ok(held.recv().is_ok()));
    let bad = writer.run(move |c| Ok(c.execute_batch(bad)?));
    let queued = async move { release.send(()).is_ok() };
    let (_, before, bad, after, _) = tokio::join!(hold, insert(1), bad, insert(2), queued);
    assert_eq!(insert(3).await.unwrap(), 1, "the writer goes on");
    let stored = writer.run(|c| {
        let mut statement = c.prepare("SELECT id FROM things ORDER BY id")?;
        super::super::column::rows(&mut statement, [], |row| Ok(row.get(0)?))
    });
    ([before.is_ok(), bad.is_ok(), after.is_ok()], stored.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_fails_for_everybody_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let orphan = "INSERT INTO things (id, parent) VALUES (9, 99)";
    assert_eq!(around(&folder, orphan).await, ([false, false, false], vec![3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_work_is_kept_that_a_later_job_took_away() {
    let folder = tempfile::tempdir().unwrap();
    // What SQLite does by itself when the disk is full, and a failure of the job.
    let lost = "ROLLBACK; INSERT INTO nowhere VALUES (1)";
    assert_eq!(around(&folder, lost).await, ([false, false, true], vec![2, 3]));
}
