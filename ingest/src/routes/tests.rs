//! Every answer that needs no broker: the lines' publishing is stood in for by a function that confirms,
//! refuses or never answers. The spool is a real one.

use super::*;
use crate::client::Peer;
use crate::custody::Custody;
use crate::geo::{self, Countries};
use crate::index::Index;
use crate::limits::Limits;
use crate::publish::Line;
use crate::room::{self, Rooms};
use crate::spool::{Queue, tests::opened};
use crate::track::{History, Readable};
use carom_common::amqp::PublishError;
use carom_common::click::Click;
use carom_common::config;
use carom_common::config::Config;
use carom_common::envelope;
use carom_common::intake::Intake;
use carom_common::resources::Versioned;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

mod touches;
mod track;

/// What the stand-in for the broker does.
#[derive(Clone, Copy)]
enum Broker {
    Confirms,
    Refuses(PublishError),
    Hangs,
}

/// What the signed sources' requests are signed with.
const SECRET: &str = "839d0d645bedefbaf76e3269d1b1141ef07683c179cc3bb0aee9348c90517a7";

struct Relay {
    app: Arc<App>,
    router: Router,
    intakes: Arc<Mutex<Vec<Intake>>>,
    clicks: Arc<Mutex<Vec<Click>>>,
    index: watch::Sender<Arc<Index>>,
    /// The store in which a page's visitor is looked up: none at first.
    readable: watch::Sender<Option<Readable>>,
    folder: TempDir,
}

/// What the spool is like.
#[derive(Clone, Copy)]
enum Disk {
    Good,
    Small,
    Broken,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The problem's slug; empty where the answer is none.
    fn problem(&self) -> String {
        if self.headers.get("content-type").is_none_or(|kind| kind != "application/problem+json") {
            return String::new();
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        for told in ["title", "detail"] {
            assert!(problem[told].as_str().unwrap().len() > 10, "{problem}");
        }
        problem["type"].as_str().unwrap().strip_prefix("urn:carom:problem:").unwrap().to_owned()
    }
}

fn custody<T: envelope::Item + Send + 'static>(
    broker: Broker,
    queue: Queue,
    capacity: usize,
    spool: &crate::spool::Spool,
) -> (Custody, Arc<Mutex<Vec<T>>>) {
    let taken: Arc<Mutex<Vec<T>>> = Arc::default();
    let kept = taken.clone();
    let publish = move |message: Vec<u8>, _| {
        kept.lock().unwrap().extend(envelope::decode::<T>(&message).unwrap());
        async move {
            match broker {
                Broker::Confirms => Ok(()),
                Broker::Refuses(error) => Err(error),
                Broker::Hangs => std::future::pending().await,
            }
        }
    };
    let line = Line::start(queue.kind(), capacity, publish, |_| {});
    // Nobody needs to say anything more.
    let reachable = watch::channel(true).1;
    (Custody { queue, line, spool: spool.clone(), reachable, stop: CancellationToken::new() }, taken)
}

fn relay(broker: Broker, limits: impl FnOnce(&mut config::Ingest)) -> Relay {
    relay_with(broker, Disk::Good, limits)
}

