use super::*;
use crate::dead_letter::Letter;
use crate::intake::Intake;
use crate::store::{LetterFilter, LetterStanding, Standing};

fn intake() -> Intake {
    Intake {
        id: EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: at(1),
        query: String::new(),
        content_type: None,
        body: Default::default(),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}

async fn standing(store: &Store, letter: &Letter) -> LetterStanding {
    store.letter_standings(std::slice::from_ref(letter)).await.unwrap()[0]
}

async fn record(store: &Store, event: &Event) -> (Standing, u32, u32, Option<Reason>) {
    let trace = store.trace_of_event(event.id).await.unwrap().unwrap();
    let found = &trace.deliveries[0];
    (found.standing, found.round, found.attempt, found.reason)
}

#[tokio::test]
async fn filters_find_what_they_name() {
    let (_place, store) = store();
    let (sale, mut lead) = (event("order:1"), event("lead:1"));
    lead.raw_type = "contact.created".to_owned();
    lead.name = Some("lead".to_owned());
    let a = letter(&delivery(&sale, "meta"), Reason::Exhausted);
    let b = Letter { last_status: None, at: at(20), ..letter(&delivery(&lead, "meta"), Reason::Expired) };
    let c = Letter { at: at(30), ..letter(&delivery(&lead, "crm"), Reason::Exhausted) };
    let d = Letter { at: at(40), ..Letter::of_intake(intake(), Reason::UndecodableBody, at(40)) };
    let e = Letter::of_message("carom.events", &[0xff], Reason::UndecodableMessage, at(50));
    let all = vec![a.clone(), b.clone(), c.clone(), d.clone(), e.clone()];
    assert_eq!(store.bury(all.clone()).await.unwrap(), 5);
    assert_eq!(store.bury(all).await.unwrap(), 0);

    let none = LetterFilter::default;
    let meta = Some(connector("meta"));
    let table = [
        (none(), vec![&a, &b, &c, &d, &e]),
        (LetterFilter { id: Some(b.id), ..none() }, vec![&b]),
        (LetterFilter { connector: meta.clone(), ..none() }, vec![&a, &b]),
        (LetterFilter { reason: Some(Reason::Exhausted), ..none() }, vec![&a, &c]),
        (LetterFilter { connector: meta.clone(), reason: Some(Reason::Exhausted), ..none() }, vec![&a]),
        (LetterFilter { status: Some(500), ..none() }, vec![&a, &c]),
        (LetterFilter { status: Some(404), ..none() }, vec![]),
        (LetterFilter { event_type: Some("contact.created".into()), ..none() }, vec![&b, &c]),
        (LetterFilter { event_type: Some("purchase".into()), ..none() }, vec![&a]),
        (LetterFilter { since: Some(at(20)), ..none() }, vec![&b, &c, &d, &e]),
        (LetterFilter { before: Some(at(20)), ..none() }, vec![&a]),
        (LetterFilter { since: Some(at(20)), before: Some(at(31)), connector: meta, ..none() }, vec![&b]),
    ];
    for (filter, expected) in table {
        let found = store.letters(&filter, None, 100).await.unwrap();
        let found: Vec<_> = found.iter().map(|letter| letter.id).collect();
        let expected: Vec<_> = expected.iter().map(|letter| letter.id).collect();
        assert_eq!(found, expected, "{filter:?}");
        assert_eq!(store.count_letters(&filter).await.unwrap(), expected.len() as u64, "{filter:?}");
    }
    let (listed, whole) = store.letter(e.id).await.unwrap().unwrap();
    assert_eq!((listed.kind.as_str(), listed.connector, whole), ("message", None, e));
    let (listed, _) = store.letter(d.id).await.unwrap().unwrap();
    assert_eq!((listed.kind.as_str(), listed.event.is_some()), ("intake", true));
}

#[tokio::test]
async fn pages_of_ten_thousand_letters_hold_each_once() {
    let (_place, store) = store();
    let sale = event("order:1");
    let of = |n: usize| {
        let mut delivery = delivery(&sale, if n.is_multiple_of(2) { "meta" } else { "crm" });
        delivery.id = DeliveryId::of_event(&delivery.connector, &n.to_string());
        letter(&delivery, Reason::Exhausted)
    };
    let letters: Vec<_> = (0..10_000).map(of).collect();
    store.bury(letters.clone()).await.unwrap();
    let filter = LetterFilter { connector: Some(connector("meta")), ..Default::default() };
    let (mut seen, mut after) = (Vec::new(), None);
    let began = std::time::Instant::now();
    loop {
        let page = store.letters(&filter, after, 700).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|letter| letter.id));
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let expected: Vec<_> = letters.iter().step_by(2).map(|letter| letter.id).collect();
    assert_eq!(seen, expected);
    let waiting = store.waiting(at(60)).await.unwrap();
    assert_eq!(waiting.dead.len(), 2);
    assert!(waiting.dead.contains(&(Some(connector("meta")), Reason::Exhausted, 5_000, at(10))));
}

