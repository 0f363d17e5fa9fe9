//! The ways to misbehave, one connection each.

use crate::tls::Flaw;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How a receiver misbehaves. Where it answers at all its status is a failure: what is bad is what comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    HangsAfterAccept,
    HangsAfterRequest,
    ResetsAtOnce,
    ResetsInTheHead,
    ResetsInTheBody,
    ClosesWithoutAnswer,
    DripsTheHead,
    DripsTheBody,
    EndlessHeader,
    EndlessHeaders,
    InterimForEver,
    Body10Gb,
    BodyChunkedWithoutEnd,
    BodyWithoutEnd,
    BombGzip,
    BombDeflate,
    BombBrotli,
    LengthTooShort,
    LengthTooLong,
    LengthNegative,
    LengthTwice,
    LengthAndChunks,
    Rubbish,
    RedirectInside,
    RedirectToItself,
    ResetsWhenReused,
    ClosesWhenIdle,
    TlsExpired,
    TlsSelfSigned,
    TlsWrongName,
    TlsHangs,
    TlsCut,
    TlsPlain,
}

impl Way {
    pub const ALL: [Way; 33] = [
        Self::HangsAfterAccept,
        Self::HangsAfterRequest,
        Self::ResetsAtOnce,
        Self::ResetsInTheHead,
        Self::ResetsInTheBody,
        Self::ClosesWithoutAnswer,
        Self::DripsTheHead,
        Self::DripsTheBody,
        Self::EndlessHeader,
        Self::EndlessHeaders,
        Self::InterimForEver,
        Self::Body10Gb,
        Self::BodyChunkedWithoutEnd,
        Self::BodyWithoutEnd,
        Self::BombGzip,
        Self::BombDeflate,
        Self::BombBrotli,
        Self::LengthTooShort,
        Self::LengthTooLong,
        Self::LengthNegative,
        Self::LengthTwice,
        Self::LengthAndChunks,
        Self::Rubbish,
        Self::RedirectInside,
        Self::RedirectToItself,
        Self::ResetsWhenReused,
        Self::ClosesWhenIdle,
        Self::TlsExpired,
        Self::TlsSelfSigned,
        Self::TlsWrongName,
        Self::TlsHangs,
        Self::TlsCut,
        Self::TlsPlain,
    ];

    /// Its name, fit for a connector's id.
    pub fn name(self) -> String {
        let mut name = String::new();
        for c in format!("{self:?}").chars() {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(c.to_ascii_lowercase());
        }
        name
    }

    pub fn is_tls(self) -> bool {
        matches!(
            self,
            Self::TlsExpired
                | Self::TlsSelfSigned
                | Self::TlsWrongName
                | Self::TlsHangs
                | Self::TlsCut
                | Self::TlsPlain
        )
    }

    /// What is wrong with its certificate, where that is what is wrong with it.
    pub fn flaw(self) -> Option<Flaw> {
        match self {
            Self::TlsExpired => Some(Flaw::Expired),
            Self::TlsSelfSigned => Some(Flaw::SelfSigned),
            Self::TlsWrongName => Some(Flaw::WrongName),
            _ => None,
        }
    }
}

/// Where it is, and where its redirects lead to.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub own: SocketAddr,
    pub trap: SocketAddr,
}

const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\n";

/// Makes the bombs, which takes a moment.
pub(super) fn prepare() {
    LazyLock::force(&GZIP);
}

