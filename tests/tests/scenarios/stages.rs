//! SIGKILL at every stage of the path, exactly there: a proxy between a binary and the broker holds the frame
//! that would end the stage, the binary is killed, and the account is made of what it had in hand.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::ledger::Locked;
use carom_tests::accounting::{Account, Weather};
use carom_tests::broker::Broker;
use carom_tests::client;
use carom_tests::eventually::{eventually, secs};
use carom_tests::faults::Scene;
use carom_tests::load::Load;
use carom_tests::load::mix::{self, Kind};
use carom_tests::metrics;
use carom_tests::proxy::{Sight, come};
use carom_tests::receiver::{Answer, Receiver};
use carom_tests::resources::PLAIN_TOKEN;
use carom_tests::stack::Binary;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const EVENTS: &str = "carom.events";
const NETWORK: &str = "carom.deliver.network";
const FLAKY: &str = "carom.deliver.flaky";
const DOOMED: &str = "carom.deliver.doomed";
const TIER: &str = "carom.retry.300ms";
const DEAD: &str = "carom.dead";

/// Where the kill comes.
enum At {
    /// When this row of sights has come; the last does not pass.
    Sight(&'static [Sight]),
    /// The receiver has the request and has not answered.
    Unanswered,
    /// The receiver has answered 200, and the worker knows it and has not settled the attempt.
    Unsettled,
    /// Ingest has answered 202, and nobody has read it.
    Unread,
}

struct Stage {
    name: &'static str,
    victim: Binary,
    kind: Kind,
    at: At,
    /// How often the receiver may take the postback beyond the first time, at least and at most.
    duplicates: (usize, usize),
}

const fn at(victim: Binary, name: &'static str, kind: Kind, sights: &'static [Sight]) -> Stage {
    Stage { name, victim, kind, at: At::Sight(sights), duplicates: (0, 0) }
}

/// A stage at which the delivery is on its queue already, and so may be under way.
const fn under_way(name: &'static str, sights: &'static [Sight]) -> Stage {
    Stage { duplicates: (0, 1), ..at(WORKER, name, Kind::Plain, sights) }
}

const WORKER: Binary = Binary::Worker;
const INGEST: Binary = Binary::Ingest;

const STAGES: [Stage; 18] = [
    at(INGEST, "intake's publish not passed", Kind::Plain, &[Sight::publish(EVENTS)]),
    at(INGEST, "intake's confirm held", Kind::Plain, &[Sight::publish(EVENTS), Sight::Confirm]),
    Stage { name: "202 not read", victim: INGEST, kind: Kind::Plain, at: At::Unread, duplicates: (0, 0) },
    at(WORKER, "intake delivered and nothing done", Kind::Plain, &[Sight::Deliver { queue: EVENTS }]),
    at(WORKER, "delivery's publish not passed", Kind::Plain, &[Sight::publish(NETWORK)]),
    under_way("delivery's confirm held", &[Sight::publish(NETWORK), Sight::Confirm]),
    under_way("intake's ack not passed", &[Sight::Deliver { queue: EVENTS }, Sight::AckOfIt]),
    at(
        WORKER,
        "unwanted intake's ack not passed",
        Kind::Unwanted,
        &[Sight::Deliver { queue: EVENTS }, Sight::AckOfIt],
    ),
    at(WORKER, "delivery delivered and nothing done", Kind::Plain, &[Sight::Deliver { queue: NETWORK }]),
    Stage {
        name: "request sent, not answered",
        victim: WORKER,
        kind: Kind::Plain,
        at: At::Unanswered,
        duplicates: (1, 1),
    },
    Stage {
        name: "answered 200, not settled",
        victim: WORKER,
        kind: Kind::Plain,
        at: At::Unsettled,
        duplicates: (1, 1),
    },
    at(
        WORKER,
        "delivery's ack not passed",
        Kind::Plain,
        &[Sight::Deliver { queue: NETWORK }, Sight::AckOfIt],
    ),
    at(WORKER, "retry's publish not passed", Kind::Flaky, &[Sight::publish_to(TIER, FLAKY)]),
    at(WORKER, "retry's confirm held", Kind::Flaky, &[Sight::publish_to(TIER, FLAKY), Sight::Confirm]),
    at(
        WORKER,
        "retried delivery's ack not passed",
        Kind::Flaky,
        &[Sight::Deliver { queue: FLAKY }, Sight::AckOfIt],
    ),
    at(WORKER, "dead letter's publish not passed", Kind::Doomed, &[Sight::publish(DEAD)]),
    at(WORKER, "dead letter's confirm held", Kind::Doomed, &[Sight::publish(DEAD), Sight::Confirm]),
    // Of three attempts the last one's.
    at(
        WORKER,
        "dead delivery's ack not passed",
        Kind::Doomed,
        &[
            Sight::Deliver { queue: DOOMED },
            Sight::Deliver { queue: DOOMED },
            Sight::Deliver { queue: DOOMED },
            Sight::AckOfIt,
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_at_any_stage_of_the_path_loses_nothing() -> Result<()> {
    let (broker, receiver) = (Broker::shared().await?, Receiver::start()?);
    let mut scene = Scene::start(&broker, mix::setup(&receiver, Duration::ZERO)).await?;
    let mut all = Account::default();
    for (index, stage) in STAGES.iter().enumerate() {
        let tx = format!("stage-{index:02}");
        let account = killed_at(&mut scene, &receiver, stage, &tx).await;
        let account = account.with_context(|| format!("{}: {}", stage.victim, stage.name))?;
        println!("{} killed, {}: {account}", stage.victim, stage.name);
        account.must_be_whole_and_as_sent()?;
        let (least, most) = stage.duplicates;
        assert!((least..=most).contains(&account.duplicates), "{}: {}", stage.name, account.duplicates);
        all.and(account);
    }
    println!("all {} stages: {all}", STAGES.len());
    scene.stack.finish().await
}

async fn killed_at(scene: &mut Scene, receiver: &Receiver, stage: &Stage, tx: &str) -> Result<Account> {
    let sent = match &stage.at {
        At::Sight(sights) => {
            let told = scene.proxy(stage.victim).hold(sights);
            let sending = Load::one(&scene.stack, tx, stage.kind);
            come(told, secs(15)).await?;
            scene.kill(stage.victim).await?;
            sending.finish().await?
        }
        At::Unread => {
            let before = accepted(scene).await?;
            let unread = unread(scene, tx, stage.kind).await?;
            eventually(secs(10), "it is accepted", async || {
                ensure!(accepted(scene).await? > before, "not yet");
                Ok(())
            })
            .await?;
            scene.kill(stage.victim).await?;
            drop(unread);
            // Whoever got no answer sends it again.
            Load::one(&scene.stack, tx, stage.kind).finish().await?
        }
        At::Unanswered | At::Unsettled => {
            let late = if matches!(stage.at, At::Unsettled) { secs(1) } else { secs(60) };
            receiver.answer(Arc::new(move |request| match request.number {
                1 => Answer::status(200).after(late),
                _ => Answer::status(200),
            }));
            let before = delivered(scene).await?;
            let sent = Load::one(&scene.stack, tx, stage.kind).finish().await?;
            receiver.wait_for(secs(10), 1, |request| request.field("tx").as_deref() == Some(tx)).await?;
            let locked = Locked::now(&scene.stack)?;
            if matches!(stage.at, At::Unsettled) {
                eventually(secs(10), "the worker has its answer", async || {
                    ensure!(delivered(scene).await? > before, "not yet");
                    Ok(())
                })
                .await?;
            }
            scene.stack.kill(stage.victim)?;
            drop(locked);
            scene.proxy(stage.victim).cut();
            scene.stack.start_binary(stage.victim)?;
            scene.stack.ready_binary(stage.victim).await?;
            mix::answer(receiver, Duration::ZERO);
            sent
        }
    };
    Account::settle(&scene.stack, receiver, &sent, Weather::Rough, secs(20)).await
}

/// Sends an event, and does not read what is answered.
async fn unread(scene: &Scene, tx: &str, kind: Kind) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", scene.stack.ports().ingest)).await?;
    let body = client::form(&kind.pairs(tx));
    let head = format!(
        "POST /api/v1/events/{PLAIN_TOKEN} HTTP/1.1\r\nhost: carom\r\ncontent-type: \
         application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    Ok(stream)
}

async fn accepted(scene: &Scene) -> Result<f64> {
    let text = scene.stack.metrics(Binary::Ingest).await?;
    Ok(metrics::sum(&text, "carom_intakes_total", &[("outcome", "accepted")]).unwrap_or(0.0))
}

async fn delivered(scene: &Scene) -> Result<f64> {
    let text = scene.stack.metrics(Binary::Worker).await?;
    Ok(metrics::sum(&text, "carom_attempts_total", &[("outcome", "delivered")]).unwrap_or(0.0))
}