#[tokio::test]
async fn a_replayed_delivery_is_queued_in_its_next_round_and_can_die_again() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let dead = letter(&first, Reason::Exhausted);
    assert_eq!(standing(&store, &dead).await, LetterStanding::Unheard);
    store.settle(vec![settlement(&first, End::Dead(Box::new(dead.clone())))]).await.unwrap();
    assert_eq!(standing(&store, &dead).await, LetterStanding::Dead);

    assert_eq!(store.replayed(vec![dead.clone()], at(60)).await.unwrap(), 1);
    assert_eq!(store.replayed(vec![dead.clone()], at(61)).await.unwrap(), 0);
    assert_eq!(standing(&store, &dead).await, LetterStanding::Settled);
    assert_eq!(record(&store, &sale).await, (Standing::Queued, 1, 0, None));
    assert_eq!(store.waiting(at(60)).await.unwrap().connectors, [(connector("meta"), 1, at(60))]);
    assert_eq!(store.count_letters(&Default::default()).await.unwrap(), 0);

    let again = next(&first, 1, 1);
    let other = letter(&again, Reason::Expired);
    store.settle(vec![settlement(&again, End::Dead(Box::new(other.clone())))]).await.unwrap();
    assert_eq!(record(&store, &sale).await, (Standing::Dead, 1, 1, Some(Reason::Expired)));
    assert_eq!(standing(&store, &other).await, LetterStanding::Dead);
    let expected = [Code::Selected, Code::HandedOver, Code::Dead, Code::Replayed, Code::Dead];
    assert_eq!(codes(&store, &sale).await, expected);
}

#[tokio::test]
async fn a_replay_that_is_noted_after_its_delivery_does_not_undo_it() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let dead = letter(&first, Reason::Exhausted);
    store.settle(vec![settlement(&first, End::Dead(Box::new(dead.clone())))]).await.unwrap();
    store.settle(vec![settlement(&next(&first, 1, 1), End::Delivered)]).await.unwrap();
    assert_eq!(standing(&store, &dead).await, LetterStanding::Settled);
    store.replayed(vec![dead], at(60)).await.unwrap();
    assert_eq!(record(&store, &sale).await, (Standing::Delivered, 1, 1, None));
}

#[tokio::test]
async fn copies_of_a_letter_go_with_it() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let (recorded, also, unheard) = (
        letter(&first, Reason::Unrouted),
        letter(&first, Reason::Unrouted),
        letter(&first, Reason::Unrouted),
    );
    store.bury(vec![recorded.clone(), also.clone()]).await.unwrap();
    assert_eq!(record(&store, &sale).await.0, Standing::Dead);
    store.replayed(vec![recorded.clone()], at(60)).await.unwrap();
    for copy in [&recorded, &also, &unheard] {
        assert_eq!(standing(&store, copy).await, LetterStanding::Settled);
    }
    assert_eq!(store.count_letters(&Default::default()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_purged_letter_is_gone_with_its_content() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    let dead = letter(&first, Reason::Exhausted);
    store.bury(vec![dead.clone()]).await.unwrap();
    assert_eq!(store.purged(vec![dead.clone()], at(60)).await.unwrap(), 1);
    assert_eq!(store.purged(vec![dead.clone()], at(60)).await.unwrap(), 0);
    assert_eq!(store.bury(vec![dead.clone()]).await.unwrap(), 0, "not dug up by a copy");
    assert_eq!(record(&store, &sale).await.0, Standing::Purged);
    assert_eq!(standing(&store, &dead).await, LetterStanding::Settled);
    assert_eq!(standing(&store, &letter(&first, Reason::Expired)).await, LetterStanding::Settled);
    assert!(store.letter(dead.id).await.unwrap().is_none());
    assert_eq!(codes(&store, &sale).await.last(), Some(&Code::Purged));
}

#[tokio::test]
async fn what_was_delivered_is_not_replayed_for_a_stray_letter() {
    let (_place, store) = store();
    let sale = event("order:1");
    let first = selected(&store, &sale, &["meta"]).await.remove(0);
    store.settle(vec![settlement(&first, End::Delivered)]).await.unwrap();
    let stray = letter(&first, Reason::Unrouted);
    assert_eq!(standing(&store, &stray).await, LetterStanding::Settled);
    store.bury(vec![stray.clone()]).await.unwrap();
    assert_eq!(record(&store, &sale).await.0, Standing::Delivered);
    assert_eq!(standing(&store, &stray).await, LetterStanding::Settled);
}

#[tokio::test]
async fn a_letter_that_the_store_had_not_heard_of_is_known_once_it_was_replayed() {
    let (_place, store) = store();
    let stray = Letter::of_intake(intake(), Reason::SourceRemoved, at(10));
    assert_eq!(standing(&store, &stray).await, LetterStanding::Unheard);
    assert_eq!(store.replayed(vec![stray.clone()], at(60)).await.unwrap(), 1);
    assert_eq!(standing(&store, &stray).await, LetterStanding::Settled);
    let sale = event("order:1");
    let stray = letter(&delivery(&sale, "meta"), Reason::Exhausted);
    assert_eq!(store.replayed(vec![stray.clone()], at(60)).await.unwrap(), 1);
    assert_eq!(store.event_of_delivery(delivery(&sale, "meta").id).await.unwrap(), Some(sale.id));
}
