use super::*;
use crate::click::NotATouch;
use crate::news::News;
use crate::store::Progress;
use crate::touch::History;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Asks the store what it knows of a candidate, and leaves it parked.
async fn known(store: &Store, candidate: Candidate) -> Known {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let look = move |_: &Candidate, known: &Known| {
        *told.lock().unwrap() = Some(known.clone());
        Resolution { verdict: Verdict::Park(park(&["click:1"])), decisions: vec![decision(Code::Parked)] }
    };
    let resolved = store.resolve(vec![candidate], look).await.unwrap();
    assert_eq!(resolved[0].timer.as_ref().map(|(tier, _)| *tier), Some(tier()));
    seen.lock().unwrap().take().unwrap()
}

#[tokio::test]
async fn an_event_is_decided_once_and_its_copies_are_traced_with_it() {
    let (_place, store) = store();
    let (first, copy) = (event("k"), event("k"));
    let both = vec![candidate(&first), candidate(&copy)];
    let resolved = store.resolve(both, as_the_worker(&["meta", "crm"])).await.unwrap();
    assert_eq!(resolved[0].deliveries, [delivery(&first, "meta"), delivery(&first, "crm")]);
    assert!(resolved[1].duplicate && resolved[1].deliveries.is_empty());
    assert_eq!(codes(&store, &first).await, [Code::Selected, Code::Duplicate]);
    assert!(store.trace_of_event(copy.id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_same_key_of_another_advertiser_is_another_event() {
    let (_place, store) = store();
    let first = event("k");
    let other = Event { advertiser: "other".parse().unwrap(), ..event("k") };
    selected(&store, &first, &["meta"]).await;
    assert_eq!(known(&store, candidate(&other)).await.marker, None);
    assert_eq!(store.events_by_key(None, "k").await.unwrap(), [first.id, other.id]);
    assert_eq!(store.events_by_key(Some(other.advertiser.clone()), "k").await.unwrap(), [other.id]);
    assert_eq!(store.events_by_key(None, "sender-k").await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_intake_that_comes_again_before_it_was_handed_over_goes_on_where_it_stopped() {
    let (_place, store) = store();
    let visitor = VisitorId::new();
    let earned = click(visitor, at(-5));
    store.record_clicks(vec![earned.clone()]).await.unwrap();
    let first = event("k");
    let mut sent = vec![delivery(&first, "crm"), delivery(&first, "meta"), delivery(&first, "ads")];
    sent.iter_mut().for_each(|delivery| delivery.facts.click = Some(earned.clone()));
    let (with, deliveries) = (earned.clone(), sent.clone());
    let decide = move |_: &Candidate, _: &Known| Resolution {
        verdict: Verdict::Decide(Box::new(Decided {
            click: Some(with.clone()),
            conversion: Some(conversion("k")),
            deliveries: deliveries.clone(),
            ..Decided::default()
        })),
        decisions: vec![],
    };
    store.resolve(vec![candidate(&first)], decide).await.unwrap();
    // One of the three reached its queue and was even tried before the crash.
    store.settle(vec![settlement(&sent[1], End::Delivered)]).await.unwrap();

    let resume = as_the_worker(&["crm", "meta", "ads"]);
    let resolved = store.resolve(vec![candidate(&first)], resume).await.unwrap();
    assert_eq!(resolved[0].deliveries, [sent[0].clone(), sent[2].clone()]);

    store.handed_over(vec![first.id, first.id], at(3)).await.unwrap();
    store.handed_over(vec![first.id, EventId::new()], at(3)).await.unwrap();
    let resume = as_the_worker(&["crm", "meta", "ads"]);
    let resolved = store.resolve(vec![candidate(&first)], resume).await.unwrap();
    assert!(resolved[0].deliveries.is_empty() && !resolved[0].duplicate);
    let expected = [Code::Delivered, Code::Resumed, Code::HandedOver, Code::Resumed];
    assert_eq!(codes(&store, &first).await, expected);
    assert_eq!(store.events_of_click(earned.id, 10).await.unwrap(), [first.id]);
    assert_eq!(store.trace_of_event(first.id).await.unwrap().unwrap().click.recorded, Some(earned));
}

#[tokio::test]
async fn an_event_without_deliveries_is_handed_over_without_a_word() {
    let (_place, store) = store();
    let first = event("k");
    selected(&store, &first, &[]).await;
    let trace = store.trace_of_event(first.id).await.unwrap().unwrap();
    assert_eq!((trace.progress.as_str(), trace.decisions.len()), ("handed_over", 1));
}

#[tokio::test]
async fn a_parked_event_holds_its_key_and_is_decided_later() {
    let (_place, store) = store();
    let first = event("k");
    assert_eq!(known(&store, candidate(&first)).await.marker, None);
    let marker = known(&store, candidate(&first)).await.marker.unwrap();
    assert_eq!((marker.event, marker.progress), (first.id, Progress::Parked));
    let copy = store.resolve(vec![candidate(&event("k"))], as_the_worker(&["meta"])).await.unwrap();
    assert!(copy[0].duplicate);
    assert_eq!(selected(&store, &first, &["meta"]).await.len(), 1);
    let codes = codes(&store, &first).await;
    assert_eq!(codes, [Code::Parked, Code::Parked, Code::Duplicate, Code::Selected, Code::HandedOver]);
}

#[tokio::test]
async fn two_events_of_one_conversion_make_one_delivery_of_a_step() {
    let (_place, store) = store();
    let order = event("order:1");
    let mut invoice = event("invoice:7");
    let known = known(&store, Candidate { claim: Some(claim("order:1")), ..candidate(&order) }).await;
    assert_eq!(known.conversion, None);
    selected(&store, &order, &["meta"]).await;

    invoice.key = "invoice:7".to_owned();
    let (from_order, seen) = (delivery(&order, "meta"), Arc::new(Mutex::new(None)));
    let (told, new) = (Arc::clone(&seen), delivery(&invoice, "crm"));
    let selects = vec![Delivery { facts: new.facts.clone(), ..from_order.clone() }, new.clone()];
    let decide = move |_: &Candidate, known: &Known| {
        *told.lock().unwrap() = known.conversion.clone();
        let decided = Decided {
            conversion: known.conversion.clone(),
            deliveries: selects.clone(),
            ..Decided::default()
        };
        Resolution {
            verdict: Verdict::Decide(Box::new(decided)),
            decisions: vec![decision(Code::Conversion)],
        }
    };
    let asks = Candidate { claim: Some(claim("order:1")), ..candidate(&invoice) };
    let resolved = store.resolve(vec![asks], decide).await.unwrap();
    assert_eq!(seen.lock().unwrap().take(), Some(conversion("order:1")));
    assert_eq!(resolved[0].deliveries, [new]);
    let trace = store.trace_of_event(invoice.id).await.unwrap().unwrap();
    let skipped = trace.decisions.last().unwrap();
    assert_eq!(skipped.code, Code::SkippedAlready);
    assert!(skipped.detail.contains("meta") && skipped.detail.contains(&from_order.id.to_string()));
    assert_eq!(trace.conversion.unwrap().key, "order:1");
    assert_eq!(store.event_of_delivery(from_order.id).await.unwrap(), Some(order.id));
    assert_eq!(store.events_by_key(None, "order:1").await.unwrap(), [order.id, invoice.id]);
}

#[tokio::test]
async fn the_last_click_is_the_visitors_newest_touch_up_to_the_event() {
    let (_place, store) = store();
    let visitor = VisitorId::new();
    let nearly = |nanos| at(0) + Duration::from_nanos(nanos);
    let newest = |known: &Known| known.touches.first().map(|(click, _)| click.clone());
    let (old, tie, newest_of_all) =
        (click(visitor, at(-9)), click(visitor, nearly(100)), click(visitor, nearly(100)));
    let mut prefetch = click(visitor, nearly(150));
    prefetch.not_a_touch = Some(NotATouch::Prefetch);
    let mut elsewhere = click(visitor, nearly(150));
    elsewhere.advertiser = "other".parse().unwrap();
    let late = click(visitor, nearly(300));
    let somebody = click(VisitorId::new(), nearly(150));
    let all = vec![newest_of_all.clone(), tie, late.clone(), old, prefetch, elsewhere, somebody.clone()];
    assert_eq!(store.record_clicks(all.clone()).await.unwrap().new, 7);
    assert_eq!(store.record_clicks(all).await.unwrap().new, 0);

    let mut asks = event("k");
    asks.at = nearly(200);
    let nobody = Candidate { named: Named::Click(somebody.id), ..candidate(&asks) };
    let found = known(&store, nobody).await;
    assert_eq!((newest(&found), found.named_click), (None, Some(somebody)));
    asks.person.visitor = Some(visitor);
    let found = known(&store, candidate(&asks)).await;
    assert_eq!(newest(&found), Some(newest_of_all));
    asks.at = at(9);
    assert_eq!(
        known(&store, candidate(&asks)).await.touches.first().map(|(click, _)| click.clone()),
        Some(late.clone())
    );
    assert_eq!(store.click(late.id).await.unwrap(), Some(late));
}

#[tokio::test]
async fn a_conversions_click_comes_with_it() {
    let (_place, store) = store();
    let earned = click(VisitorId::new(), at(-5));
    store.record_clicks(vec![earned.clone()]).await.unwrap();
    let converted = Conversion { click: Some(earned.id), ..conversion("order:1") };
    let decided = Decided { conversion: Some(converted.clone()), ..Decided::default() };
    let decide = move |_: &Candidate, _: &Known| Resolution {
        verdict: Verdict::Decide(Box::new(decided.clone())),
        decisions: vec![],
    };
    store.resolve(vec![candidate(&event("a"))], decide).await.unwrap();
    let asks = Candidate { claim: Some(claim("order:1")), ..candidate(&event("b")) };
    let known = known(&store, asks).await;
    assert_eq!((known.conversion, known.conversion_click), (Some(converted), Some(earned)));
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let (_place, store) = store();
    let (first, second) = (event("k"), event("k"));
    let careless = |candidate: &Candidate, _: &Known| decided(&candidate.event, &["meta"]);
    let both = vec![candidate(&first), candidate(&second)];
    assert!(store.resolve(both, careless).await.is_err(), "two hold one key");
    assert!(store.trace_of_event(first.id).await.unwrap().is_none());
}

#[tokio::test]
async fn old_markers_are_forgotten_and_their_events_are_not() {
    let (_place, store) = store();
    let mut events: Vec<_> = (0..2_500).map(|n| event(&format!("k{n}"))).collect();
    events[0].received_at = at(100);
    let candidates: Vec<_> = events.iter().map(candidate).collect();
    store.resolve(candidates, as_the_worker(&[])).await.unwrap();
    assert_eq!(store.prune(at(50)).await.unwrap(), 2_499);
    assert_eq!(store.prune(at(50)).await.unwrap(), 0);
    let again =
        store.resolve(vec![candidate(&event("k0")), candidate(&event("k1"))], as_the_worker(&[])).await;
    let duplicates: Vec<_> = again.unwrap().iter().map(|resolved| resolved.duplicate).collect();
    assert_eq!(duplicates, [true, false]);
    assert!(store.trace_of_event(events[1].id).await.unwrap().is_some());
}

/// Decides an event that follows a sale, or none, and gives back what was known of it.
async fn followed(
    store: &Store,
    candidate: Candidate,
    sale: Option<EventId>,
    deliveries: Vec<Delivery>,
) -> Known {
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let decide = move |candidate: &Candidate, known: &Known| {
        *told.lock().unwrap() = Some(known.clone());
        let event = candidate.event.clone();
        let of_its_own = Conversion { decided_by: Some(event.id), ..conversion(&event.key) };
        let conversion = known.conversion.clone().or(Some(of_its_own));
        let (history, inherited) = (History::empty(event.at), BTreeMap::new());
        let news = News { event, click: None, conversion: None, history, sale, inherited, trl_test: false };
        let deliveries = deliveries.clone();
        let decided = Decided { conversion, news: Some(news), deliveries, ..Decided::default() };
        Resolution { verdict: Verdict::Decide(Box::new(decided)), decisions: vec![] }
    };
    store.resolve(vec![candidate], decide).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

#[tokio::test]
async fn the_ids_of_the_sale_before_its_sale_are_read_again_as_they_were_known() {
    let (_place, store) = store();
    let (sale, upsell, refund) = (event("sale"), event("upsell"), event("refund"));
    let mut told = delivery(&sale, "meta");
    told.facts.matched_click_id = Some("17".to_owned());
    followed(&store, candidate(&sale), None, vec![told]).await;
    // Nobody is told of the upsell, so that the sale's id is all there is.
    followed(&store, candidate(&upsell), Some(sale.id), vec![]).await;
    let event = Event { kind: Kind::Refund, ..refund.clone() };
    let asks = Candidate { claim: Some(claim("upsell")), ..candidate(&event) };
    let known = followed(&store, asks, Some(upsell.id), vec![]).await;
    let matched = BTreeMap::from([(connector("meta"), "17".to_owned())]);
    assert_eq!((known.sales[0].event, &known.sales[0].matched), (upsell.id, &matched));
    assert_eq!(store.news_of(refund.id).await.unwrap().unwrap().inherited, matched);
}
