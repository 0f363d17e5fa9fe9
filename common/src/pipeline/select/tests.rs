use super::*;
use crate::click::Click;
use crate::conversion::{Conversion, Status};
use crate::event::Person;
use crate::id::{EventId, VisitorId};
use crate::resources::Resources;
use crate::touch::History;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_compose, proptest};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn event(raw_type: &str, name: &str, kind: Kind) -> Event {
    let at = "2026-01-10T12:00:00Z".parse().unwrap();
    Event {
        id: EventId::new(),
        advertiser: "acme".parse().unwrap(),
        source: "shop".parse().unwrap(),
        source_event_id: None,
        key: "cf:4:1".into(),
        raw_type: raw_type.into(),
        name: Some(name.into()),
        number: None,
        ledger_key: None,
        envelope: crate::event::Envelope::V2,
        origin: crate::event::Origin::default(),
        order: None,
        foreign_click: None,
        kind,
        at,
        received_at: at,
        value: None,
        transaction: None,
        test: false,
        person: Person::default(),
        data: json!(null),
    }
}

fn conversion() -> Conversion {
    Conversion {
        name: Some("purchase".into()),
        status: Status::Approved,
        value: Some(Amount { amount: 396.into(), currency: None }),
        approved: true,
        ..Conversion::new("acme".parse().unwrap(), "order:1")
    }
}

fn connector(triggers: &[&str]) -> Connector {
    serde_json::from_value(json!({
        "id": "network", "advertiser": "acme", "triggers": triggers, "webhook": {"url": "https://n.example/"},
    }))
    .unwrap()
}

/// What there is to tell of an event without a click, of a visitor of whom nothing is known.
fn news(event: &Event, conversion: &Conversion, steps: &[Step]) -> News {
    News {
        event: event.clone(),
        click: None,
        conversion: Steps::of(conversion, steps),
        history: History::empty(event.at),
        sale: None,
        inherited: BTreeMap::new(),
        trl_test: false,
    }
}

/// What comes of these connectors as a roster, with a decision about each.
fn select(news: &News, connectors: &[Connector], now: Timestamp) -> Selection {
    let resources = Arc::new(Resources { connectors: connectors.to_vec(), ..Resources::default() });
    let roster = Roster::new(1, resources);
    let own = roster.connectors(&news.event.advertiser);
    let mut selection = super::select(news, &roster, true, now);
    let mut decisions = Vec::new();
    for (code, why, them) in std::mem::take(&mut selection.passed_by) {
        decisions.extend(them.each(&why, &own).map(|detail| (code, detail)));
    }
    decisions.append(&mut selection.decisions);
    Selection { decisions, ..selection }
}

fn count(event: &Event, steps: &[Step], connector: &Connector) -> usize {
    let news = news(event, &conversion(), steps);
    select(&news, std::slice::from_ref(connector), event.at).deliveries.len()
}

#[test]
fn triggers_select_by_kind_name_number_or_raw_type() {
    let refund = [Step::Refund(5.into())];
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let seen = Event { number: Some(3), ..event("event3", "event3", Kind::Event) };
    let cases: [(&Event, &[Step], &[&str], usize); 13] = [
        (&sale, &[Step::Conversion], &["conversion"], 1),
        (&sale, &[Step::Conversion], &["Purchase"], 1),
        (&sale, &[Step::Conversion], &["conversion", "purchase"], 1),
        (&sale, &[Step::Conversion], &["conversion", "order.completed"], 2),
        (&sale, &[Step::Conversion], &["refund", "lead"], 0),
        (&sale, &[], &["conversion", "purchase"], 0),
        (&sale, &[], &["order.completed"], 1),
        (&sale, &refund, &["refund"], 1),
        (&sale, &[Step::Conversion, Step::Refund(5.into())], &["conversion", "refund"], 2),
        (&seen, &[], &["event 3"], 1),
        (&seen, &[], &["event 4"], 0),
        (&seen, &[], &["event3"], 1),
        (&seen, &[], &["conversion"], 0),
    ];
    for (event, steps, triggers, expected) in cases {
        assert_eq!(
            count(event, steps, &connector(triggers)),
            expected,
            "{triggers:?} on {} {steps:?}",
            event.raw_type
        );
    }
}

