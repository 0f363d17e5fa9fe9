//! What a tag reports from a page, by the requests that it makes: a visit, a purchase, and the pixels that the answer
//! carries beside the webhook that the worker sends. No browser runs here; what is said is said over real sockets.

use anyhow::{Context, Result, ensure};
use carom_common::connector::Pixel;
use carom_common::pixel::{Approval, code_hash};
use carom_common::store::{Settings, Store};
use carom_tests::broker::Broker;
use carom_tests::client::Answer;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;
use uuid::Uuid;

const ORIGIN: &str = "https://shop.example";
const CODE: &str = r#"<script>buy("{{VALUE}}", "{{CLICK_ID}}", "{{EVENT_ID}}");</script>"#;

const SOURCE: &str = r#"
[[source]]
id = "shop-tag"
advertiser = "acme"
kind = "tag"
site_key = "pk_scenario"
allowed_origins = ["https://shop.example"]
"#;

/// A connector that is told of purchases by webhook and by pixel, with the network's click id.
fn network(receiver: &Receiver, code: &str) -> Connector {
    let click_id = "[connector.click_id]\nparameter = \"aff_click_id\"\nwindow = \"14d\"\n";
    let pixel = format!("[connector.pixel]\nenabled = true\ncode = '''{code}'''\n");
    let connector = Connector::get("network", receiver.url("/postback")).triggers(&["purchase"]);
    connector.line(&format!("{click_id}{pixel}"))
}

/// The same without a look at what the visitor did before.
fn simple(id: &str, receiver: &Receiver, code: &str) -> Connector {
    let pixel = format!("[connector.pixel]\nenabled = true\ncode = '''{code}'''\n");
    Connector::get(id, receiver.url("/postback")).triggers(&["purchase"]).line(&pixel)
}

fn resources(connector: Connector) -> Resources {
    Resources::new().and_text(SOURCE).with(connector)
}

fn setup(connector: Connector) -> Setup {
    Setup::new(&resources(connector))
        .env("CAROM_INGEST_FOLLOW_INTERVAL", "100ms")
        .env("CAROM_WORKER_FOLLOW_INTERVAL", "100ms")
}

fn settings(stack: &Stack) -> Result<Settings> {
    Ok(match stack.store_url() {
        Some(url) => Settings::Postgres(Box::new(url.parse()?)),
        None => Settings::Sqlite(stack.store_path()),
    })
}

/// Approves a connector's code, and waits until ingest knows.
async fn approve(stack: &Stack, connector: &str, code: &str) -> Result<()> {
    let settings = settings(stack)?;
    let store = tokio::task::spawn_blocking(move || Store::open(&settings, |_, _| {})).await??;
    let pixel = Pixel { enabled: true, code: code.to_owned(), sandbox: true, rename: BTreeMap::new() };
    let (connector, at) = (connector.parse()?, Timestamp::now());
    store.approve_pixel(Approval { connector, hash: code_hash(&pixel), by: "ann".to_owned(), at }).await?;
    store.close().await;
    // Ingest looks again and again; it says nothing about it.
    tokio::time::sleep(secs(1)).await;
    Ok(())
}

/// A visitor of the shop.
struct Visitor<'a> {
    stack: &'a Stack,
    id: String,
}

impl<'a> Visitor<'a> {
    fn new(stack: &'a Stack) -> Self {
        Self { stack, id: Uuid::new_v4().to_string() }
    }

    async fn post(&self, body: &Value) -> Result<Answer> {
        report(self.stack, "pk_scenario", Some(ORIGIN), body).await
    }

    /// Lands on a page.
    async fn lands(&self, query: &str) -> Result<()> {
        let page =
            json!({"url": format!("https://shop.example/?{query}"), "referrer": "https://network.example/"});
        let at = Timestamp::now().as_millisecond();
        let body =
            json!({"v": 1, "id": Uuid::now_v7(), "at": at, "visitor": self.id, "page": page, "visit": true});
        let answer = self.post(&body).await?;
        ensure!(answer.status == 202, "{}", answer.body);
        Ok(())
    }

