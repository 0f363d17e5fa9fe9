//! `carom-worker run`: wires the parts, and takes them down in order.
//!
//! SIGTERM stops taking first; then what is in hand is settled, within `worker.drain_timeout`; then the
//! broker and the store are let go. What was not settled by then comes again.

use crate::commands::Usage;
use crate::company::Company;
use crate::egress::{self, Egress};
use crate::in_hand::InHand;
use crate::management::Management;
use crate::metrics::Metrics;
use crate::pauses::Pauses;
use crate::shared::Shared;
use crate::shares::{self, Shares};
use crate::together::Together;
use crate::tokens::Tokens;
use crate::{clickfunnels, connectors, consume, follow, housekeeping, measure, overdue, unrouted};
use anyhow::Context;
use carom_common::amqp::{self, Address, Link, Publisher, greet};
use carom_common::backoff_policy::Reconnect;
use carom_common::config::Config;
use carom_common::store::{self, Store};
use carom_common::telemetry::ops;
use carom_common::topology;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// How long the store may take to write one row before it counts as failing: longer than it waits for a lock.
const STORE_PATIENCE: Duration = Duration::from_secs(6);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start: the broker is too old, the store cannot be opened, an address is taken.
pub async fn run(config: Config) -> anyhow::Result<()> {
    // Before anything is waited for: what is wrong with it is the operator's to mend, and no time mends it.
    let egress = Egress::new(&egress::settings(&config)).map_err(|error| match error {
        egress::SetupError::CaFile { .. } => anyhow::Error::new(Usage(error.to_string())),
        other => other.into(),
    })?;
    let metrics = Arc::new(Metrics::new());
    // Two tokens: work stops being taken first, connections are let go when it has ended.
    let (stop, close) = (CancellationToken::new(), CancellationToken::new());
    let running = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(watch::Sender::new(None::<Arc<Shared>>));
    let readiness = readiness(ready.subscribe(), running.clone());
    let address = ops::serve(config.worker.ops_listen, metrics.registry.clone(), readiness, close.clone())
        .await
        .with_context(|| format!("worker.ops_listen {} cannot be listened on", config.worker.ops_listen))?;
    info!(%address, "ops.listening");

    let ended = ended()?;
    let started = tokio::select! {
        started = start(config, egress, metrics, close.clone()) => started?,
        name = ended.clone().signalled() => {
            info!(signal = name, "worker.stopped_before_it_started");
            return Ok(());
        }
    };
    let shared = Arc::new(started);
    ready.send_replace(Some(shared.clone()));
    let tasks = spawn(&shared, &stop)?;
    running.store(true, Ordering::Relaxed);
    info!("worker.running");

    let name = ended.signalled().await;
    info!(signal = name, "worker.draining");
    running.store(false, Ordering::Relaxed);
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(shared.config.worker.drain_timeout.0, tasks.wait()).await.is_err() {
        warn!("worker.drain_timed_out");
    }
    close.cancel();
    shared.store.clone().close().await;
    info!("worker.stopped");
    Ok(())
}

async fn start(
    config: Config,
    egress: Egress,
    metrics: Arc<Metrics>,
    close: CancellationToken,
) -> anyhow::Result<Shared> {
    let settings = store::Settings::from(&config.store);
    let store = open(&settings, metrics.clone()).await?;
    let hasher = crate::settle::surely("hasher", || store.hasher()).await;
    let roster =
        follow::start(store.clone(), config.worker.follow_interval.0, metrics.clone(), close.clone()).await;
    let pauses = Pauses::follow(store.clone(), config.worker.follow_interval.0, close.clone()).await;
    let broker = Address::new(&config);
    acceptable_broker(&broker).await?;
    let schedule = &config.retry.schedule;
    let link = Link::start(&broker, "carom-worker consume", schedule, close.clone());
    let publishing = link.sibling("carom-worker publish", close.clone());
    let confirms = metrics.confirms.clone();
    let publisher = Publisher::start(publishing, config.broker.confirm_timeout.0, close, move |took| {
        confirms.observe(took.as_secs_f64());
    });
    let company = company(&settings);
    let together = Together::start(&store);
    Ok(Shared {
        config,
        store,
        link,
        publisher,
        roster,
        pauses,
        tokens: Tokens::default(),
        hasher,
        egress,
        metrics,
        attending: AtomicBool::new(false),
        company,
        shares: Shares::default(),
        together,
        events: InHand::default(),
        deliveries: InHand::default(),
    })
}

/// Who else works on the store, where that can be known: on a server's, others may be on other machines.
fn company(settings: &store::Settings) -> Company {
    let joined = settings.file().map(|path| Company::join(path));
    joined.unwrap_or_else(|| Ok(Company::unknown())).unwrap_or_else(|error| {
        warn!(%error, "company.not_known");
        Company::unknown()
    })
}

