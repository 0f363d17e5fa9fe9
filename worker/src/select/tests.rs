use super::*;
use carom_common::conversion::Status;
use carom_common::event::Person;
use carom_common::id::EventId;
use carom_common::money::Amount;
use serde_json::json;

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
        envelope: carom_common::event::Envelope::V2,
        origin: carom_common::event::Origin::default(),
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

fn count(event: &Event, steps: &[Step], connector: &Connector) -> usize {
    let conversion = conversion();
    let news = News { event, click: None, conversion: Some((&conversion, steps)) };
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
    off.webhook.enabled = false;
    let other = Connector { advertiser: "other".parse().unwrap(), ..base.clone() };
    for connector in [
        Connector { mode: Mode::Disabled, ..base.clone() },
        Connector { mode: Mode::Test, ..base.clone() },
        off,
        other,
    ] {
        assert_eq!(count(&sale, &[Step::Conversion], &connector), 0);
    }
    let test = Event { test: true, ..sale };
    assert_eq!(count(&test, &[Step::Conversion], &base), 0);
}

#[test]
fn a_refund_step_tells_the_refunded_amount_under_its_own_name() {
    let sale = event("order.completed", "purchase", Kind::Conversion);
    let conversion = conversion();
    let steps = [Step::Refund("5.50".parse().unwrap())];
    let news = News { event: &sale, click: None, conversion: Some((&conversion, &steps)) };
    let selection = select(&news, &[connector(&["refund"])], sale.at);
    let told = selection.deliveries[0].facts.conversion.clone().unwrap();
    assert_eq!(
        (told.name.as_deref(), told.value.unwrap().amount.to_string().as_str()),
        (Some("refund"), "5.50")
    );
}
