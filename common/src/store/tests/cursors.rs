use super::*;
use crate::store::Error;

#[tokio::test]
async fn a_cursor_is_what_was_noted_last_under_its_name() {
    let (place, store) = store();
    assert_eq!(store.cursor("a").await.unwrap(), None);
    for value in ["5", "3", "anything"] {
        store.set_cursor("a", value).await.unwrap();
        assert_eq!(store.cursor("a").await.unwrap().as_deref(), Some(value));
    }
    store.set_cursor("b", "7").await.unwrap();
    store.close().await;
    let store = open(&place);
    assert_eq!(store.cursor("a").await.unwrap().as_deref(), Some("anything"));
    assert_eq!(store.cursor("b").await.unwrap().as_deref(), Some("7"));
}

#[tokio::test]
async fn of_many_who_advance_a_cursor_at_once_the_farthest_counts() {
    let (_place, store) = store();
    // As numbers, not as texts: 9 is less than 10.
    for (to, expected) in [(9, "9"), (10, "10"), (2, "10"), (10, "10"), (100, "100")] {
        store.advance_cursor("a", to).await.unwrap();
        assert_eq!(store.cursor("a").await.unwrap().as_deref(), Some(expected), "after {to}");
    }
    let all = (101..200).rev().map(|to| store.advance_cursor("a", to));
    futures_util::future::try_join_all(all).await.unwrap();
    assert_eq!(store.cursor("a").await.unwrap().as_deref(), Some("199"));
}

#[tokio::test]
async fn a_reader_reads_cursors_and_sets_none() {
    let (place, store) = store();
    store.set_cursor("a", "1").await.unwrap();
    let reader = Store::open_read_only(&settings(&place)).unwrap();
    assert_eq!(reader.cursor("a").await.unwrap().as_deref(), Some("1"));
    assert!(matches!(reader.set_cursor("a", "2").await, Err(Error::ReadOnly)));
    assert!(matches!(reader.advance_cursor("a", 2).await, Err(Error::ReadOnly)));
}

#[tokio::test]
async fn an_event_is_known_from_its_deciding_on_and_to_its_advertiser_only() {
    let (_place, store) = store();
    let event = event("cf:1:a");
    store.resolve(vec![candidate(&event)], as_the_worker(&["network"])).await.unwrap();
    let keys = || vec!["cf:1:a".to_owned(), "cf:1:b".to_owned()];
    let known = store.known_events(&event.advertiser, keys()).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), ["cf:1:a"]);
    let other = "other".parse().unwrap();
    assert!(store.known_events(&other, keys()).await.unwrap().is_empty());
    assert!(store.known_events(&event.advertiser, vec![]).await.unwrap().is_empty());
}