fn relay_with(broker: Broker, disk: Disk, limits: impl FnOnce(&mut config::Ingest)) -> Relay {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let other = folder.path().join("other");
    std::fs::write(&other, "another secret").unwrap();
    let resources = json!({
        "advertiser": [{"id": "acme"}],
        "offer": [{
            "id": "shoes", "advertiser": "acme", "target": "main",
            "tracking_url": "https://funnel.example/page?clickid={click_id}&sub={param.sub}&v={visitor}",
        }],
        "source": [
            {"id": "funnel", "advertiser": "acme", "kind": "clickfunnels", "tokens": ["cf-token"]},
            {"id": "plain", "advertiser": "acme", "kind": "plain", "tokens": ["plain token", "other"]},
            {"id": "paced", "advertiser": "acme", "kind": "plain", "tokens": ["paced-1", "paced-2"], "rate": "1/h"},
            {"id": "open", "advertiser": "acme", "kind": "clickfunnels", "open": true, "event_domains": ["open.example"]},
            {"id": "closed", "advertiser": "acme", "kind": "plain", "event_domains": ["closed.example"]},
            {"id": "pixel", "advertiser": "acme", "kind": "plain", "open": true, "event_domains": ["pixel.example"]},
            {"id": "signed", "advertiser": "acme", "kind": "clickfunnels", "event_domains": ["signed.example"], "tokens": ["signed-token"],
             "signature": {"scheme": "clickfunnels", "secrets": [{"file": other}, {"file": secret}], "tolerance": "36500d"}},
            {"id": "fresh", "advertiser": "acme", "kind": "clickfunnels", "event_domains": ["fresh.example"],
             "signature": {"scheme": "clickfunnels", "secrets": [{"file": secret}]}},
            {"id": "rotated", "advertiser": "acme", "kind": "clickfunnels", "event_domains": ["rotated.example"],
             "signature": {"scheme": "clickfunnels", "secrets": [{"file": "/nowhere/at/all"}, {"file": secret}], "tolerance": "36500d"}},
            {"id": "hooks", "advertiser": "acme", "kind": "plain", "event_domains": ["hooks.example"],
             "signature": {"scheme": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256=", "secrets": [{"file": secret}]}},
            {"id": "unread", "advertiser": "acme", "kind": "clickfunnels", "event_domains": ["unread.example"], "tokens": ["unread-token"],
             "signature": {"scheme": "clickfunnels", "secrets": [{"file": "/nowhere/at/all"}]}},
            {"id": "torn", "advertiser": "acme", "kind": "plain", "open": true, "event_domains": ["torn.example"],
             "signature": {"scheme": "clickfunnels", "secrets": [{"file": secret}], "tolerance": "36500d"}},
            {"id": "faulty", "advertiser": "acme", "kind": "plain", "event_domains": ["faulty.example"],
             "signature": {"scheme": "hmac", "secrets": [{"file": secret}]}},
            {"id": "shop-tag", "advertiser": "acme", "kind": "tag", "site_key": "pk_live_1",
             "allowed_origins": ["https://shop.example", "https://shop.example:8443"]},
        ],
    });
    let resources = serde_json::from_value(resources).unwrap();
    let index = Arc::new(Index::new(Arc::new(Versioned { version: 1, resources, ..Versioned::default() })));
    let (sender, index) = watch::channel(index);
    let mut ingest = Config::load(None).unwrap().ingest;
    limits(&mut ingest);
    let spool = match disk {
        Disk::Good => opened(&folder.path().join("spool.db"), 1 << 30),
        Disk::Small => opened(&folder.path().join("spool.db"), 40 * 1024),
        Disk::Broken => opened(&secret.join("spool.db"), 1 << 30),
    };
    let (events, intakes) = custody(broker, Queue::Events, ingest.max_in_flight, &spool);
    let (redirects, clicks) = custody(broker, Queue::Clicks, ingest.max_in_flight, &spool);
    let (readable, store) = watch::channel(None);
    let app = Arc::new(App {
        index,
        track_path: Config::load(None).unwrap().tag.track,
        history: History::new(store, Duration::from_millis(200)),
        log_bytes: 4096,
        events,
        clicks: redirects,
        countries: Countries::fixed(geo::tests::small()),
        in_flight: Arc::new(Semaphore::new(ingest.max_in_flight)),
        rooms: Rooms::new(ingest.max_bytes_in_flight),
        sources: Limits::new(ingest.max_in_flight_per_source, room::share(&ingest)),
        confirm_timeout: Duration::from_millis(200),
        tag: tag::Tag::new(&Config::load(None).unwrap().tag),
        limits: ingest,
        metrics: Arc::new(crate::metrics::Ingest::new(&carom_common::telemetry::Metrics::new("test"))),
    });
    Relay { router: router(app.clone()), app, intakes, clicks, index: sender, readable, folder }
}

impl Relay {
    async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answered {
        self.ask_from("203.0.113.5", method, url, headers, body).await
    }

    async fn ask_from(
        &self,
        peer: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(url).extension(Peer(peer.parse().unwrap()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers["cache-control"], "no-store");
        Answered {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(bytes.into()).unwrap(),
        }
    }

    fn last_intake(&self) -> Intake {
        self.intakes.lock().unwrap().last().unwrap().clone()
    }

    fn last_click(&self) -> Click {
        self.clicks.lock().unwrap().last().unwrap().clone()
    }

    fn counted(&self, source: &str, outcome: &str) -> u64 {
        self.app.metrics.intakes.with_label_values(&[source, outcome]).get()
    }
}

const UA: (&str, &str) = ("user-agent", "Mozilla/5.0");

#[tokio::test]
async fn who_may_send_events_is_told_by_token_or_by_an_open_sources_host() {
    let relay = relay(Broker::Confirms, |_| {});
    let table = [
        ("/api/v1/events/cf-token", "any.example", 202, ""),
        ("/api/v1/events/plain%20token", "any.example", 202, ""),
        ("/api/v1/events/other?a=1", "open.example", 202, ""),
        ("/api/v1/events/wrong", "open.example", 401, "token-unknown"),
        ("/api/v1/events/%ff", "open.example", 401, "token-unknown"),
        ("/api/v1/events/cf-toke", "any.example", 401, "token-unknown"),
        ("/api/v1/events", "open.example", 202, ""),
        ("/api/v1/events", "OPEN.example.:8443", 202, ""),
        ("http://open.example/api/v1/events", "closed.example", 202, ""),
        ("/api/v1/events", "closed.example", 401, "token-missing"),
        ("/api/v1/events", "stranger.example", 401, "token-missing"),
        ("/api/v1/events", "open.example, closed.example", 401, "token-missing"),
        ("/api/v1/events/", "open.example", 404, "not-found"),
        ("/api/v1/events/cf-token/more", "open.example", 404, "not-found"),
    ];
    for (url, host, status, problem) in table {
        let answered = relay.ask("POST", url, &[("host", host)], "{\"a\": 1}").await;
        assert_eq!(
            (answered.status.as_u16(), answered.problem().as_str()),
            (status, problem),
            "{url} {host}"
        );
        assert_eq!(answered.headers.contains_key("www-authenticate"), status == 401);
    }
    assert_eq!(relay.counted("unknown", "unauthorized"), 6);
    assert_eq!(relay.counted("open", "accepted"), 3);
    let twice = relay
        .ask("POST", "/api/v1/events", &[("host", "open.example"), ("host", "open.example")], "{}")
        .await;
    assert_eq!(twice.problem(), "token-missing");
}

const TIMESTAMP: &str = "x-webhook-clickfunnels-timestamp";
const SIGNATURE: &str = "x-webhook-clickfunnels-signature";
/// When the signatures below were made, by another implementation.
const AT: (&str, &str) = (TIMESTAMP, "1768076109");
const GOOD: &str = r#"{"a": "\u003c"}"#;
const SIGNED: (&str, &str) = (SIGNATURE, "4862b1506fa2577dc0eb54d762962755a0eb8cf3567ea579354557ed81a96333");
const BROKEN: &str = "not json";
const SIGNED_BROKEN: (&str, &str) =
    (SIGNATURE, "80c43178f07e64a793f1a40a980f3261d4b8fd47ea1bc31b1a453ecc5a579776");
const EMPTY: (&str, &str) = (SIGNATURE, "193fb8ab0c3bf99fd4a32e4217e063f864c38f55182cd82cdfeee311185f068b");
const HOOK: &str = "x-hub-signature-256";

#[tokio::test]
async fn a_signed_source_takes_what_is_signed_and_nothing_else() {
    use carom_common::intake::Verified;
    use carom_common::signature::Scheme;
    let relay = relay(Broker::Confirms, |_| {});
    let signed = "http://signed.example/api/v1/events";
    let hooks = "http://hooks.example/api/v1/events";
    let by_token = "/api/v1/events/signed-token";
    let wrong = (SIGNATURE, SIGNED_BROKEN.1);
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let table: &[Row<'_>] = &[
        (signed, &[AT, SIGNED], GOOD, 202, ""),
        (by_token, &[AT, SIGNED], GOOD, 202, ""),
        (by_token, &[AT, SIGNED, ("x-webhook-clickfunnels-id", "any")], GOOD, 202, ""),
        (signed, &[], GOOD, 401, "signature-missing"),
        (by_token, &[], GOOD, 401, "signature-missing"),
        (signed, &[SIGNED], GOOD, 401, "signature-missing"),
        (signed, &[AT, wrong], GOOD, 401, "signature-invalid"),
        (by_token, &[AT, wrong], GOOD, 401, "signature-invalid"),
        (signed, &[AT, SIGNED], r#"{"a": "<"}"#, 401, "signature-invalid"),
        (signed, &[AT, SIGNED, SIGNED], GOOD, 401, "signature-invalid"),
        (signed, &[AT, (SIGNATURE, "no hex")], GOOD, 401, "signature-invalid"),
        (signed, &[(TIMESTAMP, "soon"), SIGNED], GOOD, 401, "signature-invalid"),
        // Bounds come first, the signature before the body's meaning.
        (signed, &[("content-encoding", "gzip")], GOOD, 415, "content-encoding"),
        (signed, &[], BROKEN, 401, "signature-missing"),
        (signed, &[], "", 401, "signature-missing"),
        ("http://fresh.example/api/v1/events", &[AT, SIGNED], GOOD, 401, "signature-stale"),
        (
            "http://fresh.example/api/v1/events",
            &[(TIMESTAMP, "9999999999"), SIGNED],
            GOOD,
            401,
            "signature-stale",
        ),
        (
            hooks,
            &[(HOOK, "sha256=17d22895fa75d9b3c52714c4f36e7c626d1b0815e3194945a2254eba2dc3451f")],
            GOOD,
            202,
            "",
        ),
        (
            hooks,
            &[(HOOK, "sha256=17d22895fa75d9b3c52714c4f36e7c626d1b0815e3194945a2254eba2dc3451f")],
            "{}",
            401,
            "signature-invalid",
        ),
        (hooks, &[AT, SIGNED], GOOD, 401, "signature-missing"),
        // A plain sender can mend its body, and should hear of it.
        (
            hooks,
            &[
                (HOOK, "sha256=26fdd1fa954e197b30026836756feeaa54edd0cf182380970a5133f8441864b9"),
                ("content-type", "application/json"),
            ],
            BROKEN,
            400,
            "not-json",
        ),
        // Nobody who says open as well gets around it.
        ("http://torn.example/api/v1/events", &[], GOOD, 401, "signature-missing"),
        ("http://torn.example/api/v1/events", &[AT, SIGNED], GOOD, 202, ""),
        // A good signature mends no wrong token.
        ("http://signed.example/api/v1/events/wrong", &[AT, SIGNED], GOOD, 401, "token-unknown"),
    ];
    for (url, headers, body, status, problem) in table {
        let before = relay.intakes.lock().unwrap().len();
        let answered = relay.ask("POST", url, headers, body.to_string()).await;
        let found = (answered.status.as_u16(), answered.problem());
        assert_eq!(found, (*status, (*problem).to_owned()), "{url} {headers:?} {body}");
        assert_eq!(answered.headers.contains_key("www-authenticate"), *status == 401);
        assert_eq!(relay.intakes.lock().unwrap().len() - before, usize::from(*status == 202), "{url}");
        assert!(!answered.body.contains(&SECRET[..10]) && !answered.body.contains(&SIGNED.1[..10]));
    }
    assert_eq!(relay.counted("signed", "unauthorized"), 11);
    let refused = |reason| relay.app.metrics.signatures_refused.with_label_values(&["signed", reason]).get();
    assert_eq!((refused("header_missing"), refused("signature_mismatch")), (5, 3));

    for (url, headers, verified) in [
        (signed, [AT, SIGNED], Verified::Signature(Scheme::Clickfunnels)),
        (by_token, [AT, SIGNED], Verified::TokenAndSignature(Scheme::Clickfunnels)),
        ("/api/v1/events/cf-token", [AT, SIGNED], Verified::Token),
        ("http://open.example/api/v1/events", [AT, SIGNED], Verified::Open),
        ("http://torn.example/api/v1/events", [AT, SIGNED], Verified::Signature(Scheme::Clickfunnels)),
    ] {
        assert_eq!(relay.ask("POST", url, &headers, GOOD).await.status, 202, "{url}");
        assert_eq!(relay.last_intake().verified, verified, "{url}");
    }
}

#[tokio::test]
async fn a_signed_funnels_unusable_body_is_kept_and_warned_of() {
    let relay = relay(Broker::Confirms, |_| {});
    for url in ["http://signed.example/api/v1/events", "/api/v1/events/signed-token"] {
        for (signature, body) in [(SIGNED_BROKEN, BROKEN), (EMPTY, "")] {
            let answered = relay.ask("POST", url, &[AT, signature], body).await;
            assert_eq!(answered.status, 202, "{url} {body:?}: {}", answered.body);
            assert!(answered.json()["warning"].as_str().unwrap().contains("is kept"), "{url} {body:?}");
            assert_eq!(relay.last_intake().body.0, body.as_bytes());
        }
    }
    assert_eq!(relay.counted("signed", "accepted_with_warning"), 4);
}

#[tokio::test]
async fn while_no_secret_can_be_read_nobody_is_let_in_and_nobody_is_told_that_they_are_wrong() {
    let relay = relay(Broker::Confirms, |_| {});
    let wrong = (SIGNATURE, SIGNED_BROKEN.1);
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);
    let table: &[Row<'_>] = &[
        ("http://unread.example/api/v1/events", &[AT, SIGNED], 503, "unverifiable"),
        ("http://unread.example/api/v1/events", &[], 503, "unverifiable"),
        ("/api/v1/events/unread-token", &[AT, SIGNED], 503, "unverifiable"),
        ("http://faulty.example/api/v1/events", &[], 503, "unverifiable"),
        // One of two can be read: what is not of that one may be of the other.
        ("http://rotated.example/api/v1/events", &[AT, SIGNED], 202, ""),
        ("http://rotated.example/api/v1/events", &[AT, wrong], 503, "unverifiable"),
        ("http://rotated.example/api/v1/events", &[AT], 401, "signature-missing"),
    ];
    for (url, headers, status, problem) in table {
        let answered = relay.ask("POST", url, headers, GOOD).await;
        assert_eq!((answered.status.as_u16(), answered.problem().as_str()), (*status, *problem), "{url}");
        assert_eq!(answered.headers.contains_key("retry-after"), *status == 503);
        assert!(!answered.body.contains("nowhere"), "{}", answered.body);
    }
    assert_eq!(relay.counted("unread", "unverifiable"), 3);
    assert_eq!(relay.intakes.lock().unwrap().len(), 1);
    assert_eq!(relay.app.index.borrow().unreadable_secrets(), 2);
}

#[tokio::test]
async fn an_intake_holds_the_request_to_the_byte() {
    let relay = relay(Broker::Confirms, |_| {});
    let visitor = "0d4d5f6e-8a52-4c8e-9b57-2f3a1c0de111";
    let url = "/api/v1/events/cf-token?click_id={contact.custom_attributes.clickid}&event_parameter=[event_name]&a=1&a=%00";
    let headers = [("content-type", "application/json"), ("cookie", &format!("carom_visitor={visitor}"))];
    let body = "{\"data\": {\"amount\": 0.1000000000000000055511151231}}\n";
    let answered = relay.ask("POST", url, &headers, body).await;
    assert_eq!(answered.status, 202);
    let intake = relay.last_intake();
    assert_eq!(answered.json(), json!({"id": intake.id.to_string()}));
    assert_eq!(intake.source.as_str(), "funnel");
    assert_eq!(Some(intake.query.as_str()), url.split_once('?').map(|(_, query)| query));
    assert_eq!(intake.content_type.as_deref(), Some("application/json"));
    assert_eq!(intake.body.0, body.as_bytes());
    assert_eq!(intake.visitor.unwrap().to_string(), visitor);
}

#[tokio::test]
async fn a_look_whether_we_are_here_is_no_event() {
    let relay = relay(Broker::Confirms, |_| {});
    let pings = [
        ("GET", "/api/v1/events/plain%20token"),
        ("HEAD", "/api/v1/events/plain%20token"),
        ("HEAD", "/api/v1/events/plain%20token?a=1"),
        ("GET", "/api/v1/events/cf-token?click_id={contact.custom_attributes.clickid}"),
        ("GET", "http://open.example/api/v1/events"),
        ("GET", "http://signed.example/api/v1/events"),
        ("HEAD", "/api/v1/events/signed-token"),
        ("GET", "http://unread.example/api/v1/events"),
        ("HEAD", "http://hooks.example/api/v1/events?a=1"),
    ];
    for (method, url) in pings {
        let answered = relay.ask(method, url, &[], "").await;
        assert_eq!(answered.status, 200, "{method} {url}");
        assert_eq!(relay.intakes.lock().unwrap().len(), 0, "{method} {url}");
    }
    let unsigned = relay.ask("GET", "http://hooks.example/api/v1/events?event_parameter=lead", &[], "").await;
    assert_eq!(unsigned.problem(), "signature-missing", "it says something, so it must be signed");
    let sent = relay.ask("GET", "http://pixel.example/api/v1/events?event_parameter=lead", &[], "").await;
    assert_eq!(sent.status, 202);
    assert_eq!(relay.last_intake().query, "event_parameter=lead");
    assert!(relay.last_intake().body.is_empty());
}

#[tokio::test]
async fn bad_bodies_are_told_what_is_wrong_with_them() {
    let relay = relay(Broker::Confirms, |limits| limits.max_body_bytes = 100);
    const JSON: (&str, &str) = ("content-type", "application/json");
    let long = "x".repeat(101);
    let longest = format!("a={}", "x".repeat(98));
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let table: &[Row<'_>] = &[
        ("http://open.example/api/v1/events", &[JSON], "not json", 400, "not-json"),
        ("http://open.example/api/v1/events", &[JSON], "{\"a\": \"b", 400, "not-json"),
        ("http://open.example/api/v1/events", &[], "{\"a\":\n 1,}", 400, "not-json"),
        ("http://open.example/api/v1/events", &[JSON], "[]", 400, "not-an-object"),
        ("http://open.example/api/v1/events", &[JSON], "", 400, "empty-event"),
        ("/api/v1/events/other", &[JSON], "3", 400, "not-an-object"),
        ("/api/v1/events/other", &[], "{", 400, "not-json"),
        ("/api/v1/events/other", &[], "", 400, "empty-event"),
        ("/api/v1/events/other", &[], "a=1&a=2", 202, ""),
        ("/api/v1/events/other", &[], &longest, 202, ""),
        ("/api/v1/events/other", &[], &long, 413, "body-too-large"),
        ("/api/v1/events/other", &[("content-encoding", "gzip")], "{}", 415, "content-encoding"),
        ("/api/v1/events/other", &[("content-encoding", "Identity")], "{}", 202, ""),
    ];
    for (url, headers, body, status, problem) in table {
        let answered = relay.ask("POST", url, headers, body.to_string()).await;
        assert_eq!(
            (answered.status.as_u16(), answered.problem().as_str()),
            (*status, *problem),
            "{url} {body:?}"
        );
    }
    let detail =
        relay.ask("POST", "/api/v1/events/other", &[], "{\"a\":\n 1,}").await.json()["detail"].to_string();
    assert!(detail.contains("line 2, column 4"), "{detail}");
    assert!(!detail.contains("\\\"a\\\""), "nothing of the body is repeated: {detail}");
}

#[tokio::test]
async fn a_funnel_is_never_refused_for_what_its_body_means() {
    let relay = relay(Broker::Confirms, |_| {});
    for body in ["", "not json", "{\"cut\": \"of", "[]", "\0\0"] {
        let answered = relay.ask("POST", "/api/v1/events/cf-token", &[], body).await;
        assert_eq!(answered.status, 202, "{body:?}");
        assert!(answered.json()["warning"].as_str().unwrap().contains("is kept"), "{body:?}");
        assert_eq!(relay.last_intake().body.0, body.as_bytes());
    }
    assert_eq!(relay.counted("funnel", "accepted_with_warning"), 5);
}

#[tokio::test]
async fn ingest_warns_of_exactly_what_the_worker_cannot_decode() {
    let relay = relay(Broker::Confirms, |_| {});
    let sources: Vec<_> = relay.app.index.borrow().resources().resources.sources.clone();
    for body in ["{}", "", " ", "a=1", "not json", "[]", "3", "{\"a\":1}{", &"[".repeat(500), "\u{feff}{}"] {
        for (url, source) in
            [("/api/v1/events/cf-token", &sources[0]), ("/api/v1/events/other?a=1", &sources[1])]
        {
            let answered =
                relay.ask("POST", url, &[("content-type", "application/json")], body.to_owned()).await;
            let fine = answered.status == 202 && answered.json()["warning"].is_null();
            let content_type = Some("application/json".to_owned());
            let body = carom_common::intake::Body(body.as_bytes().to_vec());
            let intake = Intake {
                id: carom_common::id::EventId::new(),
                source: source.id.clone(),
                verified: Default::default(),
                received_at: jiff::Timestamp::now(),
                query: url.split_once('?').map_or("", |(_, query)| query).to_owned(),
                content_type,
                body,
                visitor: None,
                parked: None,
                key: None,
                told: None,
            };
            let decoded = carom_common::decode::decode(&intake, source);
            assert_eq!(fine, decoded.is_ok(), "{url} {:?}", intake.body);
        }
    }
}

#[tokio::test]
async fn a_body_that_grows_beyond_the_limit_is_refused_however_it_comes() {
    let relay = relay(Broker::Confirms, |limits| limits.max_body_bytes = 1000);
    let chunks = futures_util::stream::iter((0..30).map(|_| Ok::<_, std::io::Error>("x".repeat(50))));
    let answered = relay.ask("POST", "/api/v1/events/other", &[], Body::from_stream(chunks)).await;
    assert_eq!(answered.problem(), "body-too-large");
    assert_eq!(relay.counted("plain", "too_large"), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let relay = relay(Broker::Confirms, |limits| limits.body_timeout = "50ms".parse().unwrap());
    let never = futures_util::stream::pending::<Result<String, std::io::Error>>();
    let answered = relay.ask("POST", "/api/v1/events/other", &[], Body::from_stream(never)).await;
    assert_eq!((answered.status.as_u16(), answered.problem().as_str()), (408, "body-too-slow"));
}

const NO: [Broker; 4] = [
    Broker::Refuses(PublishError::Unavailable),
    Broker::Refuses(PublishError::Nacked),
    Broker::Refuses(PublishError::Unroutable),
    Broker::Hangs,
];

#[tokio::test]
async fn what_the_broker_does_not_confirm_is_in_the_spool_when_it_is_answered() {
    for broker in NO {
        let relay = relay(broker, |limits| limits.click_patience = "20ms".parse().unwrap());
        let answered = relay.ask("POST", "/api/v1/events/cf-token", &[], "not json").await;
        assert_eq!(answered.status, 202);
        let told = answered.json();
        assert!(told["id"].is_string() && told["warning"].as_str().unwrap().contains("is kept"), "{told}");
        assert_eq!(relay.counted("funnel", "spooled"), 1);
        assert_eq!(relay.ask("GET", "/c/shoes", &[UA], "").await.status, 302);
        assert_eq!(relay.app.metrics.clicks.with_label_values(&["shoes", "spooled"]).get(), 1);
        for queue in Queue::ALL {
            assert_eq!(relay.app.events.spool.figures().items(queue), 1);
        }
    }
}

#[tokio::test]
async fn what_neither_broker_nor_spool_takes_is_answered_503_with_retry_after_and_no_redirect() {
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(30_000));
    let sub = "x".repeat(7_000);
    for (disk, outcome) in [(Disk::Broken, "spool_failing"), (Disk::Small, "spool_full")] {
        for broker in NO {
            let relay = relay_with(broker, disk, |limits| limits.click_patience = "20ms".parse().unwrap());
            let answered = relay.ask("POST", "/api/v1/events/cf-token", &[], large.clone()).await;
            assert_eq!((answered.status.as_u16(), answered.problem().as_str()), (503, "not-confirmed"));
            assert_eq!(answered.headers["retry-after"], "5");
            assert!(!answered.body.contains("broker"), "{}", answered.body);
            assert_eq!(relay.counted("funnel", outcome), 1);
            let mut last = 302;
            // Some of the clicks have room yet.
            for _ in 0..5 {
                let answered = relay.ask("GET", &format!("/c/shoes?sub={sub}"), &[UA], "").await;
                last = answered.status.as_u16();
                assert_eq!(answered.headers.contains_key("location"), last == 302);
                assert_eq!(answered.headers.contains_key("retry-after"), last == 503);
            }
            assert_eq!(last, 503);
            assert!(relay.app.metrics.clicks.with_label_values(&["shoes", outcome]).get() > 0);
        }
    }
    let relay = relay_with(Broker::Confirms, Disk::Broken, |_| {});
    assert_eq!(relay.ask("POST", "/api/v1/events/cf-token", &[], "{}").await.status, 202);
    assert_eq!(
        relay.ask("GET", "/c/shoes", &[UA], "").await.status,
        302,
        "with the broker there, no spool is needed"
    );
}

#[tokio::test]
async fn a_source_that_sends_too_much_is_told_so_and_leaves_room_for_the_others() {
    let relay = Arc::new(relay(Broker::Hangs, |limits| limits.max_in_flight_per_source = 1));
    let first = tokio::spawn({
        let relay = relay.clone();
        async move { relay.ask("POST", "/api/v1/events/cf-token", &[], "{}").await.status }
    });
    while relay.app.in_flight.available_permits() == relay.app.limits.max_in_flight {
        tokio::task::yield_now().await;
    }
    let second = relay.ask("POST", "/api/v1/events/cf-token", &[], "{}").await;
    assert_eq!((second.status.as_u16(), second.problem().as_str()), (429, "too-many-at-once"));
    assert_eq!(second.headers["retry-after"], "1");
    assert_eq!(relay.counted("funnel", "too_many_at_once"), 1);
    assert_eq!(relay.ask("POST", "/api/v1/events/other", &[], "a=1").await.status, 202);
    assert_eq!(first.await.unwrap(), 202);

    // Two tokens of one source are one source.
    for (token, status) in [("paced-1", 202), ("paced-2", 429), ("paced-1", 429)] {
        let answered = relay.ask("POST", &format!("/api/v1/events/{token}"), &[], "a=1").await;
        assert_eq!(answered.status, status, "{}", answered.body);
        if status == 429 {
            assert_eq!(answered.problem(), "too-many-requests");
            assert!(answered.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 3_000);
        }
    }
    assert_eq!(relay.counted("paced", "rate_limited"), 2);
}

#[tokio::test]
async fn events_take_no_more_memory_than_they_may_and_give_it_back() {
    let relay = relay(Broker::Confirms, |limits| limits.max_bytes_in_flight = 3_000);
    let (small, large) = ("x".repeat(1_500), "x".repeat(3_500));
    let chunks = |bytes: usize| {
        futures_util::stream::iter((0..bytes / 50).map(|_| Ok::<_, std::io::Error>("x".repeat(50))))
    };
    // Written as JSON it is more than it was as it came.
    let quotes = format!("a={}", "\"".repeat(1_600));
    let table: [(Body, &str); 6] = [
        (small.clone().into(), ""),
        (large.into(), "too-busy"),
        (Body::from_stream(chunks(3_500)), "too-busy"),
        (Body::from_stream(chunks(1_500)), ""),
        (quotes.into(), "too-busy"),
        (small.into(), ""),
    ];
    for (body, problem) in table {
        let answered = relay.ask("POST", "/api/v1/events/other", &[], body).await;
        assert_eq!(answered.problem(), problem);
        assert_eq!(answered.headers.contains_key("retry-after"), !problem.is_empty());
    }
    while relay.app.rooms.left() < 3_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_event_more_than_allowed_in_work_is_answered_503_at_once() {
    let relay = Arc::new(relay(Broker::Hangs, |limits| limits.max_in_flight = 1));
    let first = tokio::spawn({
        let relay = relay.clone();
        async move { relay.ask("POST", "/api/v1/events/cf-token", &[], "{}").await.status }
    });
    while relay.app.in_flight.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let second = relay.ask("POST", "/api/v1/events/cf-token", &[], "{}").await;
    assert_eq!(
        (second.problem().as_str(), &second.headers["retry-after"]),
        ("too-busy", &HeaderValue::from_static("1"))
    );
    assert_eq!(
        relay.ask("GET", "/c/shoes", &[UA], "").await.status,
        302,
        "a visitor does not wait for webhooks"
    );
    assert_eq!(first.await.unwrap(), 202, "the spool has it");
}

#[tokio::test]
async fn a_click_is_sent_on_with_its_id_and_kept_as_it_came() {
    let relay = relay(Broker::Confirms, |_| {});
    let url = "/c/shoes?utm_source=a%20b&sub=x&sub=y&nul=%00&gclid=&empty";
    let answered = relay.ask("GET", url, &[UA, ("referer", "https://blog.example/")], "").await;
    assert_eq!(answered.status, 302);
    let click = relay.last_click();
    let location = format!("https://funnel.example/page?clickid={}&sub=x&v={}", click.id, click.visitor);
    assert_eq!(answered.headers["location"], location.as_str());
    assert_eq!(answered.headers["cache-control"], "no-store");
    let cookie = answered.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with(&format!("carom_visitor={}; ", click.visitor)), "{cookie}");
    assert_eq!(click.id.0.get_version_num(), 7);
    let pairs: Vec<_> =
        click.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let kept =
        [("utm_source", "a b"), ("sub", "x"), ("sub", "y"), ("nul", "\0"), ("gclid", ""), ("empty", "")];
    assert_eq!(pairs, kept);
    assert_eq!(click.referrer.as_deref(), Some("https://blog.example/"));
    assert_eq!((click.not_a_touch, click.target.as_str()), (None, "main"));

    let cookie = format!("carom_visitor={}", click.visitor);
    relay.ask("GET", "/c/shoes", &[UA, ("cookie", &cookie)], "").await;
    assert_eq!(relay.last_click().visitor, click.visitor, "the same browser is the same visitor");
    assert_ne!(relay.last_click().id, click.id);
}

#[tokio::test]
async fn no_value_leaves_its_place_in_the_location() {
    let relay = relay(Broker::Confirms, |_| {});
    let values = [
        "a%0d%0aSet-Cookie:%20x=1",
        "%00",
        "a%26clickid=stolen",
        "%23fragment",
        "%c3%a9",
        "%ff",
        "[sub]",
        "{sub}",
    ];
    for value in values {
        let answered = relay.ask("GET", &format!("/c/shoes?sub={value}"), &[UA], "").await;
        assert_eq!(answered.status, 302, "{value}");
        let location = answered.headers["location"].to_str().unwrap();
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
        assert_eq!(location.matches('&').count(), 2, "{location}");
        assert!(!location.contains('#'), "{location}");
        assert_eq!(answered.headers.get_all("set-cookie").iter().count(), 1);
    }
}

#[tokio::test]
async fn a_click_that_leads_nowhere_is_told_so() {
    let relay = relay(Broker::Confirms, |_| {});
    let long = format!("/c/shoes?sub={}", "x".repeat(20_000));
    let table = [
        ("GET", "/c/hats", 404, "unknown-offer"),
        ("GET", "/c/SHOES", 404, "unknown-offer"),
        ("GET", "/c/%ff", 404, "unknown-offer"),
        ("GET", "/c/shoes%00", 404, "unknown-offer"),
        ("GET", "/c/", 404, "not-found"),
        ("GET", "/", 404, "not-found"),
        ("POST", "/c/shoes", 405, "method-not-allowed"),
        ("DELETE", "/c/shoes", 405, "method-not-allowed"),
        ("PUT", "/api/v1/events/other", 405, "method-not-allowed"),
        ("GET", long.as_str(), 414, "query-too-long"),
        ("GET", &long.replace("/c/shoes", "/api/v1/events/other"), 414, "query-too-long"),
    ];
    for (method, url, status, problem) in table {
        let answered = relay.ask(method, url, &[UA], "").await;
        assert_eq!(
            (answered.status.as_u16(), answered.problem().as_str()),
            (status, problem),
            "{method} {url:.40}"
        );
        assert_eq!(answered.headers.contains_key("allow"), status == 405);
    }
    assert!(relay.clicks.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_visitor_is_not_held_back_by_a_broker_that_does_not_answer() {
    let relay = relay(Broker::Hangs, |limits| {
        limits.click_patience = "20ms".parse().unwrap();
        limits.max_in_flight = 2;
    });
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(relay.ask("GET", "/c/shoes", &[UA], "").await.status, 302);
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    let spooled = relay.app.metrics.clicks.with_label_values(&["shoes", "spooled"]).get();
    assert_eq!(spooled, 3, "the third found the line full, which is the spool's to mend");
}
