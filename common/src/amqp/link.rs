//! A connection that comes back: connect → declare → serve, for ever.

use super::greeting::greet_node;
use super::{Address, Error, Node, declare};
use crate::backoff_policy::Reconnect;
use crate::id::ConnectorId;
use crate::retry::Schedule;
use crate::topology::{self, Queue, Topology};
use futures_util::StreamExt;
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::AMQPUriTcpExt;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind, Event};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// For everything that a new connection has to say before it serves.
const PATIENCE: Duration = Duration::from_secs(15);
/// For a channel, which a node that works opens in milliseconds. One that does not is left.
const OPENING: Duration = Duration::from_secs(3);

/// A supervised connection to the broker: to whichever of its nodes serves, to another when that one is lost.
/// Clones share it; it ends with its token.
#[derive(Clone)]
pub struct Link {
    address: Address,
    state: watch::Receiver<State>,
    shared: Arc<Shared>,
}

/// Where a link stands.
#[derive(Clone, Default)]
enum State {
    #[default]
    Down,
    Up {
        connection: Arc<Connection>,
        node: Arc<str>,
        blocked: bool,
        /// Told when this very connection answers nobody any more, and the next node is to be tried.
        given_up: Arc<Notify>,
    },
}

/// What a link has in common with its supervisor.
struct Shared {
    declared: Arc<Declared>,
    /// The nodes' names, as of the last attempt to connect.
    nodes: Mutex<Arc<[Arc<str>]>>,
    connections: AtomicU64,
}

/// What has to exist before a link serves anybody.
struct Declared {
    /// None where somebody else sees to that.
    topology: Option<Topology>,
    connectors: Mutex<BTreeMap<ConnectorId, Queue>>,
    /// How often a consumer of a queue lost its connection. Every loss returns what it held, counted by the broker
    /// as if it had crashed: whoever looks for poison takes that off, however often it has consumed anew since.
    losses: Mutex<BTreeMap<String, u64>>,
    /// Whether all of it was there once.
    once: AtomicBool,
}

impl Link {
    /// Starts connecting to `address`, as `name` in the broker's own listings, until `stop`.
    pub fn start(address: &Address, name: &str, schedule: &Schedule, stop: CancellationToken) -> Self {
        Self::declaring(address, name, Some(topology::topology(schedule)), stop)
    }

    /// The same without declaring anything: for a user who may only publish to what is there.
    pub fn start_without_declaring(address: &Address, name: &str, stop: CancellationToken) -> Self {
        Self::declaring(address, name, None, stop)
    }

    fn declaring(address: &Address, name: &str, topology: Option<Topology>, stop: CancellationToken) -> Self {
        let (connectors, losses, once) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let declared = Declared { topology, connectors, losses, once };
        Self::supervised(address.clone(), name, Arc::new(declared), stop)
    }

    /// Starts another connection to the same broker, which declares the same things.
    pub fn sibling(&self, name: &str, stop: CancellationToken) -> Self {
        Self::supervised(self.address.clone(), name, self.shared.declared.clone(), stop)
    }

    fn supervised(address: Address, name: &str, declared: Arc<Declared>, stop: CancellationToken) -> Self {
        let (sender, state) = watch::channel(State::Down);
        let shared =
            Arc::new(Shared { declared, nodes: Mutex::new(Arc::new([])), connections: AtomicU64::new(0) });
        let supervisor =
            Supervisor { address: address.clone(), name: name.to_owned(), shared: shared.clone(), sender };
        tokio::spawn(supervisor.run(stop));
        Self { address, state, shared }
    }

