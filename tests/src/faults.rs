//! What may befall a Carom: its broker, the way there, its own processes. Each fault is done and undone.

use crate::broker::Broker;
use crate::eventually::{eventually, secs};
use crate::proxy::{Manner, Proxy, Way};
use crate::stack::{Binary, Setup, Stack};
use anyhow::{Result, ensure};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Ends what hangs: two beats are missed after four seconds.
const HEARTBEAT: &str = "?heartbeat=2";
/// How long a confirm may take: shorter than a stall, and than two missed beats.
const CONFIRM: &str = "2s";
/// Into a method with its arguments, or into a body, but behind the head of the frame.
const INTO_THE_FRAME: usize = 20;

/// A Carom with a proxy between each of its binaries and the broker.
pub struct Scene {
    pub stack: Stack,
    pub broker: Broker,
    ingest: Arc<Proxy>,
    worker: Arc<Proxy>,
}

impl Scene {
    /// Starts it.
    pub async fn start(broker: &Broker, setup: Setup) -> Result<Self> {
        let proxy = || anyhow::Ok(Arc::new(Proxy::before(broker.url())?));
        let (ingest, worker) = (proxy()?, proxy()?);
        let stack = setup
            .env("CAROM_BROKER_CONFIRM_TIMEOUT", CONFIRM)
            .through(Binary::Ingest, &ingest, HEARTBEAT)
            .through(Binary::Worker, &worker, HEARTBEAT)
            .start(broker)
            .await?;
        Ok(Self { stack, broker: broker.clone(), ingest, worker })
    }

    /// The proxy between this binary and the broker.
    pub fn proxy(&self, binary: Binary) -> &Proxy {
        match binary {
            Binary::Ingest => &self.ingest,
            Binary::Worker => &self.worker,
        }
    }

