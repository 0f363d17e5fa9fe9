use super::*;
use crate::event::{Person, Visit};
use crate::id::SourceId;
use crate::intake::{Shown, Told};
use crate::store::{LogFilter, Perishable, PixelReport, Reported, TouchRef};
use crate::track::{Outcome, Report};

fn visit(id: &str, seconds: i64) -> Visit {
    let parameters = vec![("aff_click_id".to_owned(), id.to_owned())];
    Visit { id: id.into(), at: at(seconds), parameters, landing_page: None, referrer: None, device: None }
}

/// An event of a page's visitor.
fn of_visitor(key: &str, visitor: Option<VisitorId>, visits: Vec<Visit>) -> Candidate {
    Candidate {
        visits,
        ..candidate(&Event { person: Person { visitor, ..Person::default() }, ..event(key) })
    }
}

/// The same with what its browser was told.
fn told(mut candidate: Candidate, pixels: &[(&str, bool)]) -> Candidate {
    let shown = |(connector, given): &(&str, bool)| Shown {
        connector: connector.parse().unwrap(),
        delivery: pixel(connector),
        given: *given,
        sandbox: true,
        page: "https://shop.example/thanks".into(),
        code: format!("<script>{connector}()</script>"),
    };
    let pixels = pixels.iter().map(shown).collect();
    let told = Told { at: at(3), decisions: Vec::new(), pixels };
    candidate.intake = Arc::new(Intake { told: Some(Box::new(told)), ..Intake::clone(&candidate.intake) });
    candidate
}

fn pixel(connector: &str) -> DeliveryId {
    DeliveryId::of_event(&connector.parse().unwrap(), "k")
}

async fn resolve(store: &Store, candidate: Candidate, decided: Resolution) {
    store.resolve(vec![candidate], move |_, _| decided.clone()).await.unwrap();
}

fn report(event: EventId, connector: &str, outcome: Outcome, source: &str) -> PixelReport {
    let (delivery, detail) = (pixel(connector), "as it went".to_owned());
    let report = Report { event, connector: connector.parse().unwrap(), delivery, outcome, detail };
    PixelReport { report, source: source.parse::<SourceId>().unwrap(), at: at(5) }
}

async fn attempts(store: &Store, event: EventId) -> Vec<crate::store::AttemptRecord> {
    store.trace_of_event(event).await.unwrap().unwrap().attempts
}

#[tokio::test]
async fn a_tags_visits_are_its_visitors_touches_and_no_events() {
    let (_place, store) = store();
    let visitor = VisitorId::new();
    let seen = |visits| of_visitor("visit", Some(visitor), visits);
    store.record_visits(vec![seen(vec![visit("a", -50)]), seen(vec![visit("a", -50)])]).await.unwrap();
    store
        .record_visits(vec![seen(vec![visit("b", -40)]), of_visitor("x", None, vec![visit("c", -30)])])
        .await
        .unwrap();
    assert_eq!(store.events_by_key(None, "visit").await.unwrap(), []);

    let known =
        |candidate| async { store.known_to_browser(Arc::new(candidate)).await.unwrap().unwrap().known };
    let places =
        |known: &Known| known.past.touches.recent.iter().map(|(place, _)| place.clone()).collect::<Vec<_>>();
    let of = |ids: &[&str]| ids.iter().map(|id| TouchRef::Visit((*id).to_owned())).collect::<Vec<_>>();
    let bought = of_visitor("a", Some(visitor), vec![visit("d", -10)]);
    assert_eq!(places(&known(bought.clone()).await), of(&["d", "b", "a"]));
    assert_eq!(places(&known(of_visitor("b", Some(VisitorId::new()), vec![])).await), []);
    // Looking changes nothing.
    assert_eq!(store.events_by_key(None, "a").await.unwrap(), []);
    resolve(&store, bought, decided(&event("a"), &[])).await;
    assert_eq!(places(&known(of_visitor("c", Some(visitor), vec![])).await), of(&["d", "b", "a"]));
}

#[tokio::test]
async fn a_browser_is_shown_nothing_of_whoever_it_only_names() {
    let (_place, store) = store();
    let jane = VisitorId::new();
    let of = |key: &str, visitor, visits| {
        let person = Person {
            visitor: Some(visitor),
            email: Some("jane@example.com".into()),
            phone: Some("+12025550123".into()),
            contact: Some("42".into()),
        };
        Candidate { visits, ..candidate(&Event { person, ..event(key) }) }
    };
    let bought = of("a", jane, vec![visit("a", -50)]);
    let first = bought.event.id;
    resolve(&store, bought, decided(&event("a"), &[])).await;
    let look =
        |candidate: Candidate| async { store.known_to_browser(Arc::new(candidate)).await.unwrap().unwrap() };
    let own = look(of("b", jane, vec![])).await;
    assert_eq!((own.known.past.touches.recent.len(), own.copy_of), (1, None));
    let strangers = look(of("b", VisitorId::new(), vec![])).await;
    assert_eq!((strangers.known.past.touches.recent.len(), strangers.known.contact_known), (0, false));

    let copy = look(of("a", jane, vec![])).await;
    assert_eq!((copy.copy_of, copy.known.marker, copy.reported.len()), (Some(first), None, 0));
    store.keep_pixel_reports(vec![report(first, "network", Outcome::Fired, "shop")]).await.unwrap();
    let reported = look(of("a", jane, vec![])).await.reported;
    assert_eq!(reported.into_iter().collect::<Vec<_>>(), [pixel("network")]);
}

