//! The template library through the real binaries: all 25 receivers are told of one purchase and its refund, and
//! a receiver in their place holds what comes against the reviewed snapshots.

use anyhow::{Context, Result, ensure};
use carom_common::library::{self, Template};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::{Answer, Received, Receiver, Script, pairs};
use carom_tests::resources::Resources;
use carom_tests::stack::{Ran, Setup, Stack};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What the link to the offer carries: the ids of all platforms, as in the recorded event of the snapshots.
const LINK: &str = include_str!("../../fixtures/connectors/purchase.json");

/// Receivers that say no with a 200, and what they say then and when they take it.
const REJECTIONS: [(&str, &str, &str); 6] = [
    ("keitaro", "Invalid postback key", "OK"),
    ("tune", "success=false; err_msg=Invalid transaction_id;", "success=true;"),
    ("meta_capi", r#"{"events_received":0}"#, r#"{"events_received":1,"messages":[]}"#),
    ("tiktok", r#"{"code":40002,"message":"Invalid value"}"#, r#"{"code":0,"message":"OK"}"#),
    (
        "google_ads",
        r#"{"partialFailureError":{"code":3,"message":"The click is too old"},"results":[{}]}"#,
        r#"{"results":[{"gclid":"Cj0K-b4f8"}]}"#,
    ),
    ("hyros", r#"{"result":"ERROR","message":["no email"]}"#, r#"{"result":"OK"}"#),
];

/// The recorded event's moments and the snapshot's forms of them.
const EVENT_SECOND: i64 = 1_768_046_400;
const CLICK_MS: &str = "1768044600000.IwAR70b0";
const VISITOR: &str = "1cdd0ba90efa42fb88a37a2b9c2e338cfe8b318196e0994c65c25c81898f08b5";

/// A request as a snapshot has it.
struct Expected {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: String,
}

impl Expected {
    /// Reads a snapshot. `now` brings the recorded moments and persons to those of this run.
    fn read(template: &str, now: impl Fn(&str) -> String) -> Result<Self> {
        let path = format!("{}/fixtures/connectors/{template}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).context(path)?.replace("\n    ", "");
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let (method, url) = lines.next().and_then(|line| line.split_once(' ')).context("no request line")?;
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let path = place.strip_prefix("https://").and_then(|rest| rest.split_once('/')).context("no URL")?.1;
        let query = pairs(query).into_iter().map(|(name, value)| (name, now(&value))).collect();
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned()));
        let headers = headers.collect();
        Ok(Self {
            method: method.to_owned(),
            path: format!("/{path}"),
            query,
            headers,
            body: body.to_owned(),
        })
    }

    /// Holds what came against it.
    fn compare(&self, template: &str, came: &Received, now: impl Fn(&str) -> String) {
        assert_eq!(came.method, self.method, "{template}");
        assert_eq!(came.path, format!("/{template}{}", self.path), "{template}");
        assert_eq!(came.query, self.query, "{template}");
        for (name, value) in &self.headers {
            assert_eq!(came.header(name), Some(value.as_str()), "{template}: {name}");
        }
        let body = std::str::from_utf8(&came.body).unwrap();
        match serde_json::from_str::<Value>(&self.body) {
            Ok(_) => {
                let expected: Value = serde_json::from_str(&now(&self.body)).unwrap();
                assert_eq!(came.json(), Some(expected), "{template}");
            }
            Err(_) => {
                let expected: Vec<_> = pairs(self.body.trim_end())
                    .into_iter()
                    .map(|(name, value)| (name, now(&value)))
                    .collect();
                assert_eq!(pairs(body), expected, "{template}");
            }
        }
    }
}

/// Answers as each receiver does: the first time no, where it can say so with a 200, and then yes.
fn answers() -> Script {
    let asked: Mutex<BTreeMap<String, usize>> = Mutex::default();
    Arc::new(move |request| {
        let template = request.path.split('/').nth(1).unwrap_or_default();
        if request.path == "/google_ads/token" {
            let token = r#"{"access_token":"fetched-token","token_type":"Bearer","expires_in":3600}"#;
            return Answer { body: token.to_owned(), ..Answer::status(200) };
        }
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(template.to_owned()).or_default();
        *times += 1;
        match REJECTIONS.iter().find(|(id, ..)| *id == template) {
            Some((_, no, yes)) => {
                let body = if *times == 1 { no } else { yes };
                Answer { body: (*body).to_owned(), ..Answer::status(200) }
            }
            None => Answer::status(if template == "ga4_mp" { 204 } else { 200 }),
        }
    })
}

/// The connector that `connector new` prints with the values of the template's examples, its receiver's host
/// replaced by ours.
async fn made_of(template: &Template, stack: &Stack, receiver: &Receiver) -> Result<String> {
    let id = template.id();
    let settings = template.settings().iter().map(|setting| format!("{}={}", setting.name, setting.example));
    let settings: Vec<_> = settings.collect();
    let mut arguments = vec!["connector", "new", "--from", id, "--id", id, "--advertiser", "acme"];
    for setting in &settings {
        arguments.extend(["--set", setting]);
    }
    let printed = stack.carom_ok(&arguments).await?;
    let lines = printed.lines().map(|line| {
        let (key, rest) = match line.split_once(" = \"https://") {
            Some((key, rest)) if key == "url" || key == "token_url" => (key, rest),
            _ => return line.to_owned(),
        };
        let (_, path) = rest.split_once('/').unwrap_or((rest, "\""));
        format!("{key} = \"{}", receiver.url(&format!("/{id}/{path}")))
    });
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
}

/// The offer's rules: 30 % of a purchase, and of what is refunded of it.
const PAYOUTS: &str = r#"
[[offer.payout]]
name = "purchase"
event = "purchase"
pay = { percent = "30" }

[[offer.payout]]
name = "refund"
event = "refund"
pay = { percent = "30" }

[offer.payout_default]
counts_as = "kpi"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_25_templates_deliver_what_their_reviewed_snapshots_say_and_a_rejection_by_200_is_retried()
-> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(answers());
    let base = Resources::new().and_text(PAYOUTS);
    let mut setup = Setup::new(&base).env("CAROM_RETRY_SCHEDULE", "300ms,1s,5s");
    let secrets = library::templates().iter().flat_map(Template::settings).filter(|setting| setting.secret);
    for secret in secrets {
        setup = setup.env(&secret.example, format!("hush-{}", secret.example));
    }
    let stack = setup.start(&broker).await?;
    let mut connectors = String::new();
    for template in library::templates() {
        connectors.push_str(&made_of(template, &stack, &receiver).await?);
    }
    stack.apply(&base.and_text(&connectors)).await?;

    let recorded: Value = serde_json::from_str(LINK)?;
    let link: Vec<(String, String)> = serde_json::from_value(recorded["click"]["parameters"].clone())?;
    let query: Vec<_> = link.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let click = stack
        .client()
        .click(&format!("{}?{}", stack.click_url("demo"), carom_tests::client::form(&query)))
        .await?;
    let sale = [
        ("click_id", click.id.as_str()),
        ("event", "purchase"),
        ("txid", "#1001"),
        ("payout", "396.00"),
        ("currency", "USD"),
        ("email", "Ada.Lovelace@Example.com"),
        ("phone", "+44 20 7946 0018"),
        ("voucher", "SPRING & 10%"),
    ];
    let purchase = stack.plain(&sale).await?;
    stack.handed_over(&purchase).await?;
    let mut refund = sale;
    (refund[1].1, refund[3].1) = ("refund", "96.00");
    stack.plain(&refund).await?;

    let taken = |id: &str| {
        let here = format!("/{id}/");
        let requests = receiver.matching(|request| request.path.starts_with(&here));
        requests.into_iter().filter(|request| request.path != "/google_ads/token").collect::<Vec<_>>()
    };
    eventually(secs(30), "all 25 have what they should", async || {
        for template in library::templates() {
            let rejects = REJECTIONS.iter().any(|(id, ..)| *id == template.id());
            let (found, wanted) = (taken(template.id()).len(), if rejects { 2 } else { 1 });
            ensure!(found >= wanted, "{} has {found} of {wanted}", template.id());
        }
        Ok(())
    })
    .await?;

    let trace = stack.trace(&purchase).await?;
    let at: Timestamp = trace["event"]["at"].as_str().context("no time")?.parse()?;
    let at = Timestamp::from_second(at.as_second())?;
    let recorded = &trace["click"]["recorded"];
    let clicked: Timestamp = recorded["at"].as_str().context("no click")?.parse()?;
    let visitor = hex::encode(Sha256::digest(recorded["visitor"].as_str().context("no visitor")?));
    let then = Timestamp::from_second(EVENT_SECOND)?;
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%S+00:00").to_string();
    let now = |text: &str| {
        text.replace(&EVENT_SECOND.to_string(), &at.as_second().to_string())
            .replace(&then.to_string(), &at.to_string())
            .replace(&shown(then), &shown(at))
            .replace(CLICK_MS, &format!("{}.IwAR70b0", clicked.as_millisecond()))
            .replace(VISITOR, &visitor)
    };
    for template in library::templates() {
        let expected = Expected::read(template.id(), now)?;
        let came = taken(template.id());
        expected.compare(template.id(), &came[0], now);
        // A rejection is tried again, with the same request under the same id.
        if REJECTIONS.iter().any(|(id, ..)| *id == template.id()) {
            expected.compare(template.id(), &came[1], now);
        }
    }
    let token = receiver.matching(|request| request.path == "/google_ads/token");
    assert_eq!(token[0].field("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(token[0].field("refresh_token").as_deref(), Some("hush-GOOGLE_ADS_REFRESH_TOKEN"));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_of_the_library_is_listed_made_written_once_and_passes_check() -> Result<()> {
    let (broker, _, resources, setup) = crate::network().await?;
    let stack = setup.prepare(&broker).await?;
    let listed = stack.carom_lines(&["connector", "list", "--json"]).await?;
    assert_eq!(listed.len(), 25);
    assert!(
        listed.iter().any(|template| template["id"] == "meta_capi" && template["evidence"] == "documents")
    );

    std::fs::write(stack.dir().join("resources.toml"), resources.to_toml())?;
    let new = [
        "connector",
        "new",
        "--from",
        "meta_capi",
        "--id",
        "meta",
        "--advertiser",
        "acme",
        "-o",
        "meta.toml",
    ];
    let refused = stack.carom(&new).await?;
    assert_eq!(refused.code, Some(64), "{}", said(&refused));
    for missing in ["api_version is missing: ", "pixel_id is missing: "] {
        assert!(refused.err.contains(missing), "{}", said(&refused));
    }
    assert!(!stack.dir().join("meta.toml").exists(), "nothing is written of what is refused");

    let complete = [&new[..], &["--set", "api_version=v23.0", "--set", "pixel_id=123"]].concat();
    stack.carom_ok(&complete).await?;
    let written = std::fs::read_to_string(stack.dir().join("meta.toml"))?;
    assert!(written.contains("https://graph.facebook.com/v23.0/123/events"), "{written}");
    assert!(written.contains("{ env = \"META_ACCESS_TOKEN\" }"), "{written}");
    // Beside the advertiser's other resources, as a folder has them.
    let folder = stack.dir().join("folder");
    std::fs::create_dir(&folder)?;
    for file in ["meta.toml", "resources.toml"] {
        std::fs::copy(stack.dir().join(file), folder.join(file))?;
    }
    let checked = stack.carom_ok(&["check", "folder"]).await?;
    assert!(checked.contains("2 connectors: good"), "{checked}");

    let again = stack.carom(&complete).await?;
    assert_eq!(again.code, Some(1), "{}", said(&again));
    assert!(again.err.contains("is there already"), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(stack.dir().join("meta.toml"))?, written);
    stack.finish().await
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}
