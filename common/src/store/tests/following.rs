use super::*;
use crate::resources::Resources;
use crate::resources::newest::{self, Look, Why};
use crate::store::reach::Reach;

/// Resources of a connector with this URL.
fn telling(url: &str) -> Resources {
    let document = serde_json::json!({
        "advertiser": [{"id": "acme"}],
        "connector": [{"id": "n", "advertiser": "acme", "triggers": ["conversion"], "webhook": {"url": url}}],
    });
    serde_json::from_value(document).unwrap()
}

/// Puts a document into the store by hand, as this version.
async fn put(store: &Store, version: i64, document: &str) {
    let document = document.to_owned();
    let put = "INSERT INTO resources (version, document, applied_at) VALUES (?1, ?2, 0)
               ON CONFLICT (version) DO UPDATE SET document = excluded.document";
    let written = store.write(Reach::nothing(), move |session| session.execute(put, (version, &document)));
    written.await.unwrap();
}

#[tokio::test]
async fn of_versions_that_cannot_be_used_the_last_one_before_that_can_be_is_begun_with() {
    let (_place, store) = store();
    assert!(matches!(newest::look(&store, 0).await.unwrap(), Look::Unchanged));
    assert_eq!(newest::first(&store).await.unwrap().resources.unwrap().version, 0);
    let good = telling("https://n.example/");
    store.apply(good.clone()).await.unwrap();
    let first = newest::first(&store).await.unwrap();
    assert_eq!((first.resources.unwrap().version, first.refused), (1, None));

    let faulty = serde_json::to_string(&telling("https://{{n")).unwrap();
    put(&store, 2, &faulty).await;
    put(&store, 3, "{\"connector\":\n [{\"hyperlane\": \"s3cret\"}]}").await;
    let first = newest::first(&store).await.unwrap();
    assert_eq!(first.resources.unwrap().resources, good);
    let refused = first.refused.unwrap();
    assert!(matches!((refused.version, &refused.why), (3, Why::Unreadable { line: 2, .. })), "{refused:?}");
    assert!(!refused.to_string().contains("s3cret"), "{refused}");
    let Look::Refused(refused) = newest::look(&store, 1).await.unwrap() else { panic!("it is not refused") };
    assert_eq!(refused.version, 3);

    // With the unreadable one gone, the faulty one is the newest.
    put(&store, 3, &faulty).await;
    let Look::Refused(refused) = newest::look(&store, 1).await.unwrap() else { panic!("it is not refused") };
    assert_eq!(refused.why, Why::Faulty(vec!["connector[n].webhook.url".to_owned()]));
    // Where there is none that is good, what works of a faulty one is better than nothing.
    put(&store, 1, &faulty).await;
    put(&store, 4, "{}}").await;
    assert_eq!(newest::first(&store).await.unwrap().resources.unwrap().version, 3);
    // What is applied is in use again.
    let applied = store.apply(good.clone()).await.unwrap();
    assert!(
        matches!(newest::look(&store, 3).await.unwrap(), Look::Newer(newer) if newer.version == applied.version)
    );
}
