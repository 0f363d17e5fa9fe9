//! A token endpoint on loopback, which counts what it is asked.

use super::*;
use crate::egress::Settings;
use endpoint::Endpoint;

mod endpoint;

fn egress() -> Egress {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Egress::new(&Settings {
        allow,
        response_cap: 1024,
        user_agent: "carom-test".to_owned(),
        ca_file: Default::default(),
    })
    .unwrap()
}

/// A connector that gets its tokens at `url`, with secrets in files of `folder`, and more in its authorization.
fn connector(folder: &std::path::Path, url: &str, more: &[(&str, serde_json::Value)]) -> Connector {
    std::fs::write(folder.join("client"), "cl1ent-s3cret\n").unwrap();
    std::fs::write(folder.join("refresh"), "r3fresh\n").unwrap();
    let mut authorization = serde_json::json!({
        "kind": "oauth2", "token_url": url, "client_id": "me", "client_secret": {"file": folder.join("client")}
    });
    for (name, value) in more {
        authorization[*name] = value.clone();
    }
    serde_json::from_value(serde_json::json!({
        "id": "n", "advertiser": "a", "triggers": ["conversion"],
        "webhook": {"url": "https://n.example/", "timeout": "1s", "authorization": authorization}
    }))
    .unwrap()
}

async fn token(tokens: &Tokens, connector: &Connector) -> Result<String, Error> {
    tokens.token(&egress(), connector).await.map(|token| token.unwrap().0)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept_until_a_receiver_refuses_it() {
    let endpoint =
        Endpoint::answering(|n| (200, format!(r#"{{"access_token": "t{n}", "expires_in": 3600}}"#))).await;
    let folder = tempfile::tempdir().unwrap();
    let connector = connector(folder.path(), &endpoint.url, &[("scope", "events".into())]);
    let tokens = Tokens::default();
    let egress = egress();
    let all = (0..20).map(|_| tokens.token(&egress, &connector));
    for token in futures_util::future::join_all(all).await {
        assert_eq!(token.unwrap().unwrap().0, "t1");
    }
    assert_eq!(endpoint.asked(), 1, "twenty at once are one fetch");
    assert_eq!(
        endpoint.body(0),
        "grant_type=client_credentials&client_id=me&client_secret=cl1ent-s3cret&scope=events"
    );
    tokens.refused(&connector.id, "another").await;
    assert_eq!(token(&tokens, &connector).await.unwrap(), "t1");
    tokens.refused(&connector.id, "t1").await;
    assert_eq!(token(&tokens, &connector).await.unwrap(), "t2");
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_expires_with_the_newest_refresh_token() {
    let endpoint = Endpoint::answering(|n| {
        (200, format!(r#"{{"access_token": "t{n}", "expires_in": "0", "refresh_token": "rotated{n}"}}"#))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let refresh = serde_json::json!({"file": folder.path().join("refresh")});
    let connector = connector(folder.path(), &endpoint.url, &[("refresh_token", refresh)]);
    let tokens = Tokens::default();
    for expected in ["t1", "t2", "t3"] {
        assert_eq!(token(&tokens, &connector).await.unwrap(), expected);
    }
    for (index, used) in ["r3fresh", "rotated1", "rotated2"].into_iter().enumerate() {
        let expected = format!("grant_type=refresh_token&refresh_token={used}&");
        assert!(endpoint.body(index).starts_with(&expected), "{}", endpoint.body(index));
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_asked_once_by_all_who_wait_and_says_nothing_of_ours() {
    let endpoint = Endpoint::answering(|_| (400, r#"{"error": "cl1ent-s3cret is wrong"}"#.to_owned())).await;
    let folder = tempfile::tempdir().unwrap();
    let failing = connector(folder.path(), &endpoint.url, &[]);
    let (tokens, egress) = (Tokens::default(), egress());
    let all = (0..20).map(|_| tokens.token(&egress, &failing));
    for token in futures_util::future::join_all(all).await {
        let error = token.unwrap_err();
        assert_eq!(error, Error::Refused(400));
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
    assert_eq!(endpoint.asked(), 1);
    // Another configuration has another token, and is not kept waiting by the failure of the last.
    let answering = Endpoint::answering(|_| (200, r#"{"access_token": "good"}"#.to_owned())).await;
    let mended = connector(folder.path(), &answering.url, &[]);
    assert_eq!(token(&tokens, &mended).await.unwrap(), "good");
}

#[tokio::test]
async fn what_is_no_token_is_none() {
    for (status, body, error) in [
        (200, "{}", Error::NoToken),
        (200, r#"{"access_token": ""}"#, Error::NoToken),
        (200, r#"{"access_token": "a\r\nX-Evil: 1"}"#, Error::NoToken),
        (200, "<html>", Error::NoToken),
        (500, r#"{"access_token": "t"}"#, Error::Refused(500)),
        (302, "", Error::Refused(302)),
    ] {
        let endpoint = Endpoint::answering(move |_| (status, body.to_owned())).await;
        let folder = tempfile::tempdir().unwrap();
        let connector = connector(folder.path(), &endpoint.url, &[]);
        assert_eq!(token(&Tokens::default(), &connector).await, Err(error), "{body}");
    }
    let folder = tempfile::tempdir().unwrap();
    let refused = connector(folder.path(), "http://127.0.0.1:1/", &[]);
    assert_eq!(token(&Tokens::default(), &refused).await, Err(Error::Unanswered("connect")));
    let private = connector(folder.path(), "http://10.0.0.1/", &[]);
    assert_eq!(token(&Tokens::default(), &private).await, Err(Error::Unanswered("blocked")));
}