#[test]
fn nothing_is_selected_for_others_the_disabled_and_test_orders() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let base = connector(&["conversion"]);
    let mut off = base.clone();
    off.webhook.as_mut().unwrap().enabled = false;
    let other = Connector { advertiser: "other".parse().unwrap(), ..base.clone() };
    for connector in [Connector { mode: Mode::Disabled, ..base.clone() }, off, other] {
        assert_eq!(count(&sale, &[Step::Conversion], &connector), 0);
    }
    let test = Event { test: true, ..sale };
    assert_eq!(count(&test, &[Step::Conversion], &base), 0);
}

#[test]
fn a_refund_step_tells_the_refunded_amount_under_its_own_name() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let steps = [Step::Refund("5.50".parse().unwrap())];
    let news = news(&sale, &conversion(), &steps);
    let selection = select(&news, &[connector(&["refund"])], sale.at);
    let told = selection.deliveries[0].facts.conversion.clone().unwrap();
    assert_eq!(
        (told.name.as_deref(), told.value.unwrap().amount.to_string().as_str()),
        (Some("refund"), "5.50")
    );
}

/// What each connector is told of these steps (by the last word of its decisions), in order.
fn decided(conversion: &Conversion, steps: &[Step], connector: &Connector) -> Vec<&'static str> {
    let sale = Event { number: Some(3), ..event("order.completed", "purchase", Kind::Conversion) };
    let news = news(&sale, conversion, steps);
    let selection = select(&news, std::slice::from_ref(connector), sale.at);
    selection.decisions.iter().map(|(code, _)| code.as_str()).collect()
}