/// Does to one connection what it does. Gives how many bytes it has sent.
pub(super) async fn misbehave(way: Way, mut stream: TcpStream, place: Place, good: SocketAddr) -> u64 {
    let s = &mut stream;
    match way {
        Way::HangsAfterAccept | Way::TlsHangs => return wait_for_hang_up(s, false).await,
        Way::ResetsAtOnce | Way::TlsCut => return reset(s, 0),
        Way::ClosesWhenIdle => return closes_when_idle(s, good).await,
        Way::ResetsWhenReused => return resets_when_reused(s, good).await,
        _ => {}
    }
    if way != Way::TlsPlain && !read_head(s).await {
        return 0;
    }
    let failed = |rest: &str| format!("{FAILED}{rest}").into_bytes();
    let zeros = vec![0; 0x1_0000];
    match way {
        Way::HangsAfterRequest => wait_for_hang_up(s, true).await,
        Way::ResetsInTheHead => {
            let sent = send(s, b"HTTP/1.1 200 OK\r\ncontent-le").await;
            sleep(Duration::from_millis(50)).await;
            reset(s, sent)
        }
        Way::ResetsInTheBody => {
            let sent = send(s, &failed("content-length: 100\r\n\r\npart")).await;
            sleep(Duration::from_millis(50)).await;
            reset(s, sent)
        }
        Way::DripsTheHead => drip(s, b"HTTP/1.1 200 OK\r\nx: ").await,
        Way::DripsTheBody => {
            let sent = send(s, &failed("content-length: 100000\r\n\r\n")).await;
            sent + drip(s, b"").await
        }
        Way::EndlessHeader => flood(s, &failed("x: "), &[b'y'; 0x1_0000]).await,
        Way::EndlessHeaders => flood(s, &failed(""), "x: y\r\n".repeat(10_000).as_bytes()).await,
        Way::InterimForEver => {
            flood(s, b"", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".as_bytes()).await
        }
        Way::Body10Gb => flood(s, &failed("content-length: 10000000000\r\n\r\n"), &zeros).await,
        Way::BodyWithoutEnd => flood(s, &failed("\r\n"), &zeros).await,
        Way::BodyChunkedWithoutEnd => {
            let chunk = [b"10000\r\n", zeros.as_slice(), b"\r\n"].concat();
            flood(s, &failed("transfer-encoding: chunked\r\n\r\n"), &chunk).await
        }
        Way::BombGzip => bomb(s, "gzip", &GZIP).await,
        Way::BombDeflate => bomb(s, "deflate", &DEFLATED).await,
        Way::BombBrotli => bomb(s, "br", &[0x5b; 1_000_000]).await,
        Way::LengthTooShort => {
            let smuggled = "content-length: 4\r\n\r\npartHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            let sent = send(s, &failed(smuggled)).await;
            sent + wait_for_hang_up(s, true).await
        }
        Way::LengthTooLong => send(s, &failed("content-length: 100\r\n\r\npart")).await,
        Way::LengthNegative => send(s, &failed("content-length: -1\r\n\r\n")).await,
        Way::LengthTwice => send(s, &failed("content-length: 1\r\ncontent-length: 2\r\n\r\nab")).await,
        Way::LengthAndChunks => {
            let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
            send(s, &failed(both)).await
        }
        Way::Rubbish => send(s, b"<html>It works!</html>\r\n").await,
        Way::TlsPlain => send(s, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await,
        Way::RedirectInside => redirect(s, place.trap).await,
        Way::RedirectToItself => redirect(s, place.own).await,
        _ => 0,
    }
}

/// What came up to the blank line is read; false where the connection ended before.
async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> u64 {
    if stream.write_all(bytes).await.is_ok() { bytes.len() as u64 } else { 0 }
}

/// Sends `start`, then `piece` until the other side has had enough.
async fn flood(stream: &mut TcpStream, start: &[u8], piece: &[u8]) -> u64 {
    let mut sent = send(stream, start).await;
    while stream.write_all(piece).await.is_ok() {
        sent += piece.len() as u64;
    }
    sent
}

/// Sends `start` and then dots, a byte a second.
async fn drip(stream: &mut TcpStream, start: &[u8]) -> u64 {
    let mut sent = 0;
    for byte in start.iter().chain(std::iter::repeat(&b'.')) {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        sent += 1;
        sleep(Duration::from_secs(1)).await;
    }
    sent
}

async fn bomb(stream: &mut TcpStream, encoding: &str, body: &[u8]) -> u64 {
    let length = body.len();
    let head = format!("{FAILED}content-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n");
    send(stream, head.as_bytes()).await + send(stream, body).await
}

async fn redirect(stream: &mut TcpStream, to: SocketAddr) -> u64 {
    let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{to}/followed\r\ncontent-length: 0\r\n\r\n");
    send(stream, answer.as_bytes()).await
}

fn reset(stream: &mut TcpStream, sent: u64) -> u64 {
    let _ = stream.set_zero_linger();
    sent
}

/// Waits until the other side has had enough, reading on or not.
async fn wait_for_hang_up(stream: &mut TcpStream, reading: bool) -> u64 {
    if reading {
        while stream.read(&mut [0; 1024]).await.unwrap_or(0) > 0 {}
    } else {
        let mut probe = [0];
        // Looks at the first byte again and again without taking it, until the connection is gone.
        while stream.peek(&mut probe).await.is_ok() && stream.write(&[]).await.is_ok() {
            sleep(Duration::from_millis(200)).await;
            if stream.take_error().ok().flatten().is_some() {
                break;
            }
        }
    }
    0
}

/// One good exchange, then the connection is closed while nobody uses it.
async fn closes_when_idle(stream: &mut TcpStream, good: SocketAddr) -> u64 {
    let Ok(mut there) = TcpStream::connect(good).await else { return 0 };
    let exchange = tokio::io::copy_bidirectional(stream, &mut there);
    let _ = tokio::time::timeout(Duration::from_millis(400), exchange).await;
    0
}

/// One good exchange, and the next request on the same connection is answered by a reset.
async fn resets_when_reused(stream: &mut TcpStream, good: SocketAddr) -> u64 {
    let Ok(mut there) = TcpStream::connect(good).await else { return 0 };
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return 0;
        }
    }
    let mut answer = vec![0; 4096];
    if there.write_all(&request).await.is_err() {
        return 0;
    }
    // A good receiver's answer is short, and comes in one piece.
    let Ok(length) = there.read(&mut answer).await else { return 0 };
    let sent = send(stream, &answer[..length]).await;
    let mut next = [0; 1];
    if stream.read(&mut next).await.unwrap_or(0) > 0 {
        return reset(stream, sent);
    }
    sent
}

/// A megabyte that would be 159.
static DEFLATED: LazyLock<Vec<u8>> = LazyLock::new(|| deflated_zeros(1_000_000));
static GZIP: LazyLock<Vec<u8>> =
    LazyLock::new(|| [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &DEFLATED, &[0; 8]].concat());

/// A deflate stream of zeros, 159 times as large when it is inflated: one literal, then the longest copy again and
/// again (fixed Huffman codes, RFC 1951).
fn deflated_zeros(bytes: usize) -> Vec<u8> {
    let mut bits: u64 = 0;
    let mut held = 0;
    let mut out = Vec::with_capacity(bytes + 16);
    let mut put = |value: u64, width: u32, out: &mut Vec<u8>| {
        bits |= value << held;
        held += width;
        while held >= 8 {
            out.push((bits & 0xff) as u8);
            bits >>= 8;
            held -= 8;
        }
    };
    // The last block, with fixed codes.
    put(0b1, 1, &mut out);
    put(0b01, 2, &mut out);
    // Codes go in from their highest bit. The literal 0 is 00110000.
    put(0b0000_1100, 8, &mut out);
    while out.len() < bytes {
        // The length 258 is 11000101, the distance 1 is 00000.
        put(0b1010_0011, 8, &mut out);
        put(0, 5, &mut out);
    }
    put(0, 7, &mut out);
    put(0, 8, &mut out);
    out
}
