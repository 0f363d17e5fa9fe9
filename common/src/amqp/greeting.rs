//! What a broker says of itself before anybody logs in: its product and version.
//!
//! lapin does not hand on the server's properties, so we read the greeting on a connection of its own.

use super::{Address, Error, Node};
use amq_protocol::frame::{AMQPFrame, parsing::parse_frame};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use lapin::protocol::{AMQPClass, connection::AMQPMethod};
use lapin::tcp::AMQPUriTcpExt;
use lapin::types::AMQPValue;
use std::fmt;
use std::time::Duration;
use tracing::warn;

/// A broker's version, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// As in 3 of 3.10.8.
    pub major: u32,
    /// As in 10 of 3.10.8.
    pub minor: u32,
    /// As in 8 of 3.10.8.
    pub patch: u32,
}

/// The first version with at-least-once dead-lettering and a TTL for quorum queues.
pub const OLDEST: Version = Version { major: 3, minor: 10, patch: 0 };

/// A node that does not even greet in this time is passed over.
const PATIENCE: Duration = Duration::from_secs(5);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+']).map(str::parse);
        let (major, minor) = (parts.next()?.ok()?, parts.next()?.ok()?);
        let patch = parts.next().and_then(Result::ok).unwrap_or(0);
        Some(Self { major, minor, patch })
    }
}

/// Asks the broker for its version: the first of its nodes that answers.
///
/// # Errors
/// None can be reached, or the one that answers is no RabbitMQ, or older than [`OLDEST`].
pub async fn greet(address: &Address) -> Result<Version, Error> {
    let mut nodes = address.nodes()?.into_iter().peekable();
    loop {
        let node = nodes.next().ok_or(Error::Url)?;
        match greet_node(&node).await {
            Err(error) if error.passes() && nodes.peek().is_some() => {
                warn!(%error, node = &*node.name, "broker.node_unreachable");
            }
            greeted => return greeted,
        }
    }
}

/// The same of one node.
pub(super) async fn greet_node(node: &Node) -> Result<Version, Error> {
    let version = tokio::time::timeout(PATIENCE, ask(node)).await.map_err(|_| Error::Silent(PATIENCE))??;
    if version < OLDEST { Err(Error::TooOld { found: version }) } else { Ok(version) }
}

async fn ask(node: &Node) -> Result<Version, Error> {
    let runtime = lapin::runtime::default_runtime()?;
    let stream = node.uri.connect_async(&runtime).await?;
    let mut stream = node.secured(stream).await.map_err(Error::Tls)?;
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    let mut greeting = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await?;
        greeting.extend_from_slice(&chunk[..read]);
        match parse_frame(greeting.as_slice()) {
            Ok((_, frame)) => return version_in(frame),
            // Whatever stands before a broker that is not up (a proxy, its own listener) hangs up like this.
            Err(error) if error.is_incomplete() && read == 0 => {
                return Err(Error::Unreachable(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Err(error) if error.is_incomplete() && greeting.len() < 64 * 1024 => {}
            Err(_) => return Err(Error::NotRabbit("it does not speak AMQP 0-9-1".to_owned())),
        }
    }
}

fn version_in(frame: AMQPFrame) -> Result<Version, Error> {
    let AMQPFrame::Method(_, AMQPClass::Connection(AMQPMethod::Start(start))) = frame else {
        return Err(Error::NotRabbit("it begins with something else than a greeting".to_owned()));
    };
    let property = |name: &str| match start.server_properties.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        _ => String::new(),
    };
    let (product, version) = (property("product"), property("version"));
    if product != "RabbitMQ" {
        return Err(Error::NotRabbit(format!("it calls itself `{product}` `{version}`")));
    }
    Version::parse(&version).ok_or_else(|| Error::NotRabbit(format!("its version reads `{version}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_not_by_letter() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("3.9.29") < OLDEST);
        assert!(version("3.10.0-rc.1") >= OLDEST);
        assert!(version("3.10.8") >= OLDEST);
        assert!(version("4.0.5+3.g1") >= OLDEST);
        assert_eq!(Version::parse("banana"), None);
    }

    #[tokio::test]
    async fn what_hangs_up_without_a_word_is_a_broker_that_is_not_up_and_what_says_another_is_none() {
        for (says, away) in
            [(&b""[..], true), (b"\x01\x00", true), (b"HTTP/1.1 400 Bad Request\r\n\r\n", false)]
        {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("amqp://{}/%2f", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                // What was not read when it hangs up would be a reset.
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut [0; 8]).await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, says).await.unwrap();
            });
            let mut config = crate::config::Config::load(None).unwrap();
            config.broker.url = url;
            let error = greet(&Address::new(&config)).await.unwrap_err();
            let told = (matches!(error, Error::Unreachable(_)), matches!(error, Error::NotRabbit(_)));
            assert_eq!(told, (away, !away), "{error}");
        }
    }
}