#[test]
fn a_connector_that_fires_at_pending_is_told_then_and_under_the_id_of_the_approval() {
    let approved = connector(&["conversion"]);
    let pending = Connector { fire_at: FireAt::Pending, ..approved.clone() };
    let told = |steps: &[Step], connector: &Connector| {
        let sale = event("order.created", "purchase", Kind::Conversion);
        let news = news(&sale, &conversion(), steps);
        let deliveries = select(&news, std::slice::from_ref(connector), sale.at).deliveries;
        deliveries.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    assert_eq!(told(&[Step::Pending], &approved), []);
    let first = told(&[Step::Pending], &pending);
    assert_eq!(first.len(), 1);
    // The store knows the id, so that this one is not sent where the first was.
    assert_eq!(told(&[Step::Conversion], &pending), first);
    assert_eq!(told(&[Step::Conversion], &approved), first, "and so may the choice be changed in between");
}

#[test]
fn what_was_paid_once_before_is_told_to_nobody_nor_is_its_refund() {
    let paid = Conversion { already_paid: true, ..conversion() };
    let refund = [Step::Refund(5.into())];
    for triggers in [&["conversion"][..], &["purchase"], &["event 3"], &["conversion", "purchase"]] {
        let fired = decided(&paid, &[Step::Conversion], &connector(triggers));
        assert_eq!(fired, ["already_paid"], "{triggers:?}");
    }
    assert_eq!(decided(&paid, &refund, &connector(&["refund"])), ["already_paid"]);
    let pending = Connector { fire_at: FireAt::Pending, ..connector(&["conversion"]) };
    assert_eq!(decided(&paid, &[Step::Pending], &pending), ["already_paid"]);
    // Whoever has no ear for it is skipped for that, and a raw type is news of the event itself.
    assert_eq!(decided(&paid, &[Step::Conversion], &connector(&["lead"])), ["skipped_trigger"]);
    let raw = connector(&["conversion", "order.completed"]);
    assert_eq!(decided(&paid, &[Step::Conversion], &raw), ["already_paid", "selected"]);
}

#[test]
fn a_kpi_fires_by_its_name_and_number_and_no_conversion_trigger() {
    let kpi = Conversion { kpi: true, ..conversion() };
    let refund = Step::Refund(5.into());
    for (triggers, of_sale, of_refund) in [
        (&["conversion"][..], "skipped_kpi", "skipped_trigger"),
        (&["purchase"], "selected", "skipped_trigger"),
        (&["event 3"], "selected", "skipped_trigger"),
        (&["conversion", "purchase"], "selected", "skipped_trigger"),
        // Who was not told of the sale is not told that it went back.
        (&["conversion", "refund"], "skipped_kpi", "skipped_kpi"),
        (&["refund"], "skipped_trigger", "skipped_kpi"),
        (&["purchase", "refund"], "selected", "selected"),
    ] {
        let connector = connector(triggers);
        assert_eq!(decided(&kpi, &[Step::Conversion], &connector), [of_sale], "{triggers:?}");
        assert_eq!(decided(&kpi, std::slice::from_ref(&refund), &connector), [of_refund], "{triggers:?}");
    }
}

#[test]
fn each_step_tells_the_payout_that_its_own_rule_gives() {
    let usd = |amount: i64| Some(Amount { amount: amount.into(), currency: None });
    let conversion = Conversion { payout: usd(118), refund_payout: usd(30), ..conversion() };
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let steps = [Step::Conversion, Step::Refund(100.into())];
    let news = news(&sale, &conversion, &steps);
    let selection = select(&news, &[connector(&["conversion", "refund"])], sale.at);
    let payouts: Vec<_> = selection
        .deliveries
        .iter()
        .map(|delivery| delivery.facts.conversion.as_ref().and_then(|conversion| conversion.payout))
        .collect();
    assert_eq!(payouts, [usd(118), usd(30)]);
}

#[test]
fn in_test_mode_everything_is_selected_and_marked_but_where_the_url_asks_to_send() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let trial = Connector { mode: Mode::Test, ..connector(&["conversion"]) };
    let base = news(&sale, &conversion(), &[Step::Conversion]);
    let tested = |news: &News, connector: &Connector| {
        let selection = select(news, std::slice::from_ref(connector), sale.at);
        let said = selection.decisions[0].1.ends_with("(test mode)");
        assert_eq!((selection.deliveries.len(), selection.decisions[0].0), (1, Code::Selected));
        assert_eq!(selection.deliveries[0].test, said);
        said
    };
    let mut click = Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), sale.at);
    let with = |click: &Click| News { click: Some(click.clone()), ..base.clone() };
    assert!(tested(&base, &trial));
    assert!(!tested(&base, &Connector { mode: Mode::Enabled, ..trial.clone() }));
    assert!(!tested(&News { trl_test: true, ..base.clone() }, &trial));
    for (value, test) in [("1", false), ("0", true), ("", true), ("11", true)] {
        click.parameters = vec![("trl_test".to_owned(), value.to_owned())];
        assert_eq!(tested(&with(&click), &trial), test, "on the click's URL: {value:?}");
        let recent = vec![Touch::from(&click)];
        let history = History { recent, ..History::empty(sale.at) };
        assert_eq!(tested(&News { history, ..base.clone() }, &trial), test, "on the touch's: {value:?}");
    }
}

#[test]
fn a_connector_is_told_of_its_currencies_and_of_what_has_no_value() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let told = |currencies: &[&str], value: Option<(i64, Option<&str>)>| {
        let currencies = currencies.iter().map(ToString::to_string).collect();
        let connector = Connector { currencies, ..connector(&["conversion"]) };
        let value = value.map(|(amount, currency)| Amount {
            amount: amount.into(),
            currency: currency.and_then(crate::money::currency),
        });
        let conversion = Conversion { value, ..conversion() };
        let news = news(&sale, &conversion, &[Step::Conversion]);
        select(&news, &[connector], sale.at).decisions.remove(0).0
    };
    for (currencies, value, code) in [
        (&[][..], Some((5, Some("USD"))), Code::Selected),
        (&["USD"], Some((5, Some("USD"))), Code::Selected),
        (&["eur", "usd"], Some((5, Some("USD"))), Code::Selected),
        (&["EUR"], Some((5, Some("USD"))), Code::SkippedCurrency),
        (&["EUR"], Some((5, None)), Code::SkippedCurrency),
        (&["EUR"], None, Code::Selected),
        (&[], Some((5, None)), Code::Selected),
    ] {
        assert_eq!(told(currencies, value), code, "{currencies:?} {value:?}");
    }
}

