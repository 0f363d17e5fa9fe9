//! Destinations that hang, drip, flood, lie and cut.

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;

#[tokio::test]
async fn a_destination_that_hangs_times_out_at_the_deadline_and_loses_its_connection() {
    let (hung_up, mut seen) = mpsc::channel(1);
    let url = serve(move |mut stream| {
        let hung_up = hung_up.clone();
        async move {
            read_head(&mut stream).await;
            until_hung_up(&mut stream).await;
            hung_up.send(()).await.unwrap();
        }
    })
    .await;
    let exchange = egress().attempt(get(url), SOON).await;
    assert_eq!(exchange.result.unwrap_err(), Failure::Timeout);
    assert!(exchange.duration >= SOON && exchange.duration < PATIENCE, "{:?}", exchange.duration);
    timeout(PATIENCE, seen.recv())
        .await
        .expect("the connection of an attempt that is over is closed")
        .unwrap();
}

#[tokio::test]
async fn headers_that_come_a_byte_at_a_time_do_not_move_the_deadline() {
    let url = serve(|mut stream| async move {
        read_head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nx: ".iter().chain([&b'y'; 10_000]) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(failure(&egress(), get(url), SOON).await, Failure::Timeout);
}

/// The kernel's buffers hold a few MiB of what was sent and never read.
const KERNEL: usize = 24 << 20;

#[tokio::test]
async fn headers_without_an_end_are_refused_after_a_bounded_number_of_bytes() {
    let filler = "y".repeat(64 * 1024);
    let many = "x: y\r\n".repeat(10_000);
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    for (start, piece, expected) in [
        ("HTTP/1.1 200 OK\r\nx: ", filler.clone(), "protocol"),
        ("HTTP/1.1 200 OK\r\n", many, "protocol"),
        ("HTTP/1.1 200 ", filler.clone(), "protocol"),
        ("", filler, "protocol"),
    ] {
        let (count, mut sent) = mpsc::channel(1);
        let url = serve(move |mut stream| {
            let (count, piece) = (count.clone(), piece.clone());
            async move {
                read_head(&mut stream).await;
                stream.write_all(start.as_bytes()).await.unwrap();
                count.send(flood(&mut stream, piece.as_bytes()).await).await.unwrap();
            }
        })
        .await;
        assert_eq!(failure(&egress(), get(url), PATIENCE).await.class(), expected, "{start:?}");
        let sent = timeout(PATIENCE, sent.recv()).await.expect("the connection is closed").unwrap();
        assert!(sent < KERNEL, "{start:?}: {sent} bytes taken");
    }
    // Interim answers without end keep nothing, so they end with the deadline.
    let url = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        flood(&mut stream, early.as_bytes()).await;
    })
    .await;
    assert_eq!(failure(&egress(), get(url), SOON).await, Failure::Timeout);
}

#[tokio::test]
async fn a_body_of_10_gb_or_without_an_end_is_kept_up_to_the_cap_and_costs_the_connection() {
    for framing in ["content-length: 10000000000\r\n", "", "transfer-encoding: chunked\r\n"] {
        let (count, mut sent) = mpsc::channel(1);
        let url = serve(move |mut stream| {
            let count = count.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}\r\n").as_bytes()).await.unwrap();
                let mut piece = vec![b'a'; 0x10000];
                if framing.starts_with("transfer") {
                    piece = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
                }
                count.send(flood(&mut stream, &piece).await).await.unwrap();
            }
        })
        .await;
        let answer = answer(&egress(), get(url), PATIENCE).await;
        assert_eq!((answer.status, answer.truncated), (200, true), "{framing:?}");
        assert_eq!(answer.body_excerpt, vec![b'a'; RESPONSE_CAP], "{framing:?}");
        let sent = timeout(PATIENCE, sent.recv()).await.expect("the connection is closed").unwrap();
        assert!(sent < KERNEL, "{framing:?}: {sent} bytes taken");
    }
}

#[tokio::test]
async fn a_status_stands_though_its_body_hangs_drips_breaks_off_or_is_cut() {
    let hangs = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await;
    let drips = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\npart").await.unwrap();
        while stream.write_all(b".").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let short = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await.unwrap();
    })
    .await;
    let cut = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart").await.unwrap();
        sleep(Duration::from_millis(100)).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let unchunked =
        answering(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n").await;
    let egress = egress();
    for (how, url) in [("hangs", hangs), ("drips", drips), ("short", short), ("cut", cut), ("bad", unchunked)]
    {
        let exchange = egress.attempt(get(url), SOON).await;
        assert!(exchange.duration < PATIENCE, "{how}: {:?}", exchange.duration);
        let answer = exchange.result.unwrap();
        assert_eq!((answer.status, answer.truncated), (200, true), "{how}");
        assert!(answer.body_excerpt.starts_with(b"part"), "{how}: {:?}", answer.body_excerpt);
    }
}

#[tokio::test]
async fn a_body_longer_than_its_content_length_ends_where_it_said_and_is_not_reused() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let url = serve(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            read_head(&mut stream).await;
            let smuggled = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Not yours\r\n\r\n";
            stream.write_all(smuggled).await.unwrap();
            until_hung_up(&mut stream).await;
        }
    })
    .await;
    let egress = egress();
    for _ in 0..2 {
        let answer = answer(&egress, get(&url), PATIENCE).await;
        assert_eq!((answer.status, answer.body_excerpt.as_slice()), (200, b"ok".as_slice()));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_compression_bomb_stays_as_small_as_it_came() {
    let url = answering(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 29\r\n\r\n\
          \x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03not really compressed",
    )
    .await;
    let answer = answer(&egress(), get(url), PATIENCE).await;
    assert!(answer.body_excerpt.starts_with(b"\x1f\x8b\x08"), "{:?}", answer.body_excerpt);
    assert_eq!(answer.body_excerpt.len(), 29);
}

#[tokio::test]
async fn each_way_to_break_off_has_its_class() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closes = serve(|mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let halfway = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-").await.unwrap();
    })
    .await;
    let resets = serve(|mut stream| async move {
        read_head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let smtp = answering(b"220 mail.example.com ESMTP\r\n").await;
    let status = answering(b"HTTP/1.1 20 OK\r\n\r\n").await;
    let lengths = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n").await;
    let http2 = answering(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00").await;
    for (url, class) in [
        (url_of(unused), "connect"),
        (closes, "reset"),
        (halfway, "reset"),
        (resets, "reset"),
        (smtp, "protocol"),
        (status, "protocol"),
        (lengths, "protocol"),
        (http2, "protocol"),
    ] {
        let failure = failure(&egress(), get(url), PATIENCE).await;
        assert_eq!(failure.class(), class, "{failure:?}");
    }
}

#[tokio::test]
async fn a_hundred_attempts_that_hang_leave_another_destination_its_pace() {
    let slow = answering(b"").await;
    let fast = answering(OK).await;
    let egress = egress();
    let hanging: Vec<_> = (0..100)
        .map(|_| {
            let (egress, slow) = (egress.clone(), slow.clone());
            tokio::spawn(async move { egress.attempt(get(slow), PATIENCE).await })
        })
        .collect();
    for _ in 0..20 {
        let exchange = egress.attempt(get(&fast), PATIENCE).await;
        assert_eq!(exchange.result.unwrap().status, 200);
        assert!(exchange.duration < Duration::from_secs(2), "{:?}", exchange.duration);
    }
    assert!(hanging.iter().all(|attempt| !attempt.is_finished()));
    hanging.iter().for_each(tokio::task::JoinHandle::abort);
}
