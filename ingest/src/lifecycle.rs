//! From start to drain: what is begun in which order, and what has to end before the process may.

use crate::app::App;
use crate::follow::Follower;
use crate::geo::{Atlas, Countries};
use crate::metrics::Ingest;
use crate::publish::{Forsaken, Line, until_confirmed};
use crate::routes;
use crate::server;
use anyhow::Context;
use carom_common::amqp::{self, Address, Link, Message, Publisher};
use carom_common::backoff_policy::Reconnect;
use carom_common::config::Config;
use carom_common::telemetry::{Metrics, ops};
use carom_common::topology;
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

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The configuration is wrong in a way that only its use shows.
    #[error(transparent)]
    Config(amqp::Error),
    /// The broker is one that we must not use.
    #[error(transparent)]
    Broker(amqp::Error),
    /// Clicks were redirected and could not be handed over before the drain's end.
    #[error("{0} clicks were redirected and could not be handed over to the broker")]
    ClicksLost(usize),
    /// The system refused something.
    #[error("{0:#}")]
    System(#[from] anyhow::Error),
}

/// Runs until a signal, then drains.
///
/// # Errors
/// It cannot start, the broker is none for us, or clicks were lost in the drain.
pub async fn run(config: Config) -> Result<(), Fatal> {
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let (stop, cut, end) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let registry = Metrics::new("carom-ingest");
    let metrics = Arc::new(Ingest::new(&registry));

    let (follower, index) = Follower::start(&config, metrics.clone()).await;
    let (atlas, countries) = Atlas::start(&config.ingest.country_database, metrics.clone()).await;
    let broker = Address::new(&config);
    let link = match config.ingest.declare {
        true => Link::start(&broker, "carom-ingest", &config.retry.schedule, end.clone()),
        false => Link::start_without_declaring(&broker, "carom-ingest", end.clone()),
    };
    let app = Arc::new(app(&config, index, countries, &link, &metrics, &end));

    let ready = readiness(app.clone(), link.clone(), stop.clone());
    let ops = ops::serve(config.ingest.ops_listen, registry, ready, end.clone()).await;
    let ops =
        ops.with_context(|| format!("ingest.ops_listen: cannot listen on {}", config.ingest.ops_listen))?;
    let listener = TcpListener::bind(config.ingest.listen).await;
    let listener =
        listener.with_context(|| format!("ingest.listen: cannot listen on {}", config.ingest.listen))?;
    let address = listener.local_addr().context("ingest.listen has no address")?;
    info!(address = %ops, "ops.listening");
    info!(address = %address, "ingest.listening");

    tokio::spawn(follower.run());
    tokio::spawn(atlas.run());
    tokio::spawn(gauges(app.clone(), link));
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
            app.events.emptied().await;
            app.clicks.emptied().await;
        } => info!("ingest.drained"),
        () = tokio::time::sleep(config.ingest.drain_timeout.0) => warn!("ingest.drain_timed_out"),
        name = signals.next() => warn!(signal = name, "ingest.drain_cut_short"),
    }
    cut.cancel();
    let left = app.clicks.len();
    if left > 0 {
        metrics.clicks_lost.inc_by(left as u64);
    }
    end.cancel();
    tokio::time::sleep(FAREWELL).await;
    verdict?;
    if left > 0 { Err(Fatal::ClicksLost(left)) } else { Ok(()) }
}

fn app(
    config: &Config,
    index: tokio::sync::watch::Receiver<Arc<crate::index::Index>>,
    countries: Countries,
    link: &Link,
    metrics: &Arc<Ingest>,
    end: &CancellationToken,
) -> App {
    let confirm = metrics.confirm.clone();
    let observe = move |took: Duration| confirm.observe(took.as_secs_f64());
    let publisher = Publisher::start(link.clone(), config.broker.confirm_timeout.0, end.clone(), observe);
    let batch = |queue| {
        let histogram = metrics.batch.with_label_values(&[queue]);
        move |items| histogram.observe(items as f64)
    };
    // An event that is not confirmed is its sender's again. A click is ours: nobody would send it again.
    let events = {
        let publisher = publisher.clone();
        let publish = move |body| {
            let publisher = publisher.clone();
            async move { publisher.publish(Message::to_queue(topology::EVENTS, body)).await }
        };
        Line::start(config.ingest.max_in_flight, Forsaken::Drop, publish, batch("events"))
    };
    let clicks = {
        let publish = move |body| until_confirmed(publisher.clone(), topology::CLICKS, body);
        Line::start(config.ingest.click_line, Forsaken::Send, publish, batch("clicks"))
    };
    let in_flight = Arc::new(Semaphore::new(config.ingest.max_in_flight.clamp(1, Semaphore::MAX_PERMITS)));
    let reachable = {
        let link = link.clone();
        Box::new(move || link.connected() && !link.blocked())
    };
    App {
        index,
        events,
        clicks,
        countries,
        in_flight,
        reachable,
        limits: config.ingest.clone(),
        confirm_timeout: config.broker.confirm_timeout.0,
        metrics: metrics.clone(),
    }
}

fn readiness(app: Arc<App>, link: Link, stop: CancellationToken) -> ops::Readiness {
    Arc::new(move || {
        let missing = [
            ("stopping", stop.is_cancelled()),
            ("broker", !link.connected()),
            ("broker blocked", link.blocked()),
            ("resources", app.index.borrow().resources().version == 0),
        ];
        missing.into_iter().filter_map(|(what, is)| is.then_some(what)).collect()
    })
}

async fn gauges(app: Arc<App>, link: Link) {
    let mut ticks = tokio::time::interval(GAUGES);
    loop {
        ticks.tick().await;
        app.metrics.broker.show("publish", &link);
        app.metrics.broker_connected.set(link.connected().into());
        app.metrics.broker_blocked.set(link.blocked().into());
        app.metrics.clicks_in_line.set(i64::try_from(app.clicks.len()).unwrap_or(i64::MAX));
    }
}

/// Returns only if the broker, once it can be asked, turns out to be none that we may use. A broker that
/// cannot be reached is waited for.
async fn refused_by_broker(broker: &Address) -> Fatal {
    let mut delays = Reconnect::new();
    loop {
        match amqp::greet(broker).await {
            Ok(version) => {
                info!(%version, "broker.greeted");
                return std::future::pending().await;
            }
            Err(error @ amqp::Error::Url) => return Fatal::Config(error),
            Err(error @ (amqp::Error::TooOld { .. } | amqp::Error::NotRabbit(_))) => {
                return Fatal::Broker(error);
            }
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
