//! What runs short on our own machine: a place for ingest's snapshot, a reader of our log, file descriptors.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::resources::{Connector, PLAIN_TOKEN};
use carom_tests::stack::{Binary, Stack};
use carom_tests::steady::Steady;
use std::process::Command;
use tokio::net::TcpStream;

const A_SECOND: u32 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_cannot_be_written_is_told_and_written_as_soon_as_it_can_be() -> Result<()> {
    let (broker, receiver, resources, setup) = crate::network().await?;
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("not there");
    let snapshot = folder.join("snapshot.json");
    let setup = setup.env("CAROM_INGEST_SNAPSHOT_PATH", snapshot.to_string_lossy());
    let mut stack = setup.env("CAROM_INGEST_FOLLOW_INTERVAL", "200ms").start(&broker).await?;
    let failing = async |stack: &Stack, is: f64| {
        eventually(secs(10), format!("the metric is {is}"), async || {
            let text = stack.metrics(Binary::Ingest).await?;
            let found = metrics::sum(&text, "carom_resources_snapshot_failing", &[]);
            ensure!(found == Some(is), "it is {found:?}");
            Ok(())
        })
        .await
    };
    failing(&stack, 1.0).await?;
    let other = Connector::get("another", receiver.url("/another"));
    stack.apply(&resources.with(other)).await?;
    failing(&stack, 1.0).await?;
    stack.plain(&[("event", "purchase"), ("txid", "meanwhile")]).await?;
    std::fs::create_dir(&folder)?;
    failing(&stack, 0.0).await?;
    // It is the newest version that is there for a start without the store.
    stack.stop(Binary::Ingest).await?;
    std::fs::rename(stack.dir().join("carom.db"), stack.dir().join("away.db"))?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready_binary(Binary::Ingest).await?;
    let version = metrics::sum(&stack.metrics(Binary::Ingest).await?, "carom_resources_version", &[]);
    assert_eq!(version, Some(2.0));
    stack.plain(&[("event", "purchase"), ("txid", "without-the-store")]).await?;
    std::fs::rename(stack.dir().join("away.db"), stack.dir().join("carom.db"))?;
    for tx in ["meanwhile", "without-the-store"] {
        receiver.wait_for(secs(20), 2, |request| request.field("tx").as_deref() == Some(tx)).await?;
    }
    stack.finish().await
}

/// Where the log of the two processes goes: to somebody who reads one line and leaves, and to somebody who never reads.
/// What commands say is read as ever.
const LOGS: [(&str, &str); 2] = [
    ("closed", "exec \"$@\" 2> >(head -n 1 >/dev/null)"),
    ("unread", "fifo=$(mktemp -u); mkfifo \"$fifo\"; exec 2<>\"$fifo\"; rm \"$fifo\"; exec \"$@\""),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_closed_or_that_nobody_reads_holds_nothing_up() -> Result<()> {
    for (name, script) in LOGS {
        let (broker, receiver, _, setup) = crate::network().await?;
        // Enough is said to fill the pipe and all that waits before it.
        let setup = setup.env("CAROM_LOG_LEVEL", "trace").env("CAROM_INGEST_FOLLOW_INTERVAL", "50ms");
        let script = format!("case \" $* \" in *' run '*|*carom-ingest*) {script} ;; *) exec \"$@\" ;; esac");
        let setup = setup.wrapped(["bash", "-c", &script, "bash"]);
        let stack = setup.start(&broker).await?;
        let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), A_SECOND, "steady");
        load.more(50).await?;
        for binary in Binary::ALL {
            eventually(secs(20), format!("lines of {binary} are lost, where they can be"), async || {
                let text = stack.metrics(binary).await?;
                let lost =
                    metrics::sum(&text, "carom_log_lines_lost_total", &[]).context("no such metric")?;
                // What nobody reads waits in memory for a while.
                ensure!(lost > 0.0 || name == "unread", "none is");
                println!("log {name}: {lost} lines of {binary} are lost");
                Ok(())
            })
            .await?;
        }
        let sent = load.finish().await?;
        let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(30)).await?;
        println!("log {name}: {account}");
        account.must_be_whole()?;
        assert_eq!((account.dead, account.duplicates, account.refused, account.broken), (0, 0, 0, 0));
        drained(stack.vhost()?, secs(10)).await?;
        stack.finish().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_file_descriptors_both_wait_and_with_them_both_go_on() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let setup = setup.env("CAROM_RETRY_SCHEDULE", "500ms,1s,2s,3s,4s,5s,6s,7s,8s,9s");
    let mut stack = setup.env("CAROM_WORKER_BREAKER_FAILURES", "0").start(&broker).await?;
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), A_SECOND, "steady");
    load.more(20).await?;

    // Ingest: a crowd takes every descriptor there is.
    let ingest = stack.process(Binary::Ingest)?.id();
    let before = limit(ingest)?;
    set_limit(ingest, open_files(ingest)? + 8)?;
    let mut crowd = Vec::new();
    for _ in 0..64 {
        crowd.push(TcpStream::connect(("127.0.0.1", stack.ports().ingest)).await?);
    }
    eventually(secs(10), "a connection is not accepted", async || {
        ensure!(stack.log(Binary::Ingest)?.contains("connection.not_accepted"), "not told");
        Ok(())
    })
    .await?;
    drop(crowd);
    set_limit(ingest, before)?;
    load.more(20).await?;

    // Worker: it can open no connection to its receivers, nor anything else.
    let worker = stack.process(Binary::Worker)?.id();
    let before = limit(worker)?;
    receiver.answer(std::sync::Arc::new(|_| carom_tests::receiver::Answer {
        headers: vec![("connection", "close".to_owned())],
        ..carom_tests::receiver::Answer::status(200)
    }));
    load.more(10).await?;
    set_limit(worker, 8)?;
    let failed = receiver.count();
    load.more(20).await?;
    println!("{} requests while the worker had no descriptor", receiver.count() - failed);
    set_limit(worker, before)?;
    stack.ready().await?;
    let sent = load.finish().await?;
    let account = Account::settle(&stack, &receiver, &sent, Weather::Rough, secs(60)).await?;
    println!("no file descriptors: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0));
    // Whichever needed one first: an attempt, or the store that decides before there is an attempt.
    let text = stack.metrics(Binary::Worker).await?;
    let labels = [("connector", "network"), ("class", "connect")];
    let refused = metrics::sum(&text, "carom_attempts_total", &labels).unwrap_or(0.0);
    let store = stack.log(Binary::Worker)?.matches("store.again").count();
    println!("without a descriptor: {refused} attempts, {store} times the store");
    assert!(refused > 0.0 || store > 0, "nothing was without a descriptor, so nothing was proved");
    drained(stack.vhost()?, secs(10)).await?;
    stack.finish().await
}

fn open_files(pid: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The soft limit of open files.
fn limit(pid: u32) -> Result<usize> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no such limit")?;
    Ok(line.split_whitespace().next().context("no limit")?.parse()?)
}

fn set_limit(pid: u32, to: usize) -> Result<()> {
    let mut set = Command::new("prlimit");
    set.args(["--pid", &pid.to_string(), &format!("--nofile={to}:")]);
    ensure!(set.status()?.success(), "the limit of {pid} cannot be set");
    Ok(())
}
