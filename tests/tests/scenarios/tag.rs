//! The tag in a real Chromium: what it tells of visits and events. Its endpoint is stood in for; the script is the one
//! that carom-ingest serves.

use anyhow::{Result, ensure};
use carom_tests::browser::Browser;
use carom_tests::browser::endpoint::{Endpoint, Tracked};
use carom_tests::browser::pages::{Page, Pages};
use carom_tests::eventually::never;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// A browser, a shop's pages, and the endpoint that they tell.
pub struct Shop {
    pub browser: Browser,
    pub pages: Pages,
    pub endpoint: Endpoint,
}

impl Shop {
    /// With the snippet on `/`, and on `/thanks`.
    pub async fn open() -> Result<Self> {
        let (browser, endpoint) = tokio::try_join!(Browser::start(), Endpoint::start())?;
        let shop = Self { browser, pages: Pages::start()?, endpoint };
        shop.put("/", "", "");
        shop.put("/thanks", "", "");
        Ok(shop)
    }

    /// Puts a page with the snippet: these attributes of the script, this body.
    pub fn put(&self, path: &str, attributes: &str, body: &str) {
        self.pages.put(path, self.page(attributes, body));
    }

    pub fn page(&self, attributes: &str, body: &str) -> Page {
        let snippet = self.endpoint.snippet(attributes);
        Page::new(format!("<!doctype html><title>Shop</title>{snippet}<body>{body}"))
    }

    /// The URL of a page of the shop's.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.pages.origin("shop.example"))
    }

    /// Goes to a page and waits until the tag is there.
    pub async fn visit(&self, path: &str) -> Result<()> {
        self.browser.open(&self.at(path)).await?;
        self.browser.until("window.carom && carom.ready").await.map(drop)
    }

    /// Waits for the event of this name.
    pub async fn event(&self, name: &str) -> Result<Tracked> {
        Ok(self.endpoint.wait_for(1, |tracked| tracked.event() == name).await?.remove(0))
    }

    /// Waits for so many visits.
    pub async fn visits(&self, count: usize) -> Result<Vec<Tracked>> {
        self.endpoint.wait_for(count, Tracked::is_visit).await
    }

    /// Nothing like this comes for a while.
    pub async fn never(&self, what: &str, unwanted: impl Fn(&Tracked) -> bool) -> Result<()> {
        never(Duration::from_millis(500), what, async || {
            let found = self.endpoint.matching(&unwanted);
            ensure!(found.is_empty(), "{:#?}", found[0].body);
            Ok(())
        })
        .await
    }
}

