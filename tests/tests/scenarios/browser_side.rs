//! The whole way of a browser: a real Chromium on a shop's pages, on another origin than ingest; real binaries, a real
//! broker, and receivers of what is told by webhook and by pixel.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::browser::Browser;
use carom_tests::browser::pages::{Page, Pages};
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Setup, Stack};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const SHOP: &str = "shop.example";

/// What would run if a value left its place calls `canary()`.
const ATTACKS: &str = include_str!("../../fixtures/attacks.txt");
/// One of so many attacks is tried in the browser; all of them are where pixels are filled in.
const SAMPLE: usize = 5;

/// A browser, a shop's pages, and a relay that they tell.
struct Shop {
    browser: Browser,
    pages: Pages,
    receiver: Receiver,
    stack: Stack,
}

impl Shop {
    /// With a source of kind `tag` for these pages, and connectors whose pixels are approved.
    async fn open(
        origins: &[String],
        pages: Pages,
        connectors: impl Fn(&Receiver) -> Vec<Connector>,
    ) -> Result<Self> {
        let (browser, receiver) = (Browser::start().await?, Receiver::start()?);
        let source = format!(
            "[[source]]\nid = \"shop-tag\"\nadvertiser = \"acme\"\nkind = \"tag\"\nsite_key = \"pk_scenario\"\n\
             allowed_origins = {origins:?}\n"
        );
        let connectors = connectors(&receiver);
        let names: Vec<_> = connectors.iter().map(|connector| connector.id().to_owned()).collect();
        let resources = connectors.into_iter().fold(Resources::new().and_text(&source), Resources::with);
        let setup = Setup::new(&resources).env("CAROM_INGEST_FOLLOW_INTERVAL", "100ms");
        let stack = setup.start(&Broker::shared().await?).await?;
        for name in names {
            stack.carom_ok(&["pixel", "approve", &name, "--by", "ann"]).await?;
        }
        // Ingest looks again and again; it says nothing about it.
        tokio::time::sleep(secs(1)).await;
        let shop = Self { browser, pages, receiver, stack };
        for path in ["/", "/thanks"] {
            shop.put(path, "");
        }
        Ok(shop)
    }

    async fn usual(connectors: impl Fn(&Receiver) -> Vec<Connector>) -> Result<Self> {
        let pages = Pages::start()?;
        Self::open(&[pages.origin(SHOP)], pages, connectors).await
    }

    /// Puts a page with the snippet and this body.
    fn put(&self, path: &str, body: &str) {
        let ingest = format!("http://relay.example:{}", self.stack.ports().ingest);
        let html = format!(
            "<!doctype html><title>Shop</title>\
             <script>window.carom = window.carom || function () {{ (carom.q = carom.q || []).push(arguments) }};</script>\
             <script async src=\"{ingest}/carom.js\" data-key=\"pk_scenario\"></script><body>{body}"
        );
        self.pages.put(path, Page::new(html));
    }

    async fn visit(&self, path: &str) -> Result<()> {
        self.browser.open(&format!("{}{path}", self.pages.origin(SHOP))).await?;
        self.browser.until("window.carom && carom.ready").await.map(drop)
    }

    /// Waits until the worker knows of so many visits: before that, nobody can be told whose they were.
    async fn visits(&self, count: f64) -> Result<()> {
        crate::track::touches_recorded(&self.stack, count).await
    }
}

fn pixel(code: &str) -> String {
    format!("[connector.pixel]\nenabled = true\ncode = '''{code}'''\n")
}

