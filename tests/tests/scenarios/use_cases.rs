//! The use cases of the two documents that connectors are built from, through the real binaries: the three
//! examples of ClickerVolt's page (specification 002), and the example mapping and the use cases with a webhook of
//! Tracklution's (specification 004).

use anyhow::{Context, Result, ensure};
use carom_common::click::Click;
use carom_common::store::{Settings, Store};
use carom_tests::accounting::drained;
use carom_tests::accounting::ledger::Ledger;
use carom_tests::broker::Broker;
use carom_tests::client::Clicked;
use carom_tests::country_database::{Value, database};
use carom_tests::eventually::{eventually, secs};
use carom_tests::fixture;
use carom_tests::receiver::{Received, Receiver};
use carom_tests::resources::{FUNNEL_TOKEN, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Setup, Stack};
use serde_json::{Value as Json, json};

/// A connector as a user writes it, beside the scenarios' sources and offer.
fn setup(connector: &str, receiver: &Receiver) -> (Resources, Setup) {
    let resources = Resources::new().and_text(&connector.replace("@RECEIVER@", &receiver.url("")));
    let setup = Setup::new(&resources);
    (resources, setup)
}

async fn start(connector: &str) -> Result<(Receiver, Stack)> {
    let receiver = Receiver::start()?;
    let (_, setup) = setup(connector, &receiver);
    Ok((receiver, setup.start(&Broker::shared().await?).await?))
}

/// A click that is in the store, so that whatever comes next finds it there.
async fn click(stack: &Stack, query: &str, headers: &[(&str, &str)]) -> Result<Clicked> {
    let clicked = stack.client().click_with(&format!("{}?{query}", stack.click_url("demo")), headers).await?;
    recorded(stack, &clicked.id).await?;
    Ok(clicked)
}

async fn recorded(stack: &Stack, id: &str) -> Result<Click> {
    let store = Store::open_read_only(&Settings::Sqlite(stack.dir().join("carom.db")))?;
    let id = id.parse()?;
    eventually(secs(15), format!("the click {id} is recorded"), async || {
        store.click(id).await?.context("it is not there")
    })
    .await
}

/// A purchase over this amount by whoever made the click; gives the event's id.
async fn buy(stack: &Stack, click: &Clicked, txid: &str, value: &str) -> Result<String> {
    let pairs = [
        ("click_id", &*click.id),
        ("event", "purchase"),
        ("txid", txid),
        ("payout", value),
        ("currency", "USD"),
    ];
    let event = stack.plain(&pairs).await?;
    stack.handed_over(&event).await?;
    Ok(event)
}

/// Everything that was sent, when nothing is under way any more.
async fn all_sent(stack: &Stack, receiver: &Receiver) -> Result<Vec<Received>> {
    // The broker's figures are some seconds old; the store's are not.
    eventually(secs(15), "nothing is on its way", async || {
        let on_their_way = Ledger::on_their_way(stack).await?;
        ensure!(on_their_way == 0, "{on_their_way} are");
        Ok(())
    })
    .await?;
    drained(stack.vhost()?, secs(15)).await?;
    Ok(receiver.requests())
}

fn fields(requests: &[Received], name: &str) -> Vec<String> {
    let mut fields: Vec<_> = requests.iter().filter_map(|request| request.field(name)).collect();
    fields.sort();
    fields
}

/// What the trace of an event says of why a connector was skipped.
async fn skipped(stack: &Stack, event: &str, code: &str) -> Result<String> {
    let trace = stack.trace(event).await?;
    let decisions = trace["decisions"].as_array().context("no decisions")?;
    let found = decisions.iter().find(|decision| decision["code"] == code);
    let found = found.with_context(|| format!("no {code} in {decisions:#?}"))?;
    Ok(found["detail"].as_str().unwrap_or_default().to_owned())
}

