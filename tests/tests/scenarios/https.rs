//! HTTPS to receivers of an authority of the operator's own (`egress.ca_file`), over HTTP/2 and HTTP/1.1, and what
//! HTTP/2 receivers do when they go away.

use anyhow::{Context, Result, ensure};
use carom_tests::accounting::drained;
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup};
use carom_tests::tls::{Authority, Flaw};
use h2::Reason;
use http::{Response, StatusCode};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a receiver has had: per purchase, the protocol of each request and what was done with it.
type Had = Arc<Mutex<BTreeMap<String, Vec<&'static str>>>>;

/// A receiver that speaks what the client chose, and does to the first request of each purchase what its path says.
async fn receiver(acceptor: TlsAcceptor, had: Had) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, had) = (acceptor.clone(), had.clone());
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => over_http2(stream, had).await,
                    _ => over_http1(stream, had).await,
                }
            });
        }
    });
    Ok(address)
}

async fn over_http1(mut stream: TlsStream<TcpStream>, had: Had) -> Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            ensure!(stream.read_buf(&mut head).await? > 0, "it has ended");
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).context("no request")?;
        had.lock().unwrap().entry(purchase(target)).or_default().push("http/1.1");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

async fn over_http2(stream: TlsStream<TcpStream>, had: Had) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, mut answer) = request?;
        let tx = purchase(&request.uri().to_string());
        let first = {
            let mut had = had.lock().unwrap();
            let requests = had.entry(tx).or_default();
            requests.push("h2");
            requests.len() == 1
        };
        match request.uri().path() {
            "/goes-away" if first => connection.abrupt_shutdown(Reason::NO_ERROR),
            "/breaks" if first => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            "/refuses" if first => answer.send_reset(Reason::REFUSED_STREAM),
            _ => {
                let ok = Response::builder().status(StatusCode::OK).body(())?;
                answer.send_response(ok, true)?;
            }
        }
    }
    Ok(())
}

fn purchase(target: &str) -> String {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs = carom_tests::receiver::pairs(query);
    pairs.into_iter().find(|(name, _)| name == "tx").map(|(_, tx)| tx).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_the_operators_own_is_trusted_and_both_protocols_deliver() -> Result<()> {
    let broker = Broker::shared().await?;
    let authority = Authority::new()?;
    let had = Had::default();
    let acceptor = |protocols: &[&str]| -> Result<TlsAcceptor> {
        Ok(TlsAcceptor::from(authority.server(Flaw::None, protocols)?))
    };
    let both: &[&str] = &["h2", "http/1.1"];
    // Name, what it speaks, what a failed attempt is told to have been, the protocol that is chosen.
    let table: [(&str, &[&str], Option<&str>, &str); 6] = [
        ("modern", both, None, "h2"),
        ("old", &["http/1.1"], None, "http/1.1"),
        ("mute", &[], None, "http/1.1"),
        ("goes-away", both, Some("reset"), "h2"),
        ("breaks", both, Some("reset"), "h2"),
        ("refuses", both, Some("reset"), "h2"),
    ];
    let mut resources = Resources::new();
    for (name, speaks, ..) in table {
        let address = receiver(acceptor(speaks)?, had.clone()).await?;
        let connector = Connector::get(name, format!("https://{address}/{name}")).triggers(&[name]);
        resources = resources.with(connector);
    }
    let dir = tempfile::tempdir()?;
    let ca_file = dir.path().join("authority.pem");
    std::fs::write(&ca_file, &authority.pem)?;
    let stack = Setup::new(&resources)
        .env("CAROM_EGRESS_CA_FILE", ca_file.to_string_lossy())
        .env("CAROM_RETRY_SCHEDULE", "200ms,400ms,1s,2s,3s,4s")
        .start(&broker)
        .await?;
    for (name, ..) in table {
        for number in 0..3 {
            stack.plain(&[("event", name), ("txid", &format!("{name}-{number}"))]).await?;
        }
    }
    let text = eventually(secs(20), "all are delivered", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let delivered = metrics::sum(&text, "carom_attempts_total", &[("outcome", "delivered")]);
        ensure!(delivered == Some(18.0), "{delivered:?} are");
        Ok(text)
    })
    .await?;
    for (name, _, class, protocol) in table {
        let had = had.lock().unwrap();
        for number in 0..3 {
            let requests = had.get(&format!("{name}-{number}")).context("it had nothing")?;
            assert!(requests.iter().all(|spoken| *spoken == protocol), "{name}: {requests:?}");
        }
        let failed: Vec<_> = metrics::samples(&text)
            .into_iter()
            .filter(|sample| {
                sample.name == "carom_attempts_total"
                    && sample.labels["connector"] == name
                    && sample.labels["outcome"] == "retry"
            })
            .map(|sample| (sample.labels["class"].clone(), sample.value))
            .collect();
        println!("{name:<10} over {protocol}: failed attempts {failed:?}");
        assert!(failed.iter().all(|(found, _)| Some(&**found) == class), "{name}: {failed:?}");
        assert_eq!(failed.is_empty(), class.is_none(), "{name}");
    }
    assert_eq!(stack.letters(&[]).await?, Vec::<serde_json::Value>::new());
    drained(stack.vhost()?, secs(10)).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_authorities_that_holds_none_is_told_at_the_start_with_its_key() -> Result<()> {
    let (broker, _, _, setup) = crate::network().await?;
    let dir = tempfile::tempdir()?;
    let ca_file = dir.path().join("authority.pem");
    let stack = setup.env("CAROM_EGRESS_CA_FILE", ca_file.to_string_lossy()).prepare(&broker).await?;
    for content in
        [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n")]
    {
        if let Some(content) = content {
            std::fs::write(&ca_file, content)?;
        }
        let ran = stack.carom(&["run"]).await?;
        assert_eq!(ran.code, Some(64), "{content:?}: {}", ran.err);
        assert!(ran.err.contains("egress.ca_file"), "{content:?}: {}", ran.err);
    }
    stack.quietly();
    Ok(())
}