/// A UUID of this version.
pub fn is_uuid(value: &Value, version: usize) -> bool {
    value
        .as_str()
        .and_then(|id| Uuid::try_parse(id).ok())
        .is_some_and(|id| id.get_version_num() == version && id.get_variant() == uuid::Variant::RFC4122)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_told_once_and_what_was_called_before_the_script_was_there_is_told_too() -> Result<()> {
    let shop = Shop::open().await?;
    let call =
        "<script>carom('event', 'Purchase', {value: 49.5, currency: 'USD', transaction_id: 'T-1'})</script>";
    shop.put("/landing", "", call);
    shop.visit("/landing?aff_click_id=abc123&trl_test=1#part").await?;
    let visit = shop.visits(1).await?.remove(0);
    let landing = shop.at("/landing?aff_click_id=abc123&trl_test=1");
    let began = visit.body["page"]["at"].as_i64();
    assert_eq!(visit.body["page"], json!({"url": landing, "referrer": "", "at": began}));
    assert!(began.is_some() && began <= visit.body["at"].as_i64(), "{:#}", visit.body);
    assert_eq!((&visit.body["v"], &visit.body["test"]), (&json!(1), &json!(true)));
    assert!(visit.body.get("landing").is_none() && visit.body.get("event").is_none(), "{:#}", visit.body);
    assert!(is_uuid(&visit.body["visitor"], 4) && is_uuid(&visit.body["id"], 7), "{:#}", visit.body);
    assert_eq!(visit.query, "key=pk_test");
    let header = |name: &str| visit.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(
        header("content-type").unwrap().to_lowercase(),
        "text/plain;charset=utf-8",
        "needs no preflight"
    );
    assert_eq!(header("origin").unwrap(), shop.pages.origin("shop.example"));
    assert_eq!(header("cookie"), None);

    let purchase = shop.event("Purchase").await?;
    let data = json!({"value": 49.5, "currency": "USD", "transaction_id": "T-1"});
    assert_eq!(purchase.body["event"]["data"], data);
    assert_eq!(purchase.body["page"], visit.body["page"], "the visit's, with its time");
    assert_eq!(purchase.body["visitor"], visit.body["visitor"]);

    // Further pages of the visit, by a link and by the address bar.
    shop.visit("/").await?;
    shop.visit("/thanks?order=7").await?;
    let answered = shop.browser.run("return carom('event', 'Lead', {})").await?;
    let lead = shop.event("Lead").await?;
    assert_eq!(answered, lead.id());
    assert_eq!(lead.body["page"]["url"], shop.at("/thanks?order=7"));
    assert_eq!(lead.body["landing"]["url"], landing.as_str());
    assert_eq!(lead.body["landing"]["at"].as_i64(), began);
    assert_eq!(lead.body["test"], true, "it was asked for where the visit began");
    assert_eq!(lead.body["visitor"], visit.body["visitor"]);
    shop.never("a second visit", |tracked| tracked.is_visit() && tracked.id() != visit.id()).await?;
    let console = shop.browser.console().await?;
    assert!(console.is_empty(), "{console:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_is_the_same_on_www_and_checkout_and_goes_on_with_the_visit() -> Result<()> {
    let shop = Shop::open().await?;
    let next = format!("<a href=\"{}/\">Pay</a>", shop.pages.origin("checkout.shop.example"));
    shop.put("www.shop.example/", "", &next);
    shop.browser.open(&format!("{}/?gclid=g1", shop.pages.origin("www.shop.example"))).await?;
    let visit = shop.visits(1).await?.remove(0);
    shop.browser.click("a").await?;
    shop.browser.until("location.host.startsWith('checkout') && window.carom && carom.ready").await?;
    shop.browser.run("carom('event', 'Purchase', {})").await?;
    let purchase = shop.event("Purchase").await?;
    assert_eq!(purchase.body["visitor"], visit.body["visitor"]);
    shop.never("another visit", |tracked| tracked.is_visit() && tracked.id() != visit.id()).await?;
    // Another site's visitor is another.
    shop.browser.open(&format!("{}/", shop.pages.origin("other.example"))).await?;
    let visits = shop.visits(2).await?;
    assert_ne!(visits[1].body["visitor"], visit.body["visitor"]);
    // A host without dots, and an address, take a cookie as well.
    for host in ["localhost", "127.0.0.1"] {
        shop.browser.open(&format!("{}/", shop.pages.origin(host))).await?;
        shop.browser.until("document.cookie.includes('carom_visitor')").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_id_that_appears_begins_a_visit_and_what_is_left_of_one_does_not() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/?aff_click_id=one&utm_source=x").await?;
    shop.visits(1).await?;
    // As single-page applications go on: the URL is the one of the call, and the visit the same.
    shop.browser
        .run("history.pushState({}, '', '/cart?step=2&productid=5'); carom('event', 'AddToCart', {})")
        .await?;
    assert_eq!(shop.event("AddToCart").await?.body["page"]["url"], shop.at("/cart?step=2&productid=5"));
    // A name says that it is a click id, and no value does.
    for other in
        ["q=braided+belt", "q=acid,+citric", "return=https://x.example/?gclid=1", "nullable=1", "null=1"]
    {
        shop.browser.run(&format!("history.pushState({{}}, '', '/?{other}')")).await?;
    }
    shop.browser.run("history.pushState({}, '', '/offer?aff_click_id=one'); history.back()").await?;
    shop.never("a second visit", |tracked| {
        tracked.is_visit() && tracked.body["page"]["url"] != shop.at("/?aff_click_id=one&utm_source=x")
    })
    .await?;
    // Every click id that Carom knows of, and every name that sources look for.
    let known = carom_common::click_id_matching::AD_CLICK_IDS.into_iter();
    let asked = [
        "clickid",
        "click_id",
        "rtclickid",
        "cid",
        "subid",
        "sub_id",
        "aff_sub",
        "tid",
        "aff_id",
        "utm_campaign",
    ];
    let mut visits = 1;
    for name in known.chain(asked) {
        shop.browser.run(&format!("history.pushState({{}}, '', '/?{name}={name}-2')")).await?;
        visits += 1;
        let last = shop.visits(visits).await?.pop();
        assert_eq!(
            last.map(|last| last.body["page"]["url"].clone()),
            Some(json!(shop.at(&format!("/?{name}={name}-2"))))
        );
    }
    // One of the shop's own, and one that the page took off the URL before the script was there.
    shop.put("/own", "data-ids=\"partner|friend\"", "");
    shop.visit("/own?partner=p1").await?;
    shop.visits(visits + 1).await?;
    let strip = shop.endpoint.snippet("");
    shop.pages.put(
        "/strip",
        Page::new(format!("<script>history.replaceState({{}}, '', '/strip')</script>{strip}")),
    );
    shop.visit("/strip?cid=stripped#access_token=secret").await?;
    let last = shop.visits(visits + 2).await?.pop();
    assert_eq!(
        last.map(|last| last.body["page"]["url"].clone()),
        Some(json!(shop.at("/strip?cid=stripped")))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_hour_ends_a_visit_and_a_page_that_comes_back_from_the_cache_goes_on() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/?cid=1").await?;
    shop.visits(1).await?;
    shop.browser.run("window.mark = 1").await?;
    shop.browser.open(&shop.at("/thanks")).await?;
    shop.browser.back().await?;
    assert_eq!(shop.browser.run("return window.mark").await?, 1, "the tag keeps no page out of the cache");
    shop.browser.run("carom('event', 'Lead', {})").await?;
    shop.event("Lead").await?;
    let age = "const visit = JSON.parse(localStorage.carom_visit); visit.seen -= MINUTES * 60000; \
               localStorage.carom_visit = JSON.stringify(visit)";
    shop.browser.run(&age.replace("MINUTES", "29")).await?;
    shop.visit("/thanks").await?;
    shop.never("a second visit", |tracked| {
        tracked.is_visit() && tracked.body["page"]["url"] == shop.at("/thanks")
    })
    .await?;
    shop.browser.run(&age.replace("MINUTES", "31")).await?;
    shop.visit("/thanks").await?;
    assert_eq!(shop.visits(2).await?[1].body["page"]["url"], shop.at("/thanks"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_storage_tells_all_the_same() -> Result<()> {
    let shop = Shop::open().await?;
    // As in a WebView of Android's whose DOM storage is off.
    let without = "Object.defineProperty(window, 'localStorage', { get: () => null })";
    shop.browser.before_each_page(without).await?;
    shop.visit("/?cid=1").await?;
    let visit = shop.visits(1).await?.remove(0);
    shop.browser.run("carom('event', 'Lead', {})").await?;
    assert_eq!(shop.event("Lead").await?.body["visitor"], visit.body["visitor"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_never_sees_an_error_of_the_tags() -> Result<()> {
    let shop = Shop::open().await?;
    let listen = "window.errors = []; addEventListener('error', (e) => errors.push(e.message)); \
                  addEventListener('unhandledrejection', (e) => errors.push(String(e.reason)));";
    shop.browser.before_each_page(listen).await?;
    shop.visit("/").await?;
    let calls = "const round = {}; round.round = round; \
                 return [await carom('event', 'Round', round), await carom(), await carom('event'), typeof carom('x').then]";
    let answered = shop.browser.run(calls).await?;
    assert_eq!((&answered[0], &answered[3]), (&Value::Null, &json!("function")));
    // Twice the script is one tag.
    let twice = format!("{}{}", shop.endpoint.snippet(""), shop.endpoint.snippet(""));
    shop.pages.put("/twice", Page::new(twice));
    shop.visit("/twice?cid=9").await?;
    shop.browser.run("carom('event', 'Once', {})").await?;
    shop.event("Once").await?;
    // What a page's storage says is not believed.
    shop.browser.run("localStorage.carom_visit = '{'").await?;
    shop.visit("/").await?;
    shop.browser.run("carom('event', 'Broken', {})").await?;
    shop.event("Broken").await?;
    // A frame without an origin has no cookies, no storage, and no randomUUID.
    shop.put("/inner", "", "<script>carom('event', 'Framed', {})</script>");
    shop.pages.put("/framed", Page::new("<iframe sandbox=\"allow-scripts\" src=\"/inner\"></iframe>"));
    shop.browser.open(&shop.at("/framed")).await?;
    let framed = shop.event("Framed").await?;
    assert_eq!(framed.headers["origin"], "null");
    assert!(is_uuid(&framed.body["id"], 7), "{:#}", framed.body);
    for page in ["/", "/twice"] {
        shop.visit(page).await?;
        assert_eq!(shop.browser.run("return errors").await?, json!([]));
    }
    assert_eq!(shop.endpoint.matching(|tracked| tracked.event() == "Once").len(), 1);
    Ok(())
}
