//! Who takes postbacks: answers 200 after as long as its profile says, and tells the clock which event came.
//!
//! It runs on a thread of its own, named, so that its share of the processor is known.

use crate::clock::Clock;
use crate::journey;
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What its threads are called.
pub const THREAD: &str = "load-receiver";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nOK\n";
/// The most that a request may come to.
const MOST: usize = 64 * 1024;
const HEADERS: usize = 64;

/// How long answers take: `0`, `20ms`, or `20ms,500ms@1%` where some take longer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Profile {
    usual: Duration,
    /// Every so many-th takes this long.
    slow: Option<(u64, Duration)>,
}

impl FromStr for Profile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let span = |text: &str| {
            let millis = text.trim().trim_end_matches("ms");
            Ok::<_, anyhow::Error>(Duration::from_millis(millis.parse().with_context(|| {
                format!("{text} is no time: write 20ms, or 20ms,500ms@1% where some answers take longer")
            })?))
        };
        let Some((usual, slow)) = text.split_once(',') else {
            return Ok(Self { usual: span(text)?, slow: None });
        };
        let Some((slow, share)) = slow.split_once('@') else { bail!("{slow} says no share, as in 500ms@1%") };
        let percent: u64 = share.trim_end_matches('%').parse().context("a share is a whole percentage")?;
        ensure!((1..=100).contains(&percent), "a share is 1% to 100%");
        Ok(Self { usual: span(usual)?, slow: Some((100 / percent, span(slow)?)) })
    }
}

/// The receiver; it ends with this value.
pub struct Receiver {
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Receiver {
    /// Starts it on a free port.
    pub fn start(clock: Arc<Clock>, profile: Profile) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(THREAD)
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let count = Arc::new(AtomicU64::new(0));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (clock, count) = (clock.clone(), count.clone());
                tokio::spawn(async move { serve(stream, &clock, profile, &count).await });
            }
            #[allow(unreachable_code, reason = "it says of what kind the errors above are")]
            anyhow::Ok(())
        });
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(mut stream: TcpStream, clock: &Clock, profile: Profile, count: &AtomicU64) -> Result<()> {
    let mut buffer = Vec::with_capacity(8 * 1024);
    loop {
        let mut taken = 0;
        while let Some((number, bytes)) = request(&buffer[taken..])? {
            let turn = count.fetch_add(1, Relaxed) + 1;
            let wait = match profile.slow {
                Some((every, slow)) if turn.is_multiple_of(every) => slow,
                _ => profile.usual,
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if let Some(number) = number {
                clock.delivered(number);
            }
            stream.write_all(ANSWER).await?;
            taken += bytes;
        }
        buffer.drain(..taken);
        ensure!(buffer.len() < MOST, "a request does not end");
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// The number that a request tells, and how long it is, when all of it is there.
fn request(bytes: &[u8]) -> Result<Option<(Option<usize>, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { return Ok(None) };
    let body = crate::http::length(request.headers).transpose()?.unwrap_or(0);
    let number = request.path.and_then(journey::told);
    Ok((bytes.len() >= head + body).then_some((number, head + body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_time_or_two() {
        assert_eq!("0".parse::<Profile>().unwrap(), Profile::default());
        let mixed: Profile = "20ms,500ms@1%".parse().unwrap();
        assert_eq!(mixed.usual, Duration::from_millis(20));
        assert_eq!(mixed.slow, Some((100, Duration::from_millis(500))));
        for wrong in ["", "fast", "20ms,1s", "20ms,500ms@0%"] {
            assert!(wrong.parse::<Profile>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn requests_in_one_read_are_told_apart() {
        let both = b"GET /p?n=00000000-0000-4000-8000-000000000007 HTTP/1.1\r\nhost: x\r\n\r\nPOST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{";
        let (number, bytes) = request(both).unwrap().unwrap();
        assert_eq!(number, Some(7));
        assert_eq!(request(&both[bytes..]).unwrap(), None, "its body is not there yet");
    }
}
