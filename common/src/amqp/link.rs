//! A connection that comes back: connect → declare → serve, for ever.

use super::{Error, declare, greet};
use crate::backoff_policy::Reconnect;
use crate::id::ConnectorId;
use crate::retry::Schedule;
use crate::topology::{self, Queue, Topology};
use futures_util::StreamExt;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const PATIENCE: Duration = Duration::from_secs(15);

/// A supervised connection to the broker. Clones share it; it ends with its token.
#[derive(Clone)]
pub struct Link {
    url: Arc<str>,
    state: watch::Receiver<State>,
    declared: Arc<Declared>,
}

/// Where a link stands.
#[derive(Clone, Default)]
enum State {
    #[default]
    Down,
    Up {
        connection: Arc<Connection>,
        blocked: bool,
    },
}

/// What has to exist before a link serves anybody.
struct Declared {
    topology: Topology,
    connectors: Mutex<BTreeMap<ConnectorId, Queue>>,
    /// How often a consumer of a queue lost its connection. Every loss returns what it held, counted by the broker
    /// as if it had crashed: whoever looks for poison takes that off, however often it has consumed anew since.
    losses: Mutex<BTreeMap<String, u64>>,
}

impl Link {
    /// Starts connecting to `url`, as `name` in the broker's own listings, until `stop`.
    pub fn start(url: &str, name: &str, schedule: &Schedule, stop: CancellationToken) -> Self {
        let declared = Declared {
            topology: topology::topology(schedule),
            connectors: Mutex::default(),
            losses: Mutex::default(),
        };
        Self::supervised(url.into(), name, Arc::new(declared), stop)
    }

    /// Starts another connection to the same broker, which declares the same things.
    pub fn sibling(&self, name: &str, stop: CancellationToken) -> Self {
        Self::supervised(self.url.clone(), name, self.declared.clone(), stop)
    }

    fn supervised(url: Arc<str>, name: &str, declared: Arc<Declared>, stop: CancellationToken) -> Self {
        let (sender, state) = watch::channel(State::Down);
        let supervisor =
            Supervisor { url: url.clone(), name: name.to_owned(), declared: declared.clone(), sender };
        tokio::spawn(supervisor.run(stop));
        Self { url, state, declared }
    }

