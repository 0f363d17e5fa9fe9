use super::*;
use crate::id::AdvertiserId;
use crate::offer::Advertiser;
use crate::resources::Resources;
use crate::store::schema::CURRENT;

#[test]
fn many_who_migrate_at_once_migrate_once() {
    for _ in 0..5 {
        let place = place();
        let migrate = || Store::migrate(&settings(&place)).unwrap();
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(migrate)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(all.iter().filter(|(from, _)| *from == 0).count(), 1, "{all:?}");
        assert!(all.iter().all(|(_, to)| *to == CURRENT), "{all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_while_another_writes() {
    let (place, store) = store();
    let reader = Store::open_read_only(&settings(&place)).unwrap();
    let writing = tokio::spawn(async move {
        for _ in 0..50 {
            store.record_clicks((0..20).map(|_| click(VisitorId::new(), at(0))).collect()).await.unwrap();
        }
        store.apply(Resources { advertisers: vec![advertiser("acme")], ..Default::default() }).await.unwrap();
    });
    while reader.resources_version().await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    assert_eq!(reader.resources().await.unwrap().resources.advertisers, [advertiser("acme")]);
}

fn advertiser(id: &str) -> Advertiser {
    let id: AdvertiserId = id.parse().unwrap();
    serde_json::from_value(serde_json::json!({ "id": id })).unwrap()
}

#[tokio::test]
async fn each_change_of_the_resources_is_a_version_and_the_same_again_is_none() {
    let (_folder, store) = store();
    assert_eq!(store.resources().await.unwrap().version, 0);
    let of = |id| Resources { advertisers: vec![advertiser(id)], ..Default::default() };
    for (id, version, changed) in [("a", 1, true), ("a", 1, false), ("b", 2, true), ("a", 3, true)] {
        let applied = store.apply(of(id)).await.unwrap();
        assert_eq!((applied.version, applied.changed), (version, changed), "{id}");
        assert_eq!(store.resources_version().await.unwrap(), version);
        assert_eq!(store.resources().await.unwrap().resources, of(id));
    }
}

#[tokio::test]
async fn a_tokens_text_never_reaches_the_file() {
    let (place, store) = store();
    let source = serde_json::json!({
        "id": "shop", "advertiser": "acme", "kind": "plain", "tokens": ["open-sesame"],
    });
    let sources = vec![serde_json::from_value(source).unwrap()];
    let resources = Resources { sources, ..Default::default() };
    assert!(store.apply(resources.clone()).await.unwrap().changed);
    assert!(!store.apply(resources).await.unwrap().changed);
    assert!(!place.raw().contains("open-sesame"));
}
