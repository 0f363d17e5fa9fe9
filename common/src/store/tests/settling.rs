use super::*;
use crate::store::{AttemptKey, AttemptStanding, LogFilter, Standing};

fn key(delivery: &Delivery) -> AttemptKey {
    AttemptKey { delivery: delivery.id, round: delivery.round, attempt: delivery.attempt }
}

async fn is_copy(store: &Store, delivery: &Delivery) -> bool {
    let standing = store.attempt_standing(key(delivery), delivery.facts.event.id).await.unwrap();
    standing == AttemptStanding::Settled
}

async fn record(store: &Store, delivery: &Delivery) -> (Standing, u32, u32) {
    let trace = store.trace_of_event(delivery.facts.event.id).await.unwrap().unwrap();
    let found = trace.deliveries.iter().find(|found| found.id == delivery.id).unwrap();
    (found.standing, found.round, found.attempt)
}

#[tokio::test]
async fn a_delivery_goes_from_retry_to_delivered_and_every_copy_is_known() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    assert!(!is_copy(&store, &first).await);
    assert_eq!(record(&store, &first).await, (Standing::Queued, 0, 0));
    assert_eq!(store.settle(vec![settlement(&first, End::Retry(tier()))]).await.unwrap(), [true]);
    assert!(is_copy(&store, &first).await);

    let trace = store.trace_of_event(sale.id).await.unwrap().unwrap();
    let due = at(10) + Duration::from_millis(250) + tier().delay();
    assert_eq!(trace.deliveries[0].due_at, Some(due), "from the end of the attempt");
    assert_eq!(trace.deliveries[0].conversion, first.facts.conversion);

    let second = next(&first, 0, 2);
    assert!(!is_copy(&store, &second).await);
    let both = vec![settlement(&first, End::Delivered), settlement(&second, End::Delivered)];
    assert_eq!(store.settle(both).await.unwrap(), [false, true]);
    assert_eq!(record(&store, &first).await, (Standing::Delivered, 0, 2));
    assert!(is_copy(&store, &second).await);

    let trace = store.trace_of_event(sale.id).await.unwrap().unwrap();
    let told: Vec<_> = trace.decisions.iter().skip(2).map(|d| (d.code, d.detail.as_str())).collect();
    let expected = [
        (Code::Retry, "connector meta, round 0, attempt 1, status 500, again in 15s"),
        (Code::Delivered, "connector meta, round 0, attempt 2, status 200"),
    ];
    assert_eq!(told, expected);
    let outcomes: Vec<_> = trace.attempts.iter().map(|a| (a.outcome.as_str(), a.detail.as_str())).collect();
    assert_eq!(outcomes, [("retry", "15s"), ("delivered", "")]);
    assert_eq!(trace.attempts[1].exchange, settlement(&second, End::Delivered).exchange);
}

#[tokio::test]
async fn a_letter_of_an_attempt_is_listed_with_it() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    let given_up = letter(&first, Reason::Exhausted);
    let end = End::Dead(Box::new(given_up.clone()));
    let unmade = Settlement { exchange: None, ..settlement(&first, end.clone()) };
    assert_eq!(store.settle(vec![unmade.clone(), unmade]).await.unwrap(), [true, false]);
    assert_eq!(record(&store, &first).await, (Standing::Dead, 0, 1));
    assert_eq!(store.count_letters(&Default::default()).await.unwrap(), 1);
    assert_eq!(store.letter(given_up.id).await.unwrap().unwrap().1, given_up);
    let log = store.last_attempts(&LogFilter::default(), 10).await.unwrap();
    assert_eq!((log[0].outcome.as_str(), log[0].detail.as_str()), ("dead", "exhausted"));
    assert_eq!(log[0].exchange, None);
}

#[tokio::test]
async fn a_message_of_an_earlier_round_is_a_copy() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    store.settle(vec![settlement(&next(&first, 1, 1), End::Retry(tier()))]).await.unwrap();
    assert!(is_copy(&store, &first).await);
    assert!(is_copy(&store, &next(&first, 0, 5)).await);
    assert!(!is_copy(&store, &next(&first, 1, 2)).await);
    assert_eq!(store.settle(vec![settlement(&first, End::Delivered)]).await.unwrap(), [false]);
    assert_eq!(record(&store, &first).await, (Standing::Retrying, 1, 1));
}

#[tokio::test]
async fn what_is_settled_late_does_not_hide_what_came_after_it() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    let second = next(&first, 0, 2);
    let late = vec![settlement(&second, End::Delivered), settlement(&first, End::Retry(tier()))];
    assert_eq!(store.settle(late).await.unwrap(), [true, true]);
    assert_eq!(record(&store, &first).await, (Standing::Delivered, 0, 2));
}

#[tokio::test]
async fn a_delivery_that_the_store_never_heard_of_is_settled_all_the_same() {
    let (_place, store) = store();
    let sale = event("order:1");
    let unheard = next(&delivery(&sale, "meta"), 2, 3);
    assert_eq!(store.settle(vec![settlement(&unheard, End::Delivered)]).await.unwrap(), [true]);
    assert_eq!(store.event_of_delivery(unheard.id).await.unwrap(), Some(sale.id));
    assert!(is_copy(&store, &unheard).await);
    assert!(is_copy(&store, &next(&unheard, 1, 9)).await);
}

#[tokio::test]
async fn a_retry_that_comes_back_after_its_delivery_is_a_copy() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    store.settle(vec![settlement(&first, End::Delivered)]).await.unwrap();
    assert!(is_copy(&store, &next(&first, 0, 2)).await);
    assert!(!is_copy(&store, &next(&first, 1, 1)).await);
}

#[tokio::test]
async fn of_two_copies_that_were_tried_at_once_the_one_that_was_delivered_counts() {
    let (_place, store) = store();
    let first = selected(&store, &event("order:1"), &["meta"]).await.remove(0);
    assert_eq!(store.settle(vec![settlement(&first, End::Retry(tier()))]).await.unwrap(), [true]);
    assert_eq!(store.settle(vec![settlement(&first, End::Delivered)]).await.unwrap(), [false]);
    assert_eq!(record(&store, &first).await, (Standing::Delivered, 0, 1));
    assert!(is_copy(&store, &next(&first, 0, 2)).await);
}

#[tokio::test]
async fn a_macro_that_had_no_value_is_in_the_trace_by_its_name() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let mut told = settlement(&first, End::Delivered);
    told.exchange.as_mut().unwrap().unresolved = vec!["TTCLID".to_owned(), "contact.x".to_owned()];
    store.settle(vec![told]).await.unwrap();
    let trace = store.trace_of_event(sale.id).await.unwrap().unwrap();
    let last = trace.decisions.last().unwrap();
    assert_eq!(
        last.detail,
        "connector meta, round 0, attempt 1, status 200, without a value for TTCLID, contact.x"
    );
}