    /// The purchase of a transaction, as the tag says it.
    fn purchase(&self, tx: &str, more: &Value) -> Value {
        let data = json!({"value": 49.5, "currency": "USD", "transaction_id": tx});
        let mut body = json!({
            "v": 1, "id": Uuid::now_v7(), "at": Timestamp::now().as_millisecond(), "visitor": self.id,
            "page": {"url": "https://shop.example/thanks"}, "event": {"name": "Purchase", "data": data},
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    }

    /// Buys; gives the event's id and the pixels to fire.
    async fn buys(&self, tx: &str, more: &Value) -> Result<(String, Vec<Value>)> {
        let answer = self.post(&self.purchase(tx, more)).await?;
        let pixels = answer.json()["pixels"].as_array().cloned();
        Ok((answer.accepted()?, pixels.context("an answer without pixels")?))
    }
}

async fn report(stack: &Stack, key: &str, origin: Option<&str>, body: &Value) -> Result<Answer> {
    let url = format!("http://127.0.0.1:{}/api/v1/track?key={key}", stack.ports().ingest);
    let mut request = stack.client().request(Method::POST, &url);
    request = request.header("content-type", "text/plain;charset=UTF-8").body(body.to_string());
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    stack.client().send(request).await
}

/// What an event's trace says of the pixel.
async fn decided(stack: &Stack, event: &str) -> Result<Vec<(String, String)>> {
    let trace = stack.handed_over(event).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = trace["decisions"].as_array().context("no decisions")?;
    let all = all.iter().map(|decision| (text(&decision["code"]), text(&decision["detail"])));
    Ok(all.filter(|(_, detail)| detail.starts_with("pixel of")).collect())
}

pub async fn touches_recorded(stack: &Stack, count: f64) -> Result<()> {
    eventually(secs(15), format!("{count} visits are recorded"), async || {
        let text = stack.metrics(Binary::Worker).await?;
        let found = metrics::sum(&text, "carom_events_total", &[("outcome", "visit")]);
        ensure!(found == Some(count), "{found:?} are");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_after_a_visit_by_a_networks_link_is_told_by_webhook_and_pixel_with_one_id() -> Result<()>
{
    let receiver = Receiver::start()?;
    let stack = setup(network(&receiver, CODE)).start(&Broker::shared().await?).await?;
    approve(&stack, "network", CODE).await?;
    let jane = Visitor::new(&stack);
    jane.lands("aff_click_id=abc123").await?;
    touches_recorded(&stack, 1.0).await?;
    let body = jane.purchase("T-1", &json!({}));
    let answer = jane.post(&body).await?.json();
    let event = answer["id"].as_str().context("no id")?;
    let pixel = &answer["pixels"][0];
    let delivery = pixel["delivery"].as_str().context("no pixel was answered")?;
    let html = pixel["html"].as_str().unwrap_or_default();
    assert!(html.contains(&format!(r#"buy("49.5", "abc123", "{delivery}")"#)), "{html}");
    assert_eq!((&pixel["connector"], &pixel["sandbox"]), (&json!("network"), &json!(true)));
    receiver.has_taken("T-1").await?;
    let sent = receiver.with("tx", "T-1").remove(0);
    assert_eq!(
        (sent.field("event_id").as_deref(), sent.field("click_id").as_deref()),
        (Some(delivery), Some("abc123"))
    );
    assert_eq!(sent.field("value").as_deref(), Some("49.5"));

    // The same call again is answered the same, because its answer may have come to a page that was gone; nobody else
    // is told again, and the same transaction by another call fires nothing.
    let again = jane.post(&body).await?.json();
    assert_eq!(again["pixels"], answer["pixels"]);
    assert_eq!(jane.buys("T-1", &json!({})).await?.1, Vec::<Value>::new());
    stack.traced(event, "duplicate").await?;
    assert_eq!(receiver.with("tx", "T-1").len(), 1);

    // What the browser reports stands beside the webhook's attempt.
    let fired = json!({"event": event, "connector": "network", "delivery": delivery, "outcome": "fired", "detail": "as it should"});
    let reports = json!({"v": 1, "id": Uuid::now_v7(), "reports": [fired.clone(), fired]});
    assert_eq!(jane.post(&reports).await?.status, 202);
    eventually(secs(15), "the report is in the log", async || {
        let shown = stack.carom_ok(&["log", "--show", event]).await?;
        ensure!(shown.contains("fired at") && shown.contains("as it should"), "{shown}");
        ensure!(shown.matches("fired at").count() == 1, "a report twice is once: {shown}");
        ensure!(shown.contains("200 in") && shown.contains("given to the browser"), "{shown}");
        ensure!(shown.contains(r#"buy("49.5", "abc123""#), "{shown}");
        Ok(())
    })
    .await?;
    // Of what was fired no copy is given any more.
    assert_eq!(jane.post(&body).await?.json()["pixels"], json!([]));
    let trace = stack.carom_ok(&["trace", event]).await?;
    assert!(trace.contains("pixel_given") && trace.contains("fired at"), "{trace}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fires_that_is_not_approved_changed_disabled_or_in_test_and_the_log_says_why() -> Result<()> {
    let receiver = Receiver::start()?;
    let plain = || simple("network", &receiver, CODE);
    let stack = setup(plain()).start(&Broker::shared().await?).await?;
    let jane = Visitor::new(&stack);
    let mut number = 0;
    let mut buys = async |more: Value| {
        number += 1;
        let (event, pixels) = jane.buys(&format!("T-{number}"), &more).await?;
        let said = decided(&stack, &event).await?;
        ensure!(said.len() == 1, "{said:?}");
        anyhow::Ok((event, said[0].clone(), pixels.len()))
    };

    let (_, (code, detail), fired) = buys(json!({})).await?;
    assert_eq!(
        (code.as_str(), detail.as_str(), fired),
        ("pixel_not_approved", "pixel of network: not approved", 0)
    );

    approve(&stack, "network", CODE).await?;
    let (_, (code, _), fired) = buys(json!({})).await?;
    assert_eq!((code.as_str(), fired), ("pixel_given", 1));

    let changed = CODE.replace("buy", "bought");
    stack.apply(&resources(simple("network", &receiver, &changed))).await?;
    let (_, (code, detail), fired) = buys(json!({})).await?;
    assert_eq!((code.as_str(), fired), ("pixel_not_approved", 0));
    assert!(detail.contains("changed since it was approved"), "{detail}");

    stack.apply(&resources(plain().mode("disabled"))).await?;
    let (_, (code, _), fired) = buys(json!({})).await?;
    assert_eq!((code.as_str(), fired), ("skipped_disabled", 0));

    stack.apply(&resources(plain().mode("test"))).await?;
    let (event, (code, detail), fired) = buys(json!({})).await?;
    assert_eq!((code.as_str(), fired), ("pixel_tested", 0));
    assert!(detail.contains("Test mode"), "{detail}");
    let shown = stack.carom_ok(&["log", "--show", &event, "--outcome", "test"]).await?;
    assert!(shown.contains("not given to the browser") && shown.contains(r#"buy("49.5""#), "{shown}");
    let (_, (code, _), fired) = buys(json!({"test": true})).await?;
    assert_eq!((code.as_str(), fired), ("pixel_given", 1));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_pages_of_the_named_origin_may_report_and_a_preflight_says_so() -> Result<()> {
    let receiver = Receiver::start()?;
    let stack = setup(simple("network", &receiver, CODE)).start(&Broker::shared().await?).await?;
    let body = Visitor::new(&stack).purchase("T-1", &json!({}));
    for (key, origin, problem) in [
        ("pk_scenario", Some("https://evil.example"), "origin-not-allowed"),
        ("pk_scenario", Some("null"), "origin-not-allowed"),
        ("pk_scenario", None, "origin-not-allowed"),
        ("pk_another", Some(ORIGIN), "site-key-unknown"),
    ] {
        let answer = report(&stack, key, origin, &body).await?;
        assert_eq!((answer.status, answer.problem().as_deref()), (403, Some(problem)), "{key} {origin:?}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let url = format!("http://127.0.0.1:{}/api/v1/track?key=pk_scenario", stack.ports().ingest);
    let preflight = stack.client().request(Method::OPTIONS, &url).header("origin", ORIGIN);
    let answer = stack.client().send(preflight.header("access-control-request-method", "POST")).await?;
    assert_eq!((answer.status, answer.headers["access-control-allow-origin"].to_str()?), (204, ORIGIN));
    // What a server sends has no browser that could fire anything, and says nothing about it.
    let event = stack.plain(&[("event", "purchase"), ("txid", "S-1"), ("payout", "5")]).await?;
    assert_eq!(decided(&stack, &event).await?, []);
    stack.finish().await
}

/// Buys while the store is away: the answer comes in time, with what needs no history, and the event is told once the
/// store is back.
async fn buys_without_a_store(stack: &Stack, receiver: &Receiver, tx: &str) -> Result<String> {
    let began = Instant::now();
    let (event, pixels) = Visitor::new(stack).buys(tx, &json!({})).await?;
    ensure!(began.elapsed() < secs(3), "it took {:?}", began.elapsed());
    let connectors: Vec<_> = pixels.iter().filter_map(|pixel| pixel["connector"].as_str()).collect();
    ensure!(connectors == ["simple"], "{connectors:?}");
    ensure!(receiver.with("tx", tx).is_empty(), "it was told already");
    Ok(event)
}

async fn told_in_the_end(stack: &Stack, receiver: &Receiver, event: &str, tx: &str) -> Result<()> {
    eventually(secs(60), format!("{tx} is told"), async || {
        ensure!(!receiver.with("tx", tx).is_empty(), "it is not");
        Ok(())
    })
    .await?;
    let said = decided(stack, event).await?;
    let codes: Vec<_> = said.iter().map(|(code, _)| code.as_str()).collect();
    ensure!(codes == ["history_unknown", "pixel_given"], "{said:?}");
    let all = stack.codes(event).await?;
    ensure!(all.iter().filter(|code| *code == "history_unknown").count() == 2, "{all:?}");
    Ok(())
}

fn both(receiver: &Receiver) -> Resources {
    resources(network(receiver, CODE)).with(simple("simple", receiver, CODE))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_stores_file_moved_away_the_answer_comes_and_the_event_is_told_later() -> Result<()> {
    let receiver = Receiver::start()?;
    let setup = Setup::new(&both(&receiver)).env("CAROM_INGEST_FOLLOW_INTERVAL", "100ms");
    let stack = setup.start(&Broker::shared().await?).await?;
    approve(&stack, "network", CODE).await?;
    approve(&stack, "simple", CODE).await?;
    let (path, away) = (stack.store_path(), stack.dir().join("moved.db"));
    std::fs::rename(&path, &away)?;
    tokio::time::sleep(secs(1)).await;
    let event = buys_without_a_store(&stack, &receiver, "T-1").await?;
    std::fs::rename(&away, &path)?;
    told_in_the_end(&stack, &receiver, &event, "T-1").await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_postgresql_killed_the_answer_comes_and_the_event_is_told_later() -> Result<()> {
    let receiver = Receiver::start()?;
    let server = carom_tests::postgres::Server::start().await?;
    // The first look prepares its statements, which takes longer than a page should wait.
    let setup =
        Setup::new(&both(&receiver)).env("CAROM_STORE_URL", &server.url).env("CAROM_TAG_PATIENCE", "1s");
    let stack = setup.env("CAROM_INGEST_FOLLOW_INTERVAL", "100ms").start(&Broker::shared().await?).await?;
    approve(&stack, "network", CODE).await?;
    approve(&stack, "simple", CODE).await?;
    let jane = Visitor::new(&stack);
    jane.lands("aff_click_id=abc123").await?;
    touches_recorded(&stack, 1.0).await?;
    let (_, pixels) = jane.buys("T-0", &json!({})).await?;
    assert_eq!(pixels.len(), 2, "{pixels:?}");
    receiver.has_taken("T-0").await?;
    server.kill().await?;
    let event = buys_without_a_store(&stack, &receiver, "T-1").await?;
    server.restart().await?;
    told_in_the_end(&stack, &receiver, &event, "T-1").await?;
    stack.finish().await
}
