//! From start to drain: what is begun in which order, and what has to end before the process may.

use crate::app::App;
use crate::custody::Custody;
use crate::follow::Follower;
use crate::geo::Atlas;
use crate::limits::Limits;
use crate::metrics::Ingest;
use crate::publish::Line;
use crate::room::{self, Rooms};
use crate::routes;
use crate::server;
use crate::spool::{self, Drain, Figures, Queue, Spool};
use crate::tag::Tag;
use crate::track::History;
use anyhow::Context;
use carom_common::amqp::{self, Address, Link, Message, PublishError, Publisher};
use carom_common::backoff_policy::Reconnect;
use carom_common::config::Config;
use carom_common::telemetry::{Metrics, ops};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the gauges are set that nothing else sets.
const GAUGES: Duration = Duration::from_millis(250);

/// How long the broker is given to hear that we go.
const FAREWELL: Duration = Duration::from_millis(100);

/// How long the spool's file may take to be closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The broker is one that we must not use.
    #[error(transparent)]
    Broker(amqp::Error),
    /// The spool's file is not ours to use.
    #[error("{0}")]
    Spool(String),
    /// The system refused something.
    #[error("{0:#}")]
    System(#[from] anyhow::Error),
}

/// Runs until a signal, then drains.
///
/// # Errors
/// It cannot start, or the broker is none for us.
pub async fn run(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let (stop, cut, end) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let registry = Metrics::new("carom-ingest");
    let metrics = Arc::new(Ingest::new(&registry));

    let (follower, index, store) = Follower::start(&config, metrics.clone()).await;
    let (atlas, countries) = Atlas::start(&config.ingest.country_database, metrics.clone()).await;
    let broker = Address::new(&config);
    let link = match config.ingest.declare {
        true => Link::start(&broker, "carom-ingest", &config.retry.schedule, end.clone()),
        false => Link::start_without_declaring(&broker, "carom-ingest", end.clone()),
    };
    let figures = Figures::new(&registry, config.spool.max_bytes);
    let spool = Spool::open(&config.spool, figures).await;
    let spool = spool.map_err(|error| Fatal::Spool(spool::named(&config.spool.path, &error)))?;
    let observe = {
        let confirm = metrics.confirm.clone();
        move |took: Duration| confirm.observe(took.as_secs_f64())
    };
    let publisher = Publisher::start(link.clone(), config.broker.confirm_timeout.0, end.clone(), observe);
    let custody = |queue| custody(&config, queue, &publisher, &spool, &metrics, &stop);
    let (clicks, events) = (custody(Queue::Clicks), custody(Queue::Events));
    let drains = [&clicks, &events].map(|custody| tokio::spawn(drain(custody, &publisher).run()));
    let app = Arc::new(App {
        index,
        events,
        clicks,
        countries,
        in_flight: Arc::new(Semaphore::new(config.ingest.max_in_flight.clamp(1, Semaphore::MAX_PERMITS))),
        rooms: Rooms::new(config.ingest.max_bytes_in_flight),
        track_path: config.tag.track.clone(),
        history: History::new(store, config.tag.patience.0),
        log_bytes: config.worker.log_body_bytes,
        sources: Limits::new(config.ingest.max_in_flight_per_source, room::share(&config.ingest)),
        limits: config.ingest.clone(),
        confirm_timeout: config.broker.confirm_timeout.0,
        tag: Tag::new(&config.tag),
        metrics: metrics.clone(),
    });

    let ready = readiness(app.clone(), link.clone(), spool.clone(), stop.clone());
    let ops = ops::serve(config.ingest.ops_listen, registry, ready, end.clone()).await;
    let ops =
        ops.with_context(|| format!("ingest.ops_listen: cannot listen on {}", config.ingest.ops_listen))?;
    let listener = TcpListener::bind(config.ingest.listen).await;
    let listener =
        listener.with_context(|| format!("ingest.listen: cannot listen on {}", config.ingest.listen))?;
    let address = listener.local_addr().context("ingest.listen has no address")?;
    info!(address = %ops, "ops.listening");
    info!(address = %address, "ingest.listening");
    info!(path = app.tag.path, versioned = app.tag.versioned, "tag.served");

    tokio::spawn(follower.run());
    tokio::spawn(atlas.run());
    tokio::spawn(gauges(app.clone(), link, spool.clone()));
    let router = routes::router(app.clone());
    let serving = {
        let (metrics, stop, cut, limits) =
            (metrics.clone(), stop.clone(), cut.clone(), config.ingest.clone());
        tokio::spawn(async move { server::serve(listener, router, &limits, metrics, stop, cut).await })
    };

    let verdict = tokio::select! {
        name = signals.next() => {
            info!(signal = name, "ingest.draining");
            Ok(())
        }
        fatal = refused_by_broker(&broker) => Err(fatal),
    };
    stop.cancel();
    tokio::select! {
        () = async {
            let _ = serving.await;
            for drain in drains {
                let _ = drain.await;
            }
        } => info!("ingest.drained"),
        () = tokio::time::sleep(config.ingest.drain_timeout.0) => warn!("ingest.drain_timed_out"),
        name = signals.next() => warn!(signal = name, "ingest.drain_cut_short"),
    }
    cut.cancel();
    let [clicks, events] = Queue::ALL.map(|queue| spool.figures().items(queue));
    if clicks + events > 0 {
        info!(clicks, events, "spool.left_for_the_next_start");
    }
    tokio::select! {
        () = spool.close() => {}
        // What was put is on the disk by then, or nobody was told so; a disk that hangs must not keep us.
        () = tokio::time::sleep(CLOSING) => warn!("spool.close_timed_out"),
        name = signals.next() => warn!(signal = name, "spool.close_cut_short"),
    }
    end.cancel();
    tokio::time::sleep(FAREWELL).await;
    verdict
}

