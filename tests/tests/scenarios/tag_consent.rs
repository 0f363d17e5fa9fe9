//! What the tag keeps, and of whom: consent, and Global Privacy Control.

use crate::tag::{Shop, is_uuid};
use anyhow::Result;
use carom_tests::browser::endpoint::Manner;
use serde_json::json;

const GPC: &str = "Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consent_nothing_is_kept_and_with_it_the_visit_is_told_then() -> Result<()> {
    let shop = Shop::open().await?;
    shop.put("/ask", "data-consent=\"required\"", "");
    shop.visit("/ask?cid=1").await?;
    shop.browser.run("carom('event', 'Undecided', {})").await?;
    let undecided = shop.event("Undecided").await?;
    assert!(undecided.body.get("visitor").is_none(), "{:#}", undecided.body);
    assert!(shop.browser.cookies().await?.is_empty() && shop.browser.stored().await?.is_empty());
    shop.never("a visit", |tracked| tracked.is_visit()).await?;

    shop.browser.run("history.pushState({}, '', '/ask/2'); carom('consent', 'granted')").await?;
    let visit = shop.visits(1).await?.remove(0);
    assert_eq!(visit.body["page"]["url"], shop.at("/ask?cid=1"), "where it began");
    assert!(is_uuid(&visit.body["visitor"], 4), "{:#}", visit.body);
    assert_eq!(shop.browser.cookies().await?.len(), 1);

    // It is remembered, and so is a refusal, which tells nobody's name.
    shop.visit("/ask").await?;
    shop.browser.run("carom('event', 'Granted', {})").await?;
    assert_eq!(shop.event("Granted").await?.body["visitor"], visit.body["visitor"]);
    shop.browser.run("carom('consent', 'denied'); carom('event', 'Denied', {})").await?;
    assert!(shop.event("Denied").await?.body.get("visitor").is_none());
    assert!(shop.browser.stored().await?.is_empty());
    let refusal = vec![("carom_visitor".to_owned(), "denied".to_owned())];
    assert_eq!(shop.browser.cookies().await?, refusal);
    shop.visit("/?cid=2").await?;
    shop.browser.run("carom('event', 'Later', {})").await?;
    assert!(shop.event("Later").await?.body.get("visitor").is_none());
    shop.never("a second visit", |tracked| tracked.is_visit() && tracked.id() != visit.id()).await?;
    assert_eq!(shop.browser.cookies().await?, refusal);
    assert!(shop.browser.stored().await?.is_empty());

    // Who changes his mind is somebody new.
    shop.browser.run("carom('consent', 'granted')").await?;
    assert_ne!(shop.visits(2).await?[1].body["visitor"], visit.body["visitor"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_before_the_script_was_there_comes_before_everything() -> Result<()> {
    let shop = Shop::open().await?;
    shop.put("/first", "", "<script>carom('consent', 'denied'); carom('event', 'Purchase', {})</script>");
    shop.visit("/first?cid=1").await?;
    assert!(shop.event("Purchase").await?.body.get("visitor").is_none());
    shop.never("a visit", |tracked| tracked.is_visit()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_holds_in_other_tabs_on_other_hosts_and_for_what_waits_to_be_sent() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/?cid=1").await?;
    shop.visits(1).await?;
    let first = shop.browser.tab().await?;
    shop.endpoint.manner(Manner::Refuses(503));
    shop.browser.run("await carom('event', 'Waiting', {})").await?;
    // Another tab, on another host, with a storage of its own.
    shop.browser.new_tab().await?;
    shop.browser.open(&format!("{}/", shop.pages.origin("checkout.shop.example"))).await?;
    shop.browser.until("window.carom && carom.ready").await?;
    shop.browser.run("await carom('event', 'Elsewhere', {}); await carom('consent', 'denied')").await?;
    assert!(shop.browser.stored().await?.is_empty());

    shop.endpoint.forget();
    shop.endpoint.manner(Manner::Takes);
    shop.browser.run("dispatchEvent(new Event('online'))").await?;
    shop.event("Elsewhere").await?;
    shop.browser.switch(&first).await?;
    shop.browser.run("dispatchEvent(new Event('online')); carom('event', 'Later', {})").await?;
    for event in ["Elsewhere", "Waiting", "Later"] {
        let told = shop.event(event).await?;
        assert!(told.body.get("visitor").is_none(), "{:#}", told.body);
    }
    assert!(shop.browser.stored().await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_asks_not_to_be_followed_is_not_followed_and_no_pixel_fires_there() -> Result<()> {
    let shop = Shop::open().await?;
    let fire =
        format!("<script>fetch('{}/seen?fired', {{mode: 'no-cors'}})</script>", shop.endpoint.origin());
    shop.endpoint.pixels(json!([{"connector": "network", "delivery": "d1", "sandbox": true, "html": fire}]));
    shop.visit("/?cid=1").await?;
    let visit = shop.visits(1).await?.remove(0);
    let cookies = shop.browser.cookies().await?;
    let stored = shop.browser.stored().await?;

    // An id that is there already is neither used nor taken away: another day may be another choice.
    shop.browser.before_each_page(GPC).await?;
    shop.visit("/?cid=2").await?;
    shop.browser.run("carom('consent', 'granted'); carom('event', 'Purchase', {})").await?;
    let purchase = shop.event("Purchase").await?;
    assert!(purchase.body.get("visitor").is_none(), "{:#}", purchase.body);
    assert_eq!(purchase.body["page"]["url"], shop.at("/?cid=2"));
    let report = shop.endpoint.wait_for(1, |tracked| tracked.body["reports"].is_array()).await?.remove(0);
    let report = &report.body["reports"][0];
    assert_eq!((&report["outcome"], &report["detail"]), (&json!("failed"), &json!("no consent")));
    assert_eq!(shop.browser.cookies().await?, cookies);
    assert_eq!(shop.browser.stored().await?, stored);
    assert!(shop.endpoint.seen().is_empty());
    shop.never("a visit", |tracked| tracked.is_visit() && tracked.id() != visit.id()).await
}