    /// Whether a connection stands, blocked or not.
    pub fn connected(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { .. })
    }

    /// Whether the broker has stopped reading from us (its memory or disk alarm).
    pub fn blocked(&self) -> bool {
        matches!(&*self.state.borrow(), State::Up { blocked: true, .. })
    }

    /// Whether a confirm can be hoped for (a connection stands and is not blocked), as it changes.
    pub fn reachable(&self) -> watch::Receiver<bool> {
        let up = |state: &State| matches!(state, State::Up { blocked: false, .. });
        let mut state = self.state.clone();
        let (sender, reachable) = watch::channel(up(&state.borrow_and_update()));
        tokio::spawn(async move {
            while state.changed().await.is_ok() {
                let now = up(&state.borrow_and_update());
                if sender.send_if_modified(|known| std::mem::replace(known, now) != now) && sender.is_closed()
                {
                    return;
                }
            }
        });
        reachable
    }

    /// The node that it is connected to, and all that it may connect to.
    pub(super) fn whereabouts(&self) -> (Option<Arc<str>>, Arc<[Arc<str>]>) {
        let at = match &*self.state.borrow() {
            State::Up { node, .. } => Some(node.clone()),
            State::Down => None,
        };
        (at, self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// A new channel, as soon as a connection stands.
    pub async fn channel(&self) -> Channel {
        self.channel_of().await.0
    }

    /// The same, and whom to tell when its connection answers nobody any more: that one is left then, and no other,
    /// however late it is told.
    pub(super) async fn channel_of(&self) -> (Channel, Arc<Notify>) {
        let mut delays = Reconnect::new();
        loop {
            if let Some((connection, given_up)) = self.connected_now().await {
                match tokio::time::timeout(OPENING, connection.create_channel()).await {
                    Ok(Ok(channel)) => return (channel, given_up),
                    Ok(Err(error)) => warn!(%error, "broker.channel_refused"),
                    // A connection that is blocked writes nothing, and no other would be better off.
                    Err(_) if self.blocked() => warn!("broker.channel_blocked"),
                    Err(_) => {
                        warn!("broker.channel_silent");
                        given_up.notify_one();
                    }
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
            Some(connection) => declared(declare::connectors(&connection, &[queue])).await,
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
        declared(async {
            if let Some(topology) = &self.shared.declared.topology {
                declare::topology(&connection, topology).await?;
            }
            declare::connectors(&connection, &connectors).await
        })
        .await
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
        self.shared.declared.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> Option<Arc<Connection>> {
        self.connected_now().await.map(|(connection, _)| connection)
    }

    async fn connected_now(&self) -> Option<(Arc<Connection>, Arc<Notify>)> {
        let mut state = self.state.clone();
        let up = state.wait_for(|state| matches!(state, State::Up { .. })).await.ok()?;
        match &*up {
            State::Up { connection, given_up, .. } => Some((connection.clone(), given_up.clone())),
            State::Down => None,
        }
    }

    fn connectors(&self) -> std::sync::MutexGuard<'_, BTreeMap<ConnectorId, Queue>> {
        self.shared.declared.connectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was declared, if the broker says so: a connection that dies meanwhile may never tell.
async fn declared(declaring: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::time::timeout(PATIENCE, declaring).await.map_err(|_| Error::Silent(PATIENCE))?
}

struct Supervisor {
    address: Address,
    name: String,
    shared: Arc<Shared>,
    sender: watch::Sender<State>,
}

impl Supervisor {
    async fn run(self, stop: CancellationToken) {
        let mut delays = Reconnect::new();
        let mut turn = 0;
        loop {
            let connected = tokio::select! {
                () = stop.cancelled() => return,
                connected = self.connect(&mut turn) => connected,
            };
            match connected {
                Ok((connection, node)) => {
                    info!(link = self.name, node = &*node, "broker.connected");
                    delays = Reconnect::new();
                    tokio::select! {
                        () = stop.cancelled() => {
                            self.sender.send_replace(State::Down);
                            let _ = connection.close(200, "bye".into()).await;
                            return;
                        }
                        reason = self.serve(connection.clone(), node.clone()) => {
                            warn!(link = self.name, node = &*node, reason, "broker.lost");
                        }
                    }
                    self.sender.send_replace(State::Down);
                    // Whatever took it may have taken the node. The others are there, if there are others.
                    turn += 1;
                }
                Err(error) => warn!(link = self.name, %error, "broker.unreachable"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(delays.next()) => {}
            }
        }
    }

    /// Tries every node once, from the one whose turn it is. The first that serves wins; the last failure is told.
    async fn connect(&self, turn: &mut usize) -> Result<(Arc<Connection>, Arc<str>), Error> {
        let nodes = self.address.nodes()?;
        let names: Vec<_> = nodes.iter().map(|node| node.name.clone()).collect();
        *self.shared.nodes.lock().unwrap_or_else(PoisonError::into_inner) = names.into();
        let mut failed = Error::Url;
        for attempt in 0..nodes.len() {
            if attempt > 0 {
                warn!(link = self.name, error = %failed, "broker.node_unreachable");
                *turn += 1;
            }
            let node = &nodes[*turn % nodes.len()];
            match self.connect_to(node).await {
                Ok(connection) => return Ok((connection, node.name.clone())),
                Err(error) if nodes.len() == 1 => return Err(error),
                Err(error) => failed = Error::Node { node: node.name.to_string(), source: Box::new(error) },
            }
        }
        *turn += 1;
        Err(failed)
    }

    /// Every connection asks for the version: a broker may have been replaced while we were away.
    async fn connect_to(&self, node: &Node) -> Result<Arc<Connection>, Error> {
        greet_node(node).await?;
        let logged_in = tokio::time::timeout(PATIENCE, self.log_in(node)).await;
        let connection = Arc::new(logged_in.map_err(|_| Error::Silent(PATIENCE))??);
        let declaring = declare_all(connection.clone(), self.shared.declared.clone(), self.name.clone());
        if self.shared.declared.once.load(Ordering::Relaxed) {
            tokio::spawn(async move {
                if let Err(error) = declaring.await {
                    warn!(%error, "broker.not_declared_again");
                }
            });
        } else {
            declaring.await?;
            self.shared.declared.once.store(true, Ordering::Relaxed);
        }
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    async fn log_in(&self, node: &Node) -> Result<Connection, Error> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let dialled = node.clone();
        let dial = async move |uri: AMQPUri, runtime| {
            let stream = uri.connect_async(&runtime).await?;
            Ok(dialled.secured(stream).await?)
        };
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(node.uri.clone(), runtime, dial, properties).await.map_err(|error| {
            let ErrorKind::ProtocolError(told) = error.kind() else { return error.into() };
            match told.kind() {
                AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Error::Credentials { user: node.user() },
                AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => {
                    Error::Vhost { user: node.user(), vhost: node.uri.vhost.clone() }
                }
                _ => error.into(),
            }
        })
    }

    /// Serves until the connection is lost, and says why.
    async fn serve(&self, connection: Arc<Connection>, node: Arc<str>) -> String {
        let mut events = std::pin::pin!(connection.events_listener());
        let mut blocked = connection.status().blocked();
        let given_up = Arc::new(Notify::new());
        let up = State::Up { connection: connection.clone(), node, blocked, given_up: given_up.clone() };
        self.sender.send_replace(up);
        loop {
            // Not every loss is told as an event, so the status is looked at as well.
            let event = tokio::select! {
                event = tokio::time::timeout(Duration::from_millis(500), events.next()) => event,
                () = given_up.notified() => {
                    // It may never answer to that; what still uses the connection hears of it by the heartbeat.
                    tokio::spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, connection.close(200, "given up".into())).await;
                    });
                    return "it no longer answers".to_owned();
                }
            };
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

/// Everything that has to exist. What was declared once is there, unless somebody took it away: then a consumer is
/// refused, a message comes back, and this has been under way already. So only the first connection waits for it:
/// while one node of a cluster hangs, the others find no agreement on a binding, not even on one that exists, and
/// yet take and give messages.
async fn declare_all(
    connection: Arc<Connection>,
    declared: Arc<Declared>,
    link: String,
) -> Result<(), Error> {
    if let Some(topology) = &declared.topology {
        let done = tokio::time::timeout(PATIENCE, declare::topology(&connection, topology)).await;
        done.map_err(|_| Error::Silent(PATIENCE))??;
    }
    let connectors: Vec<_> = {
        let connectors = declared.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        connectors.values().cloned().collect()
    };
    // Queues that answer nobody, because most of their members are gone, are theirs alone to wait for.
    match tokio::time::timeout(PATIENCE, declare::connectors(&connection, &connectors)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, link, "broker.connector_without_queue"),
        Err(_) => warn!(link, "broker.connectors_silent"),
    }
    Ok(())
}
