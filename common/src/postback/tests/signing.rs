//! Signing by Standard Webhooks, verified by what verifies what others send us.

use super::*;
use crate::connector::Signing;
use crate::signature::{Scheme, Signature, Verifier};
use jiff::Timestamp;

/// `whsec_` and the Base64 of 24 bytes.
const OLD: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const NEW: &str = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";

fn now() -> Timestamp {
    "2026-01-10T20:16:00.9Z".parse().unwrap()
}

fn signed(mut webhook: Webhook, secrets: &[&str]) -> Result<Postback, Unrenderable> {
    webhook.signing = Some(Signing {
        secrets: secrets.iter().map(|secret| SecretRef::Env((*secret).to_owned())).collect(),
    });
    let read = |reference: &SecretRef| match reference {
        SecretRef::Env(name) if name == "nowhere" => Err(secret::Error::Env(name.clone())),
        SecretRef::Env(text) => Ok(text.clone()),
        SecretRef::File(_) => unreachable!(),
    };
    let credentials = Credentials { secret: &read, access_token: None };
    let mut postback = render(&connector(webhook.clone()), &delivery(), &facts(), &credentials)?;
    sign(&mut postback, &webhook, &delivery(), &credentials, now())?;
    Ok(postback)
}

fn verifier(secret: &str) -> Verifier {
    let signature = Signature {
        scheme: Scheme::StandardWebhooks,
        secrets: vec![SecretRef::Env("X".to_owned())],
        tolerance: None,
        header: None,
        prefix: None,
        algorithm: None,
        encoding: None,
        signed: None,
        timestamp_header: None,
        id_header: None,
    };
    let key = signature.key(secret).unwrap();
    Verifier::new(&signature, vec![key]).unwrap()
}

fn verified(postback: &Postback, secret: &str, body: &[u8]) -> bool {
    let header = |name: &str| -> Vec<&[u8]> {
        let named = postback.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.as_bytes()).collect()
    };
    verifier(secret).verify(header, body, now()).is_ok()
}

#[test]
fn a_receiver_that_knows_any_of_the_secrets_verifies_the_body() {
    let post = webhook(Method::Post, "https://net.example/", &[("v", "{{EMAIL}}")]);
    let postback = signed(post, &[OLD, NEW]).unwrap();
    let body = postback.body.as_ref().unwrap().bytes.clone();
    for secret in [OLD, NEW] {
        assert!(verified(&postback, secret, &body));
        assert!(!verified(&postback, secret, b"v=other"));
    }
    assert!(!verified(&postback, "whsec_AAAA", &body));
    let header = |name: &str| postback.headers.iter().find(|header| header.name == name).unwrap();
    assert_eq!(header("webhook-id").value, DELIVERY);
    assert_eq!(header("webhook-timestamp").value, "1768076160");
    assert_eq!(header("webhook-signature").value.split(' ').count(), 2);
    assert_eq!(header("webhook-signature").shown(), "…");
}

#[test]
fn the_reference_vector_of_standard_webhooks_is_met() {
    let signature = crate::signature::standard_webhooks(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        Timestamp::from_second(1_614_265_330).unwrap(),
        br#"{"test": 2432232314}"#,
    );
    assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_webhook_without_signing_is_left_alone() {
    let post = webhook(Method::Post, "https://net.example/", &[]);
    let credentials = Credentials { secret: &|_| Ok(String::new()), access_token: None };
    let mut postback = render(&connector(post.clone()), &delivery(), &facts(), &credentials).unwrap();
    let before = postback.clone();
    sign(&mut postback, &post, &delivery(), &credentials, now()).unwrap();
    assert_eq!(postback, before);
}

#[test]
fn a_secret_that_is_away_or_is_none_is_waited_for() {
    let post = webhook(Method::Post, "https://net.example/", &[]);
    let away = signed(post.clone(), &["nowhere"]).unwrap_err();
    assert!(away.is_passing(), "{away}");
    let none = signed(post, &["whsec_not base64"]).unwrap_err();
    assert!(none.is_passing() && !none.to_string().contains("not base64"), "{none}");
}

#[test]
fn signing_that_cannot_be_meant_is_told() {
    let mut post = webhook(Method::Post, "https://net.example/", &[]);
    post.headers = vec![line("Webhook-Id", "x")];
    post.signing = Some(Signing { secrets: Vec::new() });
    let keys: Vec<_> = faults(&post).into_iter().map(|fault| fault.key).collect();
    assert_eq!(keys, ["signing.secrets", "headers[0].name"]);
    let mut get = webhook(Method::Get, "https://net.example/", &[]);
    get.signing = Some(Signing { secrets: vec![SecretRef::Env("X".to_owned())] });
    assert_eq!(faults(&get), []);
    assert_eq!(warnings(&get).len(), 1, "a GET's URL is not signed");
}
