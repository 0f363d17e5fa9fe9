//! A proxy between one binary and the broker, which breaks what is between them: it refuses, cuts, cuts in the
//! middle of a frame, stalls either direction, slows down, and holds a connection at an exact [moment](Sight).

mod frame;
mod moment;

pub use moment::Sight;

use anyhow::{Context, Result};
use frame::Frame;
use moment::{Met, Moment};
use reqwest::Url;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToBroker,
    FromBroker,
}

/// How it treats its connections.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// New connections end at once.
    pub refuses: bool,
    /// Nothing passes in these directions.
    pub stalls: Vec<Way>,
    /// So many bytes per second in each direction of each connection, at most.
    pub bytes_per_second: Option<u64>,
}

struct Shared {
    target: SocketAddr,
    manner: watch::Sender<Manner>,
    /// Counts the cuts; a change ends every connection.
    cuts: watch::Sender<u64>,
    /// The next frame in this direction that is longer is broken off after so many bytes.
    breaks: Mutex<Option<(Way, usize)>>,
    moments: Mutex<Vec<Moment>>,
    connections: AtomicU64,
}

/// The proxy. It runs on a runtime of its own, and its connections end with it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// A proxy in front of the broker at this URL.
    pub fn before(broker_url: &str) -> Result<Self> {
        let url: Url = broker_url.parse().context("the broker's URL is none")?;
        let host = url.host_str().context("the broker's URL has no host")?;
        let target = format!("{host}:{}", url.port().unwrap_or(5672)).parse();
        let shared = Arc::new(Shared {
            target: target.context("the broker's host is no address")?,
            manner: watch::Sender::default(),
            cuts: watch::Sender::default(),
            breaks: Mutex::default(),
            moments: Mutex::default(),
            connections: AtomicU64::new(0),
        });
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("proxy").enable_all().build()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", crate::ports::free()?))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let accepting = shared.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (client, _) = listener.accept().await?;
                if !accepting.manner.borrow().refuses {
                    tokio::spawn(connect(accepting.clone(), client));
                }
            }
            #[allow(unreachable_code, reason = "it says what the block's errors are")]
            std::io::Result::Ok(())
        });
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// The URL of the same vhost, through this proxy.
    pub fn url(&self, broker_url: &str) -> Result<String> {
        let mut url: Url = broker_url.parse().context("the broker's URL is none")?;
        url.set_ip_host(self.address.ip()).ok().context("the URL takes no host")?;
        url.set_port(Some(self.address.port())).ok().context("the URL takes no port")?;
        Ok(url.into())
    }

    /// Treats its connections like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Ends every connection at once. What was held does not pass.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends the next connection that sends a longer frame in this direction, after so many bytes of it.
    pub fn cut_in_mid_frame(&self, way: Way, after: usize) {
        *self.shared.breaks.lock().unwrap() = Some((way, after));
    }

    /// Whether that has happened.
    pub fn has_cut_in_mid_frame(&self) -> bool {
        self.shared.breaks.lock().unwrap().is_none()
    }

    /// Holds the connection on which this row of sights is seen, in the direction of the last one, from that
    /// frame on, until it is cut. Gives who tells when.
    pub fn hold(&self, sights: &[Sight]) -> watch::Receiver<bool> {
        let (moment, told) = Moment::new(sights);
        *self.shared.moments.lock().unwrap() = vec![moment];
        told
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until a held moment has come.
pub async fn come(mut told: watch::Receiver<bool>, limit: Duration) -> Result<()> {
    let waited = tokio::time::timeout(limit, told.wait_for(|told| *told)).await;
    waited.with_context(|| format!("the moment has not come within {limit:?}"))??;
    Ok(())
}

async fn connect(shared: Arc<Shared>, client: TcpStream) -> Result<()> {
    let mut cuts = shared.cuts.subscribe();
    cuts.borrow_and_update();
    let broker = TcpStream::connect(shared.target).await?;
    for stream in [&client, &broker] {
        stream.set_nodelay(true)?;
    }
    let id = shared.connections.fetch_add(1, SeqCst);
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let to = Pipe { shared: shared.clone(), id, way: Way::ToBroker };
    let from = Pipe { shared, id, way: Way::FromBroker };
    // One direction's end is the connection's, so that each side hears of the other's.
    tokio::select! {
        ended = to.run(from_client, to_broker) => ended,
        ended = from.run(from_broker, to_client) => ended,
        _ = cuts.changed() => Ok(()),
    }
}

/// One direction of a connection.
struct Pipe {
    shared: Arc<Shared>,
    id: u64,
    way: Way,
}

impl Pipe {
    async fn run(&self, from: OwnedReadHalf, to: OwnedWriteHalf) -> Result<()> {
        let mut from = BufReader::with_capacity(64 * 1024, from);
        let mut to = BufWriter::new(to);
        let mut manner = self.shared.manner.subscribe();
        loop {
            let frame = Frame::read(&mut from).await?;
            if manner.borrow().stalls.contains(&self.way) {
                to.flush().await?;
                manner.wait_for(|manner| !manner.stalls.contains(&self.way)).await?;
            }
            if self.met(&frame) == Met::Here {
                to.flush().await?;
                std::future::pending::<()>().await;
            }
            if let Some(after) = self.breaks(&frame) {
                to.write_all(&frame.bytes[..after]).await?;
                to.flush().await?;
                anyhow::bail!("cut in the middle of a frame");
            }
            let rate = manner.borrow().bytes_per_second;
            match rate {
                Some(rate) => self.trickle(&frame, &mut to, rate).await?,
                None => to.write_all(&frame.bytes).await?,
            }
            if from.buffer().is_empty() {
                to.flush().await?;
            }
        }
    }

    fn met(&self, frame: &Frame) -> Met {
        let mut moments = self.shared.moments.lock().unwrap();
        if moments.is_empty() {
            return Met::No;
        }
        let Some(method) = frame.method() else { return Met::No };
        let met = moments.iter_mut().map(|moment| moment.look(self.id, self.way, &method));
        met.fold(Met::No, |all, met| if met == Met::Here { met } else { all })
    }

    fn breaks(&self, frame: &Frame) -> Option<usize> {
        let mut breaks = self.shared.breaks.lock().unwrap();
        let (_, after) = breaks.filter(|(way, after)| *way == self.way && *after < frame.bytes.len())?;
        *breaks = None;
        Some(after)
    }

    /// A tenth of a second's bytes at a time.
    async fn trickle(&self, frame: &Frame, to: &mut BufWriter<OwnedWriteHalf>, rate: u64) -> Result<()> {
        let at_once = usize::try_from(rate / 10).unwrap_or(usize::MAX).max(1);
        for part in frame.bytes.chunks(at_once) {
            to.write_all(part).await?;
            to.flush().await?;
            let pause = Duration::from_secs_f64(part.len() as f64 / rate.max(1) as f64);
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
