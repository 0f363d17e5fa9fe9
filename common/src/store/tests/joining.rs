use super::*;
use crate::event::{OrderSeen, Person, Visit};
use crate::store::sale_key;

/// Who an event names, in few words.
#[derive(Clone, Default)]
struct Named_ {
    browser: Option<VisitorId>,
    contact: Option<&'static str>,
    email: Option<String>,
    phone: Option<&'static str>,
}

fn named(key: &str, who: &Named_) -> Candidate {
    let person = Person {
        visitor: who.browser,
        contact: who.contact.map(ToOwned::to_owned),
        email: who.email.clone(),
        phone: who.phone.map(ToOwned::to_owned),
    };
    candidate(&Event { person, ..event(key) })
}

/// Decides an event, and gives the browsers' touches that it would have been attributed by.
async fn decide(store: &Store, candidate: Candidate) -> (Vec<(ClickId, FoundBy)>, Vec<Intake>) {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let decide = move |_: &Candidate, known: &Known| {
        *told.lock().unwrap() = known.touches.iter().map(|(click, by)| (click.id, *by)).collect();
        let decided = Decided { click: known.named_click.clone(), ..Decided::default() };
        Resolution { verdict: Verdict::Decide(Box::new(decided)), decisions: vec![] }
    };
    let resolved = store.resolve(vec![candidate], decide).await.unwrap().remove(0);
    let seen = seen.lock().unwrap().clone();
    (seen, resolved.released)
}

#[tokio::test]
async fn a_visitor_is_what_browser_click_contact_email_and_phone_join() {
    let (_place, store) = store();
    let (phone, laptop) = (click(VisitorId::new(), at(-20)), click(VisitorId::new(), at(-10)));
    store.record_clicks(vec![phone.clone(), laptop.clone()]).await.unwrap();
    let jane = |contact| Named_ { contact, email: Some("jane@example.com".into()), ..Named_::default() };

    // On the phone she opts in, and the form keeps the click; on the laptop a pixel sends the cookie.
    let lead = Candidate { named: Named::Click(phone.id), ..named("lead", &jane(Some("7"))) };
    decide(&store, lead).await;
    let pixel = Named_ { browser: Some(laptop.visitor), phone: Some("+18005550199"), ..jane(None) };
    let (touches, _) = decide(&store, named("pixel", &pixel)).await;
    let both = |by: FoundBy, other: FoundBy| vec![(laptop.id, by), (phone.id, other)];
    assert_eq!(touches, both(FoundBy::Visitor, FoundBy::Email));

    for (key, who, expected) in [
        (
            "contact",
            Named_ { contact: Some("7"), ..Named_::default() },
            both(FoundBy::Contact, FoundBy::Contact),
        ),
        ("email", jane(None), both(FoundBy::Email, FoundBy::Email)),
        (
            "phone",
            Named_ { phone: Some("+1 800 555 0199"), ..Named_::default() },
            both(FoundBy::Phone, FoundBy::Phone),
        ),
        ("nobody", Named_ { contact: Some("8"), ..Named_::default() }, vec![]),
    ] {
        let (touches, _) = decide(&store, named(key, &who)).await;
        // Who is reached by a contact directly is told from who is reached by what the contact shares.
        let found: Vec<_> = touches.iter().map(|(id, _)| *id).collect();
        assert_eq!(found, expected.iter().map(|(id, _)| *id).collect::<Vec<_>>(), "{key}");
        assert_eq!(touches.first().map(|(_, by)| *by), expected.first().map(|(_, by)| *by), "{key}");
    }
    let mut elsewhere = named("elsewhere", &jane(Some("7")));
    elsewhere.event.advertiser = "other".parse().unwrap();
    assert_eq!(decide(&store, elsewhere).await.0, [], "visitors never cross advertisers");
}

#[tokio::test]
async fn an_address_that_is_on_more_than_twenty_persons_joins_nobody() {
    let (_place, store) = store();
    let office = || Some("office@example.com".to_owned());
    let mut clicks = Vec::new();
    for n in 0..21 {
        let earned = click(VisitorId::new(), at(n - 100));
        store.record_clicks(vec![earned.clone()]).await.unwrap();
        clicks.push(earned.clone());
        let who = Named_ { browser: Some(earned.visitor), email: office(), ..Named_::default() };
        let (touches, _) = decide(&store, named(&format!("k{n}"), &who)).await;
        // The event's own person counts among the twenty.
        let expected = if n < 20 { usize::try_from(n).unwrap() + 1 } else { 1 };
        assert_eq!(touches.len().min(16), expected.min(16), "{n}");
    }
    let (touches, _) = decide(&store, named("late", &Named_ { email: office(), ..Named_::default() })).await;
    assert_eq!(touches, []);
}

