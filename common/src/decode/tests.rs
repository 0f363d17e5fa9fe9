mod click_ids;
mod envelopes;
mod fixtures;
mod fuzz;
mod rules;
mod tag;

use super::*;
use crate::conversion::Says;
use crate::event;
use crate::id::{ClickId, EventId};
use crate::intake::Body;
use serde_json::{Value, json};

fn source(kind: &str) -> Source {
    serde_json::from_value(json!({"id": "shop", "advertiser": "acme", "kind": kind, "open": true})).unwrap()
}

fn intake(query: &str, body: &[u8]) -> Intake {
    Intake {
        id: EventId::new(),
        source: "shop".parse().unwrap(),
        verified: Default::default(),
        received_at: "2026-01-10T12:00:00Z".parse().unwrap(),
        query: query.into(),
        content_type: None,
        body: Body(body.to_vec()),
        visitor: None,
        parked: None,
        key: None,
        told: None,
    }
}

fn clickfunnels(query: &str, body: &Value) -> Decoded {
    decode(&intake(query, body.to_string().as_bytes()), &source("clickfunnels")).unwrap()
}

fn plain(query: &str, body: &str) -> Decoded {
    decode(&intake(query, body.as_bytes()), &source("plain")).unwrap()
}

/// A fixture's body.
fn fixture(file: &str) -> Value {
    serde_json::from_slice(&fixtures::bodies(file)[0]).unwrap()
}

fn order() -> Value {
    json!({
        "data": {
            "id": 22642, "contact_id": 1, "live_mode": true, "total_amount": "396.00", "currency": "USD",
            "order_type": "one-time-order",
            "contact": {"id": 24359, "email_address": "jane.doe@example.com", "custom_attributes": {}},
        },
        "event_id": "00000000-0000-4000-8000-000000000012", "created_at": "2026-01-10T20:15:09.100Z",
        "event_type": "one-time-order.completed", "workspace_id": 4, "api_version": 2, "subject_type": "Order",
    })
}

#[test]
fn a_paid_order_is_a_purchase_under_its_orders_key() {
    let decoded = clickfunnels("", &order());
    let claim = decoded.claim.unwrap();
    assert_eq!((claim.key.as_str(), claim.says), ("order:22642", Says::Approved));
    assert_eq!(decoded.event.name.as_deref(), Some("purchase"));
    assert_eq!(decoded.event.value.unwrap().amount.to_string(), "396.00");
    assert_eq!(decoded.event.transaction.as_deref(), Some("22642"));
    assert_eq!(decoded.event.person.email.as_deref(), Some("jane.doe@example.com"));
    assert_eq!(decoded.event.at.to_string(), "2026-01-10T20:15:09.1Z");
}

#[test]
fn the_click_id_is_found_where_funnels_put_it_in_the_order_of_the_domain() {
    let (a, b) = (ClickId::new(), ClickId::new());
    let at = |pointer: &str, value: String, query: &str| {
        let mut body = order();
        body["data"]["data"] = json!({"contact": {}});
        body["data"]["contact"]["visits"] = json!({"first_visit": {}, "last_visit": null});
        *body.pointer_mut(pointer).unwrap() = value.into();
        let decoded = clickfunnels(query, &body);
        (decoded.named, decoded.found_by)
    };
    let attributes = "/data/contact/custom_attributes";
    let mut body = order();
    body["data"]["contact"]["custom_attributes"] = json!({"ClickID": a.to_string()});
    body["data"]["contact"]["visits"] =
        json!({"first_visit": {"landing_page": format!("https://x/?clickid={b}")}});
    let decoded = clickfunnels(&format!("click_id={b}"), &body);
    assert_eq!((decoded.named, decoded.found_by), (Named::Click(a), FoundBy::CustomAttribute));

    body["data"]["contact"]["custom_attributes"] = json!({"clickid": "{click_id}"});
    let decoded = clickfunnels("", &body);
    assert_eq!((decoded.named, decoded.found_by), (Named::Click(b), FoundBy::LandingPage));

    assert_eq!(at(attributes, "x".into(), &format!("click_id={b}")), (Named::Click(b), FoundBy::Query));
    assert_eq!(
        at(attributes, "x".into(), "click_id={contact.id}"),
        (Named::Foreign("24359".into()), FoundBy::Query)
    );
    assert_eq!(
        at(attributes, "x".into(), "click_id=%7Bcontact.custom_attributes.clickid%7D"),
        (Named::Nothing, FoundBy::None)
    );
}

#[test]
fn the_endpoint_url_of_the_specification_works_as_printed() {
    let id = ClickId::new();
    let mut body = order();
    body["data"]["contact"]["custom_attributes"] = json!({"clickid": id.to_string()});
    let url = "click_id={contact.custom_attributes.clickid}&event_parameter=[event_name]&payout=[amount]";
    let decoded = clickfunnels(url, &body);
    assert_eq!(decoded.named, Named::Click(id));
    assert_eq!(decoded.event.name.as_deref(), Some("purchase"));
    assert_eq!(decoded.event.value.unwrap().amount.to_string(), "396.00");
    let typed = clickfunnels("event_parameter=upsell&payout=12.5&currency=eur", &body);
    assert_eq!(typed.event.name.as_deref(), Some("upsell"));
    assert_eq!(typed.event.value.unwrap().currency, crate::money::currency("EUR"));
}

