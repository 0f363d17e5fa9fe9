//! Pixels as the tag fires them: what they can reach, in which order, under which policy, and what is told of them.

use crate::tag::Shop;
use anyhow::Result;
use serde_json::{Value, json};

/// Tries what a pixel has no business with, and tells the endpoint what came of it. Four words: the page's title, its
/// cookie, its storage, and its own cookie's length.
fn intruder(shop: &Shop, name: &str) -> String {
    let seen = format!("{}/seen?", shop.endpoint.origin());
    format!(
        "<script>(() => {{
            const attempt = (what) => {{ try {{ return String(what()); }} catch (error) {{ return error.name; }} }};
            const words = ['{name}', attempt(() => parent.document.title), attempt(() => parent.document.cookie.slice(0, 14)),
                attempt(() => Object.keys(parent.localStorage).join()), attempt(() => document.cookie.length > 0),
                attempt(() => localStorage.length > 0), attempt(() => top.location.host), self.origin];
            fetch('{seen}' + encodeURIComponent(words.join(' ')), {{ mode: 'no-cors' }});
        }})()</script>"
    )
}

fn pixel(number: usize, sandbox: bool, html: impl Into<String>) -> Value {
    json!({"connector": format!("network-{number}"), "delivery": format!("d{number}"), "sandbox": sandbox, "html": html.into()})
}

/// Buys on the page that is open, and gives the reports of it, by delivery: outcome and detail.
async fn reports(shop: &Shop, pixels: &[Value]) -> Result<Vec<(String, String)>> {
    shop.endpoint.forget();
    shop.endpoint.pixels(json!(pixels));
    let id = shop.browser.run("return carom('event', 'Purchase', {})").await?;
    let told = shop.endpoint.wait_for(1, |tracked| tracked.body["reports"].is_array()).await?;
    assert_eq!(told.len(), 1, "in one request");
    let reports = told[0].body["reports"].as_array().cloned().unwrap_or_default();
    assert!(reports.iter().all(|report| report["event"] == id), "{reports:#?}");
    let text = |report: &Value, key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let of = |pixel: &Value| {
        let mut of = reports.iter().filter(|report| report["delivery"] == pixel["delivery"]);
        let report = of.next().cloned().unwrap_or_default();
        assert!(of.next().is_none(), "each once: {reports:#?}");
        assert_eq!(report["connector"], pixel["connector"]);
        (text(&report, "outcome"), text(&report, "detail"))
    };
    Ok(pixels.iter().map(of).collect())
}

fn fired() -> (String, String) {
    ("fired".to_owned(), String::new())
}

