//! What `check` says of a webhook.

use super::*;

#[test]
fn a_good_webhook_has_neither_faults_nor_warnings() {
    let mut webhook = webhook(Method::Get, "https://net.example/p?a={{VALUE}}", &[("b", "[transaction]")]);
    webhook.encoding = Encoding::Json;
    webhook.headers = vec![line("Content-Type", "text/plain"), secret_line("Authorization")];
    assert_eq!(faults(&webhook), []);
    assert_eq!(warnings(&webhook), []);
}

#[test]
fn all_faults_are_told_at_once_each_with_its_key() {
    let parameters = [("", "x"), ("{{VALUE}}", "y"), ("a", "{{VALUE"), ("a", "{{EMAIL|sha265}} {{}}")];
    let mut webhook = webhook(Method::Post, "ftp://net.example/", &parameters);
    webhook.encoding = Encoding::Json;
    webhook.timeout = Span::from_secs(61);
    webhook.concurrency = 0;
    webhook.headers = vec![
        line("", "x"),
        line("X Y", "x"),
        line("X-A", "x"),
        line("x-a", "x"),
        line("HOST", "x"),
        line("content-type", "x"),
        line("X-B", "a\nb"),
        line("X-C", "{{a b}}"),
        HeaderLine { name: "X-D".to_owned(), value: None, secret: None },
        HeaderLine { value: Some("x".to_owned()), ..secret_line("X-E") },
    ];
    let keys: Vec<String> = faults(&webhook).into_iter().map(|fault| fault.key).collect();
    assert_eq!(
        keys,
        [
            "url",
            "parameters[0].name",
            "parameters[1].name",
            "parameters[2].value",
            "parameters[3].name",
            "parameters[3].value",
            "parameters[3].value",
            "headers[0].name",
            "headers[1].name",
            "headers[3].name",
            "headers[4].name",
            "headers[5].name",
            "headers[6].value",
            "headers[7].value",
            "headers[8]",
            "headers[9]",
            "timeout",
            "concurrency",
        ]
    );
    assert_eq!(warnings(&webhook), [], "faults first");
}

#[test]
fn limits_have_both_ends() {
    for (millis, concurrency, bad) in
        [(0, 1, 1), (1, 1, 0), (60_000, 1_000, 0), (60_001, 1_000, 1), (5_000, 1_001, 1), (0, 0, 2)]
    {
        let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
        webhook.timeout = Span(std::time::Duration::from_millis(millis));
        webhook.concurrency = concurrency;
        assert_eq!(faults(&webhook).len(), bad, "{millis} {concurrency}");
    }
}

#[test]
fn headers_of_the_connection_are_not_ours_to_set() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "Te",
        "Upgrade",
        "Expect",
        "X:Y",
        ":path",
        "X-é",
    ] {
        let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
        webhook.headers = vec![line(name, "x")];
        assert_eq!(faults(&webhook).len(), 1, "{name}");
        assert!(rendered(webhook, &facts()).is_err(), "{name}");
    }
}

#[test]
fn plain_http_is_warned_of_but_not_on_this_machine() {
    for (url, warned) in [
        ("http://net.example/", 1),
        ("http://10.0.0.1/", 1),
        ("https://net.example/", 0),
        ("http://localhost:8080/", 0),
        ("http://127.0.0.1:8080/", 0),
        ("http://[::1]/", 0),
    ] {
        let found = warnings(&webhook(Method::Get, url, &[]));
        assert_eq!(found.len(), warned, "{url}: {found:?}");
    }
}

#[test]
fn what_may_be_a_misspelt_macro_is_warned_of() {
    let mut webhook = webhook(Method::Get, "https://net.example/?f[x]=1&c={clikid}", &[("a", "[amont]")]);
    webhook.headers = vec![line("X-A", "{vlaue}")];
    let found: Vec<_> =
        warnings(&webhook).into_iter().map(|warning| (warning.key, warning.problem)).collect();
    let expected = [("url", "{clikid}"), ("parameters[0].value", "[amont]"), ("headers[0].value", "{vlaue}")];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((key, problem), (expected_key, name)) in found.iter().zip(expected) {
        assert!(key == expected_key && problem.starts_with(&format!("`{name}`")), "{key}: {problem}");
    }
}

/// The keys of all faults.
fn keys(webhook: &Webhook) -> Vec<String> {
    faults(webhook).into_iter().map(|fault| fault.key).collect()
}

