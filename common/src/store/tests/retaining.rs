use super::*;
use crate::event::Person;
use crate::event::Visit;
use crate::store::{LogFilter, Perishable};

/// An old event and a new one, with all that can be kept about each.
async fn two(store: &Store) -> [(Event, Click, Delivery); 2] {
    let mut both = Vec::new();
    for (key, seconds) in [("old", 0), ("new", 1_000)] {
        let clicked = click(VisitorId::new(), at(seconds));
        store.record_clicks(vec![clicked.clone()]).await.unwrap();
        let person = Person {
            visitor: Some(clicked.visitor),
            contact: Some(key.into()),
            email: Some(format!("{key}@example.com")),
            phone: None,
        };
        let event = Event { at: at(seconds), received_at: at(seconds), person, ..event(key) };
        let visit = Visit {
            id: key.into(),
            at: at(seconds),
            parameters: vec![],
            landing_page: None,
            referrer: None,
            device: None,
        };
        let who = Who::of(&event, &store.hasher().await.unwrap());
        let candidate = Candidate { who, visits: vec![visit], ..candidate(&event) };
        let resolved = store.resolve(vec![candidate], as_the_worker(&["network"])).await.unwrap();
        let delivery = resolved[0].deliveries[0].clone();
        let settled = Settlement { at: at(seconds), ..settlement(&delivery, End::Retry(tier())) };
        store.settle(vec![settled]).await.unwrap();
        both.push((event, clicked, delivery));
    }
    both.try_into().unwrap()
}

async fn expire(store: &Store, what: Perishable) -> u64 {
    let pruned = store.expire(what, at(500)).await.unwrap();
    assert_eq!(store.expire(what, at(500)).await.unwrap(), 0, "what is done is not done again");
    pruned
}

#[tokio::test]
async fn a_payload_goes_with_all_that_holds_the_same_and_the_ledger_stays() {
    let (_place, store) = store();
    let [(old, ..), (new, ..)] = two(&store).await;
    assert_eq!(expire(&store, Perishable::Payloads).await, 1);
    let trace = store.trace_of_event(old.id).await.unwrap().unwrap();
    assert_eq!(trace.event, old.clone().without_person());
    assert_eq!(trace.attempts[0].exchange.as_ref().unwrap().url, "");
    assert_eq!(trace.attempts[0].exchange.as_ref().unwrap().status, Some(500));
    assert_eq!((trace.conversion.unwrap().key.as_str(), trace.deliveries.len()), ("old", 1));
    assert_eq!(store.trace_of_event(new.id).await.unwrap().unwrap().event, new);
    assert!(store.events_about("old@example.com").await.unwrap().is_empty());
    assert_eq!(store.events_about("new@example.com").await.unwrap(), [new.id]);
}

#[tokio::test]
async fn an_event_is_found_by_its_person_for_as_long_as_a_dead_letter_holds_one() {
    let (_place, store) = store();
    let [(old, _, delivery), _] = two(&store).await;
    store.bury(vec![letter(&delivery, Reason::Exhausted)]).await.unwrap();
    assert_eq!(expire(&store, Perishable::Payloads).await, 1);
    assert_eq!(store.events_about("old@example.com").await.unwrap(), [old.id]);
}

#[tokio::test]
async fn each_kind_goes_by_its_own_time_and_takes_no_other_along() {
    let (_place, store) = store();
    let [(old, old_click, delivery), (new, new_click, _)] = two(&store).await;
    assert_eq!(expire(&store, Perishable::Clicks).await, 1);
    let blanked = store.click(old_click.id).await.unwrap().unwrap();
    assert_eq!(blanked, old_click.clone().without_details());
    assert_eq!(blanked.visitor, old_click.visitor, "attribution goes on");
    assert_eq!(store.click(new_click.id).await.unwrap().unwrap(), new_click);

    assert_eq!(expire(&store, Perishable::Visits).await, 1);
    assert_eq!(expire(&store, Perishable::Log).await, 1);
    let log = store.last_attempts(&LogFilter::default(), 10).await.unwrap();
    let content = log.iter().filter_map(|one| one.exchange.as_ref()).map(|exchange| {
        [&exchange.url, &exchange.response, &exchange.request_headers, &exchange.request_body]
            .map(|text| text.is_empty())
    });
    assert_eq!(content.collect::<Vec<_>>(), [[true; 4], [false; 4]]);

    assert_eq!(expire(&store, Perishable::Decisions).await, 1);
    assert!(codes(&store, &old).await.is_empty() && !codes(&store, &new).await.is_empty());

    let replayed = letter(&delivery, Reason::Exhausted);
    let waiting = letter(&next(&delivery, 1, 1), Reason::Exhausted);
    store.bury(vec![replayed.clone()]).await.unwrap();
    store.replayed(vec![replayed.clone()], at(20)).await.unwrap();
    store.bury(vec![waiting.clone()]).await.unwrap();
    assert_eq!(expire(&store, Perishable::Letters).await, 1);
    assert!(store.letter(replayed.id).await.unwrap().is_none());
    assert!(store.letter(waiting.id).await.unwrap().is_some(), "it can still be replayed");

    let knows = async |contact: &str| {
        let key = format!("contact:cf:{contact}");
        store.read(move |session| crate::store::identities::knows(session, "acme", &key)).await.unwrap()
    };
    assert!(knows("old").await && knows("new").await);
    // The person, and the conversion and the event that were counted of them.
    assert_eq!(expire(&store, Perishable::Identities).await, 3);
    assert!(!knows("old").await && knows("new").await);

    assert_eq!(store.trace_of_event(old.id).await.unwrap().unwrap().event, old, "its payload was not due");
}
