//! Bodies that are written out, what is left out of a request, and what blocks it.

use super::*;
use crate::connector::{Empty, Unresolved};

fn with_body(encoding: Encoding, text: &str) -> Webhook {
    let mut webhook = webhook(Method::Post, "https://net.example/in", &[]);
    webhook.encoding = encoding;
    webhook.body = Some(text.to_owned());
    webhook
}

fn sent(webhook: Webhook) -> (&'static str, String) {
    let body = rendered(webhook, &facts()).unwrap().body.unwrap();
    (body.content_type, String::from_utf8(body.bytes).unwrap())
}

#[test]
fn a_json_body_is_nested_as_it_is_written() {
    let text = r#"{"data": [{"event_name": "{{EVENT_NAME}}", "event_time": "{{TIMESTAMP | number}}",
        "user_data": {"em": ["{{EMAIL | trim | lower | sha256}}"], "ttclid": "{{TTCLID | optional}}"},
        "custom_data": {"value": "{{VALUE | number}}", "who": "{{FIRST_NAME}} \"{{LAST_NAME}}\""}}], "partial": true}"#;
    let (content_type, body) = sent(with_body(Encoding::Json, text));
    assert_eq!(content_type, "application/json");
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"data": [{"event_name": "purchase", "event_time": 1_768_076_101,
            "user_data": {"em": ["8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d"]},
            "custom_data": {"value": serde_json::from_str::<Value>("396.00").unwrap(), "who": "Jane \"Doe\""}}],
            "partial": true})
    );
}

#[test]
fn a_form_is_sent_as_written_with_its_values_escaped() {
    let text = "\n  CampaignId=7%20x&Email={{EMAIL}}&{{EVENT_NAME}}[a]={click_id}&empty=&bare&none={{TTCLID | optional}}\n";
    let (content_type, body) = sent(with_body(Encoding::Form, text));
    assert_eq!(content_type, "application/x-www-form-urlencoded");
    assert_eq!(
        body,
        "CampaignId=7%20x&Email=jane%40example.com&purchase[a]=018f0000-0000-7000-8000-00000000abcd&empty=&bare"
    );
}

#[test]
fn what_comes_out_empty_is_dropped_everywhere_on_request() {
    let url = "https://net.example/p?fixed=&a={{TTCLID}}&{{TTCLID}}&b={{VALUE}}";
    let parameters = [("static", ""), ("c", "{{TTCLID}}"), ("d", "{{TTCLID}}{{VALUE}}")];
    let mut get = webhook(Method::Get, url, &parameters);
    get.headers = vec![line("X-A", "{{TTCLID}}"), line("X-B", "{{VALUE}}")];
    let kept = rendered(get.clone(), &facts()).unwrap();
    assert_eq!(kept.url.query(), Some("fixed=&a=&&b=396.00&static=&c=&d=396.00"));
    assert_eq!(kept.headers.len(), 3);
    get.empty = Empty::Drop;
    let dropped = rendered(get, &facts()).unwrap();
    assert_eq!(dropped.url.query(), Some("fixed=&b=396.00&static=&d=396.00"));
    assert_eq!(
        dropped.headers.iter().map(|header| header.name.as_str()).collect::<Vec<_>>(),
        ["X-B", IDEMPOTENCY_KEY]
    );
    assert_eq!(dropped.unresolved, ["TTCLID"], "it is told all the same");

    let mut post = webhook(Method::Post, "https://net.example/p?a={{TTCLID}}", &parameters);
    post.empty = Empty::Drop;
    assert_eq!(sent(post.clone()).1, "static=&d=396.00");
    assert_eq!(rendered(post.clone(), &facts()).unwrap().url.as_str(), "https://net.example/p");
    post.encoding = Encoding::Json;
    assert_eq!(sent(post).1, r#"{"static":"","d":"396.00"}"#);
}

#[test]
fn what_is_optional_is_left_out_and_the_rest_is_kept() {
    let parameters = [("a", "{{TTCLID | optional}}"), ("b", "{{TTCLID}}"), ("c", "{{VALUE | optional}}")];
    let mut webhook = webhook(Method::Get, "https://net.example/?x={{FBP|optional}}", &parameters);
    webhook.headers = vec![line("X-A", "{{TTCLID | optional}}")];
    let postback = rendered(webhook, &facts()).unwrap();
    assert_eq!(postback.url.query(), Some("b=&c=396.00"));
    assert_eq!(postback.headers.len(), 1);
    assert_eq!(postback.unresolved, ["TTCLID"]);
}

#[test]
fn a_macro_without_a_value_blocks_where_that_is_asked_for() {
    let parameters =
        [("a", "{{TTCLID}}"), ("b", "{{FBP | default: \"-\"}}"), ("c", "{{MSCLKID | optional}}")];
    let mut webhook = webhook(Method::Get, "https://net.example/{{nope}}", &parameters);
    webhook.unresolved = Unresolved::Block;
    let why = rendered(webhook.clone(), &facts()).unwrap_err();
    assert_eq!(why.to_string(), "there is no value for nope, TTCLID");
    assert!(!why.is_passing());
    webhook.url = "https://net.example/".to_owned();
    webhook.parameters.remove(0);
    assert_eq!(rendered(webhook, &facts()).unwrap().url.query(), Some("b=-"));
}

#[test]
fn a_bare_number_is_sent_for_a_parameter_of_a_json_object_too() {
    let mut webhook = webhook(Method::Post, "https://net.example/", &[("v", "{{VALUE | number}}")]);
    webhook.encoding = Encoding::Json;
    assert_eq!(sent(webhook).1, r#"{"v":396.00}"#);
}

#[test]
fn events_are_renamed_whatever_their_case_and_nothing_else_is() {
    let mut webhook = webhook(
        Method::Get,
        "https://net.example/{{EVENT_NAME}}",
        &[("t", "{{EVENT_TYPE}}"), ("e", "{event_param}")],
    );
    let renamed = |webhook: &Webhook, name: Option<&str>| {
        let mut facts = facts();
        facts.event.name = name.map(str::to_owned);
        rendered(webhook.clone(), &facts).unwrap().url.path().to_owned()
    };
    webhook.rename = [("PURCHASE", "Purchase"), ("größe", "Size"), ("one-time-order.completed", "Order")]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into();
    assert_eq!(renamed(&webhook, Some("purchase")), "/Purchase");
    assert_eq!(renamed(&webhook, Some("GRÖSSE")), "/GR%C3%96SSE");
    assert_eq!(renamed(&webhook, Some("GRÖßE")), "/Size");
    assert_eq!(renamed(&webhook, Some("lead")), "/lead");
    assert_eq!(renamed(&webhook, None), "/Order");
    let postback = rendered(webhook, &facts()).unwrap();
    assert_eq!(postback.url.query(), Some("t=one-time-order.completed&e=Purchase"));
}
