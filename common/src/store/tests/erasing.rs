use super::*;
use crate::dead_letter::{Content, Letter};
use crate::event::Person;
use crate::store::{AttemptKey, AttemptStanding, Erased, Somebody};

const SECRETS: [&str; 5] =
    ["jane.doe@example.com", "+18005550199", "Jane Secretive", "Secretbrowser", "203.0.113.77"];

/// An event of Jane's, with her contact, e-mail and phone number.
fn janes(key: &str) -> Event {
    Event {
        order: Some("7".into()),
        person: Person {
            visitor: None,
            contact: Some("24359".into()),
            email: Some(SECRETS[0].into()),
            phone: Some(SECRETS[1].into()),
        },
        data: serde_json::json!({"name": SECRETS[2], "ip": SECRETS[4]}),
        ..event(key)
    }
}

async fn hashed(store: &Store, event: &Event) -> Candidate {
    Candidate { who: Who::of(event, &store.hasher().await.unwrap()), ..candidate(event) }
}

async fn resolve(store: &Store, candidate: Candidate) -> Vec<Delivery> {
    let event = candidate.event.id;
    let resolved = store.resolve(vec![candidate], as_the_worker(&["network"])).await.unwrap();
    store.handed_over(vec![event], at(3)).await.unwrap();
    resolved.into_iter().flat_map(|resolved| resolved.deliveries).collect()
}

async fn by_email(store: &Store) -> Somebody {
    let mark = store.hasher().await.unwrap().email(SECRETS[0]).unwrap();
    Somebody { advertiser: "acme".parse().unwrap(), marks: vec![mark], contacts: vec![] }
}

async fn standing(store: &Store, delivery: &Delivery) -> AttemptStanding {
    let key = AttemptKey { delivery: delivery.id, round: delivery.round, attempt: delivery.attempt };
    store.attempt_standing(key, delivery.facts.event.id).await.unwrap()
}

#[tokio::test]
async fn of_a_person_who_is_forgotten_nothing_is_left_in_the_files_but_the_ledger() {
    let (place, store) = store();
    let visitor = VisitorId::new();
    let clicked = Click { user_agent: Some(SECRETS[3].into()), ..click(visitor, at(-5)) };
    store.record_clicks(vec![clicked.clone()]).await.unwrap();
    let mut deliveries = Vec::new();
    // Enough of them that pages split, and with data that needs pages of its own.
    for n in 0..60 {
        let mut event = janes(&format!("order:{n}"));
        event.person.visitor = Some(visitor);
        event.data["filler"] = serde_json::json!(SECRETS[2].repeat(n * 20));
        deliveries.extend(resolve(&store, hashed(&store, &event).await).await);
        resolve(&store, hashed(&store, &super::event(&format!("others:{n}"))).await).await;
    }
    let dead = Letter { response: SECRETS[0].into(), ..letter(&deliveries[1], Reason::Exhausted) };
    let settled = Settlement {
        exchange: Some(ExchangeRecord {
            method: "GET".into(),
            url: format!("https://n.example/?e={}", SECRETS[0]),
            response: SECRETS[2].into(),
            request_headers: format!("X-Who: {}", SECRETS[0]),
            request_body: SECRETS[2].into(),
            ..ExchangeRecord::default()
        }),
        ..settlement(&deliveries[1], End::Dead(Box::new(dead.clone())))
    };
    store.settle(vec![settled]).await.unwrap();
    assert!(SECRETS.iter().all(|secret| place.raw().contains(secret)), "or nothing is tested");

    let expected = store.would_erase(by_email(&store).await).await.unwrap();
    let erased = store.erase(by_email(&store).await, at(100)).await.unwrap();
    assert_eq!(
        (erased.events, erased.attempts, erased.letters, erased.clicks, erased.persons),
        (60, 1, 1, 1, 1)
    );
    assert_eq!((expected.events, expected.clicks, expected.persons), (60, 1, 1));
    assert!(Store::empty_log(&settings(&place)).unwrap());
    for secret in SECRETS {
        assert!(!place.raw().contains(secret), "{secret} is in the files");
    }

    let trace = store.trace_of_event(deliveries[1].facts.event.id).await.unwrap().unwrap();
    assert_eq!(trace.decisions.last().unwrap().code, Code::Erased);
    assert_eq!(trace.conversion.unwrap().key, "order:1");
    assert_eq!((trace.event.key.as_str(), trace.event.order.as_deref()), ("order:1", Some("7")));
    assert_eq!((trace.deliveries.len(), trace.attempts.len()), (1, 1));
    let click = store.click(clicked.id).await.unwrap().unwrap();
    assert!(click.visitor != visitor && click.parameters.is_empty() && click.at == clicked.at);
    let (_, whole) = store.letter(dead.id).await.unwrap().unwrap();
    assert!(
        matches!(whole.content, Content::Delivery(delivery) if delivery.facts.event.person == Person::default())
    );
    assert_eq!(standing(&store, &deliveries[0]).await, AttemptStanding::Erased);
    assert_eq!(standing(&store, &deliveries[1]).await, AttemptStanding::Settled);
    assert_eq!(standing(&store, &next(&deliveries[1], 1, 1)).await, AttemptStanding::Erased);

    let again = store.erase(by_email(&store).await, at(101)).await.unwrap();
    assert_eq!(again, Erased::default(), "nothing is left to be erased");
}

