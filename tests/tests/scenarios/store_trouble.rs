//! The store on its worst days: locked, slow, moved, corrupt, read-only, its disk full. The worker stops taking and
//! says so; ingest goes on; nothing is lost; and when it is over both go on by themselves.

use anyhow::{Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::namespace::Namespace;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::steady::Steady;
use rusqlite::Connection;
use std::path::Path;

const A_SECOND: u32 = 20;

/// A stack that looks at its store often, and a load on it.
async fn under_load(setup: Setup, broker: &Broker) -> Result<(Stack, Steady)> {
    let setup = setup
        .env("CAROM_WORKER_MEASURE_INTERVAL", "200ms")
        .env("CAROM_INGEST_FOLLOW_INTERVAL", "200ms")
        .env("CAROM_WORKER_FOLLOW_INTERVAL", "200ms");
    let stack = setup.start(broker).await?;
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), A_SECOND, "steady");
    load.more(20).await?;
    Ok((stack, load))
}

/// Waits until the worker says that its store is in trouble, or that it is not.
async fn trouble(stack: &Stack, is: bool) -> Result<()> {
    eventually(secs(30), format!("the store's trouble is told: {is}"), async || {
        let reachable = metrics::sum(&stack.metrics(Binary::Worker).await?, "carom_store_reachable", &[]);
        ensure!(reachable == Some(f64::from(u8::from(!is))), "the metric is {reachable:?}");
        let answer = stack.client().get(&stack.ops_url(Binary::Worker, "/readyz")).await?;
        ensure!((answer.status == 503) == is, "readiness is {}", answer.body.trim());
        Ok(())
    })
    .await
}

/// Ends the load and counts: nothing was refused, nothing is lost.
async fn whole(what: &str, stack: &Stack, receiver: &Receiver, load: Steady) -> Result<()> {
    let sent = load.finish().await?;
    let account = Account::settle(stack, receiver, &sent, Weather::Rough, secs(60)).await?;
    println!("{what}: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.refused, account.broken), (0, 0, 0), "ingest went on all the while");
    drained(stack.vhost()?, secs(20)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_locked_slow_moved_or_corrupt_is_waited_for_and_nothing_is_lost() -> Result<()> {
    let (broker, receiver, _, setup) = crate::network().await?;
    let (mut stack, load) = under_load(setup, &broker).await?;
    let path = stack.dir().join("carom.db");

    // Another process holds the write lock for longer than we wait for it at a time.
    let locker = Connection::open(&path)?;
    locker.execute_batch("BEGIN IMMEDIATE")?;
    trouble(&stack, true).await?;
    load.more(10).await?;
    locker.execute_batch("ROLLBACK")?;
    trouble(&stack, false).await?;
    println!("locked: told, and over");

    // And again and again for a while.
    for _ in 0..8 {
        locker.execute_batch("BEGIN IMMEDIATE")?;
        load.more(4).await?;
        locker.execute_batch("ROLLBACK")?;
        load.more(1).await?;
    }
    drop(locker);
    trouble(&stack, false).await?;
    println!("slow: over");

    // Somebody moves the file. What would be written to it now, nobody would find.
    let away = stack.dir().join("moved.db");
    std::fs::rename(&path, &away)?;
    trouble(&stack, true).await?;
    let taken = receiver.taken_count();
    load.more(20).await?;
    // An attempt that was begun before may end now.
    assert!(receiver.taken_count() <= taken + 64, "the worker goes on without its store");
    std::fs::rename(&away, &path)?;
    trouble(&stack, false).await?;
    println!("moved: told, and over");

    // It is corrupt when the worker starts.
    stack.stop(Binary::Worker).await?;
    Connection::open(&path)?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let good = std::fs::read(&path)?;
    let mut bad = good.clone();
    bad[..4096].fill(0x55);
    overwrite(&path, &bad)?;
    stack.start_binary(Binary::Worker)?;
    trouble(&stack, true).await?;
    load.more(10).await?;
    overwrite(&path, &good)?;
    trouble(&stack, false).await?;
    println!("corrupt at the start: told, and over");

    // It is not there at all for a while.
    stack.stop(Binary::Worker).await?;
    std::fs::rename(&path, &away)?;
    load.more(5).await?;
    std::fs::rename(&away, &path)?;
    stack.start_binary(Binary::Worker)?;
    trouble(&stack, false).await?;
    whole("store locked, slow, moved, corrupt, away", &stack, &receiver, load).await?;
    stack.finish().await
}

/// Writes over a file as it lies there.
fn overwrite(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    std::fs::File::options().write(true).open(path)?.write_all(bytes)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_disk_is_full_or_read_only_is_waited_for_and_nothing_is_lost() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("disk"))?;
    let mounts = "mount -t tmpfs -o size=64m,mode=700 tmpfs \"$1/disk\"";
    let namespace = Namespace::new(dir.path(), mounts).await?;
    let store = dir.path().join("disk/carom.db");
    let setup = Setup::new(&resources).env("CAROM_STORE_PATH", store.to_string_lossy()).within(&namespace);
    let (mut stack, load) = under_load(setup, &broker).await?;

    let fill = "dd if=/dev/zero of=\"$1/disk/ballast\" bs=4k 2>/dev/null || true";
    namespace.run(fill).await?;
    trouble(&stack, true).await?;
    load.more(20).await?;
    namespace.run("rm \"$1/disk/ballast\"").await?;
    trouble(&stack, false).await?;
    println!("disk full: told, and over");

    whole("store's disk full", &stack, &receiver, load).await?;

    // Both find it read-only when they start: ingest goes on with its snapshot.
    stack.stop(Binary::Worker).await?;
    stack.stop(Binary::Ingest).await?;
    namespace.run("mount -o remount,ro \"$1/disk\"").await?;
    stack.start_binary(Binary::Worker)?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready_binary(Binary::Ingest).await?;
    receiver.forget();
    let load = Steady::start(stack.client(), &stack.events_url(PLAIN_TOKEN), A_SECOND, "read-only");
    trouble(&stack, true).await?;
    load.more(10).await?;
    namespace.run("mount -o remount,rw \"$1/disk\"").await?;
    trouble(&stack, false).await?;
    whole("store's disk read-only at the start", &stack, &receiver, load).await?;
    stack.finish().await
}
