//! What the tag does not lose: while its endpoint is away, and while its page goes away.

use crate::tag::Shop;
use anyhow::{Result, ensure};
use carom_tests::browser::endpoint::Manner;
use carom_tests::browser::pages::Page;
use carom_tests::eventually::{eventually, secs};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many visitors leave at once.
const LEAVING: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_endpoint_did_not_take_is_sent_again_by_the_next_page_under_the_same_id() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.visit("/").await?;
    shop.visits(1).await?;
    shop.endpoint.down();
    shop.browser.run("await carom('event', 'Down', {n: 1})").await?;
    shop.endpoint.up()?;
    for (event, manner) in [
        ("Busy", Manner::Refuses(503)),
        ("Slow", Manner::Refuses(429)),
        ("Timeout", Manner::Refuses(408)),
        // A page of somebody else's says nothing of the event.
        ("Proxy", Manner::IsAnother),
    ] {
        shop.endpoint.manner(manner);
        shop.browser.run(&format!("await carom('event', '{event}', {{}})")).await?;
    }
    ensure!(shop.browser.stored().await?.len() == 6, "{:?}", shop.browser.stored().await?);
    // What Carom itself refuses would be refused again.
    shop.endpoint.manner(Manner::Refuses(400));
    shop.browser.console().await?;
    shop.browser.run("await carom('event', 'Wrong', {})").await?;
    let console = shop.browser.console().await?;
    assert!(console.iter().any(|line| line.contains("as it was told")), "{console:?}");
    ensure!(shop.browser.stored().await?.len() == 6, "{:?}", shop.browser.stored().await?);

    shop.endpoint.manner(Manner::Takes);
    let before = shop.endpoint.tracked();
    shop.endpoint.forget();
    shop.visit("/thanks").await?;
    for event in ["Down", "Busy", "Slow", "Timeout", "Proxy"] {
        let again = shop.event(event).await?;
        let first = before.iter().find(|tracked| tracked.event() == event);
        assert!(first.is_none_or(|first| first.body == again.body), "{event}");
    }
    let only_visit = async || {
        let stored = shop.browser.stored().await?;
        ensure!(stored == ["carom_visit"], "{stored:?}");
        Ok(())
    };
    eventually(secs(5), "the outbox is empty", only_visit).await?;
    shop.never("what was refused", |tracked| tracked.event() == "Wrong").await?;
    let copies = shop.endpoint.tracked().len();
    assert_eq!(copies, 5, "each of them once");

    // Without a page to follow: the browser says that it is online again, or the page is looked at again.
    for event in ["online", "pageshow"] {
        shop.endpoint.manner(Manner::Refuses(503));
        shop.browser.run(&format!("await carom('event', '{event}', {{}})")).await?;
        shop.endpoint.manner(Manner::Takes);
        shop.browser.run(&format!("dispatchEvent(new Event('{event}'))")).await?;
        eventually(secs(5), "the outbox is empty", only_visit).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_a_week_is_not_sent_any_more() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/").await?;
    shop.visits(1).await?;
    shop.endpoint.manner(Manner::Refuses(503));
    shop.browser.run("await carom('event', 'Old', {}); await carom('event', 'Young', {})").await?;
    let age = "for (const [name, value] of Object.entries(localStorage)) { \
                   const hours = value.includes('Old') ? 169 : 167; \
                   localStorage[name] = value.replace(/at.:(\\d+)/, (all, at) => all.replace(at, at - hours * 36e5)) \
               }";
    shop.browser.run(age).await?;
    shop.endpoint.forget();
    shop.endpoint.manner(Manner::Takes);
    shop.browser.run("dispatchEvent(new Event('online'))").await?;
    shop.event("Young").await?;
    shop.never("what is too old", |tracked| tracked.event() == "Old").await?;
    eventually(secs(5), "the outbox is empty", async || {
        let stored = shop.browser.stored().await?;
        ensure!(stored == ["carom_visit"], "{stored:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_is_bounded_and_two_tabs_send_it_once() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/").await?;
    shop.visits(1).await?;
    let first = shop.browser.tab().await?;
    shop.browser.new_tab().await?;
    shop.visit("/thanks").await?;
    shop.endpoint.manner(Manner::Refuses(503));
    shop.browser.run("for (let n = 0; n < 60; n++) await carom('event', 'Burst', {n})").await?;
    let stored = shop.browser.stored().await?;
    assert_eq!(stored.len(), 51, "fifty, and the visit");
    shop.endpoint.forget();
    shop.endpoint.manner(Manner::Takes);
    // Whichever tab is looked at sends; the other finds that somebody is at it.
    shop.browser.run("dispatchEvent(new Event('online'))").await?;
    shop.browser.switch(&first).await?;
    shop.browser.run("dispatchEvent(new Event('online'))").await?;
    let sent = shop.endpoint.wait_for(50, |tracked| tracked.event() == "Burst").await?;
    let numbers: BTreeSet<_> =
        sent.iter().filter_map(|tracked| tracked.body["event"]["data"]["n"].as_u64()).collect();
    assert_eq!(numbers, (10..60).collect(), "the oldest went");
    eventually(secs(10), "the outbox is empty", async || {
        ensure!(shop.browser.stored().await?.len() == 1, "{:?}", shop.browser.stored().await?);
        Ok(())
    })
    .await?;
    assert_eq!(shop.endpoint.matching(|tracked| tracked.event() == "Burst").len(), 50);

    // Larger than what a browser lets outlive its page, in one and together.
    shop.browser
        .run("for (let n = 0; n < 4; n++) carom('event', 'Large', {text: 'x'.repeat(20000), n})")
        .await?;
    shop.browser.run("carom('event', 'Huge', {text: 'x'.repeat(60000)})").await?;
    shop.event("Huge").await?;
    eventually(secs(10), "all of them came", async || {
        shop.browser.run("dispatchEvent(new Event('online'))").await?;
        let large = shop.endpoint.matching(|tracked| tracked.event() == "Large");
        let numbers: BTreeSet<_> =
            large.iter().map(|tracked| tracked.body["event"]["data"]["n"].as_u64()).collect();
        ensure!(numbers.len() == 4, "{numbers:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_visitors_who_leave_right_after_the_call_no_event_is_lost() -> Result<()> {
    let shop = Shop::open().await?;
    // Each is on an origin of his own, so that no other page can send for him, and leaves for the next one's page.
    let next = shop.pages.origin("visitor-N.shop.example");
    let leave = format!(
        "const n = Number(new URL(location).searchParams.get('n')); \
         carom('event', 'Purchase', {{transaction_id: 'T-' + n}}); \
         location = n + 1 < {LEAVING} ? '{next}/buy?n='.replace('N', n + 1) + (n + 1) : '/done'"
    );
    let wait = "const wait = () => (window.carom && carom.ready ? leave() : setTimeout(wait, 1)); wait();";
    shop.put("/buy", "", &format!("<script>{wait} function leave() {{ {leave} }}</script>"));
    shop.pages.put("/done", Page::new("<!doctype html><title>done</title>"));
    // A page goes while its request is on its way.
    shop.endpoint.delay(Duration::from_millis(20));
    shop.browser.open(&format!("{}/buy?n=0", next.replace('N', "0"))).await?;
    let purchases = || -> BTreeSet<String> {
        let tracked = shop.endpoint.matching(|tracked| tracked.event() == "Purchase");
        tracked
            .iter()
            .filter_map(|t| Some(t.body["event"]["data"]["transaction_id"].as_str()?.to_owned()))
            .collect()
    };
    eventually(secs(120), "all have left", async || {
        let title = shop.browser.run("return document.title").await?;
        ensure!(title == "done", "{} purchases have come", purchases().len());
        Ok(())
    })
    .await?;
    eventually(secs(10), "all came", async || {
        ensure!(purchases().len() == LEAVING, "{} did", purchases().len());
        Ok(())
    })
    .await?;
    let all = shop.endpoint.matching(|tracked| tracked.event() == "Purchase");
    let ids: BTreeSet<_> = all.iter().map(|tracked| tracked.id().to_owned()).collect();
    assert_eq!(ids.len(), LEAVING, "a copy has its first one's id");
    println!("{LEAVING} left, {} purchases came, in {} requests", ids.len(), all.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_knows_no_keepalive_sends_a_beacon_when_the_page_goes() -> Result<()> {
    let shop = Shop::open().await?;
    // As it was in Firefox until the end of 2024: fetch knows no keepalive, and drops what is on its way.
    let without = "delete Request.prototype.keepalive; const fetched = window.fetch; \
                   window.fetch = (url, options) => options && options.body ? new Promise(() => {}) : fetched(url, options)";
    shop.browser.before_each_page(without).await?;
    shop.visit("/").await?;
    shop.browser.run("carom('event', 'Purchase', {}); setTimeout(() => (location = '/thanks'))").await?;
    let purchase = shop.event("Purchase").await?;
    assert_eq!(purchase.headers["content-type"].to_str()?.to_lowercase(), "text/plain;charset=utf-8");
    Ok(())
}
