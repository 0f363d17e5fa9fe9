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