    /// Whether a connection stands, blocked or not.
    pub fn connected(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { .. })
    }

    /// Whether the broker has stopped reading from us (its memory or disk alarm).
    pub fn blocked(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { blocked: true, .. })
    }

    /// A new channel, as soon as a connection stands.
    pub async fn channel(&self) -> Channel {
        let mut delays = Reconnect::new();
        loop {
            if let Some(connection) = self.connection().await {
                match tokio::time::timeout(PATIENCE, connection.create_channel()).await {
                    Ok(Ok(channel)) => return channel,
                    Ok(Err(error)) => warn!(%error, "broker.channel_refused"),
                    Err(_) => warn!("broker.channel_silent"),
                }
            }
            tokio::time::sleep(delays.next()).await;
        }
    }

    /// Declares a connector's queue now, and again with every new connection until it is forgotten.
    ///
    /// # Errors
    /// The broker refused. It stays remembered, and is tried again with the next connection.
    pub async fn declare_connector(&self, connector: &ConnectorId) -> Result<(), Error> {
        let queue = topology::connector_queue(connector);
        self.connectors().insert(connector.clone(), queue.clone());
        match self.connection().await {
            Some(connection) => declare::connectors(&connection, &[queue]).await,
            None => Ok(()),
        }
    }

    /// Declares a connector's queue where nobody has yet.
    ///
    /// # Errors
    /// As [`Link::declare_connector`].
    pub async fn ensure_connector(&self, connector: &ConnectorId) -> Result<(), Error> {
        if self.connectors().contains_key(connector) {
            return Ok(());
        }
        self.declare_connector(connector).await
    }

    /// No longer declares a connector's queue. The queue itself stays, as the broker cannot be asked to
    /// delete a quorum queue only while it is empty.
    pub fn forget_connector(&self, connector: &ConnectorId) {
        self.connectors().remove(connector);
    }

    /// Declares everything again: somebody removed a queue or binding under our feet.
    ///
    /// # Errors
    /// The broker refused.
    pub async fn declare_all(&self) -> Result<(), Error> {
        let connectors: Vec<_> = self.connectors().values().cloned().collect();
        let Some(connection) = self.connection().await else { return Ok(()) };
        declare::topology(&connection, &self.declared.topology).await?;
        declare::connectors(&connection, &connectors).await
    }

    /// How often this process has lost what it held of a queue.
    pub(super) fn losses(&self, queue: &str) -> u64 {
        self.all_losses().get(queue).copied().unwrap_or(0)
    }

    /// Counts such a loss.
    pub(super) fn lost(&self, queue: &str) {
        *self.all_losses().entry(queue.to_owned()).or_default() += 1;
    }

    fn all_losses(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.declared.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Option<Arc<Connection>> {
        let mut state = self.state.clone();
        let up = state.wait_for(|state| matches!(state, State::Up { .. })).await.ok()?;
        match &*up {
            State::Up { connection, .. } => Some(connection.clone()),
            State::Down => None,
        }
    }

    fn connectors(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConnectorId, Queue>> {
        self.declared.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Supervisor {
    url: Arc<str>,
    name: String,
    declared: Arc<Declared>,
    sender: watch::Sender<State>,
}

impl Supervisor {
    async fn run(self, stop: CancellationToken) {
        let mut delays = Reconnect::new();
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = self.connect() => connected,
            };
            match connected {
                Ok(connection) => {
                    info!(link = self.name, "broker.connected");
                    delays = Reconnect::new();
                    tokio::select! {
                        () = stop.cancelled() => {
                            self.sender.send_replace(State::Down);
                            let _ = connection.close(200, "bye".into()).await;
                            return;
                        }
                        reason = self.serve(connection.clone()) => warn!(link = self.name, reason, "broker.lost"),
                    }
                    self.sender.send_replace(State::Down);
                }
                Err(error) => warn!(link = self.name, %error, "broker.unreachable"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delays.next()) => {}
            }
        }
    }

    /// Every connection asks for the version: a broker may have been replaced while we were away.
    async fn connect(&self) -> Result<Arc<Connection>, Error> {
        greet(&self.url).await?;
        let connect = async {
            let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let connection = Connection::connect(&self.url, properties).await?;
            let connectors: Vec<_> = {
                let connectors = self.declared.connectors.lock().unwrap_or_else(PoisonError::into_inner);
                connectors.values().cloned().collect()
            };
            declare::topology(&connection, &self.declared.topology).await?;
            if let Err(error) = declare::connectors(&connection, &connectors).await {
                warn!(%error, link = self.name, "broker.connector_without_queue");
            }
            Ok(Arc::new(connection))
        };
        tokio::time::timeout(PATIENCE, connect).await.map_err(|_| Error::Silent(PATIENCE))?
    }

    /// Serves until the connection is lost, and says why.
    async fn serve(&self, connection: Arc<Connection>) -> String {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut blocked = connection.status().blocked();
        self.sender.send_replace(State::Up { connection: connection.clone(), blocked });
        loop {
            // Not every loss is told as an event, so the status is looked at as well.
            let event = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
            match event {
                Ok(Some(Event::ConnectionBlocked(reason))) => {
                    warn!(link = self.name, reason, "broker.blocked");
                    blocked = true;
                }
                Ok(Some(Event::ConnectionUnblocked)) => {
                    info!(link = self.name, "broker.unblocked");
                    blocked = false;
                }
                Ok(Some(Event::Error(error))) if !connection.status().connected() => {
                    return error.to_string();
                }
                Ok(None) => return "the connection ended".to_owned(),
                Ok(Some(_)) | Err(_) => {}
            }
            if !connection.status().connected() {
                return "the connection is gone".to_owned();
            }
            self.sender.send_if_modified(|state| match state {
                State::Up { blocked: known, .. } if *known != blocked => {
                    *known = blocked;
                    true
                }
                _ => false,
            });
        }
    }
}
