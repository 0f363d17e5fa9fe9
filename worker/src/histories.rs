//! Histories: what events are decided from, what follows them, and what a late click changes, over the real
//! pipeline and the real store.

mod desk;

use carom_common::id::{ClickId, VisitorId};
use carom_common::store::{Perishable, Somebody};
use carom_common::trace::Code;
use desk::{Desk, at};

/// A network that finds its click by `aff`, and somebody who is told everything.
fn connectors() -> serde_json::Value {
    serde_json::json!([
        {"id": "network", "advertiser": "acme", "triggers": ["conversion", "refund"],
         "webhook": {"url": "https://n.example/"}, "click_id": {"parameter": "aff", "window": "14d"}},
        {"id": "crm", "advertiser": "acme", "triggers": ["conversion", "refund"],
         "webhook": {"url": "https://crm.example/"}},
    ])
}

#[tokio::test]
async fn a_refund_has_the_touches_and_the_matched_id_of_its_sale_and_counts_of_its_own() {
    let mut desk = Desk::new(connectors()).await;
    let jane = VisitorId::new();
    let (first, last) = (desk.click(jane, -2, "utm_source=mail").await, desk.click(jane, -1, "aff=17").await);
    let sale = desk.event(0, &format!("event=purchase&txid=1&payout=50&click_id={last}")).await;
    assert_eq!(sale.selected(), ["network 17", "crm -"]);
    assert_eq!(sale.news().history.first.as_ref().unwrap().click, Some(first));

    // She comes back from elsewhere, buys again, and months later the first purchase is refunded.
    let other = desk.click(jane, 20, "gclid=x").await;
    let second = desk.event(21, &format!("event=purchase&txid=2&click_id={other}")).await;
    assert_eq!(second.selected(), ["crm -"]);
    assert!(second.says(Code::SkippedClickId, "network: the last click came from another source"));
    let refund = desk.event(100, "event=refund&txid=1&payout=50").await;
    assert_eq!(refund.selected(), ["network 17", "crm -"]);
    let history = &refund.news().history;
    assert_eq!((history.at, history.recent.len()), (at(0), 2));
    assert_eq!(history.last().unwrap().click, Some(last));
    assert_eq!(refund.news().sale, Some(sale.id));

    // The details of clicks are gone by then: the id that the sale was told with is not.
    desk.store.expire(Perishable::Clicks, at(200)).await.unwrap();
    let again = desk.event(201, "event=refund&txid=1&payout=10&event_id=r2").await;
    assert_eq!(again.selected(), ["network 17", "crm -"]);
}

#[tokio::test]
async fn counts_are_of_the_visitor_as_everything_joins_them_and_copies_count_once() {
    let mut desk = Desk::new(connectors()).await;
    let counts = |decided: &desk::Decided| {
        let history = &decided.news().history;
        (history.conversions, history.events)
    };
    let (phone, laptop) = (VisitorId::new(), VisitorId::new());
    let (on_phone, on_laptop) = (desk.click(phone, -2, "").await, desk.click(laptop, -1, "").await);
    for (query, expected) in [
        // By her e-mail alone; a named event that is no conversion; a copy of a purchase is not even decided.
        ("event=purchase&txid=1&email=jane@example.com".to_owned(), (1, 1)),
        ("event=event3&event_id=a&email=Jane@Example.com".to_owned(), (1, 2)),
        ("event=event3&event_id=b&email=jane@example.com".to_owned(), (1, 3)),
        // Pending, and then approved: one event of one conversion.
        ("event=lead&status=pending&txid=2&event_id=c&email=jane@example.com".to_owned(), (1, 4)),
        ("event=lead&txid=2&event_id=d&email=jane@example.com".to_owned(), (2, 4)),
        // A browser of which nothing is known but its click; then the e-mail joins it.
        (format!("event=purchase&txid=3&click_id={on_phone}"), (1, 1)),
        (format!("event=event1&event_id=e&click_id={on_phone}&email=jane@example.com"), (3, 6)),
        // Another browser, by another contact with the same e-mail.
        (format!("event=purchase&txid=4&contact_id=7&click_id={on_laptop}"), (1, 1)),
        ("event=event1&event_id=f&contact_id=7&email=jane@example.com".to_owned(), (4, 8)),
        // Refunds are not subtracted, and are events; somebody else has counts of their own.
        ("event=refund&txid=1&email=jane@example.com".to_owned(), (4, 9)),
        ("event=purchase&txid=5&email=joe@example.com".to_owned(), (1, 1)),
    ] {
        let decided = desk.event(0, &query).await;
        assert_eq!(counts(&decided), expected, "{query}");
    }
}

