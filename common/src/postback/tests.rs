use super::*;
use crate::connector::{Encoding, Header as HeaderLine, Parameter, Webhook};
use crate::time::Span;
use serde_json::{Value, json};

mod authorization;
mod body;
mod check;
mod macros;
mod properties;
mod secrets;
mod signing;

const DELIVERY: &str = "0198f000-0000-8000-8000-000000000042";

/// A sale of 396.00 USD by a click with parameters of all kinds.
fn facts() -> Facts {
    serde_json::from_value(json!({
        "event": {
            "id": "0198f000-0000-7000-8000-0000000000e1", "advertiser": "acme", "source": "funnel",
            "source_event_id": "4a1f", "key": "k", "type": "one-time-order.completed", "name": "purchase",
            "kind": "conversion", "at": "2026-01-10T20:15:01.524Z", "received_at": "2026-01-10T20:15:03Z",
            "value": {"amount": "395.00", "currency": "USD"}, "transaction": "22642",
            "person": {"contact": "24359", "email": "jane@example.com", "phone": "+19053871234"},
            "data": {"id": 22642, "total_amount": "1.00", "contact": {"first_name": "Jane", "last_name": "Doe"}},
        },
        "click": {
            "id": "018f0000-0000-7000-8000-00000000abcd", "advertiser": "acme", "offer": "summer", "target": "main",
            "visitor": "018f0000-0000-7000-8000-000000000001", "at": "2026-01-10T20:00:00.250Z",
            "parameters": [["utm_source", "news letter"], ["fbclid", "IwAR0"], ["GCLID", "g1"], ["sub1", "s1"],
                ["value", "999"], ["extra", "of the click"]],
            "referrer": "https://blog.example/", "user_agent": "Firefox",
            "device": "tablet", "country": "DE",
        },
        "conversion": {"key": "order:22642", "status": "approved", "value": {"amount": "396.00", "currency": "USD"},
            "payout": {"amount": "118.80", "currency": "EUR"}},
    }))
    .unwrap()
}

fn delivery() -> DeliveryId {
    DELIVERY.parse().unwrap()
}

fn webhook(method: Method, url: &str, parameters: &[(&str, &str)]) -> Webhook {
    Webhook {
        method,
        parameters: parameters
            .iter()
            .map(|(name, value)| Parameter { name: (*name).to_owned(), value: (*value).to_owned() })
            .collect(),
        ..Webhook::get(url)
    }
}

fn line(name: &str, value: &str) -> HeaderLine {
    HeaderLine { name: name.to_owned(), value: Some(value.to_owned()), secret: None }
}

fn secret_line(name: &str) -> HeaderLine {
    HeaderLine { name: name.to_owned(), value: None, secret: Some(SecretRef::Env("TOKEN".to_owned())) }
}

fn connector(webhook: Webhook) -> Connector {
    Connector::new("network".parse().unwrap(), "acme".parse().unwrap(), webhook)
}

fn rendered_with(
    webhook: Webhook,
    facts: &Facts,
    secret: &dyn Fn(&SecretRef) -> Result<String, secret::Error>,
) -> Result<Postback, Unrenderable> {
    let credentials = Credentials { secret, access_token: None };
    render(&connector(webhook), &delivery(), facts, &credentials)
}

fn rendered(webhook: Webhook, facts: &Facts) -> Result<Postback, Unrenderable> {
    rendered_with(webhook, facts, &|_| Ok("hush".to_owned()))
}

#[test]
fn a_get_appends_its_parameters_to_the_query() {
    let url = "https://net.example/{{OFFER}}/conv?cid={click_id}&amount=[revenue]";
    let mut webhook =
        webhook(Method::Get, url, &[("et", "{{EVENT_NAME}}"), ("who", "{{FIRST_NAME}} & {{LAST_NAME}}")]);
    webhook.encoding = Encoding::Json; // It is of the body, and a GET has none.
    let postback = rendered(webhook, &facts()).unwrap();
    assert_eq!(
        postback.url.as_str(),
        "https://net.example/summer/conv?cid=018f0000-0000-7000-8000-00000000abcd&amount=396.00\
         &et=purchase&who=Jane%20%26%20Doe"
    );
    assert_eq!(postback.method, Method::Get);
    assert_eq!(postback.body, None);
    assert_eq!(postback.unresolved, Vec::<String>::new());
}

