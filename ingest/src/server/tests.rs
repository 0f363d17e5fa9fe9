//! What only a socket shows.

use super::*;
use axum::routing::any;
use carom_common::config::Config;
use carom_common::telemetry::Metrics;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Running {
    address: SocketAddr,
    metrics: Arc<Ingest>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

async fn running(router: Router, limits: impl FnOnce(&mut config::Ingest)) -> Running {
    let mut ingest = Config::load(None).unwrap().ingest;
    limits(&mut ingest);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = Arc::new(Ingest::new(&Metrics::new("test")));
    let stop = CancellationToken::new();
    let served = {
        let (metrics, stop) = (metrics.clone(), stop.clone());
        tokio::spawn(async move {
            serve(listener, router, &ingest, metrics, stop, CancellationToken::new()).await
        })
    };
    Running { address, metrics, stop, served }
}

async fn answer_of(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_trickles_its_head_is_cut_off_and_holds_up_nobody() {
    let router = Router::new().fallback(any(|| async { "here" }));
    let running = running(router, |limits| {
        limits.header_timeout = "300ms".parse().unwrap();
        limits.max_connections = 2;
    })
    .await;
    let started = Instant::now();
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    let (mut reading, mut writing) = slow.split();
    let trickle = async {
        loop {
            if writing.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reading.read_to_end(&mut rest) => {}
    }
    assert!(started.elapsed() >= Duration::from_millis(250) && started.elapsed() < Duration::from_secs(3));
    assert_eq!(running.metrics.connections_failed.with_label_values(&["timeout"]).get(), 1);

    let mut next = TcpStream::connect(running.address).await.unwrap();
    next.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(answer_of(next).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_request_comes_with_the_address_of_whoever_has_connected() {
    let handler = |request: axum::extract::Request| async move {
        request.extensions().get::<Peer>().map(|Peer(address)| address.to_string()).unwrap_or_default()
    };
    let running = running(Router::new().fallback(any(handler)), |_| {}).await;
    for address in ["127.0.0.1", "127.0.0.2"] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        let mut stream = socket.connect(running.address).await.unwrap();
        let head = "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 8.8.8.8\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = answer_of(stream).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{address}")), "{answer}");
    }
}

#[tokio::test]
async fn heads_that_no_handler_may_see_are_refused_and_the_listener_goes_on() {
    let router = Router::new().fallback(any(|| async { "here" }));
    let running = running(router, |_| {}).await;
    let long = format!("GET /c/a?x={} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(100_000));
    let huge = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(300_000));
    let table = [
        (long.as_str(), "HTTP/1.1 414"),
        (&huge, "HTTP/1.1 431"),
        ("GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", "HTTP/1.1 400"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 200"),
    ];
    for (head, status) in table {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = answer_of(stream).await;
        assert!(answer.starts_with(status), "{head:.30}: {answer}");
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_everything_before_it_reads() {
    let router = Router::new().fallback(any(|request: axum::extract::Request| async {
        let (head, body) = request.into_parts();
        let refused = crate::body::admit(&body, 1024).unwrap_err();
        crate::body::discard_unasked(body, &head.headers, Duration::from_secs(5));
        refused
    }));
    let running = running(router, |_| {}).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let size = 10 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    let answer = answer_of(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("urn:carom:problem:body-too-large"),
        "{answer}"
    );

    let mut asks = TcpStream::connect(running.address).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {size}\r\n\r\n");
    asks.write_all(head.as_bytes()).await.unwrap();
    assert!(answer_of(asks).await.starts_with("HTTP/1.1 413"), "it is not asked to send what is refused");
}

#[tokio::test]
async fn what_is_in_work_is_answered_before_the_end_and_nothing_new_is_taken() {
    let router = Router::new().fallback(any(|| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    }));
    let running = running(router, |_| {}).await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    let mut late = TcpStream::connect(running.address).await.unwrap();
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while running.metrics.connections.get() < 3 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.cancel();
    late.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = answer_of(busy).await;
    assert!(answer.ends_with("done") && answer.contains("connection: close"), "{answer}");
    assert!(TcpStream::connect(running.address).await.is_err());
    assert!(answer_of(late).await.ends_with("done"), "a request that was on its way is answered");
    tokio::time::timeout(Duration::from_secs(2), running.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_loses_its_connection_and_holds_no_place() {
    let router = Router::new().fallback(any(|| async { "x".repeat(1 << 20) }));
    let running = running(router, |limits| {
        limits.write_timeout = "300ms".parse().unwrap();
        limits.max_connections = 1;
    })
    .await;
    let mut deaf = TcpStream::connect(running.address).await.unwrap();
    // More than the system's buffers hold.
    for _ in 0..64 {
        let _ = deaf.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
    let mut next = TcpStream::connect(running.address).await.unwrap();
    next.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), answer_of(next)).await;
    assert!(answer.expect("the place was never free").starts_with("HTTP/1.1 200"));
    assert_eq!(
        running.metrics.connections_failed.get_metric_with_label_values(&["unread"]).unwrap().get(),
        1
    );
}