#[tokio::test]
async fn others_stay_untouched_also_where_too_many_share_an_address() {
    let (_place, store) = store();
    let mut last = None;
    for n in 0..25 {
        let mut event = janes(&format!("order:{n}"));
        event.person.contact = Some(n.to_string());
        event.person.phone = None;
        event.order = None;
        resolve(&store, hashed(&store, &event).await).await;
        // The same contact without the shared address.
        let mut own = Event { key: format!("own:{n}"), ..event.clone() };
        own.id = EventId::new();
        own.person.email = None;
        resolve(&store, hashed(&store, &own).await).await;
        last = Some(own);
    }
    let erased = store.erase(by_email(&store).await, at(100)).await.unwrap();
    assert_eq!((erased.events, erased.persons), (25, 0));
    let trace = store.trace_of_event(last.unwrap().id).await.unwrap().unwrap();
    assert_eq!(trace.event.person.contact.as_deref(), Some("24"));
    let globex = Somebody { advertiser: "globex".parse().unwrap(), ..by_email(&store).await };
    assert_eq!(store.erase(globex, at(100)).await.unwrap(), Erased::default());
}

#[tokio::test]
async fn a_contacts_number_is_one_contacts_of_one_sender() {
    let (_place, store) = store();
    let classic = Event { envelope: Envelope::ClassicFlat, ..janes("classic") };
    for event in [&janes("cf"), &classic] {
        resolve(&store, hashed(&store, event).await).await;
    }
    let acme = || "acme".parse().unwrap();
    let keys = store.contacts(acme(), "24359").await.unwrap();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["contact:cf:24359", "contact:classic:24359"]);
    let keys = store.contacts(acme(), "cf:24359").await.unwrap();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["contact:cf:24359"]);
    assert!(store.contacts(acme(), "1").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_happened_before_a_deletion_and_comes_after_it_counts_and_is_nobodys() {
    let (place, store) = store();
    let first = janes("order:1");
    let before = resolve(&store, hashed(&store, &first).await).await;
    let deletion =
        Event { raw_type: "contact.deleted".into(), at: at(50), received_at: at(55), ..janes("deleted") };
    let deletes = Candidate { erases: true, ..hashed(&store, &deletion).await };
    assert!(resolve(&store, deletes).await.is_empty(), "nothing is sent of a deletion");
    assert_eq!(standing(&store, &before[0]).await, AttemptStanding::Erased);

    let late = Event { at: at(49), received_at: at(60), ..janes("order:2") };
    assert!(resolve(&store, hashed(&store, &late).await).await.is_empty());
    let trace = store.trace_of_event(late.id).await.unwrap().unwrap();
    assert_eq!(trace.conversion.unwrap().key, "order:2", "it counts");
    for event in [&first, &deletion, &late] {
        let trace = store.trace_of_event(event.id).await.unwrap().unwrap();
        assert!(trace.decisions.iter().any(|decision| decision.code == Code::Erased), "{}", event.key);
        assert_eq!(trace.event.person, Person::default(), "{}", event.key);
    }
    assert!(Store::empty_log(&settings(&place)).unwrap());
    for secret in [SECRETS[0], SECRETS[1], SECRETS[2]] {
        assert!(!place.raw().contains(secret), "{secret} is in the files");
    }

    let new = Event { at: at(51), received_at: at(61), ..janes("order:3") };
    assert_eq!(resolve(&store, hashed(&store, &new).await).await.len(), 1, "they are somebody new");
}

#[tokio::test]
async fn who_shares_a_phone_number_with_a_deleted_contact_is_not_erased() {
    let (_place, store) = store();
    let first = janes("order:1");
    let mut spouse = janes("order:2");
    spouse.order = None;
    spouse.person.contact = Some("other".into());
    spouse.person.visitor = None;
    spouse.person.email = Some("spouse@example.com".into());
    resolve(&store, hashed(&store, &first).await).await;
    resolve(&store, hashed(&store, &spouse).await).await;
    let deletion =
        Event { raw_type: "contact.deleted".into(), at: at(50), received_at: at(55), ..janes("deleted") };
    let deletes = Candidate { erases: true, ..hashed(&store, &deletion).await };
    resolve(&store, deletes).await;
    let person = async |event: &Event| store.trace_of_event(event.id).await.unwrap().unwrap().event.person;
    assert_eq!(person(&first).await, Person::default());
    assert_eq!(person(&spouse).await, spouse.person, "nobody has deleted them");
}

#[tokio::test]
async fn a_parked_event_of_a_forgotten_person_comes_back_as_nobodys() {
    let (place, store) = store();
    let event = janes("order:1");
    let mut waiting = hashed(&store, &event).await;
    let body = format!(r#"{{"email": "{}", "password": "hunter2"}}"#, SECRETS[0]);
    waiting.intake = Arc::new(Intake { body: Body(body.into_bytes()), ..Intake::clone(&waiting.intake) });
    let parks = |_: &Candidate, _: &Known| Resolution {
        verdict: Verdict::Park(park(&["click:x"])),
        decisions: vec![decision(Code::Parked)],
    };
    let parked = store.resolve(vec![waiting.clone()], parks).await.unwrap();
    let (_, timer) = parked[0].timer.clone().unwrap();
    assert_eq!(timer.key.as_deref(), Some("order:1"), "a masked body would hash to another key");
    assert!(!place.raw().contains("hunter2"), "what waits is masked");

    let erased = store.erase(by_email(&store).await, at(100)).await.unwrap();
    assert_eq!((erased.events, erased.parked), (1, 1));
    let back = Candidate { intake: Arc::new(timer), ..waiting };
    assert!(resolve(&store, back).await.is_empty());
    assert!(Store::empty_log(&settings(&place)).unwrap());
    assert!(!place.raw().contains(SECRETS[0]));
    assert_eq!(codes(&store, &event).await.last(), Some(&Code::Erased));
}

#[tokio::test]
async fn an_attempt_that_was_under_way_leaves_nothing_of_who_was_erased() {
    let (_place, store) = store();
    let delivery = resolve(&store, hashed(&store, &janes("order:1")).await).await.remove(0);
    store.erase(by_email(&store).await, at(100)).await.unwrap();
    let dead = letter(&delivery, Reason::Exhausted);
    store.settle(vec![settlement(&delivery, End::Dead(Box::new(dead.clone())))]).await.unwrap();
    let exchange = store.last_attempts(&Default::default(), 1).await.unwrap()[0].exchange.clone().unwrap();
    assert_eq!((exchange.url.as_str(), exchange.response.as_str()), ("", ""));
    let (_, whole) = store.letter(dead.id).await.unwrap().unwrap();
    assert_eq!(whole, dead.without_person());
}
