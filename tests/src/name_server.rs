//! A name server on port 53 of a loopback address of its own, that answers as it is told or not at all.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What it says of a name.
#[derive(Clone, Debug)]
pub enum Reply {
    Addresses(Vec<Ipv4Addr>),
    /// There is no such name.
    NoSuchName,
    /// The zone's servers are out of order.
    Servfail,
    /// Nothing.
    Silence,
}

type Replies = Arc<Mutex<BTreeMap<String, Reply>>>;

/// The server. It ends when it is dropped.
pub struct NameServer {
    address: Ipv4Addr,
    replies: Replies,
    runtime: Option<Runtime>,
}

/// What fits into an answer by UDP; a longer one is asked for again by TCP.
const DATAGRAM: usize = 512;

impl NameServer {
    /// Needs the right to listen on port 53, as root has it.
    pub fn start() -> Result<Self> {
        let id = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53, id[2], id[3].clamp(1, 254));
        let why = || format!("a name server cannot listen on {address}:53, which needs root and a free port");
        let socket = UdpSocket::bind((address, 53)).with_context(why)?;
        let listener = std::net::TcpListener::bind((address, 53)).with_context(why)?;
        socket.set_nonblocking(true)?;
        listener.set_nonblocking(true)?;
        let replies = Replies::default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("name-server").enable_all().build()?;
        runtime.spawn(by_udp(socket, replies.clone()));
        runtime.spawn(by_tcp(listener, replies.clone()));
        Ok(Self { address, replies, runtime: Some(runtime) })
    }

    /// What `/etc/resolv.conf` is to be for whoever asks it.
    pub fn resolv_conf(&self) -> String {
        format!("nameserver {}\noptions timeout:2 attempts:2\n", self.address)
    }

    /// Says this of a name from now on. Of others it says that they do not exist.
    pub fn say(&self, name: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(name.to_owned(), reply);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn by_udp(socket: UdpSocket, replies: Replies) -> Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let mut question = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut question).await?;
        if let Some(mut reply) = answer(&question[..length], &replies) {
            if reply.len() > DATAGRAM {
                // Truncated: no records, and the bit that says so.
                reply.truncate(question_end(&reply).unwrap_or(12));
                reply[2] |= 0b10;
                reply[6..8].fill(0);
            }
            socket.send_to(&reply, from).await?;
        }
    }
}

async fn by_tcp(listener: std::net::TcpListener, replies: Replies) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let replies = replies.clone();
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; usize::from(length)];
                if stream.read_exact(&mut question).await.is_err() {
                    break;
                }
                let Some(reply) = answer(&question, &replies) else { continue };
                let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
                if stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// The answer to a question; none where there is silence, or no question.
fn answer(question: &[u8], replies: &Replies) -> Option<Vec<u8>> {
    let end = question_end(question)?;
    let name = name(question)?;
    let kind = u16::from_be_bytes([question[end - 4], question[end - 3]]);
    let reply = replies.lock().unwrap().get(&name).cloned().unwrap_or(Reply::NoSuchName);
    let (code, addresses) = match reply {
        Reply::Addresses(addresses) if kind == 1 => (0, addresses),
        Reply::Addresses(_) => (0, Vec::new()),
        Reply::NoSuchName => (3, Vec::new()),
        Reply::Servfail => (2, Vec::new()),
        Reply::Silence => return None,
    };
    let mut answer = question[..2].to_vec();
    // An answer, recursion desired and available, one question, and no records but the answers.
    answer.extend([0x81, 0x80 | code, 0, 1]);
    answer.extend(u16::try_from(addresses.len()).ok()?.to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(&question[12..end]);
    for address in addresses {
        // The question's name, type A, class IN, to be forgotten at once, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// Where the first question ends.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *message.get(at)? != 0 {
        at += usize::from(message[at]) + 1;
    }
    (message.len() >= at + 5).then_some(at + 5)
}

fn name(message: &[u8]) -> Option<String> {
    let mut labels = Vec::new();
    let mut at = 12;
    while let Some(length @ 1..) = message.get(at).map(|length| usize::from(*length)) {
        labels.push(String::from_utf8_lossy(message.get(at + 1..at + 1 + length)?).to_lowercase());
        at += length + 1;
    }
    Some(labels.join("."))
}