    /// SIGKILL, and a new life. What a proxy held of the old one does not pass.
    pub async fn kill(&mut self, binary: Binary) -> Result<()> {
        self.stack.kill(binary)?;
        self.proxy(binary).cut();
        self.stack.start_binary(binary)?;
        self.stack.ready_binary(binary).await
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL of the broker, and a new start.
    BrokerKilled,
    /// It is stopped in order, and started again.
    BrokerRestarted,
    /// Its clock stops, and goes on.
    BrokerPaused,
    /// It has no memory left, and blocks its publishers.
    MemoryAlarm,
    /// It has no disk left, and blocks its publishers.
    DiskAlarm,
    /// A length policy makes this queue refuse what is published.
    Refusing(&'static str),
    /// Every connection ends at once.
    Cut,
    /// A connection of this binary ends in the middle of a frame.
    CutInMidFrame(Binary),
    /// Nothing passes between this binary and the broker, for longer than a confirm may take.
    Stalled(Binary),
    /// This binary's confirms and messages do not come, though what it sends arrives.
    Deaf(Binary),
    /// Little passes between the binaries and the broker.
    Slow,
    /// The broker cannot be reached, and what there was is cut.
    Unreachable,
    /// SIGKILL of one of ours, and a new start.
    Killed(Binary),
    /// One of ours is stopped for longer than its heartbeat, and goes on.
    Paused(Binary),
}

impl Fault {
    /// Those that need a broker of the scenario's own.
    pub const OF_THE_BROKER: [Self; 5] =
        [Self::BrokerKilled, Self::BrokerRestarted, Self::BrokerPaused, Self::MemoryAlarm, Self::DiskAlarm];

    /// Those of queues, and of the way to the broker.
    pub const OF_THE_WAY: [Self; 12] = [
        Self::Refusing("carom.clicks"),
        Self::Refusing("carom.deliver.network"),
        Self::Refusing("carom.retry.300ms"),
        Self::Cut,
        Self::CutInMidFrame(Binary::Ingest),
        Self::CutInMidFrame(Binary::Worker),
        Self::Stalled(Binary::Ingest),
        Self::Stalled(Binary::Worker),
        Self::Deaf(Binary::Ingest),
        Self::Deaf(Binary::Worker),
        Self::Slow,
        Self::Unreachable,
    ];

    /// Those of our own processes.
    pub const OF_PROCESSES: [Self; 4] = [
        Self::Killed(Binary::Worker),
        Self::Killed(Binary::Ingest),
        Self::Paused(Binary::Worker),
        Self::Paused(Binary::Ingest),
    ];

    /// How long it lasts at least to be what it says, where that is a matter of time.
    pub fn lasts(self) -> Duration {
        match self {
            Self::Stalled(_) | Self::Deaf(_) => Duration::from_millis(2_500),
            Self::Paused(_) => Duration::from_millis(5_000),
            Self::BrokerPaused => secs(3),
            _ => secs(1),
        }
    }

    /// Lets it happen to a Carom under load, and undoes it. Whether all is well again is for the caller to see.
    pub async fn happen(self, scene: &mut Scene) -> Result<()> {
        match self {
            Self::BrokerKilled => {
                scene.broker.node()?.kill().await?;
                scene.broker.node()?.restart().await?;
            }
            Self::BrokerRestarted => scene.broker.node()?.stop_and_start().await?,
            Self::BrokerPaused => {
                scene.broker.node()?.pause().await?;
                self.pass().await;
                scene.broker.node()?.resume().await?;
            }
            Self::MemoryAlarm => self.alarm(scene, "set_vm_memory_high_watermark", "0.00001", "0.6").await?,
            Self::DiskAlarm => self.alarm(scene, "set_disk_free_limit", "900000GB", "50MB").await?,
            Self::Refusing(queue) => {
                scene.stack.vhost()?.limit(queue, 0).await?;
                self.pass().await;
                scene.stack.vhost()?.unlimit().await?;
            }
            Self::Cut => Binary::ALL.into_iter().for_each(|binary| scene.proxy(binary).cut()),
            Self::CutInMidFrame(binary) => {
                // What the worker gets is as large as what ingest sends.
                let way = if binary == Binary::Ingest { Way::ToBroker } else { Way::FromBroker };
                scene.proxy(binary).cut_in_mid_frame(way, INTO_THE_FRAME);
                eventually(secs(20), "a frame is broken off", async || {
                    ensure!(scene.proxy(binary).has_cut_in_mid_frame(), "none was long enough");
                    Ok(())
                })
                .await?;
            }
            Self::Stalled(binary) => {
                let stalls = vec![Way::ToBroker, Way::FromBroker];
                self.behave(scene, &[binary], Manner { stalls, ..Manner::default() }).await;
            }
            Self::Deaf(binary) => {
                let stalls = vec![Way::FromBroker];
                self.behave(scene, &[binary], Manner { stalls, ..Manner::default() }).await;
            }
            Self::Slow => {
                let manner = Manner { bytes_per_second: Some(20_000), ..Manner::default() };
                self.behave(scene, &Binary::ALL, manner).await;
            }
            Self::Unreachable => {
                let refusing = Manner { refuses: true, ..Manner::default() };
                for binary in Binary::ALL {
                    scene.proxy(binary).behave(refusing.clone());
                    scene.proxy(binary).cut();
                }
                self.behave(scene, &Binary::ALL, refusing).await;
            }
            Self::Killed(binary) => scene.kill(binary).await?,
            Self::Paused(binary) => {
                scene.stack.process(binary)?.pause()?;
                self.pass().await;
                scene.stack.process(binary)?.resume()?;
            }
        }
        Ok(())
    }

    async fn behave(self, scene: &Scene, binaries: &[Binary], manner: Manner) {
        for binary in binaries {
            scene.proxy(*binary).behave(manner.clone());
        }
        self.pass().await;
        for binary in binaries {
            scene.proxy(*binary).behave(Manner::default());
        }
    }

    async fn alarm(self, scene: &Scene, what: &str, raised: &str, cleared: &str) -> Result<()> {
        let node = scene.broker.node()?;
        node.ctl(&[what, raised]).await?;
        self.pass().await;
        node.ctl(&[what, cleared]).await.map(|_| ())
    }

    /// A fault has a length. Nothing is waited for here.
    async fn pass(self) {
        tokio::time::sleep(self.lasts()).await;
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokerKilled => f.write_str("broker killed"),
            Self::BrokerRestarted => f.write_str("broker restarted in order"),
            Self::BrokerPaused => f.write_str("broker stopped and continued"),
            Self::MemoryAlarm => f.write_str("broker's memory alarm"),
            Self::DiskAlarm => f.write_str("broker's disk alarm"),
            Self::Refusing(queue) => write!(f, "{queue} refuses what is published"),
            Self::Cut => f.write_str("every connection cut"),
            Self::CutInMidFrame(binary) => write!(f, "a connection of {binary} cut in mid-frame"),
            Self::Stalled(binary) => write!(f, "the way of {binary} to the broker stalled"),
            Self::Deaf(binary) => write!(f, "the way of {binary} from the broker stalled"),
            Self::Slow => f.write_str("the ways to the broker slow"),
            Self::Unreachable => f.write_str("broker unreachable"),
            Self::Killed(binary) => write!(f, "{binary} killed"),
            Self::Paused(binary) => write!(f, "{binary} stopped and continued"),
        }
    }
}
