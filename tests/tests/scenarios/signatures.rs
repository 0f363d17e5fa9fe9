//! Signatures, through the real binaries: what is signed is taken and traced as such, what is not is refused,
//! and what is authentic and of no use is kept.
//!
//! The signatures are made here and not by what verifies them, or the two could be wrong together.

use anyhow::{Context, Result, ensure};
use carom_tests::client::Answer;
use carom_tests::eventually::{eventually, secs};
use carom_tests::fixture;
use carom_tests::resources::{Connector, FUNNEL_TOKEN};
use carom_tests::stack::{Binary, Setup, Stack};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use sha2::Sha256;

const HOST: &str = "signed.scenario.example";
const TOKEN: &str = "scenario-signed-token-0123456789";
const SECRET_VARIABLE: &str = "SCENARIO_WEBHOOK_SECRET";
/// In its file from the start, and rotated later.
const OLD: &str = "old-webhook-secret-0123456789abcdef";
const NEW: &str = "new-webhook-secret-fedcba9876543210";

/// The vectors' secret and those of them that are good.
fn vectors() -> Result<Vec<Value>> {
    serde_json::from_str(&fixture::raw("signature_vectors.json")?).context("the vectors are no list")
}

fn hmac(secret: &str, pieces: &[&[u8]]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    pieces.iter().for_each(|piece| mac.update(piece));
    Ok(hex::encode(mac.finalize().into_bytes()))
}

/// A funnel's signature, as its two headers, made this many seconds ago.
fn signed(secret: &str, body: &[u8], ago: i64) -> Result<Vec<(&'static str, String)>> {
    let at = (Timestamp::now().as_second() - ago).to_string();
    let signature = hmac(secret, &[at.as_bytes(), b".", body])?;
    Ok(vec![("X-Webhook-ClickFunnels-Timestamp", at), ("X-Webhook-ClickFunnels-Signature", signature)])
}

