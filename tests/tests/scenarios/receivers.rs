//! Receivers on their worst days: every way to misbehave at once, each at a connector of its own.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::{Account, Weather, drained};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::hostile::{Hostile, Hostiles, Way};
use carom_tests::load::{Accepted, Sent};
use carom_tests::metrics::{self, samples};
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Events for each of them.
const EVENTS: usize = 2;
/// What the kernel takes of what nobody reads, on both sides: far below 10 GB.
const KERNEL: u64 = 24 << 20;

/// What an attempt at such a receiver is told to have been.
fn class(way: Way) -> &'static str {
    use Way as W;
    match way {
        W::HangsAfterAccept | W::HangsAfterRequest | W::DripsTheHead | W::InterimForEver => "timeout",
        W::ResetsAtOnce | W::ResetsInTheHead | W::ClosesWithoutAnswer | W::ResetsWhenReused => "reset",
        W::EndlessHeader | W::EndlessHeaders | W::LengthNegative | W::LengthTwice | W::Rubbish => "protocol",
        W::ResetsInTheBody
        | W::DripsTheBody
        | W::Body10Gb
        | W::BodyChunkedWithoutEnd
        | W::BodyWithoutEnd
        | W::BombGzip
        | W::BombDeflate
        | W::BombBrotli
        | W::LengthTooShort
        | W::LengthTooLong
        | W::LengthAndChunks => "5xx",
        W::RedirectInside | W::RedirectToItself => "3xx",
        W::TlsExpired | W::TlsSelfSigned | W::TlsWrongName | W::TlsCut | W::TlsPlain => "tls",
        W::TlsHangs => "connect",
        // It costs nothing.
        W::ClosesWhenIdle => "2xx",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_receiver_misbehaves_its_attempts_end_in_time_with_a_name_and_nobody_else_notices()
-> Result<()> {
    let broker = Broker::shared().await?;
    let good = Receiver::start()?;
    let hostiles = Hostiles::new(&good)?;
    let all: Vec<Hostile> = Way::ALL.into_iter().map(|way| hostiles.start(way)).collect::<Result<_>>()?;
    let mut resources =
        Resources::new().with(Connector::get("neighbour", good.url("/neighbour")).triggers(&["purchase"]));
    for hostile in &all {
        let name = hostile.way.name();
        let connector = Connector::get(&name, hostile.url()).triggers(&[&name]);
        resources = resources.with(connector.line("timeout = \"2s\""));
    }
    let dir = tempfile::tempdir()?;
    let ca_file = dir.path().join("authority.pem");
    std::fs::write(&ca_file, &hostiles.authority().pem)?;
    let mut stack = Setup::new(&resources)
        .env("CAROM_EGRESS_CA_FILE", ca_file.to_string_lossy())
        .env("CAROM_RETRY_SCHEDULE", "500ms,1s,2s,3s,4s,5s,6s,7s,8s,9s,20s,30s")
        .env("CAROM_WORKER_BREAKER_FAILURES", "0")
        .start(&broker)
        .await?;
    let before = resident(&mut stack)?;

    let mut sent = Sent::default();
    let began = Instant::now();
    for round in 0..EVENTS {
        for hostile in &all {
            let (name, tx) = (hostile.way.name(), format!("{}-{round}", hostile.way.name()));
            let id = stack.plain(&[("event", &name), ("txid", &tx)]).await?;
            sent.accepted.insert(tx, Accepted::plain(id));
        }
        // The second request of those that keep their connection comes when the first was answered; and of the one
        // that closes it, when it has.
        for hostile in all.iter().filter(|hostile| reuses(hostile.way)) {
            let tx = format!("{}-{round}", hostile.way.name());
            eventually(secs(20), format!("{tx} is delivered"), async || {
                ensure!(good.taken().contains_key(&tx), "not yet");
                ensure!(
                    hostile.way != Way::ClosesWhenIdle || hostile.ended() == hostile.connections(),
                    "open"
                );
                Ok(())
            })
            .await?;
        }
    }
    // Neighbours are served all the while.
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let tx = format!("neighbour-{number}");
        let asked = Instant::now();
        let id = stack.plain(&[("event", "purchase"), ("txid", &tx)]).await?;
        good.wait_for(secs(10), 1, |request| request.field("tx").as_deref() == Some(&tx)).await?;
        slowest = slowest.max(asked.elapsed());
        sent.accepted.insert(tx, Accepted::plain(id));
    }
    let text = eventually(secs(40), "each has failed twice", async || {
        let text = stack.metrics(Binary::Worker).await?;
        for hostile in all.iter().filter(|hostile| !reuses(hostile.way)) {
            let name = hostile.way.name();
            let failed = failures(&text, &name);
            ensure!(failed >= EVENTS as f64, "{name}: {failed}");
        }
        Ok(text)
    })
    .await?;
    let peak = resident(&mut stack)?;
    let mut misnamed = Vec::new();
    for hostile in &all {
        let name = hostile.way.name();
        let classes = classes(&text, &name);
        println!(
            "{name:<26} {:<9} {:>3} connections, {:>9} bytes taken at most",
            classes.iter().cloned().collect::<Vec<_>>().join(" "),
            hostile.connections(),
            hostile.most_sent(),
        );
        let right = classes.iter().all(|found| expected(hostile.way, found));
        if !right || !classes.contains(class(hostile.way)) {
            misnamed.push(format!("{name}: {classes:?}, not {}", class(hostile.way)));
        }
        // Interim answers are read on, and kept nowhere, until the attempt's time is over: how many, is the machine's speed.
        if name != "interim-for-ever" {
            assert!(hostile.most_sent() < KERNEL, "{name}: {} bytes were taken", hostile.most_sent());
        }
        // Two seconds for the attempt, and three for a machine that is busy.
        let labels: &[(&str, &str)] = &[("connector", &name), ("le", "5")];
        let in_time = metrics::sum(&text, "carom_attempt_duration_seconds_bucket", labels);
        let of = metrics::sum(&text, "carom_attempt_duration_seconds_count", &labels[..1]);
        assert_eq!(in_time, of, "{name}: an attempt did not end within its time");
    }
    assert!(misnamed.is_empty(), "{misnamed:#?}");
    let neighbours: &[(&str, &str)] = &[("connector", "neighbour"), ("outcome", "retry")];
    assert_eq!(metrics::sum(&text, "carom_attempts_total", neighbours), None, "a neighbour was held up");
    println!("a neighbour's event took {:.0} ms at most, event to delivery", slowest.as_secs_f64() * 1e3);
    println!(
        "resident memory of the worker: {} KiB before, {} KiB amid it all, {} KiB at most",
        before.now, peak.now, peak.most
    );
    assert!(peak.most - before.now < 256 * 1024, "memory is not bounded: {before:?}, then {peak:?}");

    hostiles.heal();
    sent.took = began.elapsed();
    let account = Account::settle(&stack, &good, &sent, Weather::Rough, secs(60)).await?;
    println!("hostile receivers: {account}");
    account.must_be_whole()?;
    assert_eq!((account.dead, account.duplicates), (0, 0), "no receiver had taken what was sent to it again");
    assert!(!hostiles.trapped(), "a redirect was followed");
    assert_eq!(good.matching(|request| request.path == "/followed").len(), 0, "a redirect was followed");
    drained(stack.vhost()?, secs(20)).await?;
    stack.finish().await
}

