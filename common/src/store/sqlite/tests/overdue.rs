use super::*;
use crate::store::LetterFilter;

#[tokio::test]
async fn what_is_overdue_is_put_together_as_the_message_that_it_would_be() {
    let (_folder, store) = store();
    let never_tried = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    let failed = selected(&store, &event("order:2"), &["meta"]).await.remove(0);
    let told = selected(&store, &event("order:3"), &["meta"]).await.remove(0);
    let replayed = selected(&store, &event("order:4"), &["crm"]).await.remove(0);
    let given_up = letter(&replayed, Reason::Exhausted);
    store
        .settle(vec![
            settlement(&failed, End::Retry(tier())),
            settlement(&told, End::Delivered),
            settlement(&replayed, End::Dead(Box::new(given_up.clone()))),
        ])
        .await
        .unwrap();
    store.replayed(vec![given_up], at(20)).await.unwrap();
    let back = at(10) + Duration::from_millis(250) + tier().delay();

    // At the very time nothing is overdue yet, and a moment later it is.
    let meta = connector("meta");
    let overdue = |before| store.overdue_deliveries(&meta, before, 100);
    assert_eq!(overdue(at(2)).await.unwrap(), []);
    assert_eq!(overdue(at(3)).await.unwrap(), std::slice::from_ref(&never_tried));
    assert_eq!(overdue(back).await.unwrap(), std::slice::from_ref(&never_tried));
    let second = Delivery { due_since: back, ..next(&failed, 0, 2) };
    let later = back + Duration::from_millis(1);
    assert_eq!(overdue(later).await.unwrap(), [never_tried, second]);
    assert_eq!(store.overdue_deliveries(&meta, later, 1).await.unwrap().len(), 1, "it is bounded");
    let again = Delivery { due_since: at(20), ..next(&replayed, 1, 1) };
    assert_eq!(store.overdue_deliveries(&connector("crm"), at(21), 100).await.unwrap(), [again]);

    assert_eq!(store.connectors_overdue(at(3)).await.unwrap(), std::slice::from_ref(&meta));
    let mut both = store.connectors_overdue(at(60)).await.unwrap();
    both.sort();
    assert_eq!(both, [connector("crm"), meta.clone()]);
    assert_eq!(store.due_from_tiers(at(11)).await.unwrap(), [], "it is in its tier");
    assert_eq!(store.due_from_tiers(at(60)).await.unwrap(), [(tier(), meta, 1, back)]);
}

#[tokio::test]
async fn a_letter_that_is_a_copy_leaves_the_list_and_changes_nothing_else() {
    let (_folder, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let given_up = letter(&first, Reason::Exhausted);
    store.bury(vec![given_up.clone()]).await.unwrap();
    // Its replay was sent and delivered, and whoever sent it died before noting that.
    store.settle(vec![settlement(&next(&first, 1, 1), End::Delivered)]).await.unwrap();
    assert_eq!(store.count_letters(&LetterFilter::default()).await.unwrap(), 1);
    let told = codes(&store, &sale).await;
    assert_eq!(store.were_copies(vec![given_up.id]).await.unwrap(), 1);
    assert_eq!(store.were_copies(vec![given_up.id]).await.unwrap(), 0);
    assert_eq!(store.count_letters(&LetterFilter::default()).await.unwrap(), 0);
    assert_eq!(codes(&store, &sale).await, told);
    let trace = store.trace_of_event(sale.id).await.unwrap().unwrap();
    let found = &trace.deliveries[0];
    assert_eq!((found.standing, found.round), (crate::store::Standing::Delivered, 1));
}
