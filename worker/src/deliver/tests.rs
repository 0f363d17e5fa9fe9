use super::*;
use carom_common::connector::Webhook;
use carom_common::event::{Event, Facts};
use carom_common::id::DeliveryId;
use carom_common::time::Span;

fn delivery(due_since: &str, event_at: &str) -> Delivery {
    let event: Event = serde_json::from_value(serde_json::json!({
        "id": "01890a5d-ac96-774b-bcce-b302099a8057", "advertiser": "a", "source": "s", "key": "k",
        "type": "purchase", "kind": "conversion", "at": event_at, "received_at": event_at
    }))
    .unwrap();
    let connector: ConnectorId = "n".parse().unwrap();
    let id = DeliveryId::of_event(&connector, "k");
    Delivery::new(id, connector, due_since.parse().unwrap(), Facts::new(event))
}

#[test]
fn what_was_due_for_too_long_or_is_of_too_old_an_event_expires_at_the_very_limit_and_not_before() {
    let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
    let mut connector =
        Connector::new("n".parse().unwrap(), "a".parse().unwrap(), Webhook::get("https://n.example/"));
    let max_due = Duration::from_secs(48 * 3_600);
    for (age, due_since, event_at, reason) in [
        (None, "2026-01-08T12:00:00Z", "2020-01-01T00:00:00Z", None),
        (None, "2026-01-08T11:59:59Z", "2026-01-10T11:00:00Z", Some(Reason::Expired)),
        (Some(7), "2026-01-10T12:00:00Z", "2026-01-03T12:00:00Z", None),
        (Some(7), "2026-01-10T12:00:00Z", "2026-01-03T11:59:59Z", Some(Reason::Expired)),
        // A sender's clock may be ahead of ours.
        (Some(7), "2026-01-10T12:00:00Z", "2026-02-01T00:00:00Z", None),
    ] {
        connector.max_event_age = age.map(|days| Span::from_secs(days * 86_400));
        let tried = expired(&connector, &delivery(due_since, event_at), max_due, now);
        let outcome = tried.map(|tried| tried.outcome(1, &Default::default()));
        assert_eq!(outcome, reason.map(Outcome::Dead), "{age:?} {due_since} {event_at}");
    }
}
