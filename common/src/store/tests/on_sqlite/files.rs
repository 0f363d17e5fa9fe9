use super::*;
use crate::resources::Resources;
use crate::store::schema::CURRENT;
use crate::store::{Error, Failure};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_store_is_made_for_its_owner_only_and_migrated_once() {
    let place = place();
    assert!(matches!(
        Store::open(&settings(&place), |_, _| {}),
        Err(Error::TooOld { found: 0, known: CURRENT })
    ));
    assert_eq!(Store::migrate(&settings(&place)).unwrap(), (0, CURRENT));
    assert_eq!(Store::migrate(&settings(&place)).unwrap(), (CURRENT, CURRENT));
    let store = open(&place);
    store.check().await.unwrap();
    for entry in std::fs::read_dir(place.path().with_file_name("")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn a_reader_never_makes_the_file_and_never_writes() {
    let place = place();
    assert!(Store::open_read_only(&settings(&place)).is_err());
    assert!(!place.path().exists());

    open(&place).close().await;
    let reader = Store::open_read_only(&settings(&place)).unwrap();
    reader.check().await.unwrap();
    assert!(matches!(reader.record_clicks(vec![]).await, Err(Error::ReadOnly)));
    assert!(matches!(reader.apply(Resources::default()).await, Err(Error::ReadOnly)));
}

#[tokio::test]
async fn what_is_due_is_found_by_an_index() {
    let (_place, store) = store();
    for (sql, index) in [
        (
            "SELECT id FROM events WHERE blanked = 0 AND received_at < 1 ORDER BY received_at",
            "events_with_payload",
        ),
        ("SELECT id FROM events WHERE told = 1 AND received_at < 1 ORDER BY received_at", "events_told"),
        ("SELECT id FROM clicks WHERE blanked = 0 AND at < 1 ORDER BY at", "clicks_with_details"),
        ("SELECT id FROM clicks WHERE advertiser = 'a' AND visitor = x'00' AND touch = 0", "clicks_no_touch"),
        (
            "SELECT sequence FROM attempts WHERE (url <> '' OR response <> '') AND at < 1 ORDER BY at",
            "attempts_with_exchange",
        ),
        (
            "SELECT id FROM letters WHERE state <> 'dead' AND blanked = 0 AND at < 1 ORDER BY at",
            "letters_settled",
        ),
        ("SELECT key FROM orders WHERE advertiser = 'a' AND buyer = 'b'", "orders_of_buyer"),
        ("SELECT person FROM persons WHERE seen_at < 1 ORDER BY seen_at", "persons_by_time"),
    ] {
        let plan: String = store
            .read(move |session| session.one(&format!("EXPLAIN QUERY PLAN {sql}"), (), |row| row.get(3)))
            .await
            .unwrap();
        assert!(plan.contains(index) && plan.starts_with("SEARCH"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn what_is_listed_is_found_by_an_index() {
    let (_place, store) = store();
    let plans = [
        (
            "SELECT id FROM letters WHERE state = 'dead' AND id > x'00' ORDER BY id LIMIT 9",
            "letters_by_state",
        ),
        (
            "SELECT id FROM letters WHERE state = 'dead' AND connector = 'a' AND id > x'00' ORDER BY id LIMIT 9",
            "letters_by_connector",
        ),
        (
            "SELECT 1 FROM attempts WHERE connector = 'a' AND sequence > 5 ORDER BY sequence",
            "attempts_by_connector",
        ),
        (
            "SELECT tier, count(*), min(parked_at) FROM deliveries WHERE standing = 'retrying' AND due_at > 1 GROUP BY tier",
            "deliveries_retrying",
        ),
        (
            "SELECT connector, count(*), min(queued_at) FROM deliveries WHERE standing = 'queued' GROUP BY connector",
            "deliveries_queued",
        ),
        ("SELECT id FROM events WHERE dedupe_key = 'k' AND advertiser = 'a'", "events_by_dedupe_key"),
        (
            "SELECT document FROM clicks WHERE advertiser = 'a' AND visitor = x'00' AND touch = 1 AND (at, id) < (5, x'00') ORDER BY at DESC, id DESC LIMIT 21",
            "clicks_by_visitor",
        ),
        (
            "SELECT id FROM events WHERE dedupe_key IS NOT NULL AND received_at < 5 ORDER BY received_at LIMIT 5",
            "events_marked",
        ),
    ];
    for (sql, index) in plans {
        let plan = store
            .read(move |c| c.rows(&format!("EXPLAIN QUERY PLAN {sql}"), (), |row| row.get::<_, String>(3)));
        let plan = plan.await.unwrap().join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

fn some_resources() -> Resources {
    serde_json::from_value(serde_json::json!({"advertiser": [{"id": "acme"}]})).unwrap()
}

#[tokio::test]
async fn nothing_is_written_to_a_file_that_was_moved_until_it_is_back() {
    let (place, store) = store();
    let (path, away) = (place.path(), place.path().with_file_name("away"));
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(store.apply(some_resources()).await, Err(Error::Database(Failure::Moved(_)))));
    // Another file in its place is another store.
    std::fs::write(&path, "").unwrap();
    assert!(matches!(store.apply(some_resources()).await, Err(Error::Database(Failure::Moved(_)))));
    std::fs::rename(&away, &path).unwrap();
    store.check().await.unwrap();
    assert_eq!(store.resources_version().await.unwrap(), 0);
}