#[test]
fn a_post_sends_its_parameters_in_the_body_in_their_order() {
    let parameters = [("z", "{{VALUE}}"), ("a b", "{{EMAIL}}+1"), ("raw", "{\"{x}\"}")];
    let mut webhook = webhook(Method::Post, "https://net.example/in?key=1", &parameters);
    let form = rendered(webhook.clone(), &facts()).unwrap();
    assert_eq!(form.url.as_str(), "https://net.example/in?key=1");
    let body = form.body.unwrap();
    assert_eq!(body.content_type, "application/x-www-form-urlencoded");
    assert_eq!(body.bytes, b"z=396.00&a+b=jane%40example.com%2B1&raw=%7B%22%7Bx%7D%22%7D");

    webhook.encoding = Encoding::Json;
    let body = rendered(webhook, &facts()).unwrap().body.unwrap();
    assert_eq!(body.content_type, "application/json");
    assert_eq!(
        String::from_utf8(body.bytes).unwrap(),
        r#"{"z":"396.00","a b":"jane@example.com+1","raw":"{\"{x}\"}"}"#
    );
}

#[test]
fn a_post_without_parameters_has_an_empty_body_of_its_form() {
    let mut webhook = webhook(Method::Post, "https://net.example/", &[]);
    assert_eq!(rendered(webhook.clone(), &facts()).unwrap().body.unwrap().bytes, b"");
    webhook.encoding = Encoding::Json;
    assert_eq!(rendered(webhook, &facts()).unwrap().body.unwrap().bytes, b"{}");
}

#[test]
fn a_parameter_may_come_twice_in_a_query_and_in_a_form() {
    let parameters = [("id[]", "1"), ("id[]", "{{VALUE}}")];
    let get = rendered(webhook(Method::Get, "https://net.example/", &parameters), &facts()).unwrap();
    assert_eq!(get.url.query(), Some("id%5B%5D=1&id%5B%5D=396.00"));
    let post = rendered(webhook(Method::Post, "https://net.example/", &parameters), &facts()).unwrap();
    assert_eq!(post.body.unwrap().bytes, b"id%5B%5D=1&id%5B%5D=396.00");
}

#[test]
fn headers_are_sent_as_configured_with_the_deliverys_id() {
    let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
    webhook.headers = vec![line("X-Name", "{{FIRST_NAME}} {{EMAIL}} 5%"), secret_line("Authorization")];
    let postback = rendered(webhook, &facts()).unwrap();
    let sent: Vec<_> = postback
        .headers
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_str(), header.secret))
        .collect();
    assert_eq!(
        sent,
        [
            ("X-Name", "Jane jane@example.com 5%", false),
            ("Authorization", "hush", true),
            (IDEMPOTENCY_KEY, DELIVERY, false)
        ]
    );
}

#[test]
fn a_connector_may_set_the_idempotency_key_itself() {
    let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
    webhook.headers = vec![line("idempotency-key", "{{CONVERSION_KEY}}")];
    let postback = rendered(webhook, &facts()).unwrap();
    assert_eq!(postback.headers.len(), 1);
    assert_eq!(postback.headers[0].value, "order:22642");
}

