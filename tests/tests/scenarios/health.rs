//! Metrics that a linter likes, and readiness that is not liveness.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics::{self, samples};
use carom_tests::receiver::{Answer, Received, Receiver};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What the issue wants to see, by binary.
const WANTED: [(Binary, &[&str]); 2] = [
    (
        Binary::Ingest,
        &[
            "carom_intakes_total",
            "carom_clicks_total",
            "carom_spool_items",
            "carom_spool_bytes",
            "carom_spool_max_bytes",
            "carom_spool_oldest_seconds",
            "carom_spool_spooled_total",
            "carom_spool_drained_total",
            "carom_spool_withdrawn_total",
            "carom_spool_refused_total",
            "carom_spool_write_duration_seconds_count",
            "carom_spool_failing",
            "carom_bytes_in_flight",
            "carom_confirm_duration_seconds_count",
            "carom_broker_connected",
            "carom_broker_blocked",
            "carom_requests_in_flight",
            "carom_request_duration_seconds_count",
            "carom_build_info",
            "process_resident_memory_bytes",
            "process_open_fds",
        ],
    ),
    (
        Binary::Worker,
        &[
            "carom_events_total",
            "carom_confirm_duration_seconds_count",
            "carom_broker_connected",
            "carom_broker_blocked",
            "carom_consumers_attached",
            "carom_attempts_in_flight",
            "carom_queue_messages",
            "carom_queue_oldest_age_seconds",
            "carom_tier_deliveries",
            "carom_event_lag_seconds_count",
            "carom_attempts_total",
            "carom_attempt_duration_seconds_count",
            "carom_end_to_end_seconds_count",
            "carom_retries_total",
            "carom_dead_letters_total",
            "carom_dead_letters",
            "carom_store_commit_duration_seconds_count",
            "carom_build_info",
            "process_resident_memory_bytes",
            "process_open_fds",
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_of_both_binaries_pass_promtool_and_tell_what_happened() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|request: &Received| {
        Answer::status(if request.path == "/bad" { 503 } else { 200 })
    }));
    let resources = Resources::new()
        .with(Connector::get("good", receiver.url("/good")))
        .with(Connector::get("bad", receiver.url("/bad")).triggers(&["lead"]));
    let setup = Setup::new(&resources)
        .env("CAROM_RETRY_SCHEDULE", "200ms,1h")
        .env("CAROM_WORKER_MEASURE_INTERVAL", "200ms");
    let stack = setup.start(&broker).await?;
    stack.client().click(&stack.click_url("demo")).await?;
    for index in 0..5 {
        stack.plain(&[("event", "purchase"), ("txid", &format!("p{index}"))]).await?;
    }
    stack.plain(&[("event", "lead"), ("txid", "l")]).await?;
    stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), "{").await?.accepted()?;
    stack.client().get(&stack.events_url("nobodys-token-0123456789")).await?;
    stack.letters_become(1, &["--reason", "undecodable_body"]).await?;

    let worker = eventually(secs(15), "a delivery is counted in the tier of an hour", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let tier = metrics::sum(&text, "carom_queue_messages", &[("queue", "retry.1h")]);
        ensure!(tier == Some(1.0), "the queue holds {tier:?}");
        let store = metrics::sum(&text, "carom_tier_deliveries", &[("tier", "1h")]);
        ensure!(store == Some(1.0), "the store counts {store:?}");
        let dead = metrics::sum(&text, "carom_dead_letters", &[("reason", "undecodable_body")]);
        ensure!(dead == Some(1.0), "the letters are {dead:?}");
        Ok(text)
    })
    .await?;
    let ingest = stack.metrics(Binary::Ingest).await?;
    let table: [(&str, &str, &[(&str, &str)], f64); 9] = [
        (&ingest, "carom_intakes_total", &[("source", "plain"), ("outcome", "accepted")], 6.0),
        (&ingest, "carom_intakes_total", &[("source", "funnel"), ("outcome", "accepted_with_warning")], 1.0),
        (&ingest, "carom_intakes_total", &[("source", "unknown"), ("outcome", "unauthorized")], 1.0),
        (&ingest, "carom_clicks_total", &[("offer", "demo")], 1.0),
        (&ingest, "carom_broker_connected", &[], 1.0),
        (
            &worker,
            "carom_attempts_total",
            &[("connector", "good"), ("outcome", "delivered"), ("class", "2xx")],
            6.0,
        ),
        (
            &worker,
            "carom_attempts_total",
            &[("connector", "bad"), ("outcome", "retry"), ("class", "5xx")],
            2.0,
        ),
        (&worker, "carom_retries_total", &[("tier", "1h")], 1.0),
        (&worker, "carom_dead_letters_total", &[("reason", "undecodable_body")], 1.0),
    ];
    for (text, name, labels, value) in table {
        assert_eq!(metrics::sum(text, name, labels), Some(value), "{name} {labels:?}");
    }
    for (binary, names) in WANTED {
        let text = if binary == Binary::Ingest { &ingest } else { &worker };
        let there: BTreeSet<_> = samples(text).into_iter().map(|sample| sample.name).collect();
        for name in names {
            assert!(there.contains(*name), "{binary} has no {name}");
        }
        lint(binary, text)?;
    }
    stack.finish().await
}

