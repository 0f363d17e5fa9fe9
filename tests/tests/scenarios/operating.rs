//! What operators ask of a connector: what would it send, what does its receiver say, what did it send.

use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::{Answer, Received, Receiver, always};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::Setup;
use serde_json::Value;
use std::sync::Arc;

const KEY: &str = "a-key-that-nobody-may-see";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether what was shown is what a receiver got: method, path, query, headers and body. A secret is shown as
/// `…`.
fn is_what_came(shown: &Value, got: &Received) {
    assert_eq!(text(&shown["method"]), got.method);
    let url = reqwest::Url::parse(text(&shown["url"])).unwrap();
    assert_eq!(url.path(), got.path);
    assert_eq!(url.query_pairs().into_owned().collect::<Vec<_>>(), got.query);
    assert_eq!(text(&shown["body"]).as_bytes(), got.body, "{}", text(&shown["body"]));
    for header in shown["headers"].as_array().unwrap() {
        let (name, value) = (text(&header[0]), text(&header[1]));
        let came = got.header(name);
        match value {
            "…" => assert_eq!(came, Some(KEY), "{name}"),
            value => assert_eq!(came, Some(value), "{name}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_is_what_the_receiver_then_gets_byte_for_byte() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let dressed = |connector: Connector| {
        connector
            .parameter("who", "{{EMAIL}}")
            .parameter("odd", "a&b=c%20 ü\" {{EXTRA}}")
            .header("X-Event", "{{EVENT_NAME}}")
            .secret_header("X-Key", "SCENARIO_PREVIEW_KEY")
    };
    let resources = Resources::new()
        .with(dressed(Connector::get("get", receiver.url("/get?kept=1"))))
        .with(dressed(Connector::post("form", receiver.url("/form"), "form")))
        .with(dressed(Connector::post("json", receiver.url("/json"), "json")));
    let setup = Setup::new(&resources).env("SCENARIO_PREVIEW_KEY", KEY);
    let stack = setup.start(&broker).await?;
    let pairs = [
        ("event", "purchase"),
        ("txid", "p1"),
        ("payout", "12.50"),
        ("email", "jane@example.com"),
        ("extra", "😀 +/?#"),
    ];
    let event = stack.plain(&pairs).await?;
    let all = receiver.wait_for(secs(10), 3, |_| true).await?;
    for connector in ["get", "form", "json"] {
        let got = all.iter().find(|request| request.path == format!("/{connector}")).unwrap();
        let shown = &stack.carom_lines(&["preview", connector, "--event", &event, "--json"]).await?[0];
        assert_eq!(shown["selected"], true, "{shown:#}");
        let requests = shown["requests"].as_array().unwrap();
        assert_eq!(requests.len(), 1, "{shown:#}");
        is_what_came(&requests[0]["request"], got);
        assert!(!shown.to_string().contains(KEY), "a secret in a preview");
    }
    assert_eq!(receiver.count(), 3, "a preview sends nothing");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_webhook_shows_the_request_and_what_the_receiver_said_and_is_no_delivery() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let off = Connector::post("off", receiver.url("/off"), "json").mode("disabled");
    let resources = Resources::new().with(off.secret_header("X-Key", "SCENARIO_PREVIEW_KEY"));
    let stack = Setup::new(&resources).env("SCENARIO_PREVIEW_KEY", KEY).start(&broker).await?;

    let tested = &stack.carom_lines(&["test-webhook", "off", "--json"]).await?[0];
    let got = &receiver.requests()[0];
    is_what_came(&tested["request"], got);
    assert_eq!((&tested["status"], &tested["delivered"]), (&Value::from(200), &Value::from(true)));
    assert_eq!(text(&tested["response"]), "200 from the receiver\n");
    assert_eq!(got.field("tx").as_deref(), Some("TEST-1001"), "sample values are marked");
    let again = &stack.carom_lines(&["test-webhook", "off", "--json"]).await?[0];
    assert_ne!(tested["delivery"], again["delivery"]);

    receiver.answer(Arc::new(|request: &Received| Answer {
        body: format!("no, {}", request.header("x-key").unwrap_or_default()),
        ..Answer::status(422)
    }));
    let refused = stack.carom(&["test-webhook", "off"]).await?;
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.out.contains("422 in ") && refused.out.contains("no, …"), "{}", refused.out);
    assert!(!refused.out.contains(KEY), "a secret that the receiver echoes");
    assert!(refused.err.contains("not delivered: status 422"), "{}", refused.err);

    let misspelt = stack.carom(&["test-webhook", "of"]).await?;
    assert_eq!(misspelt.code, Some(64));
    assert!(misspelt.err.contains("did you mean `off`?"), "{}", misspelt.err);
    assert!(stack.carom_lines(&["log", "--json"]).await?.is_empty(), "none of them is an attempt");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_each_request_and_answer_masked_and_is_found_by_what_was_in_them() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(always(200));
    let connector = Connector::post("network", receiver.url("/p"), "form")
        .secret_header("X-Key", "SCENARIO_PREVIEW_KEY")
        .parameter("api_token", "{{EXTRA}}");
    let setup = Setup::new(&Resources::new().with(connector)).env("SCENARIO_PREVIEW_KEY", KEY);
    let stack = setup.start(&broker).await?;
    let pairs = [("event", "purchase"), ("txid", "l1"), ("payout", "7"), ("extra", "hidden-value")];
    let event = stack.plain(&pairs).await?;
    let logged = eventually(secs(10), "the attempt is logged", async || {
        let lines = stack.carom_lines(&["log", "--json", "--event", &event]).await?;
        ensure!(lines.len() == 1, "{} are", lines.len());
        Ok(lines)
    })
    .await?;
    let exchange = &logged[0]["exchange"];
    let headers = text(&exchange["request_headers"]);
    assert!(headers.contains("X-Key: …\n") && headers.contains("Idempotency-Key: "), "{headers}");
    assert!(headers.contains("Content-Type: application/x-www-form-urlencoded\n"), "{headers}");
    let body = text(&exchange["request_body"]);
    assert!(body.contains("tx=l1&") && body.contains("api_token=…"), "{body}");
    assert_eq!(text(&exchange["response"]), "200 from the receiver\n");
    assert!(!logged[0].to_string().contains(KEY) && !logged[0].to_string().contains("hidden-value"));

    for (filter, found) in [
        (["--text", "TX=L1"], 1),
        (["--text", "nothing"], 0),
        (["--status", "2xx"], 1),
        (["--status", "404"], 0),
        (["--connector", "network"], 1),
        (["--until", "1h"], 0),
    ] {
        let lines = stack.carom_lines(&[&["log", "--json"], &filter[..]].concat()).await?;
        assert_eq!(lines.len(), found, "{filter:?}");
    }
    let whole = stack.carom_ok(&["log", "--show", &event]).await?;
    assert!(whole.contains("    X-Key: …\n") && whole.contains("200 from the receiver"), "{whole}");
    assert_eq!(stack.carom(&["log", "--status", "9xx"]).await?.code, Some(64));
    assert_eq!(stack.carom(&["log", "--show", "123456"]).await?.code, Some(1));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_of_the_connector_that_was_live_counts_what_was_really_sent() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let live = Connector::get("network", receiver.url("/p")).triggers(&["conversion", "refund"]);
    let resources = Resources::new().with(live.clone());
    let stack = Setup::new(&resources).start(&broker).await?;
    for pairs in [
        &[("event", "purchase"), ("txid", "s1"), ("payout", "12.50"), ("currency", "USD")][..],
        &[("event", "purchase"), ("txid", "s1"), ("payout", "12.50"), ("currency", "USD")],
        &[("event", "purchase"), ("txid", "s2"), ("payout", "7.50"), ("currency", "USD")],
        &[("event", "refund"), ("txid", "s1"), ("payout", "2.50"), ("currency", "USD")],
        &[("event", "lead"), ("txid", "s3")],
        &[("event", "event3"), ("event_id", "s4")],
    ] {
        let event = stack.plain(pairs).await?;
        eventually(secs(10), "it is decided", async || {
            let codes = stack.codes(&event).await.unwrap_or_default();
            let done = ["handed_over", "duplicate", "skipped_trigger"]
                .iter()
                .any(|code| codes.iter().any(|known| known == code));
            ensure!(done || codes.is_empty(), "{codes:?}");
            Ok(())
        })
        .await?;
    }
    receiver.wait_for(secs(10), 4, |_| true).await?;
    let of_order = stack.carom_lines(&["trace", "s1", "--json"]).await?;
    let keys: Vec<_> = of_order.iter().map(|trace| text(&trace["conversion"]["key"])).collect();
    assert_eq!(keys, ["txid:s1", "txid:s1"], "a purchase and its refund, by the sender's id");
    let simulate = async |connector: Connector| -> Result<Value> {
        let file = stack.dir().join("tried.toml");
        std::fs::write(&file, Resources::new().with(connector).to_toml())?;
        let mut lines = stack.carom_lines(&["simulate", &file.to_string_lossy(), "--json"]).await?;
        Ok(lines.remove(0))
    };

    let same = simulate(live.clone()).await?;
    assert_eq!(same["sent"], receiver.count(), "{same:#}");
    assert_eq!(same["difference"]["both"], receiver.count(), "{same:#}");
    assert_eq!((&same["difference"]["only_new"], &same["difference"]["only_old"]), (&0.into(), &0.into()));
    assert_eq!(
        (text(&same["money"]["USD"]["told"]), text(&same["money"]["USD"]["refunded"])),
        ("20.00", "2.50")
    );

    let changed = simulate(live.triggers(&["refund", "event 3"]).mode("test")).await?;
    assert_eq!(changed["sent"], 2, "{changed:#}");
    assert_eq!(
        (&changed["difference"]["only_new"], &changed["difference"]["only_old"]),
        (&1.into(), &3.into())
    );
    assert_eq!(changed["skipped"]["skipped_trigger"][""], 3, "{changed:#}");
    let new = simulate(Connector::get("second", receiver.url("/second"))).await?;
    assert!(new["difference"].is_null(), "{new:#}");
    assert_eq!(receiver.count(), 4, "a simulation sends nothing");
    stack.finish().await
}
