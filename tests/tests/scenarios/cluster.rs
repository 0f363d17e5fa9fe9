//! Three nodes that are one broker, under a steady load: each is lost once, and what was answered 202 reaches the
//! receiver. `CAROM_CLUSTER=long` adds a node that hangs, a restart of all, one after the other, and a queue without its
//! majority.

use anyhow::{Context, Result, bail, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::Alone;
use carom_tests::metrics;
use carom_tests::node::{Cluster, Node};
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::steady::Steady;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Events a second.
const RATE: u32 = 100;
/// Until the others have given a node up that hangs (net_ticktime): as long as they wait for it, so does whoever waits
/// for a queue whose leader is there.
const PAUSED: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_of_three_is_lost_once_under_load_and_no_accepted_event_with_it() -> Result<()> {
    let _alone = Alone::wait().await?;
    let long = std::env::var("CAROM_CLUSTER").is_ok_and(|form| form == "long");
    let cluster = Cluster::start().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new()
        .with(Connector::get("network", receiver.url("/postback")))
        .with(Connector::get("alone", receiver.url("/alone")).triggers(&["lead"]));
    let mut stack = start(&cluster, &resources).await?;
    may_lose_one(&cluster, &stack).await?;
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), RATE, "steady");
    accepts(&load, &stack).await?;

    for (index, member) in cluster.members.iter().enumerate() {
        let since = Instant::now();
        member.kill().await?;
        accepts(&load, &stack).await?;
        member.restart().await?;
        may_lose_one(&cluster, &stack).await?;
        println!("node {} killed and back: {}", index + 1, load.pause_since(since));
    }
    if long {
        let paused = &cluster.members[at(&stack, &cluster).await?];
        let since = Instant::now();
        paused.pause().await?;
        // Not waiting for anything to come true: the length of the pause is what is tried.
        tokio::time::sleep(PAUSED).await;
        accepts(&load, &stack).await?;
        paused.resume().await?;
        may_lose_one(&cluster, &stack).await?;
        println!("the node of ingest paused: {}", load.pause_since(since));
    }
    if long {
        let since = Instant::now();
        for member in &cluster.members {
            member.stop().await?;
            member.restart().await?;
            may_lose_one(&cluster, &stack).await?;
        }
        println!("rolling restart: {}", load.pause_since(since));
    }

    let sent = load.finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(120)).await?;
    println!("three nodes, each lost once: {account}");
    account.must_be_whole()?;
    assert_eq!(account.dead, 0, "nothing was wrong with any of them");
    let reconnects = metrics::sum(
        &stack.metrics(Binary::Ingest).await?,
        "carom_broker_connections_total",
        &[("link", "publish")],
    );
    assert!(
        reconnects >= Some(2.0),
        "ingest never lost its node, so losing one proved nothing: {reconnects:?}"
    );
    drained(stack.vhost()?, secs(60)).await?;
    stack.ready().await?;
    if long {
        one_queue_without_majority(&cluster, &mut stack, &receiver).await?;
    }
    stack.finish().await
}

/// A queue with its only member on a node that is gone answers nobody. A worker that starts then, and has to declare it,
/// works for all the others (G7); and for this one when the node is back.
async fn one_queue_without_majority(cluster: &Cluster, stack: &mut Stack, receiver: &Receiver) -> Result<()> {
    let [first, second, third] = &cluster.members[..] else { bail!("three nodes were started") };
    let vhost = stack.vhost()?.name.clone();
    for member in [first, second] {
        let alone = ["delete_member", "--vhost", &vhost, "carom.deliver.alone", &member.name()?];
        third.tool("rabbitmq-queues", &alone).await?;
    }
    stack.stop(Binary::Worker).await?;
    third.kill().await?;
    stack.start_binary(Binary::Worker)?;
    stack.ready().await?;
    stack.plain(&[("event", "purchase"), ("txid", "with-the-others")]).await?;
    receiver.has_taken("with-the-others").await?;
    third.restart().await?;
    stack.plain(&[("event", "lead"), ("txid", "alone")]).await?;
    receiver.has_taken("alone").await
}

async fn start(cluster: &Cluster, resources: &Resources) -> Result<Stack> {
    let first = &cluster.members[0];
    let broker = Broker::at(&first.broker_url, &first.management_url)?;
    Setup::new(resources)
        .env("CAROM_BROKER_HOSTS", &cluster.hosts)
        .env("CAROM_BROKER_MANAGEMENT_HOSTS", &cluster.management_hosts)
        .start(&broker)
        .await
}

/// Waits until something that is sent now is accepted.
async fn accepts(load: &Steady, stack: &Stack) -> Result<()> {
    let before = load.accepted_count();
    // More than could be on their way already.
    let more = 2 * RATE as usize;
    eventually(secs(60), "events are accepted", async || {
        let accepted = load.accepted_count() - before;
        let (refused, broken) = load.troubles();
        load.must_run()?;
        if accepted < more {
            let text = stack.metrics(Binary::Ingest).await?;
            let told: Vec<_> = text.lines().filter(|line| line.starts_with("carom_intakes_total")).collect();
            bail!("{accepted} were, {refused} refused and {broken} broken off in all: {told:?}");
        }
        Ok(())
    })
    .await
}

/// Waits until every queue has all its members, on every node's disk: only then is losing one node losing a minority.
/// Whether each has caught up is of no matter: the one that has not is not elected.
async fn may_lose_one(cluster: &Cluster, stack: &Stack) -> Result<()> {
    let vhost = stack.vhost()?;
    eventually(secs(60), "every queue has three members that are there", async || {
        let listed = queues(stack).await?;
        ensure!(listed.len() >= 14, "{} queues are declared", listed.len());
        let mut names = Vec::new();
        for queue in listed {
            let online = queue["online"].as_array().map_or(0, Vec::len);
            ensure!(online == 3, "{} has {online}", queue["name"]);
            names.push(queue["name"].as_str().unwrap_or_default().to_owned());
        }
        cluster.members.iter().try_for_each(|member| member.remembers(&vhost.name, &names))
    })
    .await
}

async fn queues(stack: &Stack) -> Result<Vec<Value>> {
    let vhost = stack.vhost()?;
    let path = format!("/api/queues/{}?disable_stats=true&enable_queue_totals=true", vhost.name);
    let listed = vhost.broker.management.get(&path).await?;
    listed.as_array().cloned().context("no list")
}

/// The node that ingest publishes to, by its own account.
async fn at(stack: &Stack, cluster: &Cluster) -> Result<usize> {
    let text = stack.metrics(Binary::Ingest).await?;
    let here = |node: &Node| {
        let host = node.broker_url.split('@').nth(1).and_then(|rest| rest.split('/').next());
        let labels = [("link", "publish"), ("node", host.unwrap_or_default())];
        metrics::sum(&text, "carom_broker_node", &labels) == Some(1.0)
    };
    cluster.members.iter().position(here).context("ingest is connected to none of them")
}