#[test]
fn a_secret_that_cannot_be_read_or_sent_is_told_without_it() {
    let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
    webhook.headers = vec![secret_line("X-Key")];
    let with = |read: &dyn Fn(&SecretRef) -> Result<String, secret::Error>| {
        rendered_with(webhook.clone(), &facts(), read).unwrap_err()
    };
    let missing = with(&|_| Err(secret::Error::Env("TOKEN".to_owned())));
    assert!(matches!(missing, Unrenderable::Secret { .. }));
    assert_eq!(missing.to_string(), "the secret of header X-Key: environment variable TOKEN is not set");
    for bad in ["a\r\nX-Evil: 1", "a\0b", "hüsh", "a\u{7f}"] {
        let unfit = with(&|_| Ok(bad.to_owned()));
        assert!(matches!(unfit, Unrenderable::SecretUnfit { .. }), "{bad:?}");
        assert_eq!(
            unfit.to_string(),
            "the secret of header X-Key holds a character that is not printable ASCII"
        );
    }
}

#[test]
fn what_does_not_fit_the_url_is_unrenderable_and_quotes_no_value() {
    let mut facts = facts();
    facts.event.transaction = Some("..".to_owned());
    let why = rendered(webhook(Method::Get, "https://net.example/a/{txid}/b", &[]), &facts).unwrap_err();
    assert_eq!(
        why.to_string(),
        "segment 2 of the URL's path would be a dot segment (`.` or `..`), which cannot be sent"
    );
    facts.event.transaction = Some("x".repeat(100_000));
    let why = rendered(webhook(Method::Get, "https://net.example/", &[("t", "{{TRANSACTION_ID}}")]), &facts)
        .unwrap_err();
    assert!(matches!(why, Unrenderable::Url(Unfit::TooLong(100_023))), "{why}");
}

#[test]
fn a_faulty_webhook_is_unrenderable() {
    let why = rendered(webhook(Method::Get, "https://{{VALUE}}/", &[]), &facts()).unwrap_err();
    assert_eq!(
        why.to_string(),
        "the webhook is faulty: url: a macro stands in the URL's host or port; \
         use macros in the URL's path and query only"
    );
}

#[test]
fn what_is_missing_is_listed_once_over_all_places() {
    let mut webhook = webhook(
        Method::Get,
        "https://net.example/{{nope}}?a={{TTCLID}}",
        &[("b", "{{ttclid}}{{TTCLID}}"), ("c", "{{deep.x}}")],
    );
    webhook.headers = vec![line("X-A", "{{nope}}")];
    let postback = rendered(webhook, &facts()).unwrap();
    assert_eq!(postback.unresolved, ["nope", "TTCLID", "ttclid", "deep.x"]);
    assert_eq!(postback.url.as_str(), "https://net.example/?a=&b=&c=");
}

#[test]
fn secrets_are_masked_when_shown_and_nothing_is_shown_by_debug() {
    let url = "https://net.example/x?access_token=t0ps3cret&a=1&security_token=t0ps3cret&key=t0ps3cret&api%5Fsecret=t0ps3cret";
    let mut webhook = webhook(Method::Post, url, &[("password", "t0ps3cret")]);
    webhook.headers = vec![
        line("Authorization", "Bearer t0ps3cret"),
        line("X-Api-Key", "t0ps3cret"),
        secret_line("X-Other"),
        line("X-Open", "yes"),
    ];
    let postback = rendered_with(webhook, &facts(), &|_| Ok("t0ps3cret".to_owned())).unwrap();
    assert_eq!(
        postback.masked_url(),
        "https://net.example/x?access_token=…&a=1&security_token=…&key=…&api%5Fsecret=…"
    );
    let shown = postback.masked_headers();
    assert_eq!(shown[..4], [("Authorization", "…"), ("X-Api-Key", "…"), ("X-Other", "…"), ("X-Open", "yes")]);
    assert_eq!(shown[4], (IDEMPOTENCY_KEY, DELIVERY));
    let debug = format!("{postback:?}");
    assert!(!debug.contains("t0ps3cret") && debug.contains("net.example"), "{debug}");
}

#[test]
fn a_request_is_the_same_at_every_attempt() {
    let webhook = webhook(
        Method::Post,
        "https://net.example/{{CLICK_ID}}",
        &[("a", "{{VALUE}}"), ("t", "{{TIME_ISO}}")],
    );
    assert_eq!(rendered(webhook.clone(), &facts()).unwrap(), rendered(webhook, &facts()).unwrap());
}
