//! What pages report: who may, what is kept, and which pixels their browsers are given.

use super::*;
use carom_common::connector::Connector;
use carom_common::id::{DeliveryId, EventId};
use carom_common::intake::Verified;
use carom_common::pipeline::roster::Roster;
use carom_common::pipeline::{self, Read, Rules};
use carom_common::pixel::{Approval, Approvals, code_hash};
use carom_common::retry::Schedule;
use carom_common::store::{PixelReport, Settings, Store};
use jiff::Timestamp;

const TRACK: &str = "/api/v1/track?key=pk_live_1";
const ORIGIN: (&str, &str) = ("origin", "https://shop.example");
const TEXT: (&str, &str) = ("content-type", "text/plain;charset=UTF-8");
const TAG_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn visit() -> String {
    json!({"v": 1, "id": TAG_ID, "visit": true, "page": {"url": "https://shop.example/"}}).to_string()
}

fn purchase(id: &str, more: &Value) -> String {
    let mut body = json!({
        "v": 1, "id": id, "visitor": "0d4d5f6e-8a52-4c8e-9b57-2f3a1c0de111",
        "page": {"url": "https://shop.example/thanks?aff_click_id=abc123"},
        "event": {"name": "Purchase", "data": {"value": 49.5, "currency": "USD", "transaction_id": "T-1"}},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

/// A connector with both halves, and one with a pixel alone.
fn connectors(change: &Value) -> Value {
    let mut network = json!({
        "id": "network", "advertiser": "acme", "triggers": ["purchase"],
        "webhook": {"url": "https://n.example/"}, "pixel": {"enabled": true, "code": "fire()"},
    });
    network.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let matched = json!({
        "id": "matched", "advertiser": "acme", "triggers": ["purchase"],
        "click_id": {"parameter": "aff_click_id", "window": "14d"},
        "pixel": {"enabled": true, "code": "<img src=\"https://m.example/\">", "sandbox": false},
    });
    json!([network, matched])
}

fn approved(connectors: &[Connector]) -> Approvals {
    let approval = |connector: &Connector| {
        let (hash, by) = (code_hash(connector.pixel.as_ref()?), "ann".to_owned());
        Some(Approval { connector: connector.id.clone(), hash, by, at: Timestamp::now() })
    };
    Approvals { version: 1, given: connectors.iter().filter_map(approval).collect() }
}

impl Relay {
    /// Puts connectors into use beside the sources, approved or not.
    fn connect(&self, connectors: &Value, approve: bool) {
        let mut versioned = Versioned::clone(self.index.borrow().resources());
        versioned.resources.connectors = serde_json::from_value(connectors.clone()).unwrap();
        versioned.approvals = Approvals::default();
        if approve {
            versioned.approvals = approved(&versioned.resources.connectors);
        }
        self.index.send_replace(Arc::new(Index::new(Arc::new(versioned))));
    }

    /// Gives it a store.
    async fn remember(&self) -> Store {
        let settings = Settings::Sqlite(self.folder.path().join("carom.db"));
        Store::migrate(&settings).unwrap();
        let store = Store::open(&settings, |_, _| {}).unwrap();
        let reading = Store::open_read_only(&settings).unwrap();
        let hasher = reading.hasher().await.unwrap();
        self.readable.send_replace(Some(Readable { store: reading, hasher }));
        store
    }

    async fn track(&self, body: String) -> Answered {
        self.ask("POST", TRACK, &[ORIGIN, TEXT], body).await
    }

    /// What was decided about pixels, as the worker will write it down.
    fn decisions(&self) -> Vec<(String, String)> {
        let told = self.last_intake().told.map(|told| told.decisions).unwrap_or_default();
        told.into_iter().map(|(code, detail)| (code.as_str().to_owned(), detail)).collect()
    }

    /// Does with the last intake what the worker does.
    async fn work(&self, store: &Store) {
        let rules = Rules {
            roster: Arc::new(Roster::new(1, Arc::new(self.index.borrow().resources().resources.clone()))),
            schedule: Schedule::default(),
            parking: Duration::from_secs(900),
            hasher: store.hasher().await.unwrap(),
        };
        let now = Timestamp::now();
        let Read::Candidate(candidate) = pipeline::read(self.last_intake(), &rules, now) else { panic!() };
        let decide = move |candidate: &_, known: &_| pipeline::decide(candidate, known, &rules, now);
        store.resolve(vec![*candidate], decide).await.unwrap();
    }
}

fn codes(decisions: &[(String, String)]) -> Vec<&str> {
    decisions.iter().map(|(code, _)| code.as_str()).collect()
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_report_and_no_other() {
    let relay = relay(Broker::Confirms, |_| {});
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);
    let table: &[Row<'_>] = &[
        (TRACK, &[ORIGIN, TEXT], 202, ""),
        (TRACK, &[("origin", "https://shop.example:8443"), TEXT], 202, ""),
        (TRACK, &[ORIGIN, ("content-type", "application/json")], 202, ""),
        (TRACK, &[ORIGIN], 202, ""),
        ("/api/v1/track?a=b&key=pk_live_1", &[ORIGIN], 202, ""),
        (TRACK, &[TEXT], 403, "origin-not-allowed"),
        (TRACK, &[("origin", "http://shop.example")], 403, "origin-not-allowed"),
        (TRACK, &[("origin", "https://shop.example.evil.example")], 403, "origin-not-allowed"),
        (TRACK, &[("origin", "https://evil.example")], 403, "origin-not-allowed"),
        (TRACK, &[("origin", "null")], 403, "origin-not-allowed"),
        (TRACK, &[ORIGIN, ("origin", "https://evil.example")], 403, "origin-not-allowed"),
        ("/api/v1/track?key=pk_live_2", &[ORIGIN], 403, "site-key-unknown"),
        ("/api/v1/track?key=", &[ORIGIN], 403, "site-key-unknown"),
        ("/api/v1/track", &[ORIGIN], 403, "site-key-unknown"),
    ];
    for (url, headers, status, problem) in table {
        let answered = relay.ask("POST", url, headers, visit()).await;
        let told = (answered.status.as_u16(), answered.problem());
        assert_eq!(told, (*status, (*problem).to_owned()), "{url} {headers:?}");
        assert_eq!(answered.headers["vary"], "Origin");
        assert!(!answered.headers.contains_key("access-control-allow-credentials"));
        let cors = answered.headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap());
        let origin = headers.iter().find(|(name, _)| *name == "origin").map(|(_, origin)| *origin);
        assert_eq!(cors, origin.filter(|_| *status == 202), "{url} {headers:?}");
    }
    assert_eq!((relay.counted("shop-tag", "accepted"), relay.counted("unknown", "unauthorized")), (5, 9));
    // Neither a token in the path nor the host makes one of it.
    let by_token = relay.ask("POST", "/api/v1/events/pk_live_1", &[ORIGIN], visit()).await;
    assert_eq!(by_token.problem(), "token-unknown");
}

#[tokio::test]
async fn a_preflight_is_answered_for_the_one_origin_that_asks() {
    let relay = relay(Broker::Confirms, |_| {});
    let asks = [
        ORIGIN,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let answered = relay.ask("OPTIONS", TRACK, &asks, "").await;
    assert_eq!((answered.status.as_u16(), answered.body.as_str()), (204, ""));
    let header = |name: &str| answered.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(header("access-control-allow-methods"), Some("POST"));
    assert_eq!(header("access-control-allow-headers"), Some("content-type"));
    assert_eq!(header("access-control-max-age"), Some("7200"));
    assert_eq!((header("vary"), header("access-control-allow-credentials")), (Some("Origin"), None));
    for (url, origin) in [(TRACK, "https://evil.example"), ("/api/v1/track?key=x", "https://shop.example")] {
        let answered = relay.ask("OPTIONS", url, &[("origin", origin)], "").await;
        assert_eq!(answered.status, 403);
        let allowed = answered.headers.keys().any(|name| name.as_str().starts_with("access-control"));
        assert!(!allowed, "{:?}", answered.headers);
    }
    let get = relay.ask("GET", TRACK, &[ORIGIN], "").await;
    assert_eq!(
        (get.problem().as_str(), &get.headers["allow"]),
        ("method-not-allowed", &HeaderValue::from_static("POST, OPTIONS"))
    );
    assert!(relay.intakes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_report_of_a_tag_is_refused_so_that_its_page_may_read_why() {
    let relay = relay(Broker::Confirms, |limits| limits.max_body_bytes = 1 << 20);
    let large = purchase(TAG_ID, &json!({"filler": "x".repeat(64 * 1024)}));
    let table = [
        ("", &[ORIGIN][..], 400, "not-json"),
        ("v=1", &[ORIGIN], 400, "not-json"),
        ("[1]", &[ORIGIN], 400, "not-an-object"),
        ("{\"v\":1}", &[ORIGIN], 400, "not-of-tag"),
        (large.as_str(), &[ORIGIN], 413, "body-too-large"),
        ("{}", &[ORIGIN, ("content-type", "application/x-www-form-urlencoded")], 415, "content-type"),
        ("{}", &[ORIGIN, ("content-encoding", "gzip")], 415, "content-encoding"),
    ];
    for (body, headers, status, problem) in table {
        let answered = relay.ask("POST", TRACK, headers, body.to_owned()).await;
        let told = (answered.status.as_u16(), answered.problem());
        assert_eq!(told, (status, problem.to_owned()), "{body:.40}");
        assert_eq!(answered.headers["access-control-allow-origin"], "https://shop.example");
    }
    assert!(relay.intakes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_report_is_kept_as_it_came_and_answered_when_it_is_safe() {
    let relay = relay(Broker::Confirms, |_| {});
    let body = purchase(TAG_ID, &json!({}));
    let answered = relay.track(body.clone()).await;
    let intake = relay.last_intake();
    assert_eq!(answered.json(), json!({"id": intake.id.to_string(), "pixels": []}));
    assert_eq!(
        (intake.source.as_str(), intake.verified, intake.body.0),
        ("shop-tag", Verified::Origin, body.into_bytes())
    );
    let visitor = intake.visitor.map(|visitor| visitor.to_string());
    assert_eq!(visitor.as_deref(), Some("0d4d5f6e-8a52-4c8e-9b57-2f3a1c0de111"));
    // A cookie of ours says nothing here, and who asks not to be followed is not, nor told of to anybody by a pixel.
    relay.connect(&connectors(&json!({})), true);
    let gpc = relay.ask("POST", TRACK, &[ORIGIN, ("sec-gpc", "1")], purchase(TAG_ID, &json!({}))).await;
    assert_eq!((gpc.status.as_u16(), relay.last_intake().visitor), (202, None));
    assert_eq!(
        (gpc.json()["pixels"].clone(), codes(&relay.decisions())),
        (json!([]), vec!["pixel_opted_out"])
    );

    let unsafe_ = relay_with(Broker::Refuses(PublishError::Nacked), Disk::Broken, |_| {});
    let answered = unsafe_.track(visit()).await;
    assert_eq!((answered.status.as_u16(), answered.problem().as_str()), (503, "not-confirmed"));
    assert!(
        answered.headers.contains_key("access-control-allow-origin")
            && answered.headers.contains_key("retry-after")
    );
}

#[tokio::test]
async fn a_purchase_is_answered_with_the_pixels_of_its_connectors_under_their_webhooks_ids() {
    let relay = relay(Broker::Confirms, |_| {});
    let _store = relay.remember().await;
    relay.connect(&connectors(&json!({})), true);
    let answered = relay.track(purchase(TAG_ID, &json!({}))).await.json();
    let step = |connector: &str| {
        DeliveryId::of_step(&connector.parse().unwrap(), "txid:T-1", "conversion").to_string()
    };
    let expected = json!([
        {"connector": "network", "delivery": step("network"), "sandbox": true, "html": answered["pixels"][0]["html"]},
        {"connector": "matched", "delivery": step("matched"), "sandbox": false, "html": answered["pixels"][1]["html"]},
    ]);
    assert_eq!(answered["pixels"], expected);
    assert!(answered["pixels"][0]["html"].as_str().unwrap().contains("fire()"));
    let decisions = relay.decisions();
    assert_eq!(codes(&decisions), ["pixel_given", "pixel_given"]);
    assert_eq!(decisions[0].1, format!("pixel of network: by delivery {}", step("network")));
    let told = relay.last_intake().told.unwrap();
    assert!(told.pixels.iter().all(|pixel| pixel.given && pixel.page == "https://shop.example/thanks"));
}

#[tokio::test]
async fn a_pixel_that_must_not_fire_does_not_and_its_reason_is_told() {
    let relay = relay(Broker::Confirms, |_| {});
    let store = relay.remember().await;
    let of = |change: Value| {
        let mut all = connectors(&change);
        all.as_array_mut().unwrap().pop();
        all
    };
    let pixel = |enabled: bool| json!({"pixel": {"enabled": enabled, "code": "fire()"}});
    let test = json!({"mode": "test"});
    let wants = |trl_test: bool| json!({"test": trl_test});
    let table = [
        (of(json!({})), false, wants(false), vec!["pixel_not_approved"], 0),
        (of(json!({"mode": "disabled"})), true, wants(false), vec!["skipped_disabled"], 0),
        (of(pixel(false)), true, wants(false), vec!["skipped_disabled"], 0),
        (of(json!({"triggers": ["lead"]})), true, wants(false), vec!["skipped_trigger"], 0),
        (of(json!({"currencies": ["EUR"]})), true, wants(false), vec!["skipped_currency"], 0),
        (
            of(json!({"max_event_age": "1h"})),
            true,
            json!({"at": (Timestamp::now().as_millisecond() - 7_200_000)}),
            vec!["pixel_expired"],
            0,
        ),
        (of(test.clone()), true, wants(false), vec!["pixel_tested"], 0),
        (of(test.clone()), false, wants(false), vec!["pixel_tested"], 0),
        (of(test.clone()), true, wants(true), vec!["pixel_given"], 1),
        (of(test), false, wants(true), vec!["pixel_not_approved"], 0),
        (
            of(json!({"webhook": {"url": "https://n.example/", "enabled": false}})),
            true,
            wants(false),
            vec!["pixel_given"],
            1,
        ),
    ];
    for (connectors, approve, more, expected, fired) in table {
        relay.connect(&connectors, approve);
        let answered = relay.track(purchase(TAG_ID, &more)).await;
        assert_eq!(answered.status, 202);
        let decisions = relay.decisions();
        assert_eq!(codes(&decisions), expected, "{connectors} {more}");
        assert!(decisions[0].1.starts_with("pixel of network"), "{decisions:?}");
        assert_eq!(answered.json()["pixels"].as_array().unwrap().len(), fired, "{connectors}");
    }
    // What was approved and has changed since is not what was approved.
    let mut changed = of(json!({}));
    relay.connect(&changed, true);
    let approvals = relay.index.borrow().resources().approvals.clone();
    changed[0]["pixel"]["code"] = "other()".into();
    let mut versioned = Versioned::clone(relay.index.borrow().resources());
    versioned.resources.connectors = serde_json::from_value(changed).unwrap();
    versioned.approvals = approvals;
    relay.index.send_replace(Arc::new(Index::new(Arc::new(versioned))));
    relay.track(purchase(TAG_ID, &json!({}))).await;
    let decisions = relay.decisions();
    assert_eq!(codes(&decisions), ["pixel_not_approved"]);
    assert!(decisions[0].1.contains("changed since it was approved"), "{decisions:?}");
    drop(store);
}

#[tokio::test]
async fn what_was_told_before_fires_nothing_again() {
    let relay = relay(Broker::Confirms, |_| {});
    let store = relay.remember().await;
    relay.connect(&connectors(&json!({})), true);
    let count = |answered: Answered| answered.json()["pixels"].as_array().unwrap().len();
    assert_eq!(count(relay.track(purchase(TAG_ID, &json!({}))).await), 2);
    // Nobody has decided it yet: it is told again, under the same ids, and whoever hears of it can tell.
    assert_eq!(count(relay.track(purchase(TAG_ID, &json!({}))).await), 2);
    relay.work(&store).await;
    let event = relay.last_intake().id;
    // Whose answer was lost asks again, until it says what became of its pixels.
    let again = relay.track(purchase(TAG_ID, &json!({}))).await.json();
    assert_eq!(again["pixels"].as_array().unwrap().len(), 2);
    let fired = |pixel: &Value| {
        let mut report = pixel.clone();
        report["event"] = event.to_string().into();
        report["outcome"] = "fired".into();
        let report = serde_json::from_value(report).unwrap();
        PixelReport { report, source: "shop-tag".parse().unwrap(), at: Timestamp::now() }
    };
    let reports = again["pixels"].as_array().unwrap().iter().map(fired).collect();
    store.keep_pixel_reports(reports).await.unwrap();
    assert_eq!(count(relay.track(purchase(TAG_ID, &json!({}))).await), 0);
    assert_eq!(codes(&relay.decisions()), ["skipped_already", "skipped_already"]);
    let other = EventId::new().to_string();
    assert_eq!(count(relay.track(purchase(&other, &json!({}))).await), 0, "the same transaction");
    assert_eq!(codes(&relay.decisions()), ["skipped_trigger", "skipped_trigger"]);
}

#[tokio::test]
async fn without_the_store_what_needs_history_is_left_out_and_nothing_is_held_back() {
    let relay = relay(Broker::Confirms, |_| {});
    relay.connect(&connectors(&json!({})), true);
    let pixels = |answered: &Answered| {
        let all = answered.json()["pixels"].as_array().unwrap().clone();
        all.iter().map(|pixel| pixel["connector"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let answered = relay.track(purchase(TAG_ID, &json!({}))).await;
    assert_eq!(pixels(&answered), ["network"]);
    let decisions = relay.decisions();
    assert_eq!(codes(&decisions), ["history_unknown", "history_unknown", "pixel_given"]);
    assert_eq!(decisions[0].1, "pixel of matched: it depends on what the visitor did before");
    assert!(decisions[1].1.starts_with("the store is away"), "{decisions:?}");

    // One that does not answer is waited for once, and then left alone for a while.
    relay.remember().await.close().await;
    relay.readable.send_replace(None);
    let path = relay.folder.path().join("carom.db");
    let holder = rusqlite::Connection::open(&path).unwrap();
    holder.pragma_update(None, "journal_mode", "delete").unwrap();
    let store = Store::open_read_only(&Settings::Sqlite(path)).unwrap();
    let hasher = store.hasher().await.unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    relay.readable.send_replace(Some(Readable { store, hasher }));
    for (why, least, most) in [
        ("the store has not answered in time", 200, 1_500),
        ("the store has not answered a moment ago", 0, 150),
    ] {
        let began = Instant::now();
        let answered = relay.track(purchase(&EventId::new().to_string(), &json!({}))).await;
        assert_eq!((answered.status.as_u16(), pixels(&answered)), (202, vec!["network".to_owned()]));
        let took = began.elapsed().as_millis();
        assert!((least..most).contains(&took), "{took} ms");
        assert!(relay.decisions()[1].1.starts_with(why), "{:?}", relay.decisions());
    }
    holder.execute_batch("ROLLBACK").unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let answered = relay.track(purchase(TAG_ID, &json!({}))).await;
    assert_eq!(pixels(&answered), ["network", "matched"]);
}
