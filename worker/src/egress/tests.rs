//! Real sockets on loopback, which the tests allow as an operator would, and destinations written by
//! hand to be as bad as they come.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod answers;
mod destinations;
mod hostile;
mod requests;

const RESPONSE_CAP: usize = 64 * 1024;
/// Far beyond what any of these takes; a test that reaches it has hung.
const PATIENCE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(400);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn settings(allow: &[&str]) -> Settings {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Settings {
        allow: allow.iter().map(|range| range.parse().unwrap()).collect(),
        response_cap: RESPONSE_CAP,
        user_agent: "carom-test".to_owned(),
        ca_file: Default::default(),
    }
}

fn egress() -> Egress {
    Egress::new(&settings(&["127.0.0.0/8"])).unwrap()
}

fn get(url: impl AsRef<str>) -> Request {
    Request { method: Method::GET, url: Url::parse(url.as_ref()).unwrap(), headers: Vec::new(), body: None }
}

/// A destination: `handle` gets each connection; a URL with a secret in it comes back.
async fn serve<F, H>(handle: F) -> String
where
    F: Fn(TcpStream) -> H + Send + 'static,
    H: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    url_of(address)
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}/hook?token=s3cret")
}

/// A destination that sends these bytes for each request, until we hang up.
async fn answering(bytes: &'static [u8]) -> String {
    serve(move |mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            let _ = stream.write_all(bytes).await;
        }
    })
    .await
}

/// What came up to the blank line, and whatever came with it; empty where the connection ended before.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
    String::from_utf8(head).unwrap()
}

async fn until_hung_up(stream: &mut TcpStream) {
    while stream.read(&mut [0; 1024]).await.unwrap_or(0) > 0 {}
}

/// Sends `piece` again and again; how many bytes went out until the other side had enough.
async fn flood(stream: &mut TcpStream, piece: &[u8]) -> usize {
    let mut sent = 0;
    while stream.write_all(piece).await.is_ok() {
        sent += piece.len();
    }
    sent
}

/// The answer to one attempt.
async fn answer(egress: &Egress, request: Request, deadline: Duration) -> Response {
    egress.attempt(request, deadline).await.result.unwrap()
}

/// The failure of one attempt; that no text of it gives the secret away is checked on every one.
async fn failure(egress: &Egress, request: Request, deadline: Duration) -> Failure {
    let exchange = egress.attempt(request, deadline).await;
    assert!(exchange.duration < deadline + PATIENCE, "took {:?}", exchange.duration);
    let failure = exchange.result.unwrap_err();
    for text in [failure.to_string(), format!("{failure:?}")] {
        assert!(!text.contains("s3cret") && !text.contains("/hook"), "{text}");
    }
    failure
}
