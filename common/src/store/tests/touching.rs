use super::*;
use crate::click::NotATouch;
use crate::event::{Person, Visit};
use crate::store::{Past, TouchRef};
use std::sync::Mutex;

fn visit(id: &str, seconds: i64, parameters: &[(&str, &str)]) -> Visit {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Visit {
        id: id.into(),
        at: at(seconds),
        parameters: parameters.collect(),
        landing_page: None,
        referrer: None,
        device: None,
    }
}

/// An event of a contact, which lists visits and names a click.
fn of_contact(key: &str, contact: &str, visits: Vec<Visit>, named: Option<ClickId>) -> Candidate {
    let person = Person { contact: Some(contact.into()), ..Person::default() };
    let named = named.map_or(Named::Nothing, Named::Click);
    Candidate { visits, named, ..candidate(&Event { person, ..event(key) }) }
}

/// What the visitor had done, as it is known when an event is decided.
async fn past(store: &Store, candidate: Candidate) -> Past {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let decide = move |_: &Candidate, known: &Known| {
        *told.lock().unwrap() = Some(known.past.clone());
        Resolution { verdict: Verdict::Decide(Box::default()), decisions: vec![] }
    };
    store.resolve(vec![candidate], decide).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

fn places(past: &Past) -> Vec<TouchRef> {
    past.touches.recent.iter().map(|(place, _)| place.clone()).collect()
}

#[tokio::test]
async fn touches_are_clicks_and_visits_up_to_the_event_the_newest_first() {
    let (_place, store) = store();
    let browser = VisitorId::new();
    let of_browser = |seconds| click(browser, at(seconds));
    let (early, same, after) = (of_browser(-9), of_browser(-5), of_browser(1));
    let bot = Click { not_a_touch: Some(NotATouch::Bot), ..of_browser(-4) };
    let elsewhere = Click { advertiser: "other".parse().unwrap(), ..of_browser(-4) };
    let named = of_browser(30);
    let all = vec![early.clone(), same.clone(), after, bot, elsewhere, named.clone()];
    store.record_clicks(all).await.unwrap();
    let listed = vec![visit("same", -5, &[]), visit("first", -20, &[]), visit("late", 2, &[])];
    let found = past(&store, of_contact("a", "7", listed, Some(named.id))).await;
    // The click that it names counts whatever the times say; of a tie the click is the newer.
    let expected = [
        TouchRef::Click(named.id),
        TouchRef::Click(same.id),
        TouchRef::Visit("same".into()),
        TouchRef::Click(early.id),
        TouchRef::Visit("first".into()),
    ];
    assert_eq!(places(&found), expected);
    assert_eq!(found.touches.first.map(|(place, _)| place), Some(TouchRef::Visit("first".into())));

    // The next event of the contact lists nothing, and names nothing: it is all known.
    let later = past(&store, of_contact("b", "7", vec![], None)).await;
    assert_eq!(places(&later), expected[1..]);
    // Of another contact nothing of it is.
    assert_eq!(places(&past(&store, of_contact("c", "8", vec![], None)).await), []);
}

#[tokio::test]
async fn of_very_many_touches_the_newest_twenty_and_the_oldest_are_known() {
    let (_place, store) = store();
    let browser = VisitorId::new();
    let clicks: Vec<Click> = (1..=50).map(|n| click(browser, at(-n))).collect();
    store.record_clicks(clicks.clone()).await.unwrap();
    let visits: Vec<Visit> = (1..=50).map(|n| visit(&format!("v{n}"), -100 - n, &[])).collect();
    let found = past(&store, of_contact("a", "7", visits, Some(clicks[0].id))).await;
    let newest: Vec<TouchRef> = clicks[..20].iter().map(|click| TouchRef::Click(click.id)).collect();
    assert_eq!(places(&found), newest);
    for event in ["b", "c"] {
        let found = past(&store, of_contact(event, "7", vec![], None)).await;
        assert_eq!(found.touches.first.map(|(place, _)| place), Some(TouchRef::Visit("v50".into())));
    }
}

#[tokio::test]
async fn a_visit_stands_as_the_event_that_tells_most_of_it_told_it() {
    let (_place, store) = store();
    let told = |parameters: &[(&str, &str)]| vec![visit("v", -5, parameters)];
    past(&store, of_contact("a", "7", told(&[]), None)).await;
    past(&store, of_contact("b", "7", told(&[("aff", "1")]), None)).await;
    past(&store, of_contact("c", "7", told(&[]), None)).await;
    let found = past(&store, of_contact("d", "7", vec![], None)).await;
    assert_eq!(found.touches.recent[0].1.parameter("aff"), Some("1"));
}