/// A reset that comes at once may be seen while the connection is still being made; and where the machine is so busy
/// that an attempt's time is over before it has its answer, that is what it is told as.
fn expected(way: Way, found: &str) -> bool {
    let late = if way.is_tls() { ["connect", "connect"] } else { ["timeout", "connect"] };
    found == class(way) || late.contains(&found)
}

fn reuses(way: Way) -> bool {
    matches!(way, Way::ResetsWhenReused | Way::ClosesWhenIdle)
}

fn failures(text: &str, connector: &str) -> f64 {
    let labels = [("connector", connector), ("outcome", "retry")];
    metrics::sum(text, "carom_attempts_total", &labels).unwrap_or(0.0)
}

/// The classes of a connector's failed attempts; of all its attempts, where none has failed.
fn classes(text: &str, connector: &str) -> BTreeSet<String> {
    let mine = |outcome: &'static str| {
        let of = samples(text).into_iter().filter(move |sample| {
            sample.name == "carom_attempts_total"
                && sample.labels.get("connector").is_some_and(|name| name == connector)
                && sample.labels.get("outcome").is_some_and(|name| name == outcome)
        });
        of.filter_map(|sample| sample.labels.get("class").cloned()).collect::<BTreeSet<_>>()
    };
    let failed = mine("retry");
    if failed.is_empty() { mine("delivered") } else { failed }
}

#[derive(Clone, Copy, Debug)]
struct Resident {
    now: i64,
    most: i64,
}

/// The worker's resident memory, in KiB.
fn resident(stack: &mut Stack) -> Result<Resident> {
    let pid = stack.process(Binary::Worker)?.id();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        line.trim().trim_end_matches(" kB").parse::<i64>().context("no number")
    };
    Ok(Resident { now: value("VmRSS:")?, most: value("VmHWM:")? })
}
