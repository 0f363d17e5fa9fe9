//! The spool: with the broker away, blocked or refusing, clicks are redirected and events accepted, and
//! nothing of that is lost, whoever dies in the meantime.

use anyhow::{Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::{Alone, Amount, Load};
use carom_tests::management::encoded;
use carom_tests::metrics;
use carom_tests::process;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::traffic::{Rates, Told, Traffic, unrecorded};
use serde_json::json;
use std::time::Instant;

const RATES: Rates = Rates { clicks: 60, events: 30 };
/// Nothing listens there.
const NOWHERE: &str = "amqp://guest:guest@127.0.0.1:9/%2f";

/// A figure of ingest; 0 where there is none.
async fn figure(stack: &Stack, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    Ok(metrics::sum(&stack.metrics(Binary::Ingest).await?, name, labels).unwrap_or(0.0))
}

/// Waits until more than so many requests were taken.
async fn flows(traffic: &Traffic, more_than: usize) -> Result<()> {
    eventually(secs(30), "traffic flows", async || {
        ensure!(traffic.taken() > more_than, "{} were taken", traffic.taken());
        Ok(())
    })
    .await
}

async fn spooled(stack: &Stack, at_least: f64) -> Result<()> {
    eventually(secs(30), format!("{at_least} items are in the spool"), async || {
        let items = figure(stack, "carom_spool_items", &[]).await?;
        ensure!(items >= at_least, "{items} are");
        Ok(())
    })
    .await
}

/// Waits until nothing is in the spool that came before this moment. While traffic goes on, something may
/// always be in it for a moment, as where a confirm takes longer than a redirect waits.
async fn caught_up(stack: &Stack) -> Result<()> {
    let since = Instant::now();
    eventually(secs(60), "what was spooled before is drained", async || {
        let oldest = figure(stack, "carom_spool_oldest_seconds", &[]).await?;
        ensure!(oldest + 1.0 < since.elapsed().as_secs_f64(), "the oldest is {oldest} s old");
        Ok(())
    })
    .await
}

async fn empty(stack: &Stack) -> Result<()> {
    eventually(secs(60), "the spool is empty", async || {
        let items = figure(stack, "carom_spool_items", &[]).await?;
        ensure!(items == 0.0, "{items} are in it");
        Ok(())
    })
    .await
}

async fn readiness(stack: &Stack) -> Result<(u16, String)> {
    let answer = stack.client().get(&stack.ops_url(Binary::Ingest, "/readyz")).await?;
    Ok((answer.status, answer.body))
}

/// Every click that was redirected is recorded, every event that was accepted is delivered once.
async fn account(what: &str, stack: &Stack, receiver: &Receiver, told: &[Told]) -> Result<()> {
    let mut sent = told[0].sent();
    sent.accepted.extend(told[1..].iter().flat_map(|more| more.sent().accepted));
    let account = Account::settle(stack, receiver, &sent, Weather::Rough, secs(60)).await?;
    let clicks: std::collections::BTreeSet<_> = told.iter().flat_map(Told::redirected).collect();
    let redirected = clicks.len();
    let missing = unrecorded(stack, clicks, secs(30)).await?;
    let broken: usize = told.iter().map(Told::broken).sum();
    println!(
        "{what}: redirected {redirected}, clicks lost {}, {broken} requests broke off; {account}",
        missing.len()
    );
    ensure!(missing.is_empty(), "clicks are lost, among them {:?}", missing.first());
    account.must_be_whole()?;
    ensure!(account.duplicates == 0 && account.dead == 0, "no copy and no letter");
    for told in told {
        ensure!(told.refused().is_empty(), "refused: {:?}", told.refused());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_broker_away_nothing_is_refused_and_no_kill_of_ingest_loses_what_was_answered() -> Result<()>
{
    let _alone = Alone::wait().await?;
    let broker = Broker::own().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = Setup::new(&resources).start(&broker).await?;
    let before = Traffic::start(&stack, "before", RATES);
    flows(&before, 90).await?;
    stack.vhost()?.may_be_killed().await?;
    ensure!(figure(&stack, "carom_spool_spooled_total", &[]).await? == 0.0, "it was spooled for no reason");
    broker.node()?.kill().await?;
    spooled(&stack, 100.0).await?;
    let told_before = before.end().await?;
    ensure!(told_before.broken() == 0, "{} broke off though nobody killed ingest", told_before.broken());

    // Killed while it spools; what it had not answered breaks off.
    let during = Traffic::start(&stack, "during", RATES);
    flows(&during, 60).await?;
    stack.kill(Binary::Ingest)?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready_binary(Binary::Ingest).await?;
    let (status, body) = readiness(&stack).await?;
    ensure!(status == 200 && body.contains("degraded: broker"), "{status} {body}");
    let (taken, items) = (during.taken(), figure(&stack, "carom_spool_items", &[]).await?);
    ensure!(items >= 160.0, "{items} after the kill");
    flows(&during, taken + 20).await?;
    let backlog = Load::plain(&stack, "backlog", Amount::Of(2_000), 64).finish().await?;

    // Killed while it drains.
    broker.node()?.restart().await?;
    eventually(secs(60), "it drains", async || {
        let drained = figure(&stack, "carom_spool_drained_total", &[]).await?;
        ensure!(drained > 0.0, "nothing is drained yet");
        Ok(())
    })
    .await?;
    stack.kill(Binary::Ingest)?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready().await?;
    let log = stack.log(Binary::Ingest)?;
    println!("{}", log.lines().filter(|line| line.contains("spool.open")).collect::<Vec<_>>().join("\n"));
    caught_up(&stack).await?;
    let told_during = during.end().await?;
    empty(&stack).await?;
    account("broker away, ingest killed twice", &stack, &receiver, &[told_before, told_during]).await?;
    let account = Account::settle(&stack, &receiver, &backlog, Weather::Rough, secs(60)).await?;
    account.must_be_whole()?;
    drained(stack.vhost()?, secs(30)).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_blocks_its_publishers_is_spooled_around() -> Result<()> {
    let _alone = Alone::wait().await?;
    let broker = Broker::own().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let stack = Setup::new(&resources).start(&broker).await?;
    let traffic = Traffic::start(&stack, "blocked", RATES);
    flows(&traffic, 60).await?;
    broker.node()?.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await?;
    spooled(&stack, 100.0).await?;
    let (status, body) = readiness(&stack).await?;
    ensure!(status == 200 && body.contains("degraded: broker blocked"), "{status} {body}");
    broker.node()?.ctl(&["set_vm_memory_high_watermark", "0.4"]).await?;
    caught_up(&stack).await?;
    let told = traffic.end().await?;
    empty(&stack).await?;
    account("memory alarm", &stack, &receiver, &[told]).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_limit_that_refuses_clicks_costs_no_click_and_no_event() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let vhost = stack.vhost()?;
    let (api, name) = (vhost.broker.management.clone(), encoded(&vhost.name));
    let policy = format!("/api/policies/{name}/short");
    let limit = json!({"pattern": "^carom\\.clicks$", "apply-to": "queues",
                       "definition": {"max-length": 5, "overflow": "reject-publish"}});
    stack.stop(Binary::Worker).await?;
    api.put(&policy, limit).await?;
    let traffic = Traffic::start(&stack, "short", RATES);
    spooled(&stack, 60.0).await?;
    ensure!(figure(&stack, "carom_spool_items", &[("queue", "events")]).await? == 0.0, "events go on");
    stack.start_binary(Binary::Worker)?;
    api.delete(&policy).await?;
    caught_up(&stack).await?;
    let told = traffic.end().await?;
    empty(&stack).await?;
    stack.ready().await?;
    account("a length limit on carom.clicks", &stack, &receiver, &[told]).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_is_full_or_unusable_refuses_with_a_time_to_come_again_and_keeps_what_it_has()
-> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let mut stack = setup.env("CAROM_SPOOL_MAX_BYTES", "1048576").start(&broker).await?;
    let good = stack.vhost()?.url.clone();
    stack.stop(Binary::Ingest).await?;

    // It starts without the broker, and has room for a hundred or so.
    stack.set_env("CAROM_BROKER_URL", NOWHERE);
    stack.start_binary(Binary::Ingest)?;
    stack.ready_binary(Binary::Ingest).await?;
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let padding = "x".repeat(10_000);
    let mut accepted = Vec::new();
    let refused = loop {
        let tx = format!("p{}", accepted.len());
        let pairs = [("event", "purchase"), ("txid", &*tx), ("payout", "1"), ("note", &*padding)];
        let answer = stack.client().form(&stack.events_url(PLAIN_TOKEN), &pairs).await?;
        if answer.status != 202 {
            break answer;
        }
        accepted.push((tx, answer.accepted()?));
        ensure!(accepted.len() < 1_000, "it never is full");
    };
    println!("{} events of 10 kB fit into 1 MiB", accepted.len());
    ensure!(accepted.len() > 60, "{} fit", accepted.len());
    assert_eq!((refused.status, refused.problem().as_deref()), (503, Some("not-confirmed")));
    assert_eq!(refused.headers["retry-after"], "5");
    let long = format!("{}?note={}", stack.click_url("demo"), "x".repeat(7_000));
    let refused = eventually(secs(10), "a click finds no room", async || {
        let answer = stack.client().get(&long).await?;
        ensure!(answer.status != 302, "it was redirected");
        Ok(answer)
    })
    .await?;
    assert_eq!((refused.status, refused.headers.contains_key("location")), (503, false));
    assert_eq!(refused.headers["retry-after"], "5");
    let (status, body) = readiness(&stack).await?;
    ensure!(status == 503 && body.starts_with("not ready: broker, spool full"), "{status} {body}");
    ensure!(figure(&stack, "carom_spool_refused_total", &[("reason", "spool_full")]).await? >= 2.0);

    // A second ingest on the same file is refused by its name, and hurts nobody.
    let mut second = stack.ingest_command()?;
    second.envs([("CAROM_INGEST_LISTEN", "127.0.0.1:0"), ("CAROM_INGEST_OPS_LISTEN", "127.0.0.1:0")]);
    let second = process::output(second).await?;
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(64), "{said}");
    ensure!(said.contains("spool.db: another process has it open"), "{said}");

    // Its end is clean and quick, and with the broker everything goes on.
    let asked = Instant::now();
    stack.stop(Binary::Ingest).await?;
    ensure!(asked.elapsed() < secs(10), "it took {:?} to end", asked.elapsed());
    stack.set_env("CAROM_BROKER_URL", &good);
    stack.start_binary(Binary::Ingest)?;
    stack.ready().await?;
    empty(&stack).await?;
    for (tx, _) in &accepted {
        receiver.wait_for(secs(20), 1, |request| request.field("tx").as_deref() == Some(tx)).await?;
    }
    ensure!(unrecorded(&stack, [click.id].into(), secs(20)).await?.is_empty(), "the click is lost");
    stack.plain(&[("event", "purchase"), ("txid", "after"), ("payout", "1")]).await?;

    // A spool that cannot be written is no trouble while the broker is there.
    stack.stop(Binary::Ingest).await?;
    let nowhere = stack.dir().join("carom.toml/spool.db");
    stack.set_env("CAROM_SPOOL_PATH", &nowhere.to_string_lossy());
    stack.start_binary(Binary::Ingest)?;
    stack.ready_binary(Binary::Ingest).await?;
    let (_, body) = readiness(&stack).await?;
    ensure!(body.contains("degraded: spool failing"), "{body}");
    stack.plain(&[("event", "purchase"), ("txid", "beside"), ("payout", "1")]).await?;
    stack.stop(Binary::Ingest).await?;
    stack.set_env("CAROM_BROKER_URL", NOWHERE);
    stack.start_binary(Binary::Ingest)?;
    eventually(secs(20), "it refuses, and is not ready", async || {
        let (status, body) = readiness(&stack).await?;
        ensure!(status == 503 && body.contains("broker, spool failing"), "{status} {body}");
        Ok(())
    })
    .await?;
    let answer = stack.client().form(&stack.events_url(PLAIN_TOKEN), &[("event", "purchase")]).await?;
    assert_eq!(answer.status, 503);
    assert_eq!(stack.client().get(&stack.click_url("demo")).await?.status, 503);
    stack.stop(Binary::Ingest).await?;
    stack.quietly();
    Ok(())
}