#[test]
fn the_newest_touch_is_told_with_the_click_for_what_only_the_visit_knew() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let click = Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), sale.at);
    let mut touch = Touch::from(&click);
    touch.parameters.push(("gclid".to_owned(), "of the landing page".to_owned()));
    let history = History { recent: vec![touch.clone()], ..History::empty(sale.at) };
    let base = News { history, ..news(&sale, &conversion(), &[Step::Conversion]) };
    let told =
        |news: &News| select(news, &[connector(&["conversion"])], sale.at).deliveries.remove(0).facts.touch;
    assert_eq!(told(&base), Some(touch.clone()));
    assert_eq!(told(&News { click: Some(click), ..base }), Some(touch));
}

#[test]
fn a_visit_of_the_funnels_is_not_the_click_that_is_wanting() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let base = connector(&["conversion"]);
    let conditions = |conditions| Connector { conditions, ..base.clone() };
    let condition = |field: &str, operator: &str, value: serde_json::Value| -> condition::Condition {
        serde_json::from_value(json!({"field": field, "operator": operator, "value": value})).unwrap()
    };
    let facebook = condition("utm_source", "equals", json!("facebook"));
    let nobody = condition("utm_source", "not_equals", json!("own"));
    let dear = condition("revenue", "greater", json!(1000));
    let matching = json!({"parameter": "aff", "window": "14d", "model": "last_click"});
    let matching =
        Connector { click_id: Some(serde_json::from_value(matching).unwrap()), ..conditions(vec![]) };
    let click = Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), sale.at);
    let mut visit = Touch::from(&click);
    visit.parameters =
        vec![("utm_source".to_owned(), "own".to_owned()), ("gclid".to_owned(), "g".to_owned())];
    let wants = |connector: &Connector, touch: Touch, click: Option<&Click>| {
        let history = History { recent: vec![touch], ..History::empty(sale.at) };
        let news = News { history, click: click.cloned(), ..news(&sale, &conversion(), &[Step::Conversion]) };
        !select(&news, std::slice::from_ref(connector), sale.at).wanting.is_empty()
    };
    let of_funnel = Touch { click: None, ..visit.clone() };
    for (connector, wanting) in [
        (conditions(vec![facebook.clone()]), true),
        (conditions(vec![nobody]), true),
        (conditions(vec![facebook.clone(), dear.clone()]), false),
        (conditions(vec![dear]), false),
        (matching, true),
    ] {
        assert_eq!(wants(&connector, of_funnel.clone(), None), wanting, "{:?}", connector.conditions);
        assert!(!wants(&connector, visit.clone(), Some(&click)), "{:?}", connector.conditions);
    }
}

fn with_pixel(change: &serde_json::Value) -> Connector {
    let mut connector = json!({
        "id": "network", "advertiser": "acme", "triggers": ["conversion"],
        "webhook": {"url": "https://n.example/"}, "pixel": {"enabled": true, "code": "fire()"},
    });
    connector.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(connector).unwrap()
}

