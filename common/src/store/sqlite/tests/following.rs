use super::*;
use crate::resources::Resources;
use crate::resources::newest::{self, Look, Why};
use crate::store::Error;

/// Resources of a connector with this URL.
fn telling(url: &str) -> Resources {
    let document = serde_json::json!({
        "advertiser": [{"id": "acme"}],
        "connector": [{"id": "n", "advertiser": "acme", "triggers": ["conversion"], "webhook": {"url": url}}],
    });
    serde_json::from_value(document).unwrap()
}

/// Puts a document into the store by hand, as this version.
fn put(folder: &TempDir, version: i64, document: &str) {
    let connection = rusqlite::Connection::open(settings(folder).path).unwrap();
    let put = "INSERT OR REPLACE INTO resources (version, document, applied_at) VALUES (?1, ?2, 0)";
    connection.execute(put, (version, document)).unwrap();
}

#[tokio::test]
async fn of_versions_that_cannot_be_used_the_last_one_before_that_can_be_is_begun_with() {
    let (folder, store) = store();
    assert!(matches!(newest::look(&store, 0).await.unwrap(), Look::Unchanged));
    assert_eq!(newest::first(&store).await.unwrap().resources.unwrap().version, 0);
    let good = telling("https://n.example/");
    store.apply(good.clone()).await.unwrap();
    let first = newest::first(&store).await.unwrap();
    assert_eq!((first.resources.unwrap().version, first.refused), (1, None));

    let faulty = serde_json::to_string(&telling("https://{{n")).unwrap();
    put(&folder, 2, &faulty);
    put(&folder, 3, "{\"connector\":\n [{\"hyperlane\": \"s3cret\"}]}");
    let first = newest::first(&store).await.unwrap();
    assert_eq!(first.resources.unwrap().resources, good);
    let refused = first.refused.unwrap();
    assert!(matches!((refused.version, &refused.why), (3, Why::Unreadable { line: 2, .. })), "{refused:?}");
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    let Look::Refused(refused) = newest::look(&store, 1).await.unwrap() else { panic!("it is not refused") };
    assert_eq!(refused.version, 3);

    // With the unreadable one gone, the faulty one is the newest.
    put(&folder, 3, &faulty);
    let Look::Refused(refused) = newest::look(&store, 1).await.unwrap() else { panic!("it is not refused") };
    assert_eq!(refused.why, Why::Faulty(vec!["connector[n].webhook.url".to_owned()]));
    // Where there is none that is good, what works of a faulty one is better than nothing.
    put(&folder, 1, &faulty);
    put(&folder, 4, "{}}");
    assert_eq!(newest::first(&store).await.unwrap().resources.unwrap().version, 3);
    // What is applied is in use again.
    let applied = store.apply(good.clone()).await.unwrap();
    assert!(
        matches!(newest::look(&store, 3).await.unwrap(), Look::Newer(newer) if newer.version == applied.version)
    );
}

#[tokio::test]
async fn nothing_is_written_to_a_file_that_was_moved_until_it_is_back() {
    let (folder, store) = store();
    let (path, away) = (settings(&folder).path, folder.path().join("away"));
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(store.apply(telling("https://n.example/")).await, Err(Error::Moved { .. })));
    // Another file in its place is another store.
    std::fs::write(&path, "").unwrap();
    assert!(matches!(store.apply(telling("https://n.example/")).await, Err(Error::Moved { .. })));
    std::fs::rename(&away, &path).unwrap();
    store.check().await.unwrap();
    assert_eq!(store.resources_version().await.unwrap(), 0);
}
