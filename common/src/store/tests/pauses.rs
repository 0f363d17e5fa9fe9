use super::*;
use crate::store::{Error, Pause};

#[tokio::test]
async fn a_connector_stays_paused_for_its_first_reason_until_it_is_resumed() {
    let (place, store) = store();
    let (meta, network) = ("meta".parse().unwrap(), "network".parse().unwrap());
    let pause = |why: &str| Pause { since: at(1), why: why.to_owned() };
    assert!(store.pauses().await.unwrap().is_empty());
    assert!(store.pause(&meta, pause("410")).await.unwrap());
    assert!(!store.pause(&meta, pause("another")).await.unwrap());
    assert!(store.pause(&network, pause("by hand")).await.unwrap());
    store.close().await;
    let store = open(&place);
    let expected = [(meta.clone(), pause("410")), (network.clone(), pause("by hand"))];
    assert_eq!(store.pauses().await.unwrap(), expected.into());
    assert_eq!(store.resume(&meta).await.unwrap(), Some(pause("410")));
    assert_eq!(store.resume(&meta).await.unwrap(), None);
    assert_eq!(store.pauses().await.unwrap().into_keys().collect::<Vec<_>>(), std::slice::from_ref(&network));
    let reader = Store::open_read_only(&settings(&place)).unwrap();
    assert!(matches!(reader.resume(&network).await, Err(Error::ReadOnly)));
}

#[tokio::test]
async fn a_test_delivery_is_done_when_it_is_logged_and_is_no_delivery_to_its_receiver() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    let settled = settlement(&first, End::Tested);
    assert_eq!(store.settle(vec![settled.clone(), settled]).await.unwrap(), [true, false]);
    let trace = store.trace_of_event(first.facts.event.id).await.unwrap().unwrap();
    assert_eq!(trace.deliveries[0].standing, crate::store::Standing::Tested);
    assert_eq!(trace.decisions.last().unwrap().code, Code::Tested);
    assert_eq!(trace.attempts[0].outcome, "test");
    assert_eq!(store.last_delivered(&first.connector).await.unwrap(), None);

    let sent = selected(&store, &event("order:2"), &["meta"]).await.remove(0);
    store.settle(vec![settlement(&sent, End::Delivered)]).await.unwrap();
    assert_eq!(store.last_delivered(&sent.connector).await.unwrap(), Some(at(10)));
    // A copy of a later attempt of the same round is one, too.
    let again = crate::store::AttemptKey { delivery: first.id, round: 0, attempt: 2 };
    let standing = store.attempt_standing(again, first.facts.event.id).await.unwrap();
    assert_eq!(standing, crate::store::AttemptStanding::Settled);
}