#[test]
fn the_two_halves_of_a_connector_are_selected_each_by_its_own_switch_and_under_one_id() {
    let event = event("Purchase", "purchase", Kind::Conversion);
    let news = news(&event, &conversion(), &[Step::Conversion]);
    let off = json!({"url": "https://n.example/", "enabled": false});
    let dark = json!({"enabled": false, "code": "fire()"});
    type Row<'a> = (serde_json::Value, &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 6] = [
        (json!({}), &["selected"], &[]),
        (json!({"webhook": off}), &["skipped_disabled"], &[]),
        (json!({"webhook": null}), &[], &[]),
        (json!({"pixel": dark}), &["selected"], &["skipped_disabled"]),
        (json!({"pixel": null}), &["selected"], &[]),
        (json!({"mode": "disabled"}), &["skipped_disabled"], &["skipped_disabled"]),
    ];
    for (change, webhook, pixel) in table {
        let all = [with_pixel(&change)];
        let codes = |selection: &Selection| {
            selection.decisions.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>()
        };
        let (sent, fired) = (select(&news, &all, event.at), pixels(&news, &all, true, event.at));
        assert_eq!((codes(&sent), codes(&fired)), (webhook.to_vec(), pixel.to_vec()), "{change}");
        assert_eq!(sent.deliveries.len(), usize::from(webhook == ["selected"]), "{change}");
        let live = all[0].live_pixel().is_some() && all[0].mode != Mode::Disabled;
        assert_eq!(fired.deliveries.len(), usize::from(live), "{change}");
        if let (Some(sent), Some(fired)) = (sent.deliveries.first(), fired.deliveries.first()) {
            assert_eq!((sent.id, &sent.facts), (fired.id, &fired.facts));
        }
        let roster = Roster::new(1, Arc::new(Resources { connectors: all.to_vec(), ..Resources::default() }));
        let alone: Vec<_> = pixels_alone(&news, &roster).collect();
        assert_eq!(alone.len(), usize::from(all[0].webhook.is_none()), "{change}");
    }
}

#[test]
fn a_pixel_that_depends_on_history_is_left_out_where_there_is_none_to_be_had() {
    let event = event("Purchase", "purchase", Kind::Conversion);
    let news = news(&event, &conversion(), &[Step::Conversion]);
    let condition = |field: &str, operator: &str, value: serde_json::Value| json!({"condition": [{"field": field, "operator": operator, "value": value}]});
    let table = [
        (json!({}), true),
        (condition("revenue", "greater", json!(1)), true),
        (condition("event.sku", "not_equals", json!("x")), true),
        (condition("utm_source", "not_equals", json!("x")), false),
        (condition("country", "not_in", json!(["US"])), false),
        (condition("conversionCount", "less", json!(5)), false),
        (json!({"click_id": {"parameter": "aff_click_id", "window": "14d"}}), false),
    ];
    for (change, fires) in table {
        let all = [with_pixel(&change)];
        let told = pixels(&news, &all, false, event.at);
        assert_eq!(told.deliveries.len(), usize::from(fires), "{change}");
        let codes: Vec<_> = told.decisions.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, if fires { vec![] } else { vec![Code::HistoryUnknown] }, "{change}");
    }
}

/// One of some settings, or none of them.
fn some_of(settings: serde_json::Value) -> impl Strategy<Value = serde_json::Value> {
    proptest::sample::select(settings.as_array().unwrap().clone())
}

prop_compose! {
    fn any_connector()(
        advertiser in some_of(json!(["acme", "acme", "acme", "other"])),
        mode in some_of(json!(["enabled", "enabled", "test", "disabled"])),
        triggers in some_of(json!([["conversion"], ["purchase"], ["refund"], ["order.completed"], ["conversion", "order.completed"]])),
        fire_at in some_of(json!(["approved", "pending"])),
        conditions in proptest::collection::vec(some_of(json!([
            {"field": "utm_source", "operator": "equals", "value": "facebook"},
            {"field": "utm_source", "operator": "equals", "value": "Google"},
            {"field": "utm_source", "operator": "in", "value": ["google", "GOOGLE", "mail"]},
            {"field": "utm_source", "click": "first", "operator": "equals", "value": "mail"},
            {"field": "utm_source", "operator": "not_equals", "value": "mail"},
            {"field": "linkId", "operator": "equals", "value": "demo"},
            {"field": "event.sku", "operator": "equals", "value": "a"},
            {"field": "event.sku", "operator": "in", "value": ["a", 1]},
            {"field": "event.sku", "operator": "equals", "value": 1},
            {"field": "phone", "operator": "equals", "value": "(202) 555-0123"},
            {"field": "revenue", "operator": "greater", "value": 100},
        ])), 0..3),
        currencies in some_of(json!([[], [], ["USD"], ["EUR"]])),
        click_id in some_of(json!([null, null, {"parameter": "aff", "window": "14d"}])),
        webhook in some_of(json!([{}, {}, {"enabled": false}, null])),
    ) -> serde_json::Value {
        let mut webhook = webhook;
        if let Some(webhook) = webhook.as_object_mut() {
            webhook.insert("url".to_owned(), json!("https://n.example/"));
        }
        json!({
            "advertiser": advertiser, "mode": mode, "triggers": triggers, "fire_at": fire_at, "condition": conditions,
            "currencies": currencies, "click_id": click_id, "webhook": webhook,
        })
    }
}

