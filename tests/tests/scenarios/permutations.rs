//! Whatever the order of arrival, and however often: one order is one conversion with the same money.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::secs;
use carom_tests::load::Alone;
use carom_tests::order::{self, Order};
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, FUNNEL_TOKEN, Resources};
use carom_tests::shuffle::Chance;
use carom_tests::stack::{Setup, Stack};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

/// How many orders, each with an order of arrival of its own.
const ORDERS: u64 = 200;
/// How many of them arrive at the same time.
const AT_ONCE: usize = 20;

/// What was told of an order: event and value. All of it by its own click.
type Told = BTreeSet<(String, String)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coherent_events_in_any_order_end_in_the_same_conversion_money_and_postbacks() -> Result<()> {
    // Every second order is given back whole.
    let refund = |number: u64| if number.is_multiple_of(2) { "396.00" } else { "100.00" };
    let ended = arrive(|number| (Some("396.00"), Some(refund(number)))).await?;
    for (number, (conversion, told)) in ended {
        let refund = refund(number);
        let status = if refund == "396.00" { "refunded" } else { "partially_refunded" };
        let found = ["status", "amount", "currency", "refunded"].map(|field| conversion[field].as_str());
        assert_eq!(found, [Some(status), Some("396.00"), Some("USD"), Some(refund)], "order {number}");
        let pairs = [("purchase", "396.00"), ("refund", refund)];
        let wanted: Told = pairs.map(|(event, value)| (event.to_owned(), value.to_owned())).into();
        assert_eq!(told, wanted, "order {number}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incoherent_events_in_any_order_end_in_the_same_ledger() -> Result<()> {
    // The fixtures' own amounts: the order and its transaction say 396.00, the invoice 13.00.
    for (number, (conversion, _)) in arrive(|_| (None, None)).await? {
        let found = ["status", "amount", "currency", "refunded"].map(|field| conversion[field].as_str());
        let wanted = [Some("partially_refunded"), Some("396.00"), Some("USD"), Some("100.00")];
        assert_eq!(found, wanted, "order {number}");
    }
    Ok(())
}

/// Sends all events of all orders, each one to three times and in an order of its own; gives what became of
/// each order: its conversion, and what was told of it.
async fn arrive(
    amounts: impl Fn(u64) -> (Option<&'static str>, Option<&'static str>),
) -> Result<BTreeMap<u64, (Value, Told)>> {
    let _alone = Alone::wait().await?;
    let receiver = Receiver::start()?;
    let connector = Connector::get("network", receiver.url("/postback")).triggers(&["conversion", "refund"]);
    // Everything that is waited for comes, so nothing may go on without it; the tiers are short, because
    // the queues are empty only when the last timer is over.
    let stack = Setup::new(&Resources::new().with(connector))
        .env("CAROM_WORKER_PARKING", "5m")
        .env("CAROM_RETRY_SCHEDULE", "500ms,2s,5s")
        .start(&Broker::shared().await?)
        .await?;

    let mut chance = Chance::by_environment();
    let mut orders = Vec::new();
    for number in 1..=ORDERS {
        let click = stack.client().click(&stack.click_url("demo")).await?.id;
        let (total, refund) = amounts(number);
        orders.push(Order { number, click, total, refund });
    }
    let mut arrivals = Vec::new();
    for order in &orders {
        let mut names = Vec::new();
        for name in order::EVENTS.into_iter().chain([order::REFUND]) {
            names.extend(vec![name; 1 + chance.below(3)]);
        }
        chance.shuffle(&mut names);
        let bodies = names.into_iter().map(|name| order.body(name)).collect::<Result<Vec<_>>>()?;
        arrivals.push(bodies);
    }
    let count: usize = arrivals.iter().map(Vec::len).sum();
    let mut senders = JoinSet::new();
    for bodies in arrivals {
        if senders.len() == AT_ONCE {
            senders.join_next().await.context("a sender")???;
        }
        senders.spawn(send(stack.client().clone(), stack.events_url(FUNNEL_TOKEN), bodies));
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    drained(stack.vhost()?, secs(120)).await?;
    println!("{ORDERS} orders, {count} webhooks, {} postbacks", receiver.count());

    let mut ended = BTreeMap::new();
    for order in &orders {
        let requests = receiver.with("click_id", &order.click);
        let deliveries: BTreeSet<_> = requests.iter().filter_map(|request| request.delivery()).collect();
        ensure!(deliveries.len() == requests.len(), "order {} was told twice", order.number);
        let field = |request: &carom_tests::receiver::Received, name| request.field(name).unwrap_or_default();
        let told: Told =
            requests.iter().map(|request| (field(request, "event"), field(request, "value"))).collect();
        ensure!(told.len() == requests.len(), "order {}: {told:?} under several ids", order.number);
        ended.insert(order.number, (conversion(&stack, order).await?, told));
    }
    let of_orders: usize = ended.values().map(|(_, told)| told.len()).sum();
    ensure!(
        of_orders == receiver.count(),
        "{} postbacks are of no order's click",
        receiver.count() - of_orders
    );
    stack.finish().await?;
    Ok(ended)
}

/// Sends bodies one after the other: that is their order of arrival.
async fn send(client: carom_tests::client::Client, url: String, bodies: Vec<String>) -> Result<()> {
    for body in bodies {
        client.webhook(&url, body).await?.accepted()?;
    }
    Ok(())
}

/// How an order's conversion stands, the same by every event of it.
async fn conversion(stack: &Stack, order: &Order) -> Result<Value> {
    let key = format!("order:{}", order.id());
    let traces = stack.carom_lines(&["trace", &key, "--json"]).await?;
    let mut found = traces.iter().map(|trace| &trace["conversion"]).filter(|found| found["key"] == *key);
    let first = found.next().with_context(|| format!("no trace tells of {key}"))?.clone();
    for trace in &traces {
        let codes = trace["decisions"].as_array().context("a trace without decisions")?;
        let gave_up = codes.iter().any(|decision| decision["code"] == "parking_over");
        ensure!(!gave_up, "an event of {key} went on without what it waited for: {trace}");
    }
    for other in found {
        for field in ["status", "amount", "currency", "refunded", "payout"] {
            ensure!(other[field] == first[field], "{key}: {field} is {} and {}", other[field], first[field]);
        }
    }
    Ok(first)
}