/// Opens the store, bringing it to this binary's schema. With it away, waits.
async fn open(settings: &store::Settings, counted: Arc<Metrics>) -> anyhow::Result<Store> {
    let mut delays = Reconnect::new();
    loop {
        let metrics = counted.clone();
        let place = settings.clone();
        let opening = tokio::task::spawn_blocking(move || {
            Store::migrate(&place)?;
            Store::open(&place, move |took, jobs| metrics.committed(took, jobs))
        });
        match opening.await.unwrap_or(Err(store::Error::Closed)) {
            Ok(store) => {
                counted.store_reachable.set(1);
                return Ok(store);
            }
            Err(error @ store::Error::TooNew { .. }) => return Err(error.into()),
            Err(error) => error!(%error, store.place = %settings, "store.unavailable"),
        }
        counted.store_reachable.set(0);
        tokio::time::sleep(delays.next()).await;
    }
}

/// Waits for the broker, and refuses one that could lose messages.
async fn acceptable_broker(broker: &Address) -> anyhow::Result<()> {
    let mut delays = Reconnect::new();
    loop {
        match greet(broker).await {
            Ok(version) => {
                info!(broker.version = %version, "broker.greeted");
                return Ok(());
            }
            Err(error) if !error.passes() => return Err(error.into()),
            Err(error) => warn!(%error, "broker.unreachable"),
        }
        tokio::time::sleep(delays.next()).await;
    }
}

fn spawn(shared: &Arc<Shared>, stop: &CancellationToken) -> anyhow::Result<TaskTracker> {
    let tasks = TaskTracker::new();
    let prefetch = shared.config.worker.prefetch;
    let taken = |queue: &str| {
        let attached = shared.metrics.consumers.with_label_values(&[topology::label(queue)]);
        let told = move |on| attached.set(i64::from(on));
        amqp::consume(shared.link.clone(), queue.to_owned(), prefetch, stop.clone(), told)
    };
    tasks.spawn(consume::clicks(shared.clone(), taken(topology::CLICKS)));
    tasks.spawn(consume::events(shared.clone(), taken(topology::EVENTS)));
    tasks.spawn(unrouted::run(shared.clone(), taken(topology::UNROUTED)));
    tasks.spawn(connectors::run(shared.clone(), stop.clone()));
    tasks.spawn(measure::run(shared.clone(), Management::new(&shared.config)?, stop.clone()));
    tasks.spawn(shares::run(shared.clone(), stop.clone()));
    tasks.spawn(overdue::run(shared.clone(), stop.clone()));
    tasks.spawn(housekeeping::prune(shared.clone(), stop.clone()));
    tasks.spawn(clickfunnels::timer::run(shared.clone(), stop.clone()));
    tasks.spawn(watch_broker(shared.clone(), stop.clone()));
    tasks.spawn(watch_store(shared.clone(), stop.clone()));
    Ok(tasks)
}

/// Keeps the figures about the broker's connections current between measurings.
async fn watch_broker(shared: Arc<Shared>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        for (name, link) in [("consume", &shared.link), ("publish", shared.publisher.link())] {
            shared.metrics.broker.show(name, link);
            shared.metrics.broker_connected.with_label_values(&[name]).set(i64::from(link.connected()));
            shared.metrics.broker_blocked.with_label_values(&[name]).set(i64::from(link.blocked()));
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}

/// Asks the store again and again to do its work, so that we can say whether it does. Whoever needs it waits for it
/// without being told.
async fn watch_store(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let failing = tokio::select! {
            () = stop.cancelled() => return,
            checked = tokio::time::timeout(STORE_PATIENCE, shared.store.check()) => match checked {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("it has not answered for {STORE_PATIENCE:?}")),
            },
        };
        match (&failing, shared.metrics.store_reachable.get() == 0) {
            (Some(error), false) => error!(error, "store.failing"),
            (None, true) => info!("store.back"),
            _ => {}
        }
        shared.metrics.store_reachable.set(i64::from(failing.is_none()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(shared.config.worker.measure_interval.0) => {}
        }
    }
}

fn readiness(shared: watch::Receiver<Option<Arc<Shared>>>, running: Arc<AtomicBool>) -> ops::Readiness {
    Arc::new(move || {
        let shared = shared.borrow().clone();
        let Some(shared) = shared else {
            return vec!["starting: waiting for store and broker"];
        };
        let attached =
            |queue: &str| shared.metrics.consumers.with_label_values(&[topology::label(queue)]).get() == 1;
        let checks = [
            (running.load(Ordering::Relaxed), "draining"),
            (shared.attending.load(Ordering::Relaxed), "connectors not attached yet"),
            (shared.link.connected(), "broker not connected for consuming"),
            (shared.publisher.link().connected(), "broker not connected for publishing"),
            (!shared.publisher.link().blocked(), "broker blocks publishing"),
            (shared.metrics.store_reachable.get() == 1, "store failing"),
            (attached(topology::EVENTS), "no consumer on carom.events"),
            (attached(topology::CLICKS), "no consumer on carom.clicks"),
        ];
        checks.into_iter().filter(|(good, _)| !good).map(|(_, problem)| problem).collect()
    })
}

/// Hears the signals that end us.
#[derive(Clone)]
struct Ended(watch::Receiver<&'static str>);

impl Ended {
    async fn signalled(mut self) -> &'static str {
        self.0.wait_for(|name| !name.is_empty()).await.map_or("lost", |name| *name)
    }
}

fn ended() -> anyhow::Result<Ended> {
    let (sender, receiver) = watch::channel("");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        sender.send_replace(name);
        std::future::pending::<()>().await;
    });
    Ok(Ended(receiver))
}