#[tokio::test]
async fn whatever_brings_a_key_releases_what_waits_for_it_until_that_is_decided() {
    let (_place, store) = store();
    let waits = |key: &'static str| {
        move |_: &Candidate, _: &Known| Resolution {
            verdict: Verdict::Park(park(&[key])),
            decisions: vec![decision(Code::Parked)],
        }
    };
    let early = click(VisitorId::new(), at(-5));
    let awaited: &'static str = Box::leak(format!("click:{}", early.id).into_boxed_str());
    let mut parked = Vec::new();
    for (key, awaits) in [("c", awaited), ("o", "order:cf:9"), ("p", "contact:cf:7"), ("s", "sale:order:9")] {
        let event = event(key);
        let resolved = store.resolve(vec![candidate(&event)], waits(awaits)).await.unwrap().remove(0);
        let (_, timer) = resolved.timer.unwrap();
        assert!(resolved.parked && !timer.parked.unwrap().released);
        parked.push(event);
    }

    let released = store.record_clicks(vec![early.clone()]).await.unwrap().released;
    assert_eq!(released.iter().map(|intake| intake.id).collect::<Vec<_>>(), [parked[0].id]);
    assert!(released[0].parked.unwrap().released);
    // Nobody has decided it yet: whoever brings the click again releases it again.
    assert_eq!(store.record_clicks(vec![early.clone()]).await.unwrap().released.len(), 1);
    decide(&store, candidate(&parked[0])).await;
    assert_eq!(store.record_clicks(vec![early]).await.unwrap().released, []);

    let mut order =
        named("order", &Named_ { email: Some("a@b.cd".into()), contact: Some("7"), ..Named_::default() });
    order.event.order = Some("9".into());
    order.who = Who::of(&order.event, &Hasher::new(b"key"));
    order.order = Some(OrderSeen { id: "9".into(), described: true, ..OrderSeen::default() });
    order.claim = Some(claim("order:9"));
    let (_, released) = decide(&store, order).await;
    let ids: Vec<_> = released.iter().map(|intake| intake.id).collect();
    assert_eq!(ids, [parked[1].id, parked[2].id, parked[3].id]);
    assert_eq!(sale_key("order:9"), "sale:order:9");
}

#[tokio::test]
async fn a_contact_is_known_by_more_than_its_number() {
    let (_place, store) = store();
    let bare = Named_ { contact: Some("7"), ..Named_::default() };
    decide(&store, named("bare", &bare)).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let look = |seen: &Arc<std::sync::Mutex<Vec<bool>>>| {
        let seen = Arc::clone(seen);
        move |_: &Candidate, known: &Known| {
            seen.lock().unwrap().push(known.contact_known);
            Resolution { verdict: Verdict::Decide(Box::default()), decisions: vec![] }
        }
    };
    store.resolve(vec![named("first", &bare)], look(&seen)).await.unwrap();
    let told = Named_ { email: Some("a@b.cd".into()), ..bare.clone() };
    let visit = Visit {
        id: "v".into(),
        at: at(-1),
        parameters: vec![],
        landing_page: None,
        referrer: None,
        device: None,
    };
    let with_visit = Candidate { visits: vec![visit], ..named("told", &told) };
    store.resolve(vec![with_visit], look(&seen)).await.unwrap();
    store.resolve(vec![named("then", &bare)], look(&seen)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [false, false, true]);
    assert_eq!(store.events_about("A@B.CD ").await.unwrap().len(), 0, "its hasher has another key");
    assert_eq!(store.events_about("7").await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_event_whose_timer_is_lost_is_found_until_it_is_decided() {
    let (_place, store) = store();
    let lost = event("k");
    let waits = |_: &Candidate, _: &Known| Resolution {
        verdict: Verdict::Park(park(&["click:never"])),
        decisions: vec![decision(Code::Parked)],
    };
    store.resolve(vec![candidate(&lost)], waits).await.unwrap();
    assert_eq!(store.overdue(at(2)).await.unwrap(), [], "it was parked just then");
    let overdue = store.overdue(at(3)).await.unwrap();
    assert_eq!(overdue.iter().map(|intake| intake.id).collect::<Vec<_>>(), [lost.id]);
    decide(&store, candidate(&lost)).await;
    assert_eq!(store.overdue(at(3)).await.unwrap(), []);
}