#[tokio::test]
async fn what_was_decided_can_be_decided_again_from_what_is_kept() {
    let mut desk = Desk::new(connectors()).await;
    let jane = VisitorId::new();
    let click = desk.click(jane, -1, "aff=17&trl_test=1").await;
    let sale = desk.event(0, &format!("event=purchase&txid=1&payout=5&currency=EUR&click_id={click}")).await;
    desk.click(jane, 1, "gclid=x").await;
    let refund = desk.event(2, "event=refund&txid=1&payout=5").await;
    let plain = desk.event(3, "event=event3&event_id=a").await;

    let mut paged = Vec::new();
    while let Some(next) = {
        let after = paged.last().map(|news: &carom_common::news::News| news.event.id);
        desk.store.news(at(-1), after, 1).await.unwrap().pop()
    } {
        paged.push(next);
    }
    assert_eq!(paged.iter().map(|news| news.event.id).collect::<Vec<_>>(), [sale.id, refund.id, plain.id]);
    for (news, decided) in paged.iter().zip([&sale, &refund, &plain]) {
        assert_eq!(news, decided.news());
        let again = carom_common::pipeline::select::select(news, &desk.rules.roster, false, decided.now);
        assert_eq!(again.deliveries, decided.deliveries);
    }
    assert_eq!(desk.store.news(at(1), None, 10).await.unwrap().len(), 2, "received at or after a time");
}

#[tokio::test]
async fn an_event_that_stopped_after_it_was_decided_hands_over_the_same_again() {
    let mut connectors = connectors();
    connectors[0]["mode"] = "test".into();
    let mut desk = Desk::new(connectors).await;
    let jane = VisitorId::new();
    let click = desk.click(jane, -2, "aff=17").await;
    desk.click(jane, -1, "utm_source=mail").await;
    let sale = desk.event(0, &format!("event=purchase&txid=1&click_id={click}")).await;
    assert_eq!(sale.selected(), ["network 17 (test mode)", "crm -"]);
    assert!(sale.deliveries[0].facts.touch.as_ref().is_some_and(|touch| touch.click != Some(click)));
    // At the very same time: it is the store that says who is second, and no clock.
    let resumed = desk.again(&sale).await;
    assert_eq!(resumed.deliveries, sale.deliveries);
    assert!(resumed.again && !sale.again);
}

#[tokio::test]
async fn a_click_that_comes_after_parking_selects_who_wanted_it_and_nothing_else() {
    let mut desk = Desk::new(connectors()).await;
    let (jane, named) = (VisitorId::new(), ClickId::new());
    let sale = desk.unparked(0, &format!("event=purchase&txid=1&payout=5&click_id={named}")).await;
    assert_eq!(sale.selected(), ["crm -"]);
    assert!(sale.says(Code::SkippedClickId, "network: no click is known that carries aff"));

    // It comes, twice: whoever recorded it first died before all of it was on its queue.
    let mut first = desk.late_click(named, jane, -1, "aff=17").await;
    assert_eq!(first.selected(), ["network 17"]);
    assert!(first.says(Code::SelectedLate, "network by delivery"));
    assert_eq!(first.deliveries[0].facts.click.as_ref().map(|click| click.id), Some(named));
    let second = desk.late_click(named, jane, -1, "aff=17").await;
    assert_eq!(second.deliveries, first.deliveries);
    desk.store.late_handed_over(vec![(sale.id, named)]).await.unwrap();
    assert_eq!(desk.late_click(named, jane, -1, "aff=17").await.selected(), [""; 0]);

    // The id is that which the sale's step always has, and what was decided stays.
    let step = carom_common::id::DeliveryId::of_step(&"network".parse().unwrap(), "txid:1", "conversion");
    assert_eq!(first.deliveries.remove(0).id, step);
    let trace = desk.store.trace_of_event(sale.id).await.unwrap().unwrap();
    assert_eq!((trace.click.recorded, trace.deliveries.len()), (None, 2));
    let late = trace.decisions.iter().filter(|decision| decision.code == Code::SelectedLate).count();
    assert_eq!(late, 1);
}

