//! Where attempts may go: addresses, names, redirects, certificates.

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::{join_all, pending};
use tokio::sync::Notify;

use super::*;

/// A resolver that knows these names, and how often it was asked.
fn knowing(names: &'static [(&str, &[&str])]) -> (resolver::Lookup, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let lookup: resolver::Lookup = Arc::new(move |name| {
        log.lock().unwrap().push(name.clone());
        let found = names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, addresses)| addresses.iter().map(|address| address.parse().unwrap()).collect());
        async move { found.ok_or_else(|| io::Error::other("no such name")) }.boxed()
    });
    (lookup, asked)
}

/// A listener that tells whether anybody has connected, even if only for a moment.
fn listener(on: &str) -> std::net::TcpListener {
    let listener = std::net::TcpListener::bind((on, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_connected_to() {
    let egress = Egress::new(&settings(&[])).unwrap();
    let v4 = listener("127.0.0.1");
    let port = v4.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0.0.0x1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "１２７。0。0。1",
        "user:password@127.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::ffff:a9fe:a9fe]",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
        "localhost",
        "LOCALHOST",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/hook?token=s3cret");
            let failure = failure(&egress, get(url), PATIENCE).await;
            assert_eq!(failure.class(), "blocked", "{host}: {failure:?}");
        }
    }
    assert_eq!(v4.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "somebody connected");
}

#[tokio::test]
async fn a_name_leads_only_to_those_of_its_addresses_that_are_open() {
    let url = answering(OK).await;
    let port = Url::parse(&url).unwrap().port().unwrap();
    // The same port on an address that is refused: had it been tried first, it would have answered.
    let other = listener("127.0.0.2");
    let (lookup, asked) = knowing(&[
        ("both.example", &["127.0.0.2", "169.254.169.254", "127.0.0.1"]),
        ("inside.example", &["10.0.0.1", "::1"]),
        ("metadata.example", &["::ffff:169.254.169.254"]),
        ("empty.example", &[]),
    ]);
    let egress = Egress::with_lookup(&settings(&["127.0.0.1/32"]), lookup).unwrap();
    let both = format!("http://both.example:{port}/");
    assert_eq!(answer(&egress, get(both), PATIENCE).await.status, 200);
    assert_eq!(other.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(*asked.lock().unwrap(), ["both.example"], "looked up once, so there is nothing to rebind");

    let refusal = |failure: Failure| match failure {
        Failure::Blocked(blocked) => blocked.address.to_string(),
        other => panic!("{other:?}"),
    };
    let inside = failure(&egress, get("https://inside.example/hook?token=s3cret"), PATIENCE).await;
    assert_eq!(refusal(inside), "10.0.0.1");
    let metadata = failure(&egress, get("http://metadata.example/hook?token=s3cret"), PATIENCE).await;
    assert_eq!(refusal(metadata), "::ffff:169.254.169.254");
    for unknown in ["empty.example", "unknown.example"] {
        let failure = failure(&egress, get(format!("http://{unknown}/hook?token=s3cret")), PATIENCE).await;
        assert_eq!(failure.class(), "dns", "{failure:?}");
    }
}

#[tokio::test]
async fn a_name_that_nobody_resolves_occupies_one_lookup_however_many_attempts_wait() {
    let url = answering(OK).await;
    let port = Url::parse(&url).unwrap().port().unwrap();
    let (asked, heal) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, healed) = (Arc::clone(&asked), Arc::clone(&heal));
    let lookup: resolver::Lookup = Arc::new(move |name| {
        let healed = Arc::clone(&healed);
        if name == "stuck.example" {
            count.fetch_add(1, Ordering::SeqCst);
        }
        async move {
            match name.as_str() {
                "stuck.example" => healed.notified().await,
                "never.example" => pending().await,
                _ => {}
            }
            Ok(vec!["127.0.0.1".parse().unwrap()])
        }
        .boxed()
    });
    let egress = Egress::with_lookup(&settings(&["127.0.0.0/8"]), lookup).unwrap();
    let stuck = format!("http://stuck.example:{port}/");
    for _ in 0..2 {
        let attempts = (0..50).map(|_| egress.attempt(get(&stuck), SOON));
        for exchange in join_all(attempts).await {
            let failure = exchange.result.unwrap_err();
            assert_eq!(failure, Failure::Dns("no answer in time".to_owned()), "nothing was sent");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let fine = format!("http://fine.example:{port}/");
    assert_eq!(answer(&egress, get(fine), PATIENCE).await.status, 200);

    heal.notify_one();
    assert_eq!(answer(&egress, get(&stuck), PATIENCE).await.status, 200);
    heal.notify_one();
    // Another port is another connection.
    let port = Url::parse(&answering(OK).await).unwrap().port().unwrap();
    let again = format!("http://stuck.example:{port}/");
    assert_eq!(answer(&egress, get(&again), PATIENCE).await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "an answer is not kept: the next connection asks anew");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inside = listener("127.0.0.1");
    let location = inside.local_addr().unwrap();
    let url = serve(move |mut stream| async move {
        read_head(&mut stream).await;
        let answer =
            format!("HTTP/1.1 302 Found\r\nlocation: http://{location}/\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    assert_eq!(answer(&egress(), get(url), PATIENCE).await.status, 302);
    assert_eq!(inside.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// Self-signed for localhost and 127.0.0.1, valid for a century, and trusted by nobody.
const UNTRUSTED: &str = include_str!("untrusted.pem");

#[tokio::test]
async fn what_is_not_a_trusted_tls_server_fails_as_tls() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let plaintext = serve(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        until_hung_up(&mut stream).await;
    })
    .await;
    let closes = serve(|mut stream| async move {
        let _ = stream.read(&mut [0; 16]).await;
    })
    .await;
    let resets = serve(|stream| async move { stream.set_zero_linger().unwrap() }).await;

    let egress = egress();
    let chain = vec![CertificateDer::from_pem_slice(UNTRUSTED.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(UNTRUSTED.as_bytes()).unwrap();
    let config =
        Arc::new(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let untrusted = url_of(listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut request = [0; 1024];
        io::Read::read(&mut rustls::Stream::new(&mut tls, &mut stream), &mut request)
    });

    for (what, url) in
        [("plaintext", plaintext), ("closes", closes), ("resets", resets), ("untrusted", untrusted)]
    {
        let failure = failure(&egress, get(url.replace("http:", "https:")), PATIENCE).await;
        assert_eq!(failure.class(), "tls", "{what}: {failure:?}");
    }
    assert!(server.join().unwrap().is_err(), "the request was sent to an untrusted server");
}
