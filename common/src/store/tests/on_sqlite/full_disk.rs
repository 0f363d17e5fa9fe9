use super::super::place;
use super::*;
use crate::store::reach::Reach;
use crate::store::session::Session;
use crate::store::sqlite::Engine;
use crate::store::writer;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

fn clicks(count: usize) -> Vec<Click> {
    (0..count).map(|_| click(VisitorId::new(), at(0))).collect()
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_for_others_to_see() {
    let (place, store) = store();
    for n in 1..=20 {
        store.record_clicks(clicks(1)).await.unwrap();
        // As a process that starts after this one was killed would: the log is there, nothing was closed.
        let copy = tempfile::tempdir().unwrap();
        std::fs::create_dir(copy.path().join("state")).unwrap();
        for name in ["carom.db", "carom.db-wal"] {
            let from = place.path().with_file_name("").join(name);
            std::fs::copy(from, copy.path().join("state").join(name)).unwrap();
        }
        assert_eq!(place::rows(&copy.path().join("state/carom.db"), "clicks"), n);
    }
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let synchronous =
        store.write(Reach::nothing(), |c| c.one("PRAGMA synchronous", (), |row| row.get::<_, i64>(0)));
    assert_eq!(synchronous.await.unwrap(), 2, "FULL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_for_each_and_passes() {
    let (place, store) = store();
    let limit = |pages: i64| {
        store.write(Reach::nothing(), move |c| {
            let pages = if pages == 0 { c.one("PRAGMA page_count", (), |row| row.get(0))? } else { pages };
            c.one(&format!("PRAGMA max_page_count = {pages}"), (), |row| row.get::<_, i64>(0))
        })
    };
    limit(0).await.unwrap();
    let before = place.count("clicks");
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
    assert_eq!(place.count("clicks") - before, good as i64, "answered is stored, refused is not");

    limit(1_000_000).await.unwrap();
    assert_eq!(store.record_clicks(clicks(50)).await.unwrap().new, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_with_the_lock_is_waited_for() {
    let (place, store) = store();
    let other = rusqlite::Connection::open(place.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn(async move { store.record_clicks(clicks(1)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!writing.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(writing.await.unwrap().unwrap().new, 1);
}

/// A writer on a table whose `parent` is checked at the commit, as a disk that fails there would.
fn strict_writer(folder: &TempDir) -> writer::Writer {
    let path = folder.path().join("strict.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let setup = "PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL;
                 CREATE TABLE things (id INTEGER PRIMARY KEY,
                     parent INTEGER REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED);";
    connection.execute_batch(setup).unwrap();
    writer::spawn(Engine::on(connection, &path).unwrap(), |_, _| {}).unwrap()
}

/// Runs a good job, `bad` and another good job of one group, and says how each went and what is stored.
async fn around(folder: &TempDir, bad: &'static str) -> ([bool; 3], Vec<i64>) {
    let writer = strict_writer(folder);
    let insert = |id: i64| {
        let sql = "INSERT INTO things (id, parent) VALUES (?1, NULL)";
        writer.run(Reach::nothing(), move |c| c.execute(sql, [id]))
    };
    let (release, held) = std::sync::mpsc::channel::<()>();
    // Holds the writer until all have queued up behind it.
    let hold = writer.run(Reach::nothing(), move |_| Ok(held.recv().is_ok()));
    let bad = writer.run(Reach::nothing(), move |c| c.batch(bad));
    let queued = async move { release.send(()).is_ok() };
    let (_, before, bad, after, _) = tokio::join!(hold, insert(1), bad, insert(2), queued);
    assert_eq!(insert(3).await.unwrap(), 1, "the writer goes on");
    let stored = writer.run(Reach::nothing(), |c: &Session<'_>| {
        c.rows("SELECT id FROM things ORDER BY id", (), |row| row.get(0))
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