#[tokio::test]
async fn a_late_click_that_nobody_wanted_changes_nothing() {
    let mut connectors = connectors();
    connectors.as_array_mut().unwrap().remove(0);
    let mut desk = Desk::new(connectors).await;
    let named = ClickId::new();
    desk.unparked(0, &format!("event=purchase&txid=1&click_id={named}")).await;
    assert_eq!(desk.late_click(named, VisitorId::new(), -1, "aff=17").await.deliveries, []);
}

#[tokio::test]
async fn of_an_erased_person_nothing_is_counted_or_wanted_or_can_be_decided_again() {
    let mut desk = Desk::new(connectors()).await;
    let (jane, named) = (VisitorId::new(), ClickId::new());
    let click = desk.click(jane, -1, "aff=of-hers").await;
    let bought = format!("event=purchase&txid=1&click_id={click}&email=jane@example.com");
    assert_eq!(desk.event(0, &bought).await.selected(), ["network of-hers", "crm -"]);
    // Of a contact of whom nothing else is known, with a click that has not come yet.
    let wanting = desk.unparked(1, &format!("event=purchase&txid=2&click_id={named}&contact_id=7")).await;
    assert_eq!(wanting.selected(), ["crm -"]);
    let hasher = desk.store.hasher().await.unwrap();
    let somebody = Somebody {
        advertiser: "acme".parse().unwrap(),
        marks: hasher.email("jane@example.com").into_iter().collect(),
        contacts: vec!["contact:shop:7".to_owned()],
    };
    desk.store.erase(somebody, at(2)).await.unwrap();
    let raw = desk.raw().await;
    assert!(!raw.contains("of-hers"), "the id that was matched is gone with the click's");
    assert_eq!(desk.store.news(at(-1), None, 10).await.unwrap(), []);
    assert_eq!(desk.late_click(named, jane, -1, "aff=18").await.deliveries, []);
    for query in ["event=purchase&txid=3&email=jane@example.com", "event=purchase&txid=4&contact_id=7"] {
        let after = desk.event(3, query).await;
        let history = &after.news().history;
        assert_eq!((history.conversions, history.events, history.recent.len()), (1, 1, 0), "{query}");
    }
}

#[tokio::test]
async fn what_a_source_has_received_is_seen_once_per_kind() {
    let mut desk = Desk::new(connectors()).await;
    for (seconds, query) in
        [(0, "event=purchase&txid=1"), (5, "event=purchase&txid=2"), (9, "event=event3&event_id=a")]
    {
        desk.event(seconds, query).await;
    }
    desk.event(10, "event=purchase&txid=1").await;
    let seen = desk.store.seen(None).await.unwrap();
    let told: Vec<_> = seen.iter().map(|one| (one.raw_type.as_str(), one.number, one.count)).collect();
    assert_eq!(told, [("event3", Some(3), 1), ("purchase", None, 2)]);
    assert_eq!((seen[1].first_at, seen[1].last_at), (at(0), at(5)));
    assert_eq!(desk.store.seen(Some("other".parse().unwrap())).await.unwrap(), []);
}
