//! `events seen`: what each source has received at least once, and which triggers have never met it.

use super::{json_line, parsed, reading};
use carom_common::config::{Config, Fault};
use carom_common::connector::{Connector, Trigger};
use carom_common::id::{AdvertiserId, SourceId};
use carom_common::resources::Resources;
use carom_common::store::Seen;
use clap::{Args, Subcommand};
use std::collections::HashMap;

/// What to do with events.
#[derive(Subcommand)]
pub enum EventsCommand {
    /// List what sources have received at least once: the names that triggers can have.
    Seen(SeenArgs),
}

/// Which sources.
#[derive(Args)]
pub struct SeenArgs {
    /// Of this source only.
    #[arg(long)]
    source: Option<String>,
    /// Machine-readable: a line of JSON each.
    #[arg(long)]
    json: bool,
}

/// Does it.
///
/// # Errors
/// The store cannot be read, or an argument is none.
pub async fn run(config: &Config, command: EventsCommand) -> anyhow::Result<()> {
    let EventsCommand::Seen(args) = command;
    let source: Option<SourceId> = parsed(args.source.as_deref())?;
    for seen in reading(config)?.seen(source).await? {
        if args.json {
            json_line(&seen)?;
        } else {
            println!("{}", line(&seen));
        }
    }
    Ok(())
}

fn line(seen: &Seen) -> String {
    let name = seen.name.as_deref().map(|name| format!(" as {name}")).unwrap_or_default();
    let number = seen.number.map(|number| format!(", event {number}")).unwrap_or_default();
    let (source, raw, count) = (&seen.source, &seen.raw_type, seen.count);
    format!("{source}  {raw}{name}{number}: {count} times, first {}, last {}", seen.first_at, seen.last_at)
}

/// Warns of triggers that no source of their advertiser has ever received. Of an advertiser that has received
/// nothing yet there is nothing to say.
pub fn never_seen(file: &str, resources: &Resources, seen: &[Seen]) -> Vec<Fault> {
    let mut received: HashMap<&AdvertiserId, Vec<&Seen>> = HashMap::new();
    for one in seen {
        if let Some(source) = resources.source(&one.source) {
            received.entry(&source.advertiser).or_default().push(one);
        }
    }
    let mut warnings = Vec::new();
    for connector in &resources.connectors {
        let Some(received) = received.get(&connector.advertiser) else { continue };
        let strange = |trigger: &&Trigger| !received.iter().any(|seen| may_fire(trigger, seen));
        warnings.extend(
            connector.triggers.iter().filter(strange).map(|trigger| warning(file, connector, trigger)),
        );
    }
    warnings
}

fn warning(file: &str, connector: &Connector, trigger: &Trigger) -> Fault {
    let key = format!("connector[{}].triggers", connector.id);
    let problem = format!("no source of {} has ever received `{trigger}`", connector.advertiser);
    let remedy = "see `carom-worker events seen` for the names that have come; it fires once this one does";
    Fault::new(file, key, problem, remedy)
}

/// Whether what was seen can fire a trigger. Which events end in a conversion or refund is their mapping's
/// business: those two are never strange.
fn may_fire(trigger: &Trigger, seen: &Seen) -> bool {
    match trigger {
        Trigger::Conversion | Trigger::Refund => true,
        Trigger::Number(number) => seen.number == Some(*number),
        // A sale counts as one of these by what is known of its order, whatever its event is named.
        Trigger::Name(name) if is_a_sale(name) => seen.name.as_deref().is_some_and(is_a_sale),
        Trigger::Name(name) => seen.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)),
        Trigger::Raw(raw) => seen.raw_type == *raw,
    }
}

fn is_a_sale(name: &str) -> bool {
    ["purchase", "subscribe", "upsell"].iter().any(|sale| name.eq_ignore_ascii_case(sale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(source: &str, raw: &str, name: Option<&str>, number: Option<u8>) -> Seen {
        let at = "2026-01-10T12:00:00Z".parse().unwrap();
        let name = name.map(str::to_owned);
        let source = source.parse().unwrap();
        Seen { source, raw_type: raw.into(), name, number, first_at: at, last_at: at, count: 1 }
    }

    #[test]
    fn a_trigger_that_no_source_of_its_advertiser_has_received_is_warned_of() {
        let connector = |triggers: &[&str]| {
            json!({"id": "network", "advertiser": "acme", "triggers": triggers,
                   "webhook": {"url": "https://n.example/"}})
        };
        let warned = |triggers: &[&str], seen: &[Seen]| {
            let resources: Resources = serde_json::from_value(json!({
                "advertiser": [{"id": "acme"}, {"id": "other"}],
                "source": [{"id": "shop", "advertiser": "acme", "kind": "plain", "open": true},
                           {"id": "theirs", "advertiser": "other", "kind": "plain", "open": true}],
                "connector": [connector(triggers)],
            }))
            .unwrap();
            never_seen("carom.d", &resources, seen).into_iter().map(|fault| fault.problem).collect::<Vec<_>>()
        };
        let received = [
            seen("shop", "order.created", Some("purchase"), None),
            seen("shop", "event3", Some("event3"), Some(3)),
            seen("theirs", "lead", Some("lead"), None),
        ];
        for known in ["conversion", "refund", "Purchase", "upsell", "order.created", "event 3"] {
            assert_eq!(warned(&[known], &received), [""; 0], "{known}");
        }
        for strange in ["lead", "order.completed", "event 4"] {
            let problem = format!("no source of acme has ever received `{strange}`");
            assert_eq!(warned(&["conversion", strange], &received), [problem], "{strange}");
        }
        // Before anything has come, nothing is strange.
        assert_eq!(warned(&["lead"], &received[2..]), [""; 0]);
    }
}
