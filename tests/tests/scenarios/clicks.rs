//! Clicks at the redirect: what is kept of who clicked, whose word is taken for it, and who is nobody.

use anyhow::{Context as _, Result};
use carom_common::click::{Click, Device, NotATouch};
use carom_common::store::{Settings, Store};
use carom_tests::client::Client;
use carom_tests::country_database::{Value, database};
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use reqwest::Method;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1";
const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// A click as the store has it, when it has it.
async fn recorded(stack: &Stack, id: &str) -> Result<Click> {
    let store = Store::open_read_only(&Settings::Sqlite(stack.dir().join("carom.db")))?;
    let id = id.parse()?;
    eventually(secs(15), format!("the click {id} is recorded"), async || {
        store.click(id).await?.context("it is not there")
    })
    .await
}

fn network(click: &Click) -> String {
    click.address.map(|network| network.to_string()).unwrap_or_default()
}

/// Sends a plain event from the browser with these headers.
async fn event_of(stack: &Stack, txid: &str, headers: &[(&str, &str)]) -> Result<String> {
    let url = format!("{}?event=purchase&payout=5&txid={txid}", stack.events_url(PLAIN_TOKEN));
    let request = stack.client().request(Method::POST, &url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    stack.client().send(request).await?.accepted()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_through_a_trusted_proxy_is_kept_with_its_country_and_device_and_told() -> Result<()> {
    let (broker, receiver, resources, _) = crate::network().await?;
    let network_connector = Connector::get("network", receiver.url("/postback"))
        .parameter("country", "{{COUNTRY}}")
        .parameter("device", "{{DEVICE}}");
    let folder = tempfile::tempdir()?;
    let countries = folder.path().join("country.mmdb");
    let networks = [("198.51.100.0", 24, Value::country("DE")), ("2001:db8:7::", 48, Value::country("JP"))];
    std::fs::write(&countries, database(&networks))?;
    let offer = "\n[[offer]]\nid = \"travel\"\nadvertiser = \"acme\"\n\
        tracking_url = \"https://funnel.example/{country}?clickid={click_id}&d={device}\"\n";
    let resources: Resources = resources.with(network_connector).and_text(offer);
    let stack = Setup::new(&resources)
        .env("CAROM_INGEST_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
        .env("CAROM_INGEST_COUNTRY_DATABASE", countries.to_string_lossy())
        .start(&broker)
        .await?;
    let query = "?utm_source=news&utm_campaign=a%20b&gclid=g1&gbraid=g2&wbraid=w1&fbclid=f1&ttclid=t1&msclkid=m1&own=x";
    let url = stack.click_url("travel") + query;

    let chain = [("user-agent", IPHONE), ("x-forwarded-for", "1.1.1.1, 198.51.100.77, 10.0.0.9")];
    let clicked = stack.client().click_with(&url, &chain).await?;
    assert_eq!(clicked.location, format!("https://funnel.example/DE?clickid={}&d=mobile", clicked.id));
    let click = recorded(&stack, &clicked.id).await?;
    assert_eq!((click.country.as_deref(), click.device), (Some("DE"), Some(Device::Mobile)));
    assert_eq!((network(&click).as_str(), click.not_a_touch, click.gpc), ("198.51.100.0/24", None, false));
    let kept: Vec<_> = click.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let sent =
        "utm_source=news utm_campaign=a_b gclid=g1 gbraid=g2 wbraid=w1 fbclid=f1 ttclid=t1 msclkid=m1 own=x";
    assert_eq!(kept.join(" ").replace("a b", "a_b"), sent);

    let by_six = [("user-agent", IPHONE), ("x-forwarded-for", "[2001:db8:7:1::5]:4711")];
    let click = recorded(&stack, &stack.client().click_with(&url, &by_six).await?.id).await?;
    assert_eq!((click.country.as_deref(), network(&click).as_str()), (Some("JP"), "2001:db8:7::/48"));

    // The same header by somebody who is no proxy of ours is their own invention.
    let stranger = Client::at("127.0.0.2".parse()?)?;
    let click = recorded(&stack, &stranger.click_with(&url, &chain).await?.id).await?;
    assert_eq!((click.country.as_deref(), network(&click).as_str()), (None, "127.0.0.0/24"));

    let purchase = [("event", "purchase"), ("txid", "1"), ("payout", "5"), ("click_id", &*clicked.id)];
    stack.plain(&purchase).await?;
    let postback = receiver.wait_for(secs(20), 1, |_| true).await?.remove(0);
    assert_eq!(postback.field("country").as_deref(), Some("DE"));
    assert_eq!(postback.field("device").as_deref(), Some("mobile"));
    for log in [stack.log(Binary::Ingest)?, stack.log(Binary::Worker)?] {
        assert!(!log.contains("198.51.100.77"), "an address is in a log");
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawler_with_a_visitors_cookie_is_redirected_and_is_nobodys_touch() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.click_url("demo");
    let clicked = stack.client().click_with(&url, &[("user-agent", IPHONE)]).await?;
    let cookie = clicked.cookie.context("a first click sets a cookie")?;
    let agents = [(CRAWLER, NotATouch::Bot), ("WhatsApp/2.23.20.0 A", NotATouch::LinkPreview)];
    for (agent, reason) in agents {
        let later = stack.client().click_with(&url, &[("user-agent", agent), ("cookie", &cookie)]).await?;
        let click = recorded(&stack, &later.id).await?;
        assert_eq!((click.not_a_touch, click.device), (Some(reason), Some(Device::Other)));
        assert_eq!(Some(format!("carom_visitor={}", click.visitor)), later.cookie);
        let text = stack.metrics(Binary::Ingest).await?;
        let counted = metrics::sum(&text, "carom_clicks_not_touches_total", &[("reason", reason.as_str())]);
        assert_eq!(counted, Some(1.0));
    }
    recorded(&stack, &clicked.id).await?;
    event_of(&stack, "by-cookie", &[("cookie", &cookie)]).await?;
    let postback = receiver.wait_for(secs(20), 1, |_| true).await?.remove(0);
    assert_eq!(postback.field("click_id"), Some(clicked.id), "it is the person's own click");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_with_global_privacy_control_is_given_no_cookie_and_known_by_none() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let stack = setup.start(&broker).await?;
    let url = stack.click_url("demo");
    let before = stack.client().click_with(&url, &[("user-agent", IPHONE)]).await?;
    let cookie = before.cookie.context("a click without it sets a cookie")?;
    let asks = [("user-agent", IPHONE), ("sec-gpc", "1"), ("cookie", &*cookie)];
    let clicked = stack.client().click_with(&url, &asks).await?;
    assert_eq!(clicked.cookie, None);
    let click = recorded(&stack, &clicked.id).await?;
    assert_eq!((click.gpc, click.address, click.not_a_touch), (true, None, None));
    assert_ne!(format!("carom_visitor={}", click.visitor), cookie);

    recorded(&stack, &before.id).await?;
    let event = event_of(&stack, "not-followed", &asks).await?;
    stack.traced(&event, "click_none").await?;
    // What the funnel itself says still counts: the click that it names.
    let named = [("event", "purchase"), ("txid", "named"), ("payout", "5"), ("click_id", &*clicked.id)];
    stack.plain(&named).await?;
    let tx = |name: &'static str| {
        move |got: &carom_tests::receiver::Received| got.field("tx").as_deref() == Some(name)
    };
    let postback = receiver.wait_for(secs(20), 1, tx("named")).await?.remove(0);
    assert_eq!(postback.field("click_id"), Some(clicked.id));
    stack.finish().await
}
