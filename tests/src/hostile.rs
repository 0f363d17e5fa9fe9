//! Receivers that behave as badly as they come, on raw sockets, until they are healed.
//!
//! A healed one passes every connection on to a good [`crate::receiver::Receiver`], which counts what arrives. Each
//! tells how many connections it got and how many bytes the sender of postbacks took from one of them at most.

mod misbehave;

use crate::receiver::Receiver;
use crate::tls::{Authority, Flaw};
use anyhow::Result;
pub use misbehave::Way;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What all of them share.
pub struct Hostiles {
    good: SocketAddr,
    healed: Arc<AtomicBool>,
    healthy: TlsAcceptor,
    authority: Authority,
    /// Where redirects lead to; nobody must ever connect to it.
    trap: std::net::TcpListener,
    runtime: Option<Runtime>,
}

/// One of them.
pub struct Hostile {
    pub way: Way,
    address: SocketAddr,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    connections: AtomicU64,
    ended: AtomicU64,
    most_sent: AtomicU64,
}

impl Hostiles {
    /// None yet. When they are healed, `good` gets what they get.
    pub fn new(good: &Receiver) -> Result<Self> {
        misbehave::prepare();
        let authority = Authority::new()?;
        let healthy = TlsAcceptor::from(authority.server(Flaw::None, &["http/1.1"])?);
        let trap = std::net::TcpListener::bind("127.0.0.1:0")?;
        trap.set_nonblocking(true)?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).thread_name("hostile").enable_all().build()?;
        let (good, healed) = (good.address(), Arc::default());
        Ok(Self { good, healed, healthy, authority, trap, runtime: Some(runtime) })
    }

    /// The authority that the healed ones' certificates are of.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Starts one on a free port.
    pub fn start(&self, way: Way) -> Result<Hostile> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let told: Arc<Told> = Arc::default();
        let flawed = way.flaw().map(|flaw| self.authority.server(flaw, &["http/1.1"])).transpose()?;
        let place = misbehave::Place { own: address, trap: self.trap.local_addr()? };
        let (good, healed, healthy) = (self.good, self.healed.clone(), self.healthy.clone());
        let (flawed, counted) = (flawed.map(TlsAcceptor::from), told.clone());
        let Some(runtime) = &self.runtime else { anyhow::bail!("they have ended") };
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                counted.connections.fetch_add(1, SeqCst);
                let (told, healthy, flawed) = (counted.clone(), healthy.clone(), flawed.clone());
                let healed = healed.load(SeqCst);
                tokio::spawn(async move {
                    // However it ends, it has ended.
                    let _ = match (healed, flawed) {
                        (true, _) if way.is_tls() => pass_on_tls(stream, &healthy, good).await,
                        (true, _) => pass_on(stream, good).await,
                        (false, Some(flawed)) => pass_on_tls(stream, &flawed, good).await,
                        (false, None) => {
                            let sent = misbehave::misbehave(way, stream, place, good).await;
                            told.most_sent.fetch_max(sent, SeqCst);
                            told.ended.fetch_add(1, SeqCst);
                            Ok(())
                        }
                    };
                });
            }
            #[allow(unreachable_code, reason = "it says what the loop's errors are")]
            std::io::Result::Ok(())
        });
        Ok(Hostile { way, address, told })
    }

    /// All of them behave from their next connection on.
    pub fn heal(&self) {
        self.healed.store(true, SeqCst);
    }

    /// Whether somebody has followed a redirect.
    pub fn trapped(&self) -> bool {
        self.trap.accept().is_ok()
    }
}

impl Drop for Hostiles {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Hostile {
    /// Where its postbacks go.
    pub fn url(&self) -> String {
        let scheme = if self.way.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}/{}", self.address, self.way.name())
    }

    /// How many connections it got.
    pub fn connections(&self) -> u64 {
        self.told.connections.load(SeqCst)
    }

    /// How many of them it has ended.
    pub fn ended(&self) -> u64 {
        self.told.ended.load(SeqCst)
    }

    /// The most bytes that were taken from it over one connection, and what the kernel holds of them.
    pub fn most_sent(&self) -> u64 {
        self.told.most_sent.load(SeqCst)
    }
}

async fn pass_on(mut stream: TcpStream, good: SocketAddr) -> std::io::Result<()> {
    let mut there = TcpStream::connect(good).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut there).await.map(|_| ())
}

async fn pass_on_tls(stream: TcpStream, acceptor: &TlsAcceptor, good: SocketAddr) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut there = TcpStream::connect(good).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut there).await.map(|_| ())
}
