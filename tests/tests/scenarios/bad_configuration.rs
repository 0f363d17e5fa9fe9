//! A configuration that becomes bad while both binaries run: the last good one stays, a metric says so, and what is
//! mended is in use without a restart.

use anyhow::{Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::load::{Accepted, Sent};
use carom_tests::metrics;
use carom_tests::receiver::{Answer, Receiver, always};
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::steady::Steady;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits until both say that the newest version is bad, or good, and which is in use.
async fn in_use(stack: &Stack, version: u32, newest_is_bad: bool) -> Result<()> {
    for binary in Binary::ALL {
        eventually(secs(15), format!("{binary} uses {version}, bad: {newest_is_bad}"), async || {
            let text = stack.metrics(binary).await?;
            let bad = metrics::sum(&text, "carom_resources_newest_invalid", &[]);
            let found = metrics::sum(&text, "carom_resources_version", &[]);
            ensure!(found == Some(f64::from(version)), "it uses {found:?}");
            ensure!(bad == Some(f64::from(u8::from(newest_is_bad))), "the metric is {bad:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Writes the next version into the store by hand, as `change` makes it of the newest one's text.
fn edit(stack: &Stack, change: impl FnOnce(String) -> String) -> Result<()> {
    let store = Connection::open(stack.dir().join("carom.db"))?;
    store.busy_timeout(Duration::from_secs(10))?;
    let newest = "SELECT version, document FROM resources ORDER BY version DESC LIMIT 1";
    let (version, document): (i64, String) =
        store.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let insert = "INSERT INTO resources (version, document, applied_at) VALUES (?1, ?2, 0)";
    store.execute(insert, (version + 1, change(document)))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_configuration_that_becomes_bad_the_last_good_version_stays_and_a_metric_says_so() -> Result<()>
{
    let (broker, receiver, resources, setup) = crate::network().await?;
    let mut stack = setup.start(&broker).await?;
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), 20, "steady");
    in_use(&stack, 1, false).await?;

    // A key that this version does not know, as a newer one would have written it.
    edit(&stack, |document| document.replacen("\"webhook\":{", "\"hyperlane\":true,\"webhook\":{", 1))?;
    in_use(&stack, 1, true).await?;
    load.more(10).await?;
    // One that can be read, and that no check would let pass: its URL is none any more.
    edit(&stack, |_| {
        let mut bad = serde_json::to_value(good(&stack).unwrap()).unwrap();
        bad["connector"][0]["webhook"]["url"] = "https://{{click_id".into();
        bad.to_string()
    })?;
    in_use(&stack, 1, true).await?;
    for binary in Binary::ALL {
        eventually(secs(5), format!("{binary} tells each bad version"), async || {
            let log = stack.log(binary)?;
            let told = log.lines().filter(|line| line.contains("resources.newest_invalid")).count();
            ensure!(told == 2, "{told} lines");
            ensure!(log.contains("connector[network].webhook.url"), "what is wrong is not named");
            Ok(())
        })
        .await?;
    }
    // Started anew, they find the last good one too: in the store, and ingest without its snapshot.
    stack.stop(Binary::Worker).await?;
    stack.start_binary(Binary::Worker)?;
    std::fs::remove_file(stack.dir().join("snapshot.json"))?;
    stack.stop(Binary::Ingest).await?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready().await?;
    in_use(&stack, 1, true).await?;
    load.more(10).await?;

    // A file that is bad changes nothing.
    std::fs::write(stack.dir().join("bad.toml"), "[[connector]]\nid = \"x\"\nhyperlane = true\n")?;
    let ran = stack.carom(&["apply", "bad.toml"]).await?;
    assert_eq!(ran.code, Some(64), "{}{}", ran.out, ran.err);
    in_use(&stack, 1, true).await?;
    for binary in Binary::ALL {
        let told = stack.log(binary)?.lines().filter(|line| line.contains("newest_invalid")).count();
        assert_eq!(
            told, 3,
            "{binary}: each bad version once, and again at the start, but not with every look"
        );
    }
    // What is mended is in use, and nobody was started for it.
    stack.apply(&resources).await?;
    in_use(&stack, 4, false).await?;
    load.more(5).await?;

    let sent = load.finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(40)).await?;
    println!("bad configuration: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0));
    drained(stack.vhost()?, secs(10)).await?;
    stack.finish().await
}

/// The first version's document.
fn good(stack: &Stack) -> Result<serde_json::Value> {
    let store = Connection::open(stack.dir().join("carom.db"))?;
    let first = "SELECT document FROM resources WHERE version = 1";
    let document: String = store.query_row(first, [], |row| row.get(0))?;
    Ok(serde_json::from_str(&document)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_and_a_template_without_its_value_wait_for_whoever_mends_them() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("token");
    let token = format!("authorization = {{ kind = \"bearer\", token = {{ file = {secret:?} }} }}");
    let resources = Resources::new()
        .with(Connector::get("locked", receiver.url("/locked")).triggers(&["locked"]).line(&token))
        .with(
            Connector::get("choosy", receiver.url("/choosy"))
                .triggers(&["choosy"])
                .line("unresolved = \"block\""),
        )
        .with(Connector::get("fine", receiver.url("/fine")).triggers(&["fine"]));
    let stack =
        Setup::new(&resources).env("CAROM_RETRY_SCHEDULE", "300ms,600ms,1s,2s,3s,4s").start(&broker).await?;
    let began = Instant::now();
    let mut sent = Sent::default();
    for name in ["locked", "choosy", "fine"] {
        for number in 0..3 {
            let tx = format!("{name}-{number}");
            let id = stack.plain(&[("event", name), ("txid", &tx)]).await?;
            sent.accepted.insert(tx, Accepted::plain(id));
        }
    }
    receiver.wait_for(secs(10), 3, |request| request.path == "/fine").await?;
    eventually(secs(10), "the missing secret is told", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let labels = [("connector", "locked"), ("class", "secret"), ("outcome", "retry")];
        ensure!(metrics::sum(&text, "carom_attempts_total", &labels) >= Some(3.0), "not yet");
        Ok(())
    })
    .await?;
    stack.letters_become(3, &["--reason", "unrenderable"]).await?;

    std::fs::write(&secret, "scenario-bearer-token\n")?;
    receiver.wait_for(secs(15), 3, |request| request.path == "/locked").await?;
    let mended = Connector::get("choosy", receiver.url("/choosy")).triggers(&["choosy"]);
    stack.apply(&resources.with(mended)).await?;
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    sent.took = began.elapsed();
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(20)).await?;
    println!("a missing secret, a template without its value: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0));
    drained(stack.vhost()?, secs(10)).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_deleted_with_a_backlog_while_its_receiver_hangs_leaves_letters_and_no_trouble()
-> Result<()> {
    let broker = Broker::shared().await?;
    let (hung, good) = (Receiver::start()?, Receiver::start()?);
    hung.answer(Arc::new(|_| Answer::status(500).after(secs(30))));
    let doomed = Connector::get("doomed", hung.url("/postback")).triggers(&["doomed"]);
    let resources = Resources::new()
        .with(doomed.line("timeout = \"2s\"").line("concurrency = 2"))
        .with(Connector::get("good", good.url("/good")));
    let stack = Setup::new(&resources).env("CAROM_RETRY_SCHEDULE", "1s,2s,3s").start(&broker).await?;
    let mut doomed = BTreeMap::new();
    for number in 0..30 {
        let tx = format!("doomed-{number}");
        let id = stack.plain(&[("event", "doomed"), ("txid", &tx)]).await?;
        doomed.insert(tx, Accepted::plain(id));
    }
    hung.wait_for(secs(10), 2, |_| true).await?;
    stack.apply(&resources.clone().without("doomed")).await?;
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), 20, "steady");
    let letters = stack.letters_become(30, &["--connector", "doomed"]).await?;
    let removed = letters.iter().filter(|letter| letter["reason"] == "connector_removed").count();
    assert_eq!(removed, 30, "{letters:?}");
    load.more(5).await?;
    let mut sent = load.finish().await?;
    let neighbours = sent.accepted.len();
    Account::settle(&stack, &good, &sent, Weather::Rough, secs(20)).await?.must_be_whole()?;
    // Its letters are as good as before: with the connector back they go where they were meant to.
    drained(stack.vhost()?, secs(10)).await?;
    hung.answer(always(200));
    let back = Connector::get("doomed", good.url("/back")).triggers(&["doomed"]);
    stack.apply(&resources.with(back)).await?;
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    sent.accepted.extend(doomed);
    let account = Account::settle(&stack, &good, &sent, Weather::Rough, secs(30)).await?;
    println!("a connector deleted with a backlog of 30, beside {neighbours} of another: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0));
    drained(stack.vhost()?, secs(10)).await?;
    stack.finish().await
}