prop_compose! {
    fn any_news()(
        source in some_of(json!(["facebook", "GOOGLE", " mail ", "", null])),
        first in some_of(json!(["mail", null])),
        sku in some_of(json!(["A", "1", "b", null])),
        phone in some_of(json!(["+12025550123", null])),
        steps in some_of(json!(["none", "pending", "conversion", "both", "refund"])),
        clicked in any::<bool>(),
        currency in some_of(json!(["USD", null])),
        flags in any::<(bool, bool)>(),
    ) -> News {
        let mut event = event("order.completed", "purchase", Kind::Conversion);
        event.data = json!({"sku": sku});
        event.person.phone = phone.as_str().map(str::to_owned);
        let (kpi, already_paid) = flags;
        let value = Amount { amount: 101.into(), currency: currency.as_str().and_then(crate::money::currency) };
        let conversion =
            Conversion { kpi, already_paid: already_paid && kpi, value: Some(value), ..conversion() };
        let steps = match steps.as_str().unwrap() {
            "pending" => vec![Step::Pending],
            "conversion" => vec![Step::Conversion],
            "both" => vec![Step::Conversion, Step::Refund(5.into())],
            "refund" => vec![Step::Refund(5.into())],
            _ => Vec::new(),
        };
        let click = Click::new("acme".parse().unwrap(), "demo".parse().unwrap(), VisitorId::new(), event.at);
        let touch = |source: &serde_json::Value| {
            let utm_source = ("utm_source".to_owned(), source.as_str()?.to_owned());
            let aff = ("aff".to_owned(), "17".to_owned());
            Some(Touch { parameters: vec![utm_source, aff], ..Touch::from(&click) })
        };
        let recent = touch(&source).into_iter().chain(touch(&first)).collect();
        let history = History { first: touch(&first), recent, ..History::empty(event.at) };
        let click = Some(click.clone()).filter(|_| clicked);
        News { history, click, ..news(&event, &conversion, &steps) }
    }
}

proptest! {
    #[test]
    fn a_roster_comes_to_what_asking_every_connector_comes_to(
        connectors in proptest::collection::vec(any_connector(), 0..12),
        news in any_news(),
        may_come in any::<bool>(),
    ) {
        let named = connectors.into_iter().enumerate().map(|(n, mut connector)| {
            connector["id"] = format!("c{n}").into();
            if connector["click_id"].is_null() {
                connector.as_object_mut().unwrap().remove("click_id");
            }
            serde_json::from_value(connector).unwrap()
        });
        let connectors: Vec<Connector> = named.collect();
        let resources = Arc::new(Resources { connectors: connectors.clone(), ..Resources::default() });
        let roster = Roster::new(7, resources);
        let own = roster.connectors(&news.event.advertiser);
        let together = super::select(&news, &roster, may_come, news.event.at);
        let singly = select_among(&news, &own, &own, news.event.at);

        prop_assert_eq!(&together.deliveries, &singly.deliveries);
        let named = |(code, detail): (Code, String)| (code.as_str(), detail);
        let mut decisions: BTreeSet<_> = together.decisions.iter().cloned().map(named).collect();
        for (code, why, them) in &together.passed_by {
            // As they come back from the store.
            let kept = PassedBy { connectors: PassedBy::places(&them.to_bits()), ..them.clone() };
            decisions.extend(kept.each(why, &own).map(|detail| (code.as_str(), detail)));
        }
        prop_assert_eq!(decisions, singly.decisions.into_iter().map(named).collect());
        if may_come {
            prop_assert_eq!(together.wanting, singly.wanting);
        }
    }
}
