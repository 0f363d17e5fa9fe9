use super::*;
use crate::commands::trial::{Sample, requests, sample_news};
use carom_common::connector::Connector;
use carom_common::delivery::Delivery;
use carom_common::resources::Resources;
use carom_common::store::{End, ExchangeRecord, Settings, Settlement};
use jiff::Timestamp;
use serde_json::json;

fn attempt(status: Option<u16>) -> AttemptRecord {
    AttemptRecord {
        sequence: 7,
        at: "2026-01-10T12:00:00Z".parse().unwrap(),
        delivery: DeliveryId(Uuid::nil()),
        connector: "meta".parse().unwrap(),
        event: EventId(Uuid::nil()),
        event_type: "order.created".into(),
        round: 0,
        attempt: 2,
        outcome: "retry".into(),
        detail: "15s".into(),
        exchange: Some(ExchangeRecord {
            method: "POST".into(),
            url: "https://r.example/p?token=…".into(),
            request_headers: "Content-Type: application/json\n".into(),
            request_body: "{\"value\":\"12.50\"}".into(),
            duration: Duration::from_millis(31),
            status,
            failure: status.is_none().then(|| "timeout".into()),
            response: "No\x1b[2J way\nat all".into(),
            ..ExchangeRecord::default()
        }),
        reports: Vec::new(),
    }
}

#[test]
fn a_line_says_when_to_whom_where_to_what_came_of_it_and_for_what() {
    let nil = Uuid::nil();
    assert_eq!(
        line(&attempt(Some(500))),
        format!(
            "7  2026-01-10T12:00:00Z  meta  retry in 15s  POST https://r.example/p?token=… → 500 in 31 ms  \
             [attempt 2 of round 0, order.created {nil}, delivery {nil}]"
        )
    );
    assert!(line(&attempt(None)).contains("→ timeout after 31 ms"));
}

#[test]
fn the_whole_is_the_request_and_the_answer_and_steers_no_terminal() {
    assert_eq!(
        whole(&attempt(Some(500))),
        "    POST https://r.example/p?token=…\n    Content-Type: application/json\n    body:\n      \
         {\"value\":\"12.50\"}\n    answer:\n      No\u{fffd}[2J way\n      at all\n"
    );
    let blanked = ExchangeRecord { status: Some(500), method: "POST".into(), ..Default::default() };
    let blanked = AttemptRecord { exchange: Some(blanked), ..attempt(None) };
    assert!(whole(&blanked).contains("not kept any more"));
    assert!(whole(&AttemptRecord { exchange: None, ..attempt(None) }).contains("no request"));
}

#[test]
fn a_sieve_lets_through_what_has_the_status_and_holds_the_text() {
    let none = AttemptRecord { exchange: None, ..attempt(None) };
    for (status, text, answered, lets) in [
        (None, None, Some(500), true),
        (Some("500"), None, Some(500), true),
        (Some("5xx"), None, Some(500), true),
        (Some("5xx"), None, Some(404), false),
        (Some("404"), None, Some(500), false),
        (Some("none"), None, None, true),
        (Some("none"), None, Some(500), false),
        (None, Some("R.EXAMPLE"), Some(500), true),
        (None, Some("12.50"), Some(500), true),
        (None, Some("no way"), Some(500), false),
        (Some("404"), Some("12.50"), Some(500), false),
    ] {
        let sieve = Sieve::new(status, text).unwrap();
        assert_eq!(sieve.lets(&attempt(answered)), lets, "{status:?} {text:?} {answered:?}");
    }
    assert!(Sieve::new(Some("none"), None).unwrap().lets(&none));
    assert!(!Sieve::new(None, Some("a")).unwrap().lets(&none));
    for bad in ["", "9xx", "xx", "99", "600", "abc", "-1"] {
        assert!(Sieve::new(Some(bad), None).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_connector_that_is_neither_applied_nor_in_the_log_is_refused_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::Sqlite(folder.path().join("carom.db"));
    Store::migrate(&settings).unwrap();
    let store = Store::open(&settings, |_, _| {}).unwrap();
    let (network, gone) = ("network".parse().unwrap(), "gone".parse().unwrap());
    let webhook = json!({"url": "https://n.example/"});
    let connector =
        json!({"id": "network", "advertiser": "a", "triggers": ["conversion"], "webhook": webhook});
    let connector: Connector = serde_json::from_value(connector).unwrap();
    let news = sample_news(&connector, Sample::Purchase, Timestamp::now()).unwrap();
    store.apply(Resources { connectors: vec![connector.clone()], ..Resources::default() }).await.unwrap();

    let refused = known(&store, &gone).await.unwrap_err();
    assert!(refused.downcast_ref::<Usage>().unwrap().0.contains("there is no connector `gone`"), "{refused}");
    let refused = known(&store, &"netwrok".parse().unwrap()).await.unwrap_err();
    assert!(refused.to_string().contains("did you mean `network`?"), "{refused}");
    known(&store, &network).await.unwrap();

    // What is not applied any more is in the log all the same.
    let delivery =
        requests(&news, &connector, std::slice::from_ref(&connector), Timestamp::now()).remove(0).delivery;
    let delivery = Delivery { connector: gone.clone(), ..delivery };
    let settlement = Settlement { delivery, at: Timestamp::now(), exchange: None, end: End::Delivered };
    store.settle(vec![settlement]).await.unwrap();
    known(&store, &gone).await.unwrap();
}
