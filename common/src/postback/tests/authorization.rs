//! The kinds of authorization.

use super::*;
use crate::connector::Authorization;

fn kept() -> SecretRef {
    SecretRef::Env("TOKEN".to_owned())
}

fn oauth2() -> Authorization {
    Authorization::OAuth2 {
        token_url: "https://auth.example/token".to_owned(),
        client_id: "us".to_owned(),
        client_secret: kept(),
        refresh_token: None,
        scope: None,
    }
}

fn with(authorization: Authorization) -> Webhook {
    Webhook { authorization: Some(authorization), ..Webhook::get("https://net.example/p?a=1#f") }
}

fn authorized(webhook: Webhook, access_token: Option<&str>) -> Result<Postback, Unrenderable> {
    let credentials = Credentials { secret: &|_| Ok("s3cr&t token".to_owned()), access_token };
    render(&connector(webhook), &delivery(), &facts(), &credentials)
}

#[test]
fn each_kind_adds_its_one_header_or_parameter_and_shows_it_nowhere() {
    let header = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    for (kind, header, query) in [
        (
            Authorization::Basic { username: "us".to_owned(), password: kept() },
            header("Authorization", "Basic dXM6czNjciZ0IHRva2Vu"),
            "a=1",
        ),
        (Authorization::Bearer { token: kept() }, header("Authorization", "Bearer s3cr&t token"), "a=1"),
        (
            Authorization::Header { name: "X-Api-Key".to_owned(), value: kept() },
            header("X-Api-Key", "s3cr&t token"),
            "a=1",
        ),
        (Authorization::Query { name: "k y".to_owned(), value: kept() }, None, "a=1&k%20y=s3cr%26t%20token"),
        (oauth2(), header("Authorization", "Bearer fetched-token"), "a=1"),
    ] {
        for method in [Method::Get, Method::Post] {
            let webhook = Webhook { method, ..with(kind.clone()) };
            assert_eq!(faults(&webhook), []);
            let postback = authorized(webhook, Some("fetched-token")).unwrap();
            assert_eq!(postback.url.query(), Some(query), "{kind:?}");
            let sent = postback.headers.iter().find(|header| header.name != IDEMPOTENCY_KEY);
            assert_eq!(sent.map(|header| (header.name.clone(), header.value.clone())), header);
            let shown = format!("{} {:?} {postback:?}", postback.masked_url(), postback.masked_headers());
            for secret in ["s3cr", "dXM6", "fetched"] {
                assert!(!shown.contains(secret), "{shown}");
            }
            assert!(shown.contains("#f"), "{shown}");
            assert!(!postback.secrets().is_empty());
        }
    }
}

#[test]
fn the_password_of_basic_is_blotted_out_alone_as_well() {
    let basic = Authorization::Basic { username: "us".to_owned(), password: kept() };
    let secrets = authorized(with(basic), None).unwrap().secrets();
    for echoed in ["s3cr&t token", "s3cr%26t%20token", "dXM6czNjciZ0IHRva2Vu"] {
        assert!(secrets.iter().any(|secret| secret == echoed), "{echoed}");
    }
}

#[test]
fn an_access_token_that_is_missing_or_unfit_is_waited_for() {
    let why = authorized(with(oauth2()), None).unwrap_err();
    assert!(matches!(why, Unrenderable::NoAccessToken) && why.is_passing());
    let why = authorized(with(oauth2()), Some("a\r\nb")).unwrap_err();
    assert!(why.is_passing() && !why.to_string().contains("a\r\nb"));
}

#[test]
fn an_authorization_that_cannot_be_meant_is_a_fault() {
    let header = |name: &str| Authorization::Header { name: name.to_owned(), value: kept() };
    let query = |name: &str| Authorization::Query { name: name.to_owned(), value: kept() };
    let token_url = |url: &str| match oauth2() {
        Authorization::OAuth2 { client_id, client_secret, .. } => Authorization::OAuth2 {
            token_url: url.to_owned(),
            client_id,
            client_secret,
            refresh_token: None,
            scope: None,
        },
        other => other,
    };
    for (kind, key) in [
        (Authorization::Basic { username: "a:b".to_owned(), password: kept() }, "authorization.username"),
        (header("Host"), "authorization.name"),
        (header("X Y"), "authorization.name"),
        (header(""), "authorization.name"),
        (header("x-given"), "authorization"),
        (query(""), "authorization.name"),
        (query("{{VALUE}}"), "authorization.name"),
        (query("a"), "authorization.name"),
        (query("parameter"), "authorization.name"),
        (token_url("auth.example/token"), "authorization.token_url"),
        (token_url("ftp://auth.example/token"), "authorization.token_url"),
        (token_url("https://u:p@auth.example/token"), "authorization.token_url"),
    ] {
        let mut webhook = with(kind.clone());
        webhook.headers = vec![line("X-Given", "x")];
        webhook.parameters = vec![Parameter { name: "parameter".to_owned(), value: "x".to_owned() }];
        let found: Vec<_> = faults(&webhook).into_iter().map(|fault| fault.key).collect();
        assert_eq!(found, [key], "{kind:?}");
    }
    let mut twice = with(Authorization::Bearer { token: kept() });
    twice.headers = vec![secret_line("authorization")];
    assert_eq!(faults(&twice).len(), 1);
    assert_eq!(warnings(&with(token_url("http://auth.example/token"))).len(), 1);
    assert_eq!(warnings(&with(token_url("http://localhost/token"))), []);
}