/// Posts to the signed source, by its host or by a token.
async fn post(stack: &Stack, token: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer> {
    let mut request = stack.client().request(Method::POST, &stack.events_url(token));
    request = request.header("host", HOST).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    stack.client().send(request.body(body.to_vec())).await
}

/// What the trace says of how the sender was verified.
async fn verified(stack: &Stack, id: &str) -> Result<String> {
    let trace = stack.traced(id, "verified").await?;
    let decisions = trace["decisions"].as_array().context("a trace without decisions")?;
    let decision = decisions.iter().find(|decision| decision["code"] == "verified");
    Ok(decision.and_then(|decision| decision["detail"].as_str()).context("no detail")?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_signed_is_taken_and_what_is_not_is_told_why() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    drop(setup);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("webhook secret");
    let source = format!(
        "\n[[source]]\nid = \"signed\"\nadvertiser = \"acme\"\nkind = \"clickfunnels\"\n\
         event_domains = [\"{HOST}\"]\ntokens = [\"{TOKEN}\"]\n[source.signature]\n\
         scheme = \"clickfunnels\"\nsecrets = [{{ env = \"{SECRET_VARIABLE}\" }}, {{ file = {} }}]\n",
        carom_tests::resources::quoted(&file.to_string_lossy())
    );
    let vectors = vectors()?;
    let secret = vectors[0]["secret"].as_str().context("no secret")?.to_owned();
    let resources = resources.and_text(&source).with(Connector::get("network", receiver.url("/postback")));
    std::fs::write(&file, OLD)?;
    let stack = Setup::new(&resources).env(SECRET_VARIABLE, &*secret).start(&broker).await?;

    // The vectors, with the time that it is.
    for vector in &vectors {
        let name = vector["name"].as_str().context("no name")?;
        let body = vector["body"].as_str().context("no body")?.as_bytes();
        let headers = match name {
            "tampered_body" => {
                let body = vectors[0]["body"].as_str().context("no body")?;
                signed(&secret, body.as_bytes(), 0)?
            }
            "body_only_hmac" => {
                let mut headers = signed(&secret, body, 0)?;
                headers[1].1 = hmac(&secret, &[body])?;
                headers
            }
            _ => signed(&secret, body, 0)?,
        };
        let answer = post(&stack, "", &headers, body).await?;
        println!("{name:<42} {} {}", answer.status, answer.problem().unwrap_or_default());
        if vector["valid"] == true {
            let id = answer.accepted().with_context(|| name.to_owned())?;
            assert_eq!(verified(&stack, &id).await?, "by clickfunnels signature", "{name}");
        } else {
            let refused = (answer.status, answer.problem());
            assert_eq!(refused, (401, Some("signature-invalid".to_owned())), "{name}");
        }
    }
    receiver.wait_for(secs(10), 1, |request| request.field("value").as_deref() == Some("396.00")).await?;
    assert_eq!(receiver.count(), 1, "the order of the vectors, and not the one that was tampered with");

    // The rest of what may be wrong.
    let body = fixture::ONE_TIME_ORDER.as_bytes();
    let good = signed(&secret, body, 0)?;
    let rewritten = serde_json::from_slice::<Value>(body)?.to_string();
    ensure!(rewritten.as_bytes() != body, "the fixture is written as we would write it");
    let twice = vec![good[0].clone(), good[1].clone(), good[1].clone()];
    for (what, token, headers, body, problem) in [
        ("unsigned, by host", "", vec![], body, "signature-missing"),
        ("unsigned, by token", TOKEN, vec![], body, "signature-missing"),
        ("no timestamp", "", good[1..].to_vec(), body, "signature-missing"),
        ("eleven minutes old", "", signed(&secret, body, 660)?, body, "signature-stale"),
        ("eleven minutes ahead", "", signed(&secret, body, -660)?, body, "signature-stale"),
        ("by another secret", TOKEN, signed("wrong", body, 0)?, body, "signature-invalid"),
        ("signed twice", "", twice, body, "signature-invalid"),
        ("read and written again", "", good.clone(), rewritten.as_bytes(), "signature-invalid"),
        ("a good signature, a wrong token", "wrong-token", good.clone(), body, "token-unknown"),
    ] {
        let answer = post(&stack, token, &headers, body).await?;
        println!("{what:<42} {} {}", answer.status, answer.body.trim());
        assert_eq!((answer.status, answer.problem().as_deref()), (401, Some(problem)), "{what}");
    }

    // By token and signature; by token alone where the source is not signed.
    let other = br#"{"event_type": "contact.updated", "data": {"id": 7}}"#;
    let id = post(&stack, TOKEN, &signed(&secret, other, 0)?, other).await?.accepted()?;
    assert_eq!(verified(&stack, &id).await?, "by token and clickfunnels signature");
    let id = post(&stack, FUNNEL_TOKEN, &[], br#"{"event_type": "a.b", "data": {}}"#).await?.accepted()?;
    assert_eq!(verified(&stack, &id).await?, "by token");
    let ping = stack.client().request(Method::GET, &stack.events_url(""));
    assert_eq!(stack.client().send(ping.header("host", HOST)).await?.status, 200);

    // What is authentic and of no use is kept.
    let malformed = fixture::raw("malformed_appointments_spec003.txt")?;
    let answer = post(&stack, "", &signed(&secret, malformed.as_bytes(), 0)?, malformed.as_bytes()).await?;
    let id = answer.accepted()?;
    assert!(answer.json()["warning"].is_string(), "{}", answer.body);
    let letters = stack.letters_become(1, &["--reason", "undecodable_body"]).await?;
    assert_eq!(letters[0]["event"], *id);

    // A secret is rotated in its file, without a restart; then the file is lost. What only that secret could
    // verify is not told that it is wrong.
    let ping = br#"{"event_type": "contact.updated", "data": {"id": 8}}"#;
    post(&stack, "", &signed(OLD, ping, 0)?, ping).await?.accepted()?;
    std::fs::write(&file, NEW)?;
    eventually(secs(10), "the new secret is read", async || {
        post(&stack, "", &signed(NEW, ping, 0)?, ping).await?.accepted()
    })
    .await?;
    assert_eq!(post(&stack, "", &signed(OLD, ping, 0)?, ping).await?.status, 401);
    std::fs::remove_file(&file)?;
    eventually(secs(10), "what the lost secret signs is put off", async || {
        let answer = post(&stack, "", &signed(NEW, ping, 0)?, ping).await?;
        ensure!(answer.status == 503 && answer.headers.contains_key("retry-after"), "{}", answer.body);
        Ok(())
    })
    .await?;
    post(&stack, "", &signed(&secret, ping, 0)?, ping).await?.accepted().context("by the other secret")?;

    let metrics = stack.metrics(Binary::Ingest).await?;
    assert!(metrics.contains("carom_source_secrets_unreadable 1"), "{metrics}");
    for binary in Binary::ALL {
        let told = format!("{}{}", stack.log(binary)?, stack.metrics(binary).await?);
        for secret in [&*secret, OLD, NEW] {
            assert!(!told.contains(secret), "a secret in the log or the metrics of {binary}");
        }
    }
    stack.finish().await
}
