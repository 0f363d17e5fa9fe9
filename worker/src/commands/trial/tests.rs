use super::sample::news;
use super::*;
use carom_common::postback::{self, Credentials};
use serde_json::{Value, json};

fn connector(change: Value) -> Connector {
    let mut whole = json!({
        "id": "network", "advertiser": "acme", "triggers": ["conversion"],
        "webhook": {
            "url": "https://n.example/p",
            "parameters": [
                {"name": "event", "value": "{{EVENT_NAME}}"}, {"name": "tx", "value": "{{TRANSACTION_ID}}"},
                {"name": "value", "value": "[revenue]"}, {"name": "gclid", "value": "{{GCLID}}"},
            ],
        },
    });
    for (key, value) in change.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

fn url(connector: &Connector, asked: &Asked) -> String {
    let credentials = Credentials { secret: &|_| Ok(STAND_IN.to_owned()), access_token: Some(STAND_IN) };
    let (id, facts) = (&asked.delivery.id, &asked.delivery.facts);
    postback::signed(connector, id, facts, &credentials, Timestamp::now()).unwrap().masked_url()
}

#[test]
fn each_kind_of_trigger_has_a_sample_that_it_fires_on() {
    for (trigger, step, query) in [
        ("conversion", "conversion", "event=purchase&tx=TEST-1001&value=49.90&gclid=TEST-gclid"),
        ("purchase", "conversion", "event=purchase&tx=TEST-1001&value=49.90&gclid=TEST-gclid"),
        ("upsell", "conversion", "event=upsell&tx=TEST-1001&value=49.90&gclid=TEST-gclid"),
        ("lead", "conversion", "event=lead&tx=TEST-1002&value=&gclid=TEST-gclid"),
        ("refund", "refund", "event=refund&tx=TEST-1001&value=20.00&gclid=TEST-gclid"),
        ("event 3", "event", "event=event3&tx=&value=&gclid=TEST-gclid"),
        ("order.created", "event", "event=event1&tx=&value=&gclid=TEST-gclid"),
    ] {
        let connector = connector(json!({ "triggers": [trigger] }));
        let news = news(&connector, Sample::of(&connector.triggers[0]), now()).unwrap();
        let all = std::slice::from_ref(&connector);
        assert!(verdict(&news, &connector, all, now()).selected, "{trigger}");
        let asked = requests(&news, &connector, all, now());
        assert_eq!(asked.iter().map(|asked| asked.step).collect::<Vec<_>>(), [step], "{trigger}");
        assert_eq!(url(&connector, &asked[0]), format!("https://n.example/p?{query}"), "{trigger}");
    }
}

#[test]
fn the_request_is_there_whether_the_connector_would_be_selected_or_not() {
    let condition = json!([{"field": "utm_source", "operator": "equals", "value": "nobody"}]);
    for (change, sample) in [
        (json!({"mode": "disabled"}), Sample::Purchase),
        (json!({"mode": "test"}), Sample::Purchase),
        (json!({"condition": condition}), Sample::Purchase),
        (json!({"currencies": ["EUR"]}), Sample::Purchase),
        (json!({"triggers": ["refund"]}), Sample::Purchase),
        (json!({"triggers": ["event 2"]}), Sample::Lead),
        (json!({"triggers": ["order.created"]}), Sample::Refund),
    ] {
        let connector = connector(change.clone());
        let news = news(&connector, sample, now()).unwrap();
        let asked = requests(&news, &connector, std::slice::from_ref(&connector), now());
        assert_eq!(asked.len(), 1, "{change}");
    }
}

#[test]
fn a_verdict_tells_each_condition_in_words_and_whether_it_holds() {
    let condition = json!([
        {"field": "utm_source", "click": "first", "operator": "not_equals", "value": "a"},
        {"field": "revenue", "operator": "exists"},
    ]);
    let connector = connector(json!({ "condition": condition }));
    let news = news(&connector, Sample::Purchase, now()).unwrap();
    let verdict = verdict(&news, &connector, std::slice::from_ref(&connector), now());
    let words: Vec<_> = verdict.conditions.iter().map(|asserted| asserted.condition.as_str()).collect();
    assert_eq!(words, [r#"utm_source of the first click not_equals "a""#, "revenue exists"]);
}

#[test]
fn a_test_order_is_shown_and_would_not_be_selected() {
    let connector = connector(json!({}));
    let mut news = news(&connector, Sample::Purchase, now()).unwrap();
    news.event.test = true;
    let all = std::slice::from_ref(&connector);
    let verdict = verdict(&news, &connector, all, now());
    assert!(!verdict.selected);
    assert_eq!(verdict.decisions[0].code, Code::TestOrder);
    assert_eq!(requests(&news, &connector, all, now()).len(), 1);
}

#[test]
fn a_sample_click_carries_the_click_id_that_the_connector_looks_for() {
    let matching = json!({
        "parameter": "gclid", "window": "14d", "source": {"parameter": "utm_source", "value": "platform_x"},
    });
    let connector = connector(json!({ "click_id": matching }));
    let click = news(&connector, Sample::Purchase, now()).unwrap().click.unwrap();
    assert_eq!(click.parameter_in_any_case("gclid"), Some("TEST-CLICK-ID"));
    assert_eq!(click.parameter_in_any_case("utm_source"), Some("platform_x"));
    assert_eq!(click.parameters.iter().filter(|(name, _)| name == "gclid").count(), 1);
}

#[test]
fn a_request_that_is_shown_steers_no_terminal() {
    let body = "{\n\t\"name\": \"\u{9b}2J\x1b[2J\"\n}".to_owned();
    let headers = vec![("X-Key".to_owned(), "…".to_owned())];
    let shown = ShownRequest { method: "POST".into(), url: "https://n.example/p".into(), headers, body };
    let expected = "POST https://n.example/p\nX-Key: …\n\n{\n\t\"name\": \"\u{fffd}2J\u{fffd}[2J\"\n}\n";
    assert_eq!(shown.text(), expected);
}
