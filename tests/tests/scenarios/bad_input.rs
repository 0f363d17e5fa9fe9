//! Bad input, as tables: a clear answer each, nothing lost, nothing crashed.

use anyhow::{Context, Result, ensure};
use carom_common::id::ClickId;
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::client::{form, raw};
use carom_tests::eventually::{eventually, secs};
use carom_tests::fixture;
use carom_tests::receiver::{Received, Receiver, always};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, OPEN_HOST, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use reqwest::Method;
use serde_json::json;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A request that is refused: to which path, with which type and body, and the answer.
struct Refused {
    what: &'static str,
    method: Method,
    path: String,
    media: &'static str,
    body: Vec<u8>,
    status: u16,
    problem: &'static str,
}

fn refused(
    what: &'static str,
    path: impl Into<String>,
    media: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    problem: &'static str,
) -> Refused {
    Refused { what, method: Method::POST, path: path.into(), media, body: body.into(), status, problem }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_is_refused_with_what_to_do_about_it() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let plain = format!("/api/v1/events/{PLAIN_TOKEN}");
    let funnel = format!("/api/v1/events/{FUNNEL_TOKEN}");
    let long = "x".repeat(100_000);
    let get = |refused: Refused| Refused { method: Method::GET, ..refused };
    let table = [
        refused("not JSON", &plain, JSON, "event=purchase", 400, "not-json"),
        refused("truncated JSON", &plain, JSON, r#"{"event":"purchase","#, 400, "not-json"),
        refused("truncated JSON that calls itself a form", &plain, FORM, r#"{"event":"#, 400, "not-json"),
        refused("JSON, but a list", &plain, JSON, r#"[{"event":"purchase"}]"#, 400, "not-an-object"),
        refused("JSON, nested 10,000 deep", &plain, JSON, "[".repeat(10_000), 400, "not-json"),
        refused("NUL bytes as JSON", &plain, JSON, [0; 64], 400, "not-json"),
        refused("bytes that are no text", &plain, FORM, [0xff, 0xfe, 0x80], 400, "not-text"),
        refused("nothing at all", &plain, FORM, "", 400, "empty-event"),
        refused("10 MiB", &plain, JSON, vec![b' '; 10 << 20], 413, "body-too-large"),
        refused("10 MiB from a funnel", &funnel, JSON, vec![b'{'; 10 << 20], 413, "body-too-large"),
        refused(
            "wrong token",
            "/api/v1/events/wrong-token-0123456789",
            FORM,
            "event=lead",
            401,
            "token-unknown",
        ),
        refused("no token", "/api/v1/events", FORM, "event=lead", 401, "token-missing"),
        refused(
            "a token of 100,000 letters",
            format!("/api/v1/events/{}", &long[..60_000]),
            FORM,
            "a=1",
            401,
            "token-unknown",
        ),
        refused("a token that is no UTF-8", "/api/v1/events/%ff%fe", FORM, "a=1", 401, "token-unknown"),
        get(refused("unknown offer", "/c/nowhere", "", "", 404, "unknown-offer")),
        get(refused("an offer that is a path", "/c/..%2f..%2fetc", "", "", 404, "unknown-offer")),
        refused("a click by POST", "/c/demo", FORM, "", 405, "method-not-allowed"),
        Refused {
            method: Method::PUT,
            ..refused("an event by PUT", &plain, JSON, "{}", 405, "method-not-allowed")
        },
        get(refused("no such path", "/admin", "", "", 404, "not-found")),
        get(refused(
            "a query of 30,000",
            format!("{plain}?click_id={}", &long[..30_000]),
            "",
            "",
            414,
            "query-too-long",
        )),
        get(refused(
            "a click with 30,000",
            format!("/c/demo?utm_source={}", &long[..30_000]),
            "",
            "",
            414,
            "query-too-long",
        )),
    ];
    for case in table {
        let url = stack.click_url("").replace("/c/", &case.path);
        let mut request = stack.client().request(case.method, &url);
        if !case.media.is_empty() {
            request = request.header("content-type", case.media);
        }
        let answer = stack.client().send(request.body(case.body)).await.context(case.what)?;
        println!("{:<42} {} {}", case.what, answer.status, answer.problem().unwrap_or_default());
        assert_eq!(answer.status, case.status, "{}: {}", case.what, answer.body);
        assert_eq!(answer.problem().as_deref(), Some(case.problem), "{}: {}", case.what, answer.body);
        let told = format!("{:?}{}", answer.headers, answer.body);
        assert!(
            !told.contains(PLAIN_TOKEN) && !told.contains("wrong-token"),
            "{}: it repeats a token",
            case.what
        );
    }
    // No client of ours would even send the whole 100,000 in a URL; and what is no HTTP is no request.
    let port = stack.ports().ingest;
    let rest = "HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n\r\n";
    for (what, request, statuses) in [
        (
            "an event with 100,000 in its URL",
            format!("GET {plain}?event=lead&click_id={long} {rest}"),
            [414, 431],
        ),
        ("a click with 100,000 in its URL", format!("GET /c/demo?click_id={long} {rest}"), [414, 431]),
        ("a NUL in the URL", format!("GET /c/demo?a=\0 {rest}"), [400, 400]),
        ("a NUL in a header", format!("GET /c/demo HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n"), [400, 400]),
        ("no HTTP", "\0\0\0\0hello\r\n\r\n".to_owned(), [400, 400]),
    ] {
        let status = raw(port, request.as_bytes()).await.context(what)?;
        println!("{what:<42} {status}");
        assert!(statuses.contains(&status), "{what}: {status}");
    }
    let gzip = stack
        .client()
        .request(Method::POST, &stack.events_url(PLAIN_TOKEN))
        .header("content-encoding", "gzip");
    let answer = stack.client().send(gzip.body("not even compressed")).await?;
    assert_eq!((answer.status, answer.problem().as_deref()), (415, Some("content-encoding")));
    serves_on(&mut stack, &receiver).await?;
    stack.finish().await
}

/// An event that is taken though something is odd about it: what its trace must say, and what arrives.
struct Odd {
    what: &'static str,
    path: String,
    media: &'static str,
    body: String,
    codes: &'static [&'static str],
    /// The `tx` of its postback; none where nothing is to be sent.
    tx: Option<&'static str>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_is_taken_traced_and_sent_where_it_means_something() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    drop(setup);
    // By POST, because a URL has no room for 100,000 characters.
    let resources = resources.with(Connector::post("network", receiver.url("/postback"), "json"));
    let mut stack = Setup::new(&resources).start(&broker).await?;
    let plain = format!("/api/v1/events/{PLAIN_TOKEN}");
    let funnel = format!("/api/v1/events/{FUNNEL_TOKEN}");
    let long = "y".repeat(100_000);
    let order = |change: &dyn Fn(&mut serde_json::Value)| -> Result<String> {
        let mut body: serde_json::Value = serde_json::from_str(fixture::ONE_TIME_ORDER)?;
        change(&mut body);
        Ok(body.to_string())
    };
    let table = [
        Odd {
            what: "a parameter given twice: the first counts",
            path: format!("{plain}?event=purchase&txid=first&txid=second"),
            media: FORM,
            body: String::new(),
            codes: &["parameter_repeated", "delivered"],
            tx: Some("first"),
        },
        Odd {
            what: "an event of an unknown type",
            path: funnel.clone(),
            media: JSON,
            body: order(&|body| {
                body["event_type"] = "martians.landed".into();
                body["event_id"] = "00000000-0000-4000-8000-00000000aaaa".into();
            })?,
            codes: &["type_unknown", "skipped_trigger"],
            tx: None,
        },
        Odd {
            what: "a click id of 100,000 characters",
            path: plain.clone(),
            media: FORM,
            body: form(&[("event", "purchase"), ("txid", "long-click"), ("click_id", &long)]),
            codes: &["click_foreign", "delivered"],
            tx: Some("long-click"),
        },
        Odd {
            what: "NUL characters in values",
            path: plain.clone(),
            media: JSON,
            body: json!({"event": "purchase", "txid": "nul", "email": "a\0b@x.example", "click_id": "\0", "a\0b": "\0"}).to_string(),
            codes: &["delivered"],
            tx: Some("nul"),
        },
        Odd {
            what: "%00 in the query",
            path: format!("{plain}?event=purchase&txid=nul2&click_id=%00&%00=%00"),
            media: FORM,
            body: String::new(),
            codes: &["delivered"],
            tx: Some("nul2"),
        },
        Odd {
            what: "a click id that is still a macro",
            path: plain.clone(),
            media: FORM,
            body: form(&[("event", "purchase"), ("txid", "macro"), ("click_id", "{click_id}")]),
            codes: &["unresolved_macro", "delivered"],
            tx: Some("macro"),
        },
        Odd {
            what: "a value that is no number",
            path: plain.clone(),
            media: FORM,
            body: form(&[("event", "purchase"), ("txid", "no-number"), ("payout", "lots"), ("currency", "XQQ")]),
            codes: &["conversion", "delivered"],
            tx: Some("no-number"),
        },
        Odd {
            what: "a value beyond any number",
            path: plain.clone(),
            media: FORM,
            body: form(&[("event", "purchase"), ("txid", "huge"), ("payout", &"9".repeat(5_000))]),
            codes: &["conversion", "delivered"],
            tx: Some("huge"),
        },
        Odd {
            what: "a test order: recorded, not sent",
            path: funnel.clone(),
            media: JSON,
            body: fixture::with_click("edge_test_mode.order.json", "")?,
            codes: &["test_order"],
            tx: None,
        },
    ];
    for case in table {
        let url = stack.click_url("").replace("/c/", &case.path);
        let request = stack.client().request(Method::POST, &url).header("content-type", case.media);
        let id = stack.client().send(request.body(case.body)).await?.accepted().context(case.what)?;
        let last = case.codes.last().context("a case without codes")?;
        stack.traced(&id, last).await.context(case.what)?;
        let codes = stack.codes(&id).await?;
        println!("{:<42} 202 {}", case.what, codes.join(" "));
        for code in case.codes {
            assert!(codes.iter().any(|found| found == code), "{}: no {code} in {codes:?}", case.what);
        }
        match case.tx {
            Some(tx) => assert_eq!(receiver.with("tx", tx).len(), 1, "{}", case.what),
            None => assert!(!codes.iter().any(|code| code == "selected"), "{}: {codes:?}", case.what),
        }
    }
    let nul = &receiver.with("tx", "nul")[0];
    assert_eq!(nul.path, "/postback");
    assert_eq!(stack.letters(&[]).await?.len(), 0, "nothing of it is undeliverable");
    serves_on(&mut stack, &receiver).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_funnel_sends_and_nobody_can_read_is_answered_202_and_kept_as_a_letter() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let url = stack.events_url(FUNNEL_TOKEN);
    let malformed = fixture::raw("malformed_appointments_spec003.txt")?;
    let table: [(&str, Vec<u8>); 6] = [
        ("the page's malformed appointment", malformed.into()),
        ("not JSON", b"hello".to_vec()),
        ("truncated", fixture::ONE_TIME_ORDER.as_bytes()[..1_000].to_vec()),
        ("NUL bytes", vec![0; 64]),
        ("a list", b"[]".to_vec()),
        ("bytes that are no text", vec![b'{', 0xff, b'}']),
    ];
    let count = table.len();
    for (what, body) in table {
        let answer = stack.client().webhook(&url, body.clone()).await?;
        let id = answer.accepted().context(what)?;
        assert!(
            answer.json()["warning"].is_string(),
            "{what}: it says that something is wrong: {}",
            answer.body
        );
        let letter = eventually(secs(15), format!("{what} is a letter"), async || {
            let letters = stack.letters(&["--reason", "undecodable_body"]).await?;
            letters.into_iter().find(|letter| letter["event"] == *id).context("it is not")
        })
        .await?;
        let letter_id = letter["id"].as_str().context("no id")?;
        let shown = stack.carom_lines(&["dlq", "show", letter_id, "--json"]).await?.remove(0);
        let kept: carom_common::intake::Body =
            serde_json::from_value(shown["letter"]["content"]["intake"]["body"].clone())?;
        assert_eq!(kept.0, body, "{what} is kept to the byte");
        println!("{what:<42} 202 {} {}", letter["reason"], letter["detail"]);
    }
    assert_eq!(stack.letters(&[]).await?.len(), count);
    // The same from anybody is refused: who can still mend it should hear of it.
    let open = stack.client().request(Method::POST, &stack.events_url("")).header("host", OPEN_HOST);
    let answer = stack.client().send(open.header("content-type", JSON).body("{")).await?;
    assert_eq!((answer.status, answer.problem().as_deref()), (400, Some("not-json")));
    serves_on(&mut stack, &receiver).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_break_in_a_value_stays_in_its_place() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let url = receiver.url("/to/{{EMAIL}}/end");
    let connector =
        |connector: Connector| connector.parameter("email", "{{EMAIL}}").header("X-Email", "{{EMAIL}}");
    let offer = "\n[[offer]]\nid = \"utm\"\nadvertiser = \"acme\"\n\
                 tracking_url = \"https://funnel.example/{utm_campaign}?clickid={click_id}&s={utm_source}\"\n";
    let resources = Resources::new()
        .and_text(offer)
        .with(connector(Connector::get("by-get", &*url)))
        .with(connector(Connector::post("by-form", &*url, "form")))
        .with(connector(Connector::post("by-json", &*url, "json")));
    let mut stack = Setup::new(&resources).start(&broker).await?;
    let evil = "a@b.example\r\nX-Evil: yes\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n\"}{\"&evil=1#/../";
    let body = json!({"event": "purchase", "txid": "crlf", "email": evil});
    stack.client().webhook(&stack.events_url(PLAIN_TOKEN), body.to_string()).await?.accepted()?;
    let requests = receiver.wait_for(secs(15), 3, |_| true).await?;
    drained(stack.vhost()?, secs(10)).await?;
    assert_eq!(receiver.count(), 3, "one request each, and no other that was smuggled in");
    for request in requests {
        let shown = format!("{} {} {:?}", request.method, request.path, request.headers);
        assert!(request.header("x-evil").is_none(), "{shown}");
        assert!(request.field("evil").is_none(), "{shown}");
        assert_eq!(request.field("email").as_deref(), Some(evil), "{shown}");
        let decoded = carom_tests::management::decoded(request.header("x-email").unwrap_or_default());
        assert_eq!(decoded, evil, "{shown}");
        assert_eq!(carom_tests::management::decoded(&request.path), format!("/to/{evil}/end"), "{shown}");
        assert_eq!(request.path.matches('/').count(), 3, "the value is one segment of the path: {shown}");
    }
    let source = "a%0d%0aX-Evil:%20yes%0d%0a%0d%0a";
    let link = format!("{}?utm_source={source}&utm_campaign={source}", stack.click_url("utm"));
    let answer = stack.client().get(&link).await?;
    assert_eq!(answer.status, 302, "{}", answer.body);
    assert!(answer.headers.get("x-evil").is_none(), "{:?}", answer.headers);
    let location = answer.headers["location"].to_str()?.to_lowercase();
    assert!(location.starts_with("https://funnel.example/a%0d%0ax-evil%3a%20yes"), "{location}");
    serves_on(&mut stack, &receiver).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_postback_goes_to_an_address_that_is_not_public() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let port = receiver.address().port();
    // The port is one that answers, so that only the vetting keeps us from it.
    let table = [
        ("metadata", "http://169.254.169.254/latest/meta-data/".to_owned()),
        ("loopback-6", format!("http://[::1]:{port}/")),
        ("private", "http://10.0.0.1/".to_owned()),
        ("loopback-4", format!("http://127.0.0.1:{port}/")),
        ("named", format!("http://localhost:{port}/")),
        ("decimal", format!("http://2130706433:{port}/")),
        ("short", format!("http://127.1:{port}/")),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("unspecified", format!("http://0.0.0.0:{port}/")),
    ];
    let resources =
        table.iter().fold(Resources::new(), |resources, (id, url)| resources.with(Connector::get(id, url)));
    let setup = Setup::new(&resources).env("CAROM_EGRESS_ALLOW", "").env("CAROM_RETRY_SCHEDULE", "30s");
    let stack = setup.start(&broker).await?;
    let event = stack.plain(&[("event", "purchase"), ("txid", "inside")]).await?;
    let letters = stack.letters_become(table.len(), &["--reason", "blocked_address"]).await?;
    for (id, url) in &table {
        let letter = letters.iter().find(|letter| letter["connector"] == *id);
        let letter = letter.with_context(|| format!("no letter about {url}"))?;
        println!("{url:<42} {} {}", letter["reason"], letter["detail"]);
        assert_eq!(letter["attempts"], 1, "{url}: dead at once");
    }
    assert_eq!(receiver.count(), 0, "{:?}", receiver.requests());
    let trace = stack.trace(&event).await?;
    assert_eq!(trace["deliveries"].as_array().map(Vec::len), Some(table.len()));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed_into_the_inside() -> Result<()> {
    use carom_tests::receiver::Answer;
    let (broker, receiver, _, setup) = crate::network().await?;
    let inside = Receiver::start()?;
    let to = inside.url("/inside");
    receiver.answer(std::sync::Arc::new(move |_| Answer {
        headers: vec![("location", to.clone())],
        ..Answer::status(302)
    }));
    let stack = setup.env("CAROM_RETRY_SCHEDULE", "50ms").start(&broker).await?;
    stack.plain(&[("event", "purchase"), ("txid", "redirected")]).await?;
    let letters = stack.letters_become(1, &["--status", "302"]).await?;
    assert_eq!(letters[0]["reason"], "exhausted");
    assert_eq!(inside.count(), 0);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_every_fault_with_its_file_and_key_and_apply_applies_nothing() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let bad = r#"
[[offer]]
id = "typo"
advertiser = "acme"
tracking_url = "https://funnel.example/?clickid={clik_id}"

[[connector]]
id = "no-trigger"
advertiser = "acme"
triggers = []
[connector.webhook]
url = "https://network.example/"

[[connector]]
id = "odd"
advertiser = "nobody"
triggers = ["event 11"]
colour = "red"
[connector.webhook]
url = "ftp://network.example/"
method = "DELETE"
headers = [{ name = "X Bad", value = "a\r\nb" }]

[[source]]
id = "anyone"
advertiser = "acme"
kind = "plain"
"#;
    let file = stack.dir().join("bad.toml");
    std::fs::write(&file, resources.clone().and_text(bad).to_toml())?;
    let name = file.display().to_string();
    let checked = stack.carom(&["check", &name]).await?;
    println!("{}", checked.err.trim());
    assert_eq!(checked.code, Some(64), "{checked:?}");
    for key in [
        "offer[typo].tracking_url",
        "connector[no-trigger].triggers",
        "connector[odd].triggers[0]",
        "connector[odd].colour",
        "connector[odd].webhook.method",
        "source[anyone].tokens",
    ] {
        let lines: Vec<_> = checked.err.lines().filter(|line| line.contains(key)).collect();
        assert_eq!(lines.len(), 1, "one line about {key}: {}", checked.err);
        assert!(lines[0].contains("bad.toml"), "{}", lines[0]);
    }
    assert!(checked.err.contains("clik_id"), "the misspelt macro is named: {}", checked.err);
    let applied = stack.carom(&["apply", &name]).await?;
    assert_eq!(applied.code, Some(64), "{applied:?}");
    let good = stack.carom(&["check", "resources.toml"]).await?;
    assert_eq!(good.code, Some(0), "{good:?}");

    // A macro of a connector that we do not know may be text of the network's own: sent as it stands, and
    // warned of.
    let unknown = Connector::get("lookalike", receiver.url("/p")).parameter("a", "{clik_id}");
    std::fs::write(&file, resources.with(unknown).to_toml())?;
    let warned = stack.carom(&["check", &name]).await?;
    assert_eq!(warned.code, Some(0), "{warned:?}");
    let said = format!("{}{}", warned.out, warned.err);
    assert!(said.contains("connector[lookalike]") && said.contains("clik_id"), "{said}");

    let mut config = stack.carom_command(&["check"])?;
    config.env("CAROM_RETRY_SCHEDULE", "15s,1s");
    let output = carom_tests::process::output(config).await?;
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("retry.schedule"), "{output:?}");
    serves_on(&mut stack, &receiver).await?;
    stack.finish().await
}

/// Both binaries are alive and ready, and an event is still delivered.
async fn serves_on(stack: &mut Stack, receiver: &Receiver) -> Result<()> {
    receiver.answer(always(200));
    for binary in Binary::ALL {
        stack.process(binary)?.must_run()?;
    }
    stack.ready().await?;
    let tx = ClickId::new().to_string();
    stack.plain(&[("event", "purchase"), ("txid", &tx), ("email", "after@x.example")]).await?;
    let of_tx = |request: &Received| request.field("tx").as_deref() == Some(&*tx);
    let served = receiver.wait_for(secs(10), 1, of_tx).await?;
    ensure!(!served.is_empty(), "nothing is served any more");
    Ok(())
}
