use super::*;
use crate::resources::Resources;
use crate::store::LogFilter;
use crate::trace::PassedBy;

/// 900 attempts: three connectors, every third delivered; one second apart but settled in pairs the
/// wrong way round.
async fn log() -> (Place, Store, Vec<Delivery>) {
    let (place, store) = store();
    let sale = event("order:1");
    let deliveries: Vec<_> = (0..900_i64)
        .map(|n| {
            let to = ["meta", "crm", "ads"][n as usize / 3 % 3];
            let id = DeliveryId::of_event(&connector(to), &n.to_string());
            Delivery { id, ..delivery(&sale, to) }
        })
        .collect();
    let settle = |(n, delivery): (usize, &Delivery)| Settlement {
        at: at((n ^ 1) as i64),
        ..settlement(delivery, if n.is_multiple_of(3) { End::Delivered } else { End::Retry(tier()) })
    };
    store.settle(deliveries.iter().enumerate().map(settle).collect()).await.unwrap();
    (place, store, deliveries)
}

#[tokio::test]
async fn the_log_is_read_in_pages_and_from_its_end() {
    let (_place, store, deliveries) = log().await;
    let none = LogFilter::default;
    let table = [
        (none(), 900),
        (LogFilter { connector: Some(connector("crm")), ..none() }, 300),
        (LogFilter { outcome: Some("delivered".into()), ..none() }, 300),
        (LogFilter { outcome: Some("dead".into()), ..none() }, 0),
        (LogFilter { connector: Some(connector("crm")), outcome: Some("retry".into()), ..none() }, 200),
        (LogFilter { delivery: Some(deliveries[7].id), ..none() }, 1),
        (LogFilter { since: Some(at(101)), ..none() }, 799),
        (LogFilter { since: Some(at(101)), outcome: Some("delivered".into()), ..none() }, 266),
        (LogFilter { since: Some(at(5_000)), ..none() }, 0),
        (LogFilter { until: Some(at(100)), ..none() }, 100),
        (LogFilter { until: Some(at(0)), ..none() }, 0),
        (LogFilter { since: Some(at(101)), until: Some(at(201)), ..none() }, 100),
        (LogFilter { before: Some(11), ..none() }, 10),
        (LogFilter { sequence: Some(11), ..none() }, 1),
        (LogFilter { event: Some(EventId::new()), ..none() }, 0),
    ];
    for (filter, expected) in table {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = store.attempts(&filter, after, 97).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.sequence;
            all.extend(page.iter().map(|attempt| attempt.sequence));
        }
        assert_eq!(all.len(), expected, "{filter:?}");
        assert!(all.is_sorted() && all.windows(2).all(|pair| pair[0] != pair[1]));
        let last = store.last_attempts(&filter, 10).await.unwrap();
        let last: Vec<_> = last.iter().map(|attempt| attempt.sequence).collect();
        assert_eq!(last, all[all.len().saturating_sub(10)..], "{filter:?}");
    }
}

#[tokio::test]
async fn what_waits_is_counted_where_it_waits() {
    let (_place, store) = store();
    let deliveries = selected(&store, &event("order:1"), &["meta", "crm", "ads", "net"]).await;
    let retried = |n: usize, seconds| Settlement {
        at: at(seconds),
        exchange: None,
        ..settlement(&deliveries[n], End::Retry(tier()))
    };
    let delivered = settlement(&deliveries[3], End::Delivered);
    store.settle(vec![retried(0, 10), retried(1, 20), delivered]).await.unwrap();

    let waiting = store.waiting(at(22)).await.unwrap();
    assert_eq!(waiting.tiers, [(tier(), 2, at(10))]);
    assert_eq!(waiting.connectors, [(connector("ads"), 1, at(2))]);
    let waiting = store.waiting(at(30)).await.unwrap();
    assert_eq!(waiting.tiers, [(tier(), 1, at(20))]);
    assert_eq!(waiting.connectors, [(connector("ads"), 1, at(2)), (connector("meta"), 1, at(25))]);
    assert!(waiting.dead.is_empty());
}

#[tokio::test]
async fn the_newest_data_of_a_source_is_its_own_and_comes_newest_first() {
    let (_place, store) = store();
    let of = |key: &str, source: &str| Event {
        source: source.parse().unwrap(),
        data: serde_json::json!({ "key": key }),
        ..event(key)
    };
    for event in [of("a", "shop"), of("b", "other"), of("c", "shop"), of("d", "shop")] {
        selected(&store, &event, &[]).await;
    }
    let keys = |data: Vec<serde_json::Value>| -> Vec<String> {
        data.iter().map(|data| data["key"].as_str().unwrap().to_owned()).collect()
    };
    let newest = |source: &str, limit| store.newest_data(source.parse().unwrap(), limit);
    assert_eq!(keys(newest("shop", 2).await.unwrap()), ["d", "c"]);
    assert_eq!(keys(newest("shop", 9).await.unwrap()), ["d", "c", "a"]);
    assert_eq!(keys(newest("nobody", 9).await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn connectors_that_were_passed_by_together_are_told_each_by_its_name_as_they_were_then() {
    let (_place, store) = store();
    let connectors = |operator: &str| -> Resources {
        let one = |n: usize| {
            serde_json::json!({
                "id": format!("c{n}"), "advertiser": if n == 3 { "other" } else { "acme" }, "triggers": ["conversion"],
                "condition": [{"field": "utm_source", "operator": operator, "value": format!("v{n}")}],
                "webhook": {"url": "https://n.example/"},
            })
        };
        serde_json::from_value(serde_json::json!({"connector": (0..20).map(one).collect::<Vec<_>>()}))
            .unwrap()
    };
    let version = store.apply(connectors("equals")).await.unwrap().version;
    store.apply(connectors("not_equals")).await.unwrap();

    let passed_by = |version, condition, places: &[usize]| Decision {
        passed_by: Some(PassedBy { version, condition, connectors: places.iter().copied().collect() }),
        ..Decision::new(at(2), Code::SkippedCondition, if condition.is_none() { "so it is" } else { "" })
    };
    let event = event("k");
    let decisions = vec![
        decision(Code::Received),
        passed_by(version, Some(0), &[1, 18]),
        decision(Code::Conversion),
        passed_by(version, None, &[3]),
        passed_by(99, Some(0), &[0, 1, 2]),
    ];
    let resolution = Resolution { decisions, ..decided(&event, &[]) };
    store.resolve(vec![candidate(&event)], move |_, _| resolution.clone()).await.unwrap();
    let trace = store.trace_of_event(event.id).await.unwrap().unwrap();
    let told: Vec<_> = trace.decisions.iter().map(|one| (one.code.as_str(), one.detail.as_str())).collect();
    // The fourth connector is another advertiser's, and has no place among these.
    let expected = [
        ("received", ""),
        ("skipped_condition", "c1: condition[0]: utm_source of the last click equals \"v1\""),
        ("skipped_condition", "c19: condition[0]: utm_source of the last click equals \"v19\""),
        ("conversion", ""),
        ("skipped_condition", "c4: so it is"),
        ("skipped_condition", "3 connectors of version 99 of the resources, which the store lacks"),
    ];
    assert_eq!(told, expected);
    assert!(trace.decisions.iter().all(|one| one.passed_by.is_none()));
}
