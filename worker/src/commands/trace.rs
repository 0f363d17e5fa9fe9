//! `trace`: what became of an event, and why, in the order in which it was decided.

use super::log::line;
use super::{json_line, reading};
use carom_common::config::Config;
use carom_common::conversion::Status;
use carom_common::id::{ClickId, ConnectorId, DeliveryId, EventId};
use carom_common::store::{EventTrace, Pause, Standing, Store};
use carom_common::trace::folded;
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// How many events of one click or key are shown.
const SHOWN: u32 = 100;

/// Finds the events that `id` names, and tells each.
pub async fn run(config: &Config, id: &str, json: bool) -> anyhow::Result<()> {
    let store = reading(config)?;
    let events = find(&store, id).await?;
    anyhow::ensure!(
        !events.is_empty(),
        "nothing is known of `{id}`: give the id of an event, click or delivery, a funnel's event id, the id of \
         an order or contact, an e-mail or phone number, or a conversion's key such as order:22642"
    );
    for event in events {
        if let Some(trace) = store.trace_of_event(event).await? {
            if json {
                json_line(&trace)?;
            } else {
                tell(&trace, &store.pauses().await?);
            }
        }
    }
    Ok(())
}

async fn find(store: &Store, id: &str) -> anyhow::Result<Vec<EventId>> {
    if let Ok(uuid) = Uuid::try_parse(id) {
        if store.trace_of_event(EventId(uuid)).await?.is_some() {
            return Ok(vec![EventId(uuid)]);
        }
        if let Some(event) = store.event_of_delivery(DeliveryId(uuid)).await? {
            return Ok(vec![event]);
        }
        let of_click = store.events_of_click(ClickId(uuid), SHOWN).await?;
        if !of_click.is_empty() {
            return Ok(of_click);
        }
    }
    let mut found = store.events_by_key(None, id).await?;
    if let Ok(uuid) = Uuid::try_parse(id) {
        // A sender's id may come without dashes, or in capitals.
        found.extend(store.events_by_key(None, &uuid.as_hyphenated().to_string()).await?);
        found.extend(store.events_about(&uuid.as_hyphenated().to_string()).await?);
    }
    found.extend(store.events_about(id).await?);
    // A plain source's order is known by the transaction alone.
    found.extend(store.events_by_key(None, &format!("txid:{id}")).await?);
    let mut seen = HashSet::new();
    found.retain(|event| seen.insert(*event));
    Ok(found)
}

fn tell(trace: &EventTrace, paused: &BTreeMap<ConnectorId, Pause>) {
    let event = &trace.event;
    let name = event.name.as_deref().unwrap_or("unnamed");
    println!("event {}  {} as {name}, from {}, {}", event.id, event.raw_type, event.source, trace.progress);
    println!("  happened {}, received {}", event.at, event.received_at);
    let click = &trace.click;
    match (&click.recorded, &click.id) {
        (Some(recorded), _) => println!(
            "  click {} found by {}, on {} at {}",
            recorded.id,
            click.found_by.as_str(),
            recorded.offer,
            recorded.at
        ),
        (None, Some(id)) => println!("  click {id} given by {}, none of ours", click.found_by.as_str()),
        (None, None) => println!("  no click"),
    }
    if let Some(conversion) = &trace.conversion {
        let status = conversion.status.map_or("no conversion", Status::as_str);
        let money = |amount: &Option<String>, currency: &Option<String>| {
            let amount = amount.as_deref().unwrap_or("none");
            format!("{amount} {}", currency.as_deref().unwrap_or("")).trim_end().to_owned()
        };
        println!(
            "  {} {}: {status}, worth {}, payout {}",
            conversion.kind.as_str(),
            conversion.key,
            money(&conversion.amount, &conversion.currency),
            money(&conversion.payout, &conversion.payout_currency),
        );
    }
    println!("  decisions");
    let decisions =
        trace.decisions.iter().map(|decision| ((decision.at, decision.code), decision.detail.clone()));
    for ((at, code), detail) in folded(decisions.collect()) {
        println!("    {at}  {:<24} {detail}", code.as_str());
    }
    for delivery in &trace.deliveries {
        let standing = serde_json::to_value(delivery.standing).unwrap_or_default();
        let standing = standing.as_str().unwrap_or_default().to_owned();
        println!(
            "  delivery {} to {}: {standing} after attempt {} of round {}",
            delivery.id, delivery.connector, delivery.attempt, delivery.round
        );
        let open = matches!(delivery.standing, Standing::Queued | Standing::Retrying);
        if let Some(pause) = paused.get(&delivery.connector).filter(|_| open) {
            println!("    held: {} is paused since {}: {}", delivery.connector, pause.since, pause.why);
        }
    }
    for attempt in &trace.attempts {
        println!("    {}", line(attempt));
    }
}