// ---- Specification 002 -------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn facebook_traffic_with_conversions_over_50_fires_and_nothing_else_does() -> Result<()> {
    let (receiver, stack) = start(
        r#"
[[connector]]
id = "crm"
advertiser = "acme"
triggers = ["conversion"]

[[connector.condition]]
field = "utm_source"
operator = "equals"
value = "facebook"

[[connector.condition]]
field = "revenue"
operator = "greater"
value = 50

[connector.webhook]
url = "@RECEIVER@/crm"
parameters = [{ name = "tx", value = "[transaction]" }]
"#,
    )
    .await?;
    let facebook = click(&stack, "utm_source=facebook", &[]).await?;
    let google = click(&stack, "utm_source=google", &[]).await?;
    buy(&stack, &facebook, "over", "50.01").await?;
    let exactly = buy(&stack, &facebook, "exactly", "50").await?;
    buy(&stack, &facebook, "under", "49.99").await?;
    let elsewhere = buy(&stack, &google, "elsewhere", "500").await?;
    buy(&stack, &facebook, "far-over", "1000").await?;
    assert_eq!(fields(&all_sent(&stack, &receiver).await?, "tx"), ["far-over", "over"]);
    for (event, field) in [(exactly, "revenue"), (elsewhere, "utm_source")] {
        let why = skipped(&stack, &event, "skipped_condition").await?;
        assert!(why.starts_with("crm") && why.contains(field), "{why}");
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_click_from_facebook_and_last_click_from_the_us_are_asked_of_two_clicks_in_one_rule()
-> Result<()> {
    let receiver = Receiver::start()?;
    let connector = r#"
[[connector]]
id = "crm"
advertiser = "acme"
triggers = ["conversion"]

[[connector.condition]]
field = "utm_source"
click = "first"
operator = "equals"
value = "facebook"

[[connector.condition]]
field = "country"
click = "last"
operator = "equals"
value = "US"

[connector.webhook]
url = "@RECEIVER@/crm"
parameters = [{ name = "tx", value = "[transaction]" }]
"#;
    let folder = tempfile::tempdir()?;
    let countries = folder.path().join("country.mmdb");
    let networks = [("198.51.100.0", 24, Value::country("US")), ("203.0.113.0", 24, Value::country("DE"))];
    std::fs::write(&countries, database(&networks))?;
    let (_, setup) = setup(connector, &receiver);
    let stack = setup
        .env("CAROM_INGEST_TRUSTED_PROXIES", "127.0.0.1")
        .env("CAROM_INGEST_COUNTRY_DATABASE", countries.to_string_lossy())
        .start(&Broker::shared().await?)
        .await?;
    let (us, de) = (("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "203.0.113.7"));
    // Each visitor's first click and last click; only the first of them is meant.
    let visitors = [
        ("meant", ("facebook", de), ("google", us)),
        ("last-elsewhere", ("facebook", us), ("google", de)),
        ("first-elsewhere", ("google", de), ("facebook", us)),
    ];
    for (txid, (first_source, first_from), (last_source, last_from)) in visitors {
        let first = click(&stack, &format!("utm_source={first_source}"), &[first_from]).await?;
        let cookie = first.cookie.context("a first click sets a cookie")?;
        let headers = [last_from, ("cookie", cookie.as_str())];
        let last = click(&stack, &format!("utm_source={last_source}"), &headers).await?;
        buy(&stack, &last, txid, "10").await?;
    }
    assert_eq!(fields(&all_sent(&stack, &receiver).await?, "tx"), ["meant"]);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_url_with_tokens_gets_amount_and_transaction_of_each_conversion_and_refund() -> Result<()>
{
    let (receiver, stack) = start(
        r#"
[[connector]]
id = "tracker"
advertiser = "acme"
triggers = ["conversion", "refund", "event 3"]

[connector.webhook]
url = "@RECEIVER@/track?amount=[revenue]&txn=[transaction]"
"#,
    )
    .await?;
    let clicked = click(&stack, "utm_source=news", &[]).await?;
    buy(&stack, &clicked, "T 1&2", "49.90").await?;
    receiver.wait_for(secs(15), 1, |_| true).await?;
    // Each of the enabled events is a request of its own.
    for (event, value) in [("refund", "9.90"), ("event3", "1")] {
        let pairs = [("click_id", &*clicked.id), ("event", event), ("txid", "T 1&2"), ("payout", value)];
        stack.handed_over(&stack.plain(&pairs).await?).await?;
    }
    let other = [("click_id", &*clicked.id), ("event", "event4"), ("txid", "T4"), ("payout", "1")];
    stack.handed_over(&stack.plain(&other).await?).await?;
    let sent = all_sent(&stack, &receiver).await?;
    assert_eq!(fields(&sent, "amount"), ["1", "49.90", "9.90"]);
    for request in &sent {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/track"));
        assert_eq!(request.field("txn").as_deref(), Some("T 1&2"));
        assert_eq!(request.query.len(), 2, "{:?}", request.query);
    }
    stack.finish().await
}

// ---- Specification 004 -------------------------------------------------------------------------------------

/// The affiliate network of the document: its click id comes back with the purchase's value.
const AFFILIATE: &str = r#"
[[connector]]
id = "affiliate"
advertiser = "acme"
name = "Affiliate Network X"
triggers = ["purchase"]

[connector.click_id]
parameter = "aff_click_id"
model = "last_click"
window = "14d"

[connector.webhook]
url = "@RECEIVER@/postback"
unresolved = "block"
parameters = [
  { name = "value", value = "{{VALUE}}" },
  { name = "click", value = "{{CLICK_ID}}" },
]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_affiliate_network_gets_its_click_id_back_when_its_click_was_the_last() -> Result<()> {
    let (receiver, stack) = start(AFFILIATE).await?;
    let abc = click(&stack, "aff_click_id=abc123", &[]).await?;
    buy(&stack, &abc, "1", "15").await?;
    // A lead is no purchase.
    let lead = [("click_id", &*abc.id), ("event", "lead"), ("txid", "l")];
    stack.handed_over(&stack.plain(&lead).await?).await?;
    let direct = click(&stack, "utm_source=news", &[]).await?;
    let organic = buy(&stack, &direct, "2", "15").await?;

    // Another platform's click afterwards takes the conversion from it; a direct visit does not.
    let visitor = |clicked: &Clicked| clicked.cookie.clone().context("a first click sets a cookie");
    let first = click(&stack, "aff_click_id=lost", &[]).await?;
    let cookie = visitor(&first)?;
    let google = click(&stack, "gclid=g1", &[("cookie", &cookie)]).await?;
    let taken = buy(&stack, &google, "3", "15").await?;
    let second = click(&stack, "aff_click_id=kept", &[]).await?;
    let cookie = visitor(&second)?;
    let back = click(&stack, "utm_source=news", &[("cookie", &cookie)]).await?;
    buy(&stack, &back, "4", "16").await?;

    let sent = all_sent(&stack, &receiver).await?;
    assert_eq!(fields(&sent, "click"), ["abc123", "kept"]);
    assert_eq!(fields(&sent, "value"), ["15", "16"]);
    for event in [organic, taken] {
        let why = skipped(&stack, &event, "skipped_click_id").await?;
        assert!(why.starts_with("affiliate"), "{why}");
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_id_that_a_platform_appended_to_the_funnels_landing_page_comes_back_to_it() -> Result<()> {
    let (receiver, stack) = start(AFFILIATE).await?;
    // No click of ours at all: the platform's link led to the funnel itself, whose visit carries the id.
    let mut body: Json = serde_json::from_str(fixture::ONE_TIME_ORDER)?;
    strip_clicks(&mut body);
    let event =
        stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), body.to_string()).await?.accepted()?;
    stack.handed_over(&event).await?;
    let sent = receiver.wait_for(secs(15), 1, |_| true).await?;
    assert_eq!(sent[0].field("click").as_deref(), Some("abc123"));
    assert_eq!(sent[0].field("value").as_deref(), Some("396.00"));
    stack.finish().await
}

/// Takes our click id from a payload, and gives its landing pages an affiliate network's.
fn strip_clicks(body: &mut Json) {
    match body {
        Json::Object(fields) => {
            fields.remove("clickid");
            for (name, value) in fields.iter_mut() {
                if name == "landing_page" && value.is_string() {
                    *value = json!("https://your-funnel-domain.com/funnel-page?aff_click_id=abc123");
                }
                strip_clicks(value);
            }
        }
        Json::Array(elements) => elements.iter_mut().for_each(strip_clicks),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connectors_that_share_a_click_id_parameter_are_told_apart_by_the_strict_source_value() -> Result<()>
{
    let platform = |id: &str| {
        format!(
            r#"
[[connector]]
id = "{id}"
advertiser = "acme"
triggers = ["purchase"]

[connector.click_id]
parameter = "click_id"
source = {{ parameter = "utm_source", value = "{id}" }}
model = "any_click"
window = "14d"

[connector.webhook]
url = "@RECEIVER@/{id}"
parameters = [{{ name = "click", value = "{{{{CLICK_ID}}}}" }}]
"#
        )
    };
    let (receiver, stack) = start(&(platform("platform_x") + &platform("platform_y"))).await?;
    let x = click(&stack, "click_id=12345&utm_source=platform_x", &[]).await?;
    buy(&stack, &x, "1", "15").await?;
    let neither = click(&stack, "click_id=12345&utm_source=platform_xyz", &[]).await?;
    buy(&stack, &neither, "2", "15").await?;
    // Any click within the window counts for both.
    let cookie =
        click(&stack, "click_id=777&utm_source=platform_x", &[]).await?.cookie.context("no cookie")?;
    let y = click(&stack, "click_id=888&utm_source=platform_y", &[("cookie", &cookie)]).await?;
    buy(&stack, &y, "3", "15").await?;
    let sent = all_sent(&stack, &receiver).await?;
    let mut told: Vec<_> = sent
        .iter()
        .map(|request| format!("{} {}", request.path, request.field("click").unwrap_or_default()))
        .collect();
    told.sort();
    assert_eq!(told, ["/platform_x 12345", "/platform_x 777", "/platform_y 888"]);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hybrid_connector_sends_its_webhook_and_either_half_is_turned_off_without_losing_it() -> Result<()>
{
    let hybrid = format!(
        "{AFFILIATE}\n[connector.pixel]\nenabled = false\n\
         code = \"<script>somePixelLibrary.track('{{{{EVENT_NAME}}}}', {{ value: '{{{{VALUE}}}}' }});</script>\"\n"
    );
    let receiver = Receiver::start()?;
    let (resources, setup) = setup(&hybrid, &receiver);
    let stack = setup.start(&Broker::shared().await?).await?;
    let abc = click(&stack, "aff_click_id=abc123", &[]).await?;
    buy(&stack, &abc, "1", "15").await?;
    receiver.wait_for(secs(15), 1, |_| true).await?;

    let unplugged = hybrid.replace("[connector.webhook]\n", "[connector.webhook]\nenabled = false\n");
    let unplugged = Resources::new().and_text(&unplugged.replace("@RECEIVER@", &receiver.url("")));
    stack.apply(&unplugged).await?;
    let event = buy(&stack, &abc, "2", "16").await?;
    skipped(&stack, &event, "skipped_disabled").await?;
    stack.apply(&resources).await?;
    buy(&stack, &abc, "3", "17").await?;
    assert_eq!(fields(&all_sent(&stack, &receiver).await?, "value"), ["15", "17"]);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_system_gets_purchases_by_post_with_an_authorization_header_from_a_secret() -> Result<()>
{
    const KEY: &str = "internal-key-0ddba11";
    let connector = r#"
[[connector]]
id = "internal"
advertiser = "acme"
triggers = ["purchase"]

[connector.webhook]
method = "POST"
encoding = "json"
url = "@RECEIVER@/purchases"
parameters = [
  { name = "order", value = "{{TRANSACTION_ID}}" },
  { name = "value", value = "{{VALUE}}" },
  { name = "currency", value = "{{CURRENCY}}" },
]

[connector.webhook.authorization]
kind = "bearer"
token = { env = "INTERNAL_API_KEY" }
"#;
    let receiver = Receiver::start()?;
    let (_, setup) = setup(connector, &receiver);
    let stack = setup.env("INTERNAL_API_KEY", KEY).start(&Broker::shared().await?).await?;
    let clicked = click(&stack, "utm_source=news", &[]).await?;
    buy(&stack, &clicked, "A-1", "15.00").await?;
    let sent = receiver.wait_for(secs(15), 1, |_| true).await?.remove(0);
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/purchases"));
    assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.json(), Some(json!({ "order": "A-1", "value": "15.00", "currency": "USD" })));
    let logged = eventually(secs(10), "the attempt is in the log", async || {
        let log = stack.carom_ok(&["log", "--json"]).await?;
        ensure!(log.contains("/purchases"), "it is not");
        Ok(log)
    })
    .await?;
    assert!(!logged.contains(KEY), "the key is in the log");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_mapping_becomes_the_url_of_the_documents_preview() -> Result<()> {
    let (receiver, stack) = start(
        r#"
[[connector]]
id = "mapping"
advertiser = "acme"
triggers = ["purchase"]

[connector.webhook]
url = "@RECEIVER@/webhook"
# The preview shows neither fbc nor phone, which the event has not.
empty = "drop"
parameters = [
  { name = "value", value = "{{VALUE}}" },
  { name = "track", value = "{{EVENT_NAME}}" },
  { name = "gclid", value = "{{GCLID}}" },
  { name = "fbc", value = "{{FBC}}" },
  { name = "email", value = "{{EMAIL}}" },
  { name = "phone", value = "{{PHONE}}" },
]
headers = [{ name = "Authorization", value = "Bearer abc123" }]
"#,
    )
    .await?;
    let clicked = click(&stack, "gclid=12a34bC", &[]).await?;
    let event = json!({
        "click_id": clicked.id, "event": "Purchase", "value": 15, "email": "example@email.com",
        "transaction_id": 12345,
    });
    let event =
        stack.client().webhook(&stack.events_url(PLAIN_TOKEN), event.to_string()).await?.accepted()?;
    stack.handed_over(&event).await?;
    let sent = receiver.wait_for(secs(15), 1, |_| true).await?.remove(0);
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("GET", "/webhook"));
    let pairs: Vec<_> = sent.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(pairs.join("&"), "value=15&track=Purchase&gclid=12a34bC&email=example@email.com");
    assert_eq!(sent.header("authorization"), Some("Bearer abc123"));
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_parameters_of_the_event_and_a_renamed_event_are_sent() -> Result<()> {
    let (receiver, stack) = start(
        r#"
[[connector]]
id = "custom"
advertiser = "acme"
triggers = ["purchase", "signup"]

[connector.webhook]
method = "POST"
encoding = "form"
url = "@RECEIVER@/webhook"
parameters = [
  { name = "id", value = "{{TRANSACTION_ID}}" },
  { name = "extra", value = "{{EXTRA}}" },
  { name = "static", value = "as it stands" },
  { name = "event", value = "{{EVENT_NAME}}" },
]

[connector.webhook.rename]
purchase = "order_placed"
"#,
    )
    .await?;
    for name in ["Purchase", "signup"] {
        let event = json!({ "event": name, "transaction_id": 12345, "extra": "something", "event_id": name });
        stack.client().webhook(&stack.events_url(PLAIN_TOKEN), event.to_string()).await?.accepted()?;
    }
    let sent = receiver.wait_for(secs(15), 2, |_| true).await?;
    assert_eq!(fields(&sent, "event"), ["order_placed", "signup"]);
    for request in sent {
        assert_eq!(request.method, "POST");
        assert!(request.query.is_empty(), "{:?}", request.query);
        assert_eq!(request.field("id").as_deref(), Some("12345"));
        assert_eq!(request.field("extra").as_deref(), Some("something"));
        assert_eq!(request.field("static").as_deref(), Some("as it stands"));
    }
    stack.finish().await
}
