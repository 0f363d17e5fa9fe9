use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_lease_is_one_holders_until_it_is_given_back_or_its_time_is_up() {
    let (_place, store) = store();
    assert!(store.lease("prune", "a", MINUTE).await.unwrap());
    assert!(store.lease("prune", "a", MINUTE).await.unwrap(), "it is renewed");
    assert!(!store.lease("prune", "b", MINUTE).await.unwrap());
    assert!(store.lease("reconcile:shop", "b", MINUTE).await.unwrap(), "another is another's");
    store.release("prune", "b").await.unwrap();
    assert!(!store.lease("prune", "b", MINUTE).await.unwrap(), "nobody gives back what is not theirs");
    store.release("prune", "a").await.unwrap();
    assert!(store.lease("prune", "b", Duration::ZERO).await.unwrap());
    assert!(store.lease("prune", "a", MINUTE).await.unwrap(), "whoever died is replaced");
    assert!(!store.lease("prune", "b", MINUTE).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_at_once_one_has_the_lease() {
    let (place, first) = store();
    let second = open(&place);
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = if n % 2 == 0 { first.clone() } else { second.clone() };
        asking.spawn(async move { store.lease("prune", &n.to_string(), MINUTE).await.unwrap() });
    }
    assert_eq!(asking.join_all().await.into_iter().filter(|held| *held).count(), 1);
}