/// A pixel that tells the receiver. (An image would count as failed: the receiver answers with none.)
fn telling(receiver: &Receiver) -> String {
    let told = receiver
        .url("/pixel?value={{VALUE}}&click_id={{CLICK_ID}}&event_id={{EVENT_ID}}&tx={{TRANSACTION_ID}}");
    pixel(&format!("<script>fetch(\"{told}\", {{ mode: \"no-cors\" }});</script>"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn landing_by_a_networks_link_and_buying_is_told_by_webhook_and_sandboxed_pixel_with_one_id()
-> Result<()> {
    let shop = Shop::usual(|receiver| {
        let click_id = "[connector.click_id]\nparameter = \"aff_click_id\"\nwindow = \"14d\"\n";
        let hybrid = Connector::get("network", receiver.url("/postback")).triggers(&["purchase"]);
        vec![hybrid.line(&format!("{click_id}{}", telling(receiver)))]
    })
    .await?;
    shop.visit("/?aff_click_id=abc123").await?;
    shop.visits(1.0).await?;
    shop.visit("/thanks").await?;
    let buy = "return carom('event', 'Purchase', {value: 49.5, currency: 'USD', transaction_id: 'T-1', email: 'jane@example.com'})";
    let event = shop.browser.run(buy).await?;
    let event = event.as_str().context("no id was answered")?;
    let of = |path: &str| shop.receiver.matching(|request| request.path == path);
    eventually(secs(15), "webhook and pixel have come", async || {
        ensure!(of("/postback").len() == 1, "{} webhooks", of("/postback").len());
        ensure!(of("/pixel").len() == 1, "{} pixels", of("/pixel").len());
        Ok(())
    })
    .await?;
    let (webhook, pixel) = (of("/postback").remove(0), of("/pixel").remove(0));
    for field in ["event_id", "click_id", "value", "tx"] {
        assert_eq!(webhook.field(field), pixel.field(field), "{field}");
    }
    assert_eq!(pixel.field("click_id").as_deref(), Some("abc123"));
    assert_eq!(pixel.field("value").as_deref(), Some("49.5"));
    // A frame without an origin says nothing of the page that it stands on.
    assert_eq!(pixel.header("cookie"), None);
    eventually(secs(15), "the log shows both", async || {
        let shown = shop.stack.carom_ok(&["log", "--show", event]).await?;
        ensure!(shown.contains("fired at") && shown.contains("200 in"), "{shown}");
        Ok(())
    })
    .await?;
    shop.stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ad_networks_pixel_alone_fires_with_the_orders_value() -> Result<()> {
    let shop = Shop::usual(|receiver| {
        vec![Connector::pixel_only("display").triggers(&["purchase"]).line(&telling(receiver))]
    })
    .await?;
    shop.visit("/").await?;
    shop.browser
        .run("return carom('event', 'Purchase', {value: 12, currency: 'EUR', transaction_id: 'T-2'})")
        .await?;
    let fired = shop.receiver.wait_for(secs(15), 1, |request| request.path == "/pixel").await?;
    assert_eq!(fired[0].field("value").as_deref(), Some("12"));
    assert_eq!(shop.receiver.count(), 1, "no webhook");
    shop.stack.finish().await
}

/// Every kind of place, and what tells of a value that has left its own.
fn places(receiver: &Receiver) -> String {
    let told = receiver.url("/canary");
    pixel(&format!(
        r#"<script>window.canary = () => {{ new Image().src = "{told}"; }};</script>
<p title="{{{{ATTACK}}}}" data-a='{{{{ATTACK}}}}'>a{{{{ATTACK}}}}b</p>
<img src="{told}less?v={{{{ATTACK}}}}&amp;w=1" alt="{{{{ATTACK}}}}">
<script type="application/json">{{"a": "{{{{ATTACK}}}}"}}</script>
<script>window.last = ["{{{{ATTACK}}}}", '{{{{ATTACK}}}}', `{{{{ATTACK}}}}`, {{a: "{{{{ATTACK}}}}"}}];</script>"#
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_runs_in_a_real_browser_neither_in_the_frame_nor_in_the_page() -> Result<()> {
    let shop = Shop::usual(|receiver| {
        let of = |id: &str| Connector::pixel_only(id).triggers(&["purchase"]);
        let in_page = format!("{}sandbox = false\n", places(receiver));
        vec![of("framed").line(&places(receiver)), of("in-page").line(&in_page)]
    })
    .await?;
    shop.visit("/").await?;
    let attacks: Vec<String> = ATTACKS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .step_by(SAMPLE)
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    for (number, attack) in attacks.iter().enumerate() {
        let data = json!({"transaction_id": format!("A-{number}"), "attack": attack});
        shop.browser.run(&format!("return carom('event', 'Purchase', {data})")).await?;
    }
    let fired = |request: &carom_tests::receiver::Received| request.path == "/canaryless";
    eventually(secs(30), "the pixels have fired, in frame and page", async || {
        let count = shop.receiver.matching(fired).len();
        // An empty value, or one that is masked, is a value too.
        ensure!(count >= 2 * attacks.len() - 2, "{count} of {}", 2 * attacks.len());
        Ok(())
    })
    .await?;
    tokio::time::sleep(secs(1)).await;
    let ran = shop.receiver.matching(|request| request.path == "/canary");
    println!("{} attacks in 8 places each, in frame and page: {} ran", attacks.len(), ran.len());
    assert!(ran.is_empty(), "{} ran", ran.len());
    // The canary sings when it is touched.
    shop.browser.run("canary()").await?;
    shop.receiver.wait_for(secs(15), 1, |request| request.path == "/canary").await?;
    shop.stack.finish().await
}

/// How many visitors leave right after they bought: `CAROM_LEAVERS`, or so many.
const LEAVERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_visitors_who_leave_right_after_they_bought_no_purchase_is_lost() -> Result<()> {
    let leavers = match std::env::var("CAROM_LEAVERS") {
        Ok(given) => given.parse().context("CAROM_LEAVERS is a number")?,
        Err(_) => LEAVERS,
    };
    let pages = Pages::start()?;
    // Each visitor is on an origin of his own, so that no other page can send for him.
    let host = |number: &str| pages.origin(&format!("visitor-{number}.{SHOP}"));
    let origins: Vec<_> = (0..leavers).map(|number| host(&number.to_string())).collect();
    let next = host("N");
    let shop = Shop::open(&origins, pages, |receiver| {
        vec![
            Connector::get("network", receiver.url("/postback"))
                .triggers(&["purchase"])
                .line(&telling(receiver)),
        ]
    })
    .await?;
    let leave = format!(
        "const n = Number(new URL(location).searchParams.get('n')); \
         carom('event', 'Purchase', {{value: 1, transaction_id: 'T-' + n}}); \
         location = n + 1 < {leavers} ? '{next}/buy?n='.replace('N', n + 1) + (n + 1) : '/done'"
    );
    let wait = "const wait = () => (window.carom && carom.ready ? leave() : setTimeout(wait, 1)); wait();";
    shop.put("/buy", &format!("<script>{wait} function leave() {{ {leave} }}</script>"));
    shop.pages.put("/done", Page::new("<!doctype html><title>done</title>"));
    shop.browser.open(&format!("{}/buy?n=0", next.replace('N', "0"))).await?;
    let came = || -> BTreeSet<String> {
        shop.receiver
            .matching(|request| request.path == "/postback")
            .iter()
            .filter_map(|sent| sent.field("tx"))
            .collect()
    };
    eventually(Duration::from_millis(leavers as u64 * 500), "all have left", async || {
        let title = shop.browser.run("return document.title").await?;
        ensure!(title == "done", "{} purchases were told", came().len());
        Ok(())
    })
    .await?;
    eventually(secs(30), "all were told", async || {
        ensure!(came().len() == leavers, "{} of {leavers} were", came().len());
        Ok(())
    })
    .await?;
    let told = shop.receiver.matching(|request| request.path == "/postback").len();
    println!("{leavers} left right after buying: {} purchases came, told {told} times", came().len());
    assert_eq!(told, leavers, "each once");
    shop.stack.finish().await
}