#[tokio::test]
async fn what_was_only_shown_in_test_mode_is_given_later_and_not_the_other_way_round() {
    let (_place, store) = store();
    let first = event("a");
    resolve(&store, told(candidate(&first), &[("network", false)]), decided(&first, &[])).await;
    assert_eq!(store.pixels_given(vec![pixel("network")]).await.unwrap().len(), 0);
    for (key, given) in [("b", true), ("c", false)] {
        let later = event(key);
        resolve(&store, told(candidate(&later), &[("network", given)]), decided(&later, &[])).await;
        assert_eq!(store.pixels_given(vec![pixel("network")]).await.unwrap().len(), 1, "{key}");
    }
}

#[tokio::test]
async fn what_a_browser_was_told_stands_in_the_log_with_what_it_reports() {
    let (_place, store) = store();
    let event = event("a");
    // The reports are quicker than the queue, come twice, and once from a stranger.
    let early = vec![
        report(event.id, "network", Outcome::Fired, "shop"),
        report(event.id, "network", Outcome::Fired, "shop"),
        report(event.id, "network", Outcome::Failed, "another"),
    ];
    store.keep_pixel_reports(early.clone()).await.unwrap();
    let bought = told(candidate(&event), &[("network", true), ("tried", false)]);
    resolve(&store, bought.clone(), decided(&event, &["network"])).await;
    store.keep_pixel_reports(early).await.unwrap();

    let found = attempts(&store, event.id).await;
    let shown: Vec<_> =
        found.iter().map(|one| (one.connector.as_str(), one.outcome.as_str(), one.is_pixel())).collect();
    assert_eq!(shown, [("network", "pixel", true), ("tried", "test", true)]);
    let exchange = found[0].exchange.as_ref().unwrap();
    assert_eq!((exchange.method.as_str(), exchange.url.as_str()), ("PIXEL", "https://shop.example/thanks"));
    assert_eq!(exchange.request_body, "<script>network()</script>");
    let fired = Reported { outcome: Outcome::Fired, at: at(5), detail: "as it went".into() };
    assert_eq!((found[0].reports.clone(), found[1].reports.len()), (vec![fired], 0));

    let listed =
        store.last_attempts(&LogFilter { event: Some(event.id), ..LogFilter::default() }, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|one| one.sequence).collect::<Vec<_>>(),
        found.iter().map(|one| one.sequence).collect::<Vec<_>>()
    );
    let given = store.pixels_given(vec![pixel("network"), pixel("tried"), pixel("other")]).await.unwrap();
    assert_eq!(given.into_iter().collect::<Vec<_>>(), [pixel("network")]);

    // A copy that raced says nothing new, and its browser's report is of the first.
    let copy = Event { id: EventId::new(), ..event.clone() };
    let duplicate = Resolution { verdict: Verdict::Duplicate { first: event.id }, decisions: vec![] };
    resolve(&store, told(candidate(&copy), &[("network", true)]), duplicate).await;
    store.keep_pixel_reports(vec![report(copy.id, "network", Outcome::Failed, "shop")]).await.unwrap();
    let outcomes: Vec<_> =
        attempts(&store, event.id).await[0].reports.iter().map(|one| one.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Fired]);
}

#[tokio::test]
async fn no_browser_can_report_without_end() {
    let (_place, store) = store();
    let event = event("a");
    resolve(&store, told(candidate(&event), &[("network", true)]), decided(&event, &[])).await;
    let many = |from: usize| {
        (from..from + 100)
            .map(|n| report(event.id, &format!("c{n}"), Outcome::Fired, "shop"))
            .collect::<Vec<_>>()
    };
    store.keep_pixel_reports(many(0)).await.unwrap();
    store.keep_pixel_reports(many(100)).await.unwrap();
    store.keep_pixel_reports(vec![report(event.id, "network", Outcome::Fired, "shop")]).await.unwrap();
    assert_eq!(attempts(&store, event.id).await[0].reports, [], "there was room for 128");
    assert_eq!(store.expire(Perishable::Log, at(1_000)).await.unwrap(), 129, "128 reports, and the pixel");
}

#[tokio::test]
async fn what_is_kept_of_pixels_goes_with_the_log_and_with_the_person() {
    let (_place, store) = store();
    let email = |event: &Event| {
        let person = Person { email: Some("jane@example.com".into()), ..Person::default() };
        Event { person, ..event.clone() }
    };
    let hasher = store.hasher().await.unwrap();
    let (old, erased) = (event("a"), email(&event("b")));
    for one in [&old, &erased] {
        let who = Who::of(one, &hasher);
        let bought = Candidate { who, ..candidate(one) };
        let connector = if one.id == old.id { "network" } else { "tried" };
        resolve(&store, told(bought, &[(connector, true)]), decided(one, &[])).await;
        store.keep_pixel_reports(vec![report(one.id, connector, Outcome::Fired, "shop")]).await.unwrap();
    }
    let whom = crate::store::Somebody {
        advertiser: "acme".parse().unwrap(),
        marks: hasher.email("jane@example.com").into_iter().collect(),
        contacts: Default::default(),
    };
    store.erase(whom, at(9)).await.unwrap();
    let blanked = attempts(&store, erased.id).await;
    let exchange = blanked[0].exchange.as_ref().unwrap();
    assert_eq!((exchange.url.as_str(), exchange.request_body.as_str()), ("", ""));
    assert_eq!(blanked[0].reports[0].detail, "");
    assert_ne!(attempts(&store, old.id).await[0].exchange.as_ref().unwrap().request_body, "");
    store.expire(Perishable::Log, at(1_000)).await.unwrap();
    let expired = attempts(&store, old.id).await;
    assert_eq!(
        (expired[0].exchange.as_ref().unwrap().request_body.as_str(), expired[0].reports.len()),
        ("", 0)
    );
}
