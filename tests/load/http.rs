//! HTTP/1.1 with as little of the machine as possible: what the load costs, the measured cannot have.
//!
//! A kept connection that writes a request made beforehand and reads an answer whose length is told. Anything else (a
//! chunked answer, a connection that closes) is an error: none of those who are measured here does that.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The most that an answer's head and body may come to.
const MOST: usize = 64 * 1024;
/// The most headers that are looked at.
const HEADERS: usize = 32;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("nobody at {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(MOST) })
    }

    /// The last answer, whole.
    pub fn answer(&self) -> &[u8] {
        &self.buffer
    }

    /// Sends a whole request and reads its answer; gives the status.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the connection was closed before its answer");
            if let Some((status, whole)) = head(&self.buffer)? {
                while self.buffer.len() < whole {
                    let read = self.stream.read_buf(&mut self.buffer).await?;
                    ensure!(read > 0, "the connection was closed in the middle of its answer");
                }
                return Ok(status);
            }
            ensure!(self.buffer.len() < MOST, "the answer's head does not end");
        }
    }
}

/// The status of an answer whose head is there, and how long all of it is.
fn head(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes)? else { return Ok(None) };
    let length = match length(answer.headers) {
        Some(length) => length?,
        None => bail!("the answer has no Content-Length"),
    };
    Ok(Some((answer.code.context("no status")?, head + length)))
}

/// What `Content-Length` says, where it is there.
pub fn length(headers: &[httparse::Header<'_>]) -> Option<Result<usize>> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    Some(std::str::from_utf8(header.value).map_err(Into::into).and_then(|text| Ok(text.trim().parse()?)))
}

/// A request without a body.
pub fn get(host: SocketAddr, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n")
        .into_bytes()
}

/// The head of a POST of JSON; its body follows.
pub fn post_head(host: SocketAddr, target: &str, bytes: usize) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

/// The head of what a page of this origin posts: text, which needs no preflight.
pub fn page_head(host: SocketAddr, target: &str, origin: &str, bytes: usize) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncontent-type: text/plain;charset=UTF-8\r\ncontent-length: {bytes}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let whole = b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\n{}\n";
        assert_eq!(head(whole).unwrap(), Some((202, whole.len())));
        assert_eq!(
            head(&whole[..whole.len() - 3]).unwrap(),
            Some((202, whole.len())),
            "its body is still to come"
        );
        assert_eq!(head(b"HTTP/1.1 202 Accepted\r\ncontent-le").unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(head(b"hello there\r\n\r\n").is_err());
    }
}