#[test]
fn an_event_of_an_unknown_type_is_an_event_all_the_same() {
    for body in [json!({"event_type": "moon.landed", "data": {}}), json!({"martian": {}}), json!({})] {
        let decoded = clickfunnels("", &body);
        assert_eq!((decoded.event.kind, decoded.claim), (event::Kind::Ignored, None));
        assert_eq!(decoded.notes[0].0, Code::TypeUnknown);
    }
}

#[test]
fn the_same_event_has_the_same_key_however_its_id_is_spelt() {
    let mut other = order();
    other["event_id"] = "00000000000040008000000000000012".into();
    assert_eq!(clickfunnels("", &order()).event.key, clickfunnels("", &other).event.key);
    other["workspace_id"] = 5.into();
    assert_ne!(clickfunnels("", &order()).event.key, clickfunnels("", &other).event.key);
}

#[test]
fn a_test_order_is_known_as_one() {
    let mut body = order();
    body["data"]["live_mode"] = false.into();
    assert!(clickfunnels("", &body).event.test);
}

#[test]
fn plain_parameters_come_by_query_form_or_json() {
    let id = ClickId::new();
    for decoded in [
        plain(&format!("click_id={id}&event_parameter=purchase&payout=12.50&currency=usd&txid=7"), ""),
        plain("", &format!("click_id={id}&event_parameter=purchase&payout=12.50&currency=usd&txid=7")),
        plain(
            &format!("click_id={id}"),
            r#"{"event_parameter":"purchase","payout":12.50,"currency":"USD","txid":7}"#,
        ),
    ] {
        assert_eq!(decoded.named, Named::Click(id));
        assert_eq!(decoded.event.value.unwrap().amount.to_string(), "12.50");
        assert_eq!(decoded.claim.unwrap().key, "txid:7");
    }
}

#[test]
fn plain_events_without_an_id_are_one_per_click_and_parameter() {
    let id = ClickId::new();
    let lead = plain(&format!("click_id={id}&event_parameter=lead"), "").event.key;
    assert_eq!(lead, plain(&format!("click_id={}&event_parameter=lead", id.0.as_simple()), "").event.key);
    assert_ne!(lead, plain(&format!("click_id={id}&event_parameter=purchase"), "").event.key);
    let nameless = || plain("event_parameter=lead", "").event.key;
    assert_ne!(nameless(), nameless());
}

#[test]
fn plain_events_have_their_kind_by_their_name() {
    for (name, kind, number) in [
        ("purchase", event::Kind::Conversion, None),
        ("Refund", event::Kind::Refund, None),
        ("event3", event::Kind::Event, Some(3)),
        ("event11", event::Kind::Event, None),
        ("webinar_seen", event::Kind::Event, None),
    ] {
        let event = plain(&format!("event_parameter={name}"), "").event;
        assert_eq!((event.kind, event.number), (kind, number), "{name}");
    }
}

#[test]
fn hostile_bytes_are_refused_by_kind_or_read_and_never_crash() {
    let refuse = |kind: &str, body: &[u8]| decode(&intake("", body), &source(kind)).unwrap_err();
    assert!(matches!(refuse("clickfunnels", b""), Undecodable::NotJson(_)));
    assert!(matches!(refuse("clickfunnels", b"{\"data\": {"), Undecodable::NotJson(_)));
    assert!(matches!(refuse("clickfunnels", b"[1]"), Undecodable::NotAnObject));
    assert!(matches!(refuse("plain", b"\xff\xfe"), Undecodable::NotText));
    let deep = "[".repeat(100_000);
    assert!(matches!(refuse("plain", deep.as_bytes()), Undecodable::NotJson(_)));
    let long = plain(&format!("click_id={}&txid={}", "x".repeat(100_000), "y".repeat(100_000)), "");
    assert!(long.event.key.len() < 300 && long.claim.unwrap().key.len() < 300);
    let nul = plain("click_id=%00&event_parameter=lead&txid=a%00b", "");
    assert!(matches!(nul.named, Named::Foreign(_)));
    assert!(!nul.event.key.contains('\0'));
}

#[test]
fn a_parameter_given_twice_counts_once_and_is_told() {
    let decoded = plain("event_parameter=lead&event_parameter=purchase", "");
    assert_eq!(decoded.event.name.as_deref(), Some("lead"));
    assert_eq!(decoded.notes[0].0, Code::ParameterRepeated);
}

#[test]
fn data_that_is_nested_too_deep_for_our_envelopes_is_cut_and_told() {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for (levels, cut) in [(10, false), (120, true)] {
        let decoded = plain("event_parameter=lead", &nested(levels));
        assert_eq!(decoded.notes.iter().any(|(_, detail)| detail.contains("nested")), cut, "{levels}");
        let facts = event::Facts::new(decoded.event);
        let wire = serde_json::to_string(&json!({"items": [{"letter": {"facts": facts}}]})).unwrap();
        assert!(serde_json::from_str::<Value>(&wire).is_ok());
    }
}