#[test]
fn a_body_is_of_a_post_and_stands_alone() {
    let mut webhook = webhook(Method::Get, "https://net.example/", &[("a", "1")]);
    webhook.body = Some("a={{VALUE}}".to_owned());
    assert_eq!(keys(&webhook), ["body", "parameters"]);
    webhook.method = Method::Post;
    assert_eq!(keys(&webhook), ["parameters"]);
    webhook.parameters.clear();
    assert_eq!(keys(&webhook), Vec::<String>::new());
    for (encoding, body, fault) in [
        (Encoding::Form, "a={{VALUE}} b", "body"),
        (Encoding::Form, "a=ü", "body"),
        (Encoding::Form, "a={{VALUE", "body"),
        (Encoding::Form, "a={{VALUE | number}}", "body"),
        (Encoding::Form, "{{VALUE | optional}}=1", "body"),
        (Encoding::Json, "a=1", "body"),
        (Encoding::Json, r#"{"a": {{VALUE}}}"#, "body"),
        (Encoding::Json, r#"{"a": {"b": "{{VALUE | numbr}}"}}"#, "body.a.b"),
        (Encoding::Json, r#"{"{{VALUE}}": 1}"#, "body.{{VALUE}}"),
    ] {
        webhook.encoding = encoding;
        webhook.body = Some(body.to_owned());
        assert_eq!(keys(&webhook), [fault], "{body}");
        assert!(rendered(webhook.clone(), &facts()).is_err(), "{body}");
    }
    webhook.body = Some(r#"{"a": "{vlaue}"}"#.to_owned());
    assert_eq!(warnings(&webhook).into_iter().map(|warning| warning.key).collect::<Vec<_>>(), ["body"]);
}

#[test]
fn what_only_json_can_do_and_what_no_path_can_do_is_refused_elsewhere() {
    for (url, parameter, header, key) in [
        ("https://net.example/{{OWN | optional}}", "x", "x", "url"),
        ("https://net.example/{{OWN | number}}", "x", "x", "url"),
        ("https://net.example/?a={{OWN | number}}", "x", "x", "url"),
        ("https://net.example/?{{OWN | optional}}=a", "x", "x", "url"),
        ("https://net.example/", "{{OWN | number}}", "x", "parameters[0].value"),
        ("https://net.example/", "x", "{{OWN | number}}", "headers[0].value"),
    ] {
        let mut webhook = webhook(Method::Get, url, &[("a", parameter)]);
        webhook.headers = vec![line("X-A", header)];
        assert_eq!(keys(&webhook), [key], "{url} {parameter} {header}");
    }
    let mut json = webhook(
        Method::Post,
        "https://net.example/",
        &[("a", "{{OWN | number}}"), ("b", "{{OWN | number}}!")],
    );
    json.encoding = Encoding::Json;
    assert_eq!(keys(&json), ["parameters[1].value"]);
}

#[test]
fn secrets_are_declared_and_used() {
    let mut webhook = webhook(
        Method::Get,
        "https://net.example/?a={{secret.url}}",
        &[("b", "{{VALUE | hmac: secret.argument}}")],
    );
    webhook.headers = vec![line("X-A", "{{Secret.header}}")];
    assert_eq!(keys(&webhook), ["secrets.argument", "secrets.header", "secrets.url"]);
    let kept = || SecretRef::Env("KEPT".to_owned());
    webhook.secrets = ["argument", "header", "url", "idle"].map(|name| (name.to_owned(), kept())).into();
    assert_eq!(faults(&webhook), []);
    let told: Vec<_> = warnings(&webhook).into_iter().map(|warning| warning.key).collect();
    assert_eq!(told, ["secrets.idle"]);
    webhook.secrets.insert("a b".to_owned(), kept());
    assert_eq!(keys(&webhook), ["secrets.a b"]);
}

#[test]
fn a_secret_in_the_place_of_a_variables_name_is_refused_and_not_repeated() {
    let pasted = || SecretRef::Env("sk-live/hush".to_owned());
    let mut webhook = webhook(Method::Get, "https://net.example/?a={{secret.a}}", &[]);
    webhook.secrets = [("a".to_owned(), pasted())].into();
    webhook.headers = vec![HeaderLine { secret: Some(pasted()), ..secret_line("X-Key") }];
    webhook.authorization = Some(crate::connector::Authorization::Bearer { token: pasted() });
    webhook.signing = Some(crate::connector::Signing { secrets: vec![pasted()] });
    let found = faults(&webhook);
    let keys: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["secrets.a", "headers[0].secret", "authorization", "signing.secrets[0]"]);
    assert!(!crate::template::list(&found).contains("hush"));
}

#[test]
fn a_renamed_event_has_one_name_on_either_side() {
    let mut webhook = webhook(Method::Get, "https://net.example/", &[]);
    webhook.rename = [("Lead", "a"), ("lead", "b"), ("", "c"), ("sale", "")]
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into();
    assert_eq!(keys(&webhook), ["rename.", "rename.lead", "rename.sale"]);
}
