//! Names to addresses, and only to addresses that deliveries may go to.
//!
//! reqwest connects to exactly what this hands out and does not look the name up again, so an answer
//! that changes between the check and the connection (DNS rebinding) changes nothing. It does not ask
//! for hosts that are IP literals: those are vetted in [`super`].
//!
//! A lookup is a blocking `getaddrinfo` that cannot be called off and that occupies a thread of a pool
//! which the whole process shares, for half a minute where a zone's servers do not answer. So there is
//! never more than one under way for a name, however many attempts wait for it or have given up waiting, and
//! never more than [`LOOKUPS`] in all: the store reads on threads of the same pool.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::address;
use super::stage::Stage;

/// Lookups at once: half of the threads that may block (tokio has 512).
const LOOKUPS: usize = 256;
/// How many of a name's addresses are tried. The time for connecting is divided over them, so a thousand would
/// leave none enough; the system puts those first that it has a route to.
const ADDRESSES: usize = 8;

/// Asks for a name's addresses; a parameter so that tests can answer.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

type Answer = Result<Arc<[IpAddr]>, NotFound>;

/// The name has no address, or nobody could be asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotFound(Arc<io::Error>);

/// The system's resolver, with its hosts file and its search list.
pub(super) fn system() -> Lookup {
    let threads = Arc::new(Semaphore::new(LOOKUPS));
    Arc::new(move |name| {
        let threads = Arc::clone(&threads);
        async move {
            let _thread = threads.acquire_owned().await.map_err(io::Error::other)?;
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

pub(super) struct Resolver {
    lookup: Lookup,
    allowed: Arc<[IpNet]>,
    running: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, Answer>>>>>,
}

impl Resolver {
    pub(super) fn new(lookup: Lookup, allowed: Arc<[IpNet]>) -> Resolver {
        Resolver { lookup, allowed, running: Arc::default() }
    }

    /// Joins the lookup of this name that is under way, or starts one, in a task of its own so that it
    /// outlives attempts that give up.
    fn look_up(&self, name: &str) -> Shared<BoxFuture<'static, Answer>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended and is still here could not take itself out: its task was stopped.
        if let Some(lookup) = running.get(name).filter(|lookup| lookup.peek().is_none()) {
            return lookup.clone();
        }
        let asking = (self.lookup)(name.to_owned());
        let (key, done) = (name.to_owned(), Arc::clone(&self.running));
        let task = tokio::spawn(async move {
            let answer = asking.await;
            done.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            answer
        });
        let lookup = async move {
            match task.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
                Ok(found) if found.is_empty() => Err(NotFound(Arc::new(io::Error::new(
                    io::ErrorKind::NotFound,
                    "the name has no address",
                )))),
                Ok(found) => Ok(found.into()),
                Err(error) => Err(NotFound(Arc::new(error))),
            }
        }
        .boxed()
        .shared();
        running.insert(name.to_owned(), lookup.clone());
        lookup
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.look_up(name.as_str());
        let allowed = Arc::clone(&self.allowed);
        Box::pin(async move {
            Stage::Resolving.reached();
            let found = lookup.await?;
            Stage::Connecting.reached();
            let open = vetted(&found, &allowed)?;
            // Port 0 leaves the port to the URL.
            let addresses: Addrs =
                Box::new(open.into_iter().take(ADDRESSES).map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Those of the addresses found that deliveries may go to; where there is none, why not the first.
fn vetted(found: &[IpAddr], allowed: &[IpNet]) -> Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>> {
    let mut refused = None;
    let mut open = Vec::with_capacity(found.len());
    for &ip in found {
        match address::vet(ip, allowed) {
            Ok(()) => open.push(ip),
            Err(blocked) => refused = refused.or(Some(blocked)),
        }
    }
    match refused {
        Some(blocked) if open.is_empty() => Err(blocked.into()),
        _ => Ok(open),
    }
}
