//! Secrets in templates: sent, and shown nowhere.

use super::*;

const SECRET: &str = "t0p/s3cret+key";

fn with_secret(mut webhook: Webhook) -> Webhook {
    webhook.secrets = [("key".to_owned(), SecretRef::Env("KEY".to_owned()))].into();
    webhook
}

fn postback(webhook: Webhook) -> Postback {
    rendered_with(with_secret(webhook), &facts(), &|_| Ok(SECRET.to_owned())).unwrap()
}

/// Everything of a postback that is ever shown or kept.
fn shown(postback: &Postback) -> String {
    let body = postback.masked_body().unwrap_or_default();
    format!("{} {:?} {body} {postback:?}", postback.masked_url(), postback.masked_headers())
}

fn everywhere(method: Method, encoding: Encoding) -> Webhook {
    let url = "https://net.example/{{secret.key}}/x?k={{SECRET.key}}&v={{VALUE}}";
    let parameters = [
        ("sum", "v04{{secret.key | append: TRANSACTION_ID, VALUE | md5}}"),
        ("plain", "{{secret.key}}"),
        ("v", "ü{{VALUE}}"),
    ];
    let mut webhook = webhook(method, url, &parameters);
    webhook.encoding = encoding;
    webhook.headers = vec![
        line("X-Raw", "Key {{secret.key}}"),
        line("X-Mac", "{{TRANSACTION_ID | hmac: secret.key}}"),
        line("X-Open", "{{VALUE}}"),
    ];
    webhook
}

#[test]
fn a_secret_and_what_is_made_of_it_is_sent_and_never_shown() {
    // md5("t0p/s3cret+key22642396.00") and the HMAC-SHA-256 of 22642.
    let (sum, mac) = (
        "597e6667d3b29e5cbb3da189eced2066",
        "74ce1fc208d929b7c290071cdf6e0952bc1428df8b98bed72fe330e0d746a73a",
    );
    for (method, encoding) in
        [(Method::Get, Encoding::Form), (Method::Post, Encoding::Form), (Method::Post, Encoding::Json)]
    {
        let postback = postback(everywhere(method, encoding));
        let segments: Vec<_> = postback.url.path_segments().unwrap().collect();
        assert_eq!(segments, ["t0p%2Fs3cret%2Bkey", "x"]);
        let body = postback.body.as_ref().map(|body| String::from_utf8(body.bytes.clone()).unwrap());
        let sent = format!("{} {}", postback.url, body.unwrap_or_default());
        assert!(sent.contains(&format!("v04{sum}")), "{sent}");
        assert_eq!(postback.headers[0].value, format!("Key {SECRET}"));
        assert_eq!(postback.headers[1].value, mac);

        let shown = shown(&postback);
        for hidden in [SECRET, "t0p%2Fs3cret%2Bkey", sum, mac, "s3cret"] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
        assert!(shown.contains("/…/x?k=…&v=396.00"), "{shown}");
        assert!(shown.contains("396.00") && shown.contains("(\"X-Open\", \"396.00\")"), "{shown}");
        let blotted = postback.secrets();
        for echoed in [SECRET, "t0p%2Fs3cret%2Bkey", sum, mac] {
            assert!(blotted.iter().any(|secret| secret == echoed), "{echoed}: {blotted:?}");
        }
    }
}

#[test]
fn what_is_shown_of_a_body_is_the_body_but_for_its_secrets() {
    let form = postback(everywhere(Method::Post, Encoding::Form));
    assert_eq!(form.masked_body().unwrap(), "sum=v04…&plain=…&v=%C3%BC396.00");
    let json = postback(everywhere(Method::Post, Encoding::Json));
    assert_eq!(json.masked_body().unwrap(), r#"{"sum":"v04…","plain":"…","v":"ü396.00"}"#);
    let mut named = webhook(Method::Post, "https://net.example/", &[("api_key", "open"), ("v", "1")]);
    assert_eq!(postback(named.clone()).masked_body().unwrap(), "api_key=…&v=1");
    named.encoding = Encoding::Json;
    assert_eq!(postback(named).masked_body().unwrap(), r#"{"api_key":"…","v":"1"}"#);
    assert_eq!(postback(everywhere(Method::Get, Encoding::Form)).masked_body(), None);
}

#[test]
fn a_secret_that_is_whole_in_a_header_must_be_printable_and_elsewhere_may_be_anything() {
    let read = |url: &str, header: &str, secret: &str| {
        let mut webhook = with_secret(webhook(Method::Get, url, &[]));
        webhook.headers = vec![line("X-Key", header)];
        rendered_with(webhook, &facts(), &|_| Ok(secret.to_owned()))
    };
    let home = "https://net.example/";
    let percent = read(home, "k={{secret.key}}", "50%=a b").unwrap();
    assert_eq!(percent.headers[0].value, "k=50%=a b", "as the operator has it");
    for bad in ["a\r\nX-Evil: 1", "hüsh"] {
        let why = read(home, "k={{secret.key}}", bad).unwrap_err();
        assert!(matches!(why, Unrenderable::SecretUnfit { .. }) && why.is_passing(), "{bad:?}");
        assert!(!why.to_string().contains(bad), "{why}");
        assert!(read(home, "{{secret.key | base64}}", bad).is_ok(), "{bad:?}");
        assert!(read("https://net.example/?k={{secret.key}}", "x", bad).is_ok(), "{bad:?}");
    }
}

#[test]
fn only_the_secrets_that_are_used_are_read() {
    let mut webhook = with_secret(webhook(Method::Get, "https://net.example/", &[("v", "{{VALUE}}")]));
    let fails = |_: &SecretRef| Err(secret::Error::Env("KEY".to_owned()));
    assert!(rendered_with(webhook.clone(), &facts(), &fails).is_ok());
    webhook.parameters[0].value = "{{VALUE | hmac: secret.key}}".to_owned();
    let why = rendered_with(webhook, &facts(), &fails).unwrap_err();
    assert_eq!(why.to_string(), "the secret of {{secret.key}}: environment variable KEY is not set");
    assert!(why.is_passing());
}

#[test]
fn the_events_own_data_cannot_pass_for_a_secret_nor_read_one() {
    let mut facts = facts();
    facts.event.data = json!({"secret": {"key": "theirs", "other": "theirs"}, "own": "{{secret.key}}"});
    let parameters =
        [("a", "{{secret.key}}"), ("b", "{{data.secret.other}}"), ("c", "{{own}}"), ("d", "{secret.key}")];
    let webhook = with_secret(webhook(Method::Get, "https://net.example/", &parameters));
    let postback = rendered_with(webhook, &facts, &|_| Ok("ours-alone".to_owned())).unwrap();
    let pairs: Vec<_> = postback.url.query_pairs().map(|(_, value)| value.into_owned()).collect();
    assert_eq!(pairs, ["ours-alone", "theirs", "{{secret.key}}", "{secret.key}"]);
}