fn failed(detail: &str) -> (String, String) {
    ("failed".to_owned(), detail.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandboxed_pixel_cannot_reach_the_page_and_one_in_the_main_window_can() -> Result<()> {
    let shop = Shop::open().await?;
    shop.visit("/").await?;
    // Whoever says nothing of the sandbox gets it.
    let mut silent = pixel(2, true, intruder(&shop, "silent"));
    silent.as_object_mut().unwrap().remove("sandbox");
    let pixels =
        [pixel(0, true, intruder(&shop, "framed")), pixel(1, false, intruder(&shop, "in-page")), silent];
    let told = reports(&shop, &pixels).await?;
    assert_eq!(told, [fired(), fired(), fired()]);
    let no = "SecurityError";
    for name in ["framed", "silent"] {
        assert_eq!(shop.endpoint.has_seen(name).await?, format!("{name} {no} {no} {no} {no} {no} {no} null"));
    }
    let origin = shop.pages.origin("shop.example");
    let host = origin.trim_start_matches("http://");
    assert_eq!(
        shop.endpoint.has_seen("in-page").await?,
        format!("in-page Shop carom_visitor= carom_visit true true {host} {origin}")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pixels_run_in_order_and_what_failed_is_told_with_why() -> Result<()> {
    let shop = Shop::open().await?;
    let origin = shop.endpoint.origin();
    shop.visit("/").await?;
    let library = |name: &str| {
        format!("<script src=\"{origin}/library.js\"></script><script>library('{name}')</script>")
    };
    let image = |name: &str| format!("<img src=\"{origin}/{name}\" width=1 height=1 alt=\"\">");
    let write = format!(
        "<script>document.write('<img src=\"{origin}/pixel.gif\">'); document.writeln('<script>document.title = \"written\"</' + 'script>')</script>"
    );
    let cannot = format!("cannot load {origin}/missing");
    let order = "<script>(window.order = window.order || []).push('NAME')</script>";
    let table = [
        (true, library("framed"), fired()),
        (false, library("in-page"), fired()),
        (true, image("pixel.gif"), fired()),
        (false, image("pixel.gif"), fired()),
        (false, write, fired()),
        (false, order.replace("NAME", "a") + &order.replace("NAME", "b"), fired()),
        (false, order.replace("NAME", "c"), fired()),
        // Names of the tag's own do not clash with a pixel's.
        (true, "<script>let detail = 1, watch = 2, note = 3;</script>".to_owned(), fired()),
        (
            true,
            "<script>parent.postMessage(null, '*'); parent.postMessage('hello', '*')</script>".to_owned(),
            fired(),
        ),
        // Of an address no more than its path is told: the rest may say who somebody is.
        (true, image("missing?email=jane@example.com"), failed(&cannot)),
        (false, image("missing?email=jane@example.com#x"), failed(&cannot)),
        (true, format!("<script src=\"{origin}/missing\"></script>"), failed(&cannot)),
        (false, format!("<script src=\"{origin}/missing\"></script>"), failed(&cannot)),
        (true, "<script>throw new Error('broken')</script>".to_owned(), failed("Uncaught Error: broken")),
        (
            false,
            "<script>nowhere()</script>".to_owned(),
            failed("Uncaught ReferenceError: nowhere is not defined"),
        ),
        (
            true,
            "<script>this is no script</script>".to_owned(),
            failed("Uncaught SyntaxError: Unexpected identifier 'is'"),
        ),
    ];
    let pixels: Vec<_> = table
        .iter()
        .enumerate()
        .map(|(number, (sandbox, html, _))| pixel(number, *sandbox, html.clone()))
        .collect();
    let told = reports(&shop, &pixels).await?;
    for ((_, html, expected), told) in table.iter().zip(&told) {
        assert_eq!(told, expected, "{html}");
    }
    for name in ["framed", "in-page"] {
        shop.endpoint.has_seen(name).await?;
    }
    let page = shop
        .browser
        .run("return [document.title, order, document.readyState, !!document.querySelector('body')]")
        .await?;
    assert_eq!(page, json!(["written", ["a", "b", "c"], "complete", true]), "the page is as it was");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_with_a_policy_hands_its_nonce_on_and_without_one_a_pixel_is_told_as_failed() -> Result<()> {
    let shop = Shop::open().await?;
    let origin = shop.endpoint.origin();
    let policy = format!("default-src 'self' {origin}; script-src 'nonce-r4nd+m/A=='");
    let with_nonce = "nonce=\"r4nd+m/A==\"";
    shop.pages.put("/policy", shop.page(with_nonce, "").header("content-security-policy", &policy));
    // JavaScript that speaks of scripts, and text that looks like one, stay as they are.
    let speaks = "(/<script/.source + '<script >' + document.querySelector('textarea').value).length";
    let library = |name: &str| {
        format!(
            "<textarea><script ></textarea><script src=\"{origin}/library.js\"></script>\n\
             <SCRIPT>library(\"{name}-\" + {speaks})</SCRIPT>"
        )
    };
    shop.visit("/policy").await?;
    shop.browser.console().await?;
    let pixels = [pixel(0, true, library("framed")), pixel(1, false, library("in-page"))];
    assert_eq!(reports(&shop, &pixels).await?, [fired(), fired()]);
    for name in ["framed", "in-page"] {
        assert_eq!(shop.endpoint.has_seen(name).await?, format!("{name}-25"));
    }
    assert_eq!(shop.browser.console().await?, Vec::<String>::new());

    // The tag is let in by its host; the pixel, which is inline, is not let in at all.
    let policy = format!("script-src {origin} 'sha256-unknown'; default-src {origin}");
    shop.pages.put("/strict", shop.page("", "").header("content-security-policy", &policy));
    shop.visit("/strict").await?;
    let started = std::time::Instant::now();
    let told =
        reports(&shop, &[pixel(0, true, library("never")), pixel(1, false, library("neither"))]).await?;
    assert_eq!(told[0], failed("timeout"));
    assert!(
        started.elapsed() >= std::time::Duration::from_secs(9),
        "a frame that says nothing is waited for"
    );
    assert!(shop.endpoint.seen().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_the_next_page_had_to_send_fires_its_pixels_there_once() -> Result<()> {
    let shop = Shop::open().await?;
    let seen = format!("{}/seen?fired", shop.endpoint.origin());
    let fire = format!("<script>fetch('{seen}', {{ mode: 'no-cors' }})</script>");
    shop.endpoint.pixels(json!([pixel(0, true, fire)]));
    shop.visit("/").await?;
    // The answer comes to a page that has gone; the next one asks again, and is answered the same.
    shop.endpoint.delay(std::time::Duration::from_millis(200));
    shop.browser.run("carom('event', 'Purchase', {}); setTimeout(() => (location = '/thanks'))").await?;
    shop.endpoint.has_seen("fired").await?;
    let reports = shop.endpoint.wait_for(1, |tracked| tracked.body["reports"].is_array()).await?;
    assert_eq!(reports[0].body["reports"][0]["outcome"], "fired");
    shop.browser.until("document.readyState == 'complete' && location.pathname == '/thanks'").await?;
    assert_eq!(shop.endpoint.seen(), ["fired"]);
    let purchases = shop.endpoint.matching(|tracked| tracked.event() == "Purchase");
    assert!(purchases.len() <= 2 && purchases.iter().all(|purchase| purchase.id() == purchases[0].id()));
    Ok(())
}
