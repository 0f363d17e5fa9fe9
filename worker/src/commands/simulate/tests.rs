use super::*;
use crate::commands::trial::{Sample, sample_news};
use carom_common::id::EventId;
use carom_common::trace::Code;
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn connector(change: Value) -> Connector {
    let parameters = json!([{"name": "v", "value": "[revenue]"}, {"name": "x", "value": "{{NOT_THERE}}"}]);
    let mut whole = json!({
        "id": "network", "advertiser": "acme", "triggers": ["conversion", "refund"],
        "webhook": {"url": "https://n.example/p", "parameters": parameters},
    });
    for (key, value) in change.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).unwrap()
}

fn now() -> Timestamp {
    "2026-01-10T12:00:00Z".parse().unwrap()
}

/// Two purchases of 49.90 USD, a lead, and a refund of 20.00 USD.
fn history() -> Vec<News> {
    let of = connector(json!({}));
    let samples = [Sample::Purchase, Sample::Purchase, Sample::Lead, Sample::Refund];
    let numbered = samples.into_iter().enumerate().map(|(n, sample)| {
        let mut news = sample_news(&of, sample, now()).unwrap();
        news.event.id = EventId::new();
        if let Some(steps) = &mut news.conversion {
            steps.steps.iter_mut().for_each(|(_, facts)| facts.key = format!("txid:{n}"));
        }
        news
    });
    numbered.collect()
}

fn simulated(new: &Connector, old: Option<&Connector>, history: &[News]) -> Report {
    let chosen = Chosen {
        store: None,
        applied: old.cloned().into_iter().collect(),
        connectors: vec![new.clone()],
        of_file: vec![new.id.clone()],
    };
    let mut simulation = Simulation::new(new, &chosen, now());
    history.iter().for_each(|news| simulation.take(news));
    simulation.finish()
}

#[test]
fn what_would_be_sent_is_counted_with_its_money_and_its_missing_values() {
    let report = simulated(&connector(json!({})), None, &history());
    assert_eq!((report.events, report.sent), (4, 4));
    let usd = &report.money["USD"];
    assert_eq!((usd.told, usd.refunded), (Decimal::new(9980, 2), Decimal::new(2000, 2)));
    assert_eq!(report.unresolved.values().copied().collect::<Vec<_>>(), [4, 1], "x in all, v in the lead");
    assert!(report.difference.is_none(), "there is nothing to compare it with");
}

#[test]
fn what_would_be_skipped_is_counted_by_its_reason() {
    let refunds = connector(json!({"triggers": ["refund"]}));
    let report = simulated(&refunds, None, &history());
    assert_eq!((report.sent, &report.skipped["skipped_trigger"][""]), (1, &3));
}

#[test]
fn a_connector_in_another_mode_is_simulated_as_if_it_were_enabled() {
    for change in [json!({"mode": "test"}), json!({"mode": "disabled"})] {
        assert_eq!(simulated(&connector(change.clone()), None, &history()).sent, 4, "{change}");
    }
}

#[test]
fn the_difference_is_told_with_examples() {
    let history = history();
    let all = connector(json!({}));
    let sales = connector(json!({"triggers": ["conversion"]}));
    let report = simulated(&sales, Some(&all), &history);
    let difference = report.difference.unwrap();
    assert_eq!((difference.both, difference.only_new, difference.only_old), (3, 0, 1));
    assert_eq!(difference.examples_old, [history[3].event.id]);
    let report = simulated(&all, Some(&sales), &history);
    let difference = report.difference.unwrap();
    assert_eq!((difference.both, difference.only_new, difference.only_old), (3, 1, 0));
    assert_eq!(difference.examples_new, [history[3].event.id]);
}

#[test]
fn a_delivery_that_the_one_sends_early_and_the_other_late_is_sent_by_both() {
    let mut early = history().remove(0);
    let late = early.clone();
    for (step, _) in &mut early.conversion.as_mut().unwrap().steps {
        *step = carom_common::conversion::Step::Pending;
    }
    let history = [early, late];
    let patient = connector(json!({}));
    let eager = connector(json!({"fire_at": "pending"}));
    for (new, old) in [(&eager, &patient), (&patient, &eager), (&eager, &eager)] {
        let report = simulated(new, Some(old), &history);
        let difference = report.difference.unwrap();
        assert_eq!((report.sent, difference.both, difference.only_new, difference.only_old), (1, 1, 0, 0));
    }
}

#[test]
fn an_event_that_was_too_old_would_have_expired() {
    let mut history = history();
    history[0].event.received_at = now() + jiff::SignedDuration::from_hours(25);
    let report = simulated(&connector(json!({"max_event_age": "24h"})), None, &history);
    assert_eq!((report.sent, report.expired), (3, 1));
}

#[test]
fn of_several_refunds_of_one_sale_the_last_amount_is_what_was_refunded() {
    let mut first = history().remove(3);
    let mut second = first.clone();
    for (news, amount) in [(&mut first, 5), (&mut second, 20)] {
        for (step, facts) in &mut news.conversion.as_mut().unwrap().steps {
            *step = carom_common::conversion::Step::Refund(amount.into());
            facts.value =
                facts.value.map(|value| carom_common::money::Amount { amount: amount.into(), ..value });
        }
    }
    let report = simulated(&connector(json!({})), None, &[first, second]);
    assert_eq!((report.sent, report.money["USD"].refunded), (2, 20.into()));
}

#[test]
fn another_advertisers_events_are_none_of_it() {
    let report = simulated(&connector(json!({"advertiser": "others"})), None, &history());
    assert_eq!((report.events, report.sent), (0, 0));
}

#[test]
fn the_reason_of_a_skip_is_told_without_the_connectors_id_and_never_cut_elsewhere() {
    let network = connector(json!({}));
    let mut report = Report::new(&network, None, now());
    for (detail, told) in [
        ("network", ""),
        ("network: EUR", "EUR"),
        ("network: : odd", ": odd"),
        ("networks differ", "networks differ"),
        ("network-2: EUR", "network-2: EUR"),
        ("of network: EUR", "of network: EUR"),
    ] {
        report.skipped(&network, vec![(Code::SkippedCurrency, detail.to_owned())]);
        let details = &report.skipped[Code::SkippedCurrency.as_str()];
        assert!(details.contains_key(told), "{detail}: {details:?}");
    }
}