fn custody(
    config: &Config,
    queue: Queue,
    publisher: &Publisher,
    spool: &Spool,
    metrics: &Ingest,
    stop: &CancellationToken,
) -> Custody {
    let histogram = metrics.batch.with_label_values(&[queue.as_str()]);
    let observe = move |items| histogram.observe(items as f64);
    let line = Line::start(queue.kind(), config.ingest.max_in_flight, publishing(publisher, queue), observe);
    let reachable = publisher.link().reachable();
    Custody { queue, line, spool: spool.clone(), reachable, stop: stop.clone() }
}

/// Puts one message on a queue, and returns when it is confirmed or not.
type Publish = dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<(), PublishError>> + Send + Sync;

fn drain(custody: &Custody, publisher: &Publisher) -> Drain<Box<Publish>> {
    Drain {
        queue: custody.queue,
        spool: custody.spool.clone(),
        reachable: custody.reachable.clone(),
        stop: custody.stop.clone(),
        trouble: custody.line.trouble().clone(),
        publish: {
            let publish = publishing(publisher, custody.queue);
            // Some of it may have been published before. Said of all, each message would wait at the workers, where
            // there are several, for as long as another could have it in hand, and all live traffic behind it.
            Box::new(move |body| publish(body, false))
        },
    }
}

/// Puts one message on a queue, maybe one of which something was published before, and returns when it is
/// confirmed or not.
fn publishing(
    publisher: &Publisher,
    queue: Queue,
) -> impl Fn(Vec<u8>, bool) -> BoxFuture<'static, Result<(), PublishError>> + use<> {
    let publisher = publisher.clone();
    move |body, again| {
        let publisher = publisher.clone();
        let message = Message::to_queue(queue.name(), body).again(again);
        Box::pin(async move { publisher.publish(message).await })
    }
}

/// Ready is whoever can make an intake safe, with the broker or without.
fn readiness(
    app: Arc<App>,
    link: Link,
    spool: Spool,
    stop: CancellationToken,
) -> Arc<dyn Fn() -> ops::Standing + Send + Sync> {
    let those = |given: &[(&'static str, bool)]| {
        given.iter().filter_map(|(what, is)| is.then_some(*what)).collect::<Vec<_>>()
    };
    Arc::new(move || {
        let broker = [("broker", !link.connected()), ("broker blocked", link.blocked())];
        let figures = spool.figures();
        let spool =
            [("spool failing", figures.failing()), ("spool full", !figures.failing() && figures.full())];
        let (broker, spool) = (those(&broker), those(&spool));
        let mut missing = those(&[
            ("stopping", stop.is_cancelled()),
            ("resources", app.index.borrow().resources().version == 0),
        ]);
        let mut degraded = [broker.as_slice(), &spool].concat();
        if !broker.is_empty() && !spool.is_empty() {
            missing.append(&mut degraded);
        }
        ops::Standing { missing, degraded }
    })
}

async fn gauges(app: Arc<App>, link: Link, spool: Spool) {
    let mut ticks = tokio::time::interval(GAUGES);
    loop {
        ticks.tick().await;
        app.metrics.broker.show("publish", &link);
        app.metrics.broker_connected.set(link.connected().into());
        app.metrics.broker_blocked.set(link.blocked().into());
        let bytes = app.limits.max_bytes_in_flight.saturating_sub(app.rooms.left());
        app.metrics.bytes_in_flight.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        spool.figures().show();
    }
}

/// Returns only if the broker, once it can be asked, turns out to be too old for us. One that cannot be reached is
/// waited for, and so is one that is something else: what stands at its address for a moment (a proxy's page of
/// errors, a name that was pointed wrongly) must not end a process that has a spool.
async fn refused_by_broker(broker: &Address) -> Fatal {
    let mut delays = Reconnect::new();
    loop {
        match amqp::greet(broker).await {
            Ok(version) => {
                info!(%version, "broker.greeted");
                return std::future::pending().await;
            }
            Err(error @ amqp::Error::TooOld { .. }) => return Fatal::Broker(error),
            // The link says so, with every attempt of its own.
            Err(_) => tokio::time::sleep(delays.next()).await,
        }
    }
}

/// The signals that ask us to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
