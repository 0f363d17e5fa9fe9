//! Asking a running process of ours how it is, for supervisors that can only run a command: a container image
//! without a shell has no other way to have a health check.

use anyhow::{Context, ensure};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A process that does not answer for so long is not well.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is read of an answer, in bytes.
const LARGEST: u64 = 4 * 1024;

/// Asks the ops listener at `ops` for `page`, and gives what it says.
///
/// # Errors
/// It cannot be reached, does not answer within three seconds, or answers anything but 200.
pub fn ask(ops: SocketAddr, page: &str) -> anyhow::Result<String> {
    let ops = reachable(ops);
    let mut stream =
        TcpStream::connect_timeout(&ops, PATIENCE).with_context(|| format!("nobody answers at {ops}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: whoever answers the first of several, and hangs up, resets the rest.
    stream.write_all(format!("GET {page} HTTP/1.0\r\nHost: {ops}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).with_context(|| format!("no answer from {ops}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer by HTTP")?;
    let status = head.split(' ').nth(1).context("an answer without a status")?;
    ensure!(status == "200", "{}", body.trim_end());
    Ok(body.trim_end().to_owned())
}

/// Whoever listens on all addresses is asked on loopback.
fn reachable(ops: SocketAddr) -> SocketAddr {
    let ip = match ops.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, ops.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with `answer`, on all addresses; gives where.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut more = [0; 1024];
                let read = stream.read(&mut more).unwrap();
                assert_ne!(read, 0, "no whole request: {}", request.escape_ascii());
                request.extend_from_slice(&more[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_200_is_well() {
        let ready = answering("HTTP/1.0 200 OK\r\n\r\nready\n");
        assert_eq!(ask(ready, "/readyz").unwrap(), "ready");
        let not = answering("HTTP/1.0 503 Service Unavailable\r\n\r\nnot ready: broker\n");
        assert_eq!(ask(not, "/readyz").unwrap_err().to_string(), "not ready: broker");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(closed, "/readyz").unwrap_err().to_string().contains("nobody answers"));
    }
}
