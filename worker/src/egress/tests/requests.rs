//! What goes out, and what never does.

use tokio::sync::mpsc;

use super::*;

/// The head of this request as a destination sees it, in lower case, and what came right behind it.
async fn sent(request: Request) -> String {
    let (head, mut heads) = mpsc::channel(1);
    let url = serve(move |mut stream| {
        let head = head.clone();
        async move {
            head.send(read_head(&mut stream).await).await.unwrap();
            let _ = stream.write_all(OK).await;
            until_hung_up(&mut stream).await;
        }
    })
    .await;
    let mut to = request.url.clone();
    to.set_port(Url::parse(&url).unwrap().port()).unwrap();
    assert_eq!(answer(&egress(), Request { url: to, ..request }, PATIENCE).await.status, 200);
    heads.recv().await.unwrap().to_lowercase()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_rendered() {
    let head = sent(Request {
        method: Method::POST,
        headers: vec![pair("X-Twice", "one"), pair("X-Twice", "two"), pair("User-Agent", "theirs")],
        body: Some(("application/json".to_owned(), b"{}".to_vec())),
        ..get("http://127.0.0.1/a%20b?c=%7B%7D")
    })
    .await;
    assert!(head.starts_with("post /a%20b?c=%7b%7d http/1.1\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n{}"), "{head}");
    for line in [
        "x-twice: one",
        "x-twice: two",
        "user-agent: theirs",
        "content-type: application/json",
        "content-length: 2",
    ] {
        assert_eq!(head.matches(&format!("{line}\r\n")).count(), 1, "{line} in {head}");
    }
    for name in ["accept-encoding", "cookie", "referer"] {
        assert!(!head.contains(name), "{name} in {head}");
    }
}

#[tokio::test]
async fn a_header_of_the_connectors_wins_and_what_is_missing_is_filled_in() {
    let head = sent(Request {
        method: Method::POST,
        headers: vec![pair("content-type", "text/plain")],
        body: Some(("application/json".to_owned(), b"{}".to_vec())),
        ..get("http://carom:pass@127.0.0.1/")
    })
    .await;
    assert!(head.contains("content-type: text/plain\r\n") && !head.contains("json"), "{head}");
    assert!(head.contains("user-agent: carom-test\r\n"), "{head}");
    assert!(head.contains("authorization: basic y2fyb206cgfzcw==\r\n"), "{head}");

    let head = sent(Request { method: Method::POST, ..get("http://127.0.0.1/") }).await;
    assert!(head.contains("content-length: 0\r\n"), "a server may refuse a POST without: {head}");
    let head = sent(get("http://127.0.0.1/")).await;
    assert!(!head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn what_cannot_be_put_on_the_wire_is_refused_without_a_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = url_of(listener.local_addr().unwrap());
    for (name, value) in [
        ("x-click", "s3cret\r\nx-injected: yes"),
        ("x-click", "s3cret\nyes"),
        ("x-click", "s3cret\0"),
        ("x-click\r\nx-injected", "s3cret"),
        ("", "s3cret"),
        ("x click", "s3cret"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive"),
    ] {
        let request = Request { headers: vec![pair(name, value)], ..get(&url) };
        let failure = failure(&egress(), request, PATIENCE).await;
        assert_eq!(failure.class(), "unsendable", "{name:?}: {value:?}: {failure}");
    }
    let request = Request { body: Some(("text/plain\r\nx: y".to_owned(), Vec::new())), ..get(&url) };
    assert_eq!(failure(&egress(), request, PATIENCE).await.class(), "unsendable");
    let many = (0..40_000).map(|n| pair(&format!("x-{n}"), "y")).collect();
    let failed = failure(&egress(), Request { headers: many, ..get(&url) }, PATIENCE).await;
    assert_eq!(failed.class(), "unsendable");
    for url in ["ftp://127.0.0.1/hook", "file:///hook", "data:text/plain,s3cret", "unix:/hook"] {
        assert_eq!(failure(&egress(), get(url), PATIENCE).await.class(), "unsendable", "{url}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_user_agent_that_is_no_header_is_refused_at_the_start() {
    let settings = Settings { user_agent: "a\nb".to_owned(), ..settings(&[]) };
    assert!(matches!(Egress::new(&settings), Err(SetupError::Client(_))));
}