/// What every exposition of ours must keep to; and promtool, where it is installed.
fn lint(binary: Binary, text: &str) -> Result<()> {
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').context("a TYPE without a type")?;
        assert!(name.starts_with("carom_") || name.starts_with("process_"), "{binary}: {name} is not ours");
        assert!(kind != "counter" || name.ends_with("_total"), "{binary}: the counter {name} is no _total");
        assert!(text.contains(&format!("# HELP {name} ")), "{binary}: {name} has no help");
    }
    let labels: BTreeSet<_> =
        samples(text).into_iter().flat_map(|sample| sample.labels.into_values()).collect();
    for label in labels {
        assert!(!label.contains("nobodys-token"), "{binary}: a stranger's word is a label: {label}");
        assert!(uuid::Uuid::try_parse(&label).is_err(), "{binary}: an id is a label: {label}");
    }
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("promtool is not installed: {binary} was linted without it");
        return Ok(());
    };
    child.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("promtool on {binary}: {}", output.status);
    ensure!(output.status.success(), "promtool on {binary}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_broker_both_are_alive_and_ingest_is_ready_for_as_long_as_it_can_spool() -> Result<()> {
    let broker = Broker::own().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = Setup::new(&resources).start(&broker).await?;
    stack.vhost()?.may_be_killed().await?;
    broker.node()?.kill().await?;
    for binary in Binary::ALL {
        // Ingest can go on without, and says that something is wrong.
        let (code, words) = match binary {
            Binary::Ingest => (200, "degraded: broker"),
            Binary::Worker => (503, "not ready"),
        };
        eventually(secs(15), format!("{binary} says {code} {words}"), async || {
            let answer = stack.client().get(&stack.ops_url(binary, "/readyz")).await?;
            ensure!(
                answer.status == code && answer.body.contains(words),
                "{} {}",
                answer.status,
                answer.body
            );
            Ok(())
        })
        .await?;
        assert_eq!(status(&stack, binary, "/livez").await?, 200, "{binary} is alive all the same");
        eventually(secs(5), format!("{binary} counts the broker as away"), async || {
            let text = stack.metrics(binary).await?;
            let mut connected = samples(&text).into_iter().filter(|it| it.name == "carom_broker_connected");
            ensure!(connected.all(|sample| sample.value == 0.0), "it does not");
            Ok(())
        })
        .await?;
    }
    // A visitor is not held back, and an event is taken: both are on our disk.
    let clicked = std::time::Instant::now();
    let click = stack.client().click(&stack.click_url("demo")).await?;
    assert!(clicked.elapsed() < secs(1), "the redirect took {:?}", clicked.elapsed());
    let purchase = [("event", "purchase"), ("txid", "while-away"), ("click_id", &*click.id)];
    let event = stack.plain(&purchase).await?;
    let text = stack.metrics(Binary::Ingest).await?;
    let spooled = [("outcome", "spooled")];
    assert_eq!(metrics::sum(&text, "carom_intakes_total", &spooled), Some(1.0));
    assert_eq!(metrics::sum(&text, "carom_clicks_total", &spooled), Some(1.0));

    broker.node()?.restart().await?;
    stack.ready().await?;
    let postback = receiver.wait_for(secs(20), 1, |_| true).await?.remove(0);
    assert_eq!(postback.field("click_id"), Some(click.id));
    stack.traced(&event, "delivered").await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_costs_one_event_the_confirms_time_and_nothing_else() -> Result<()> {
    let broker = Broker::own().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = Setup::new(&resources).env("CAROM_BROKER_CONFIRM_TIMEOUT", "2s").start(&broker).await?;
    broker.node()?.pause().await?;
    let asked = std::time::Instant::now();
    let purchase = [("event", "purchase"), ("txid", "hung")];
    let answer = stack.client().form(&stack.events_url(PLAIN_TOKEN), &purchase).await?;
    let took = asked.elapsed();
    println!("answered {} after {:.2} s by a hung broker's ingest", answer.status, took.as_secs_f64());
    answer.accepted()?;
    assert!(took < secs(5), "the answer took {took:?}");
    let clicked = std::time::Instant::now();
    stack.client().click(&stack.click_url("demo")).await?;
    assert!(clicked.elapsed() < secs(1), "the redirect took {:?}", clicked.elapsed());
    broker.node()?.resume().await?;
    stack.ready().await?;
    receiver.wait_for(secs(30), 1, |_| true).await?;
    stack.plain(&[("event", "purchase"), ("txid", "again")]).await?;
    receiver.wait_for(secs(30), 2, |_| true).await?;
    // It may have been published twice, by whoever waited and from the spool.
    carom_tests::accounting::drained(stack.vhost()?, secs(30)).await?;
    assert!(receiver.taken().values().all(|times| *times == 1), "{:?}", receiver.taken());
    stack.finish().await
}

async fn status(stack: &Stack, binary: Binary, page: &str) -> Result<u16> {
    Ok(stack.client().get(&stack.ops_url(binary, page)).await?.status)
}
