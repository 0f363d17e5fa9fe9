//! Answers as they should be.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn an_answer_comes_with_its_status_body_and_wish_to_wait() {
    let url =
        answering(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 120\r\ncontent-length: 4\r\n\r\nbusy")
            .await;
    let answer = answer(&egress(), get(url), PATIENCE).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.retry_after, Some(Duration::from_secs(120)));
    assert_eq!((answer.body_excerpt.as_slice(), answer.truncated), (b"busy".as_slice(), false));
    assert!(!format!("{answer:?}").contains("busy"), "a body in a debug print ends in a log");
}

#[tokio::test]
async fn an_answer_without_a_body_is_whole() {
    for bytes in [
        b"HTTP/1.1 204 No Content\r\n\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let answer = answer(&egress(), get(answering(bytes).await), PATIENCE).await;
        assert!(matches!(answer.status, 200 | 204));
        assert!(answer.body_excerpt.is_empty() && !answer.truncated && answer.retry_after.is_none());
    }
}

#[tokio::test]
async fn a_body_is_truncated_from_the_first_byte_beyond_the_cap() {
    let url = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef").await;
    for (cap, kept, truncated) in
        [(7, "abcdef", false), (6, "abcdef", false), (5, "abcde", true), (0, "", true)]
    {
        let egress = Egress::new(&Settings { response_cap: cap, ..settings(&["127.0.0.0/8"]) }).unwrap();
        let answer = answer(&egress, get(&url), PATIENCE).await;
        assert_eq!((answer.body_excerpt.as_slice(), answer.truncated), (kept.as_bytes(), truncated));
        // The caller's own bound counts instead, whichever is the greater.
        let answer = egress.attempt_up_to(3, get(&url), PATIENCE).await.result.unwrap();
        assert_eq!((answer.body_excerpt.as_slice(), answer.truncated), (b"abc".as_slice(), true));
        let answer = egress.attempt_up_to(6, get(&url), PATIENCE).await.result.unwrap();
        assert_eq!((answer.body_excerpt.as_slice(), answer.truncated), (b"abcdef".as_slice(), false));
        assert_eq!(answer.headers["content-length"], "6");
    }
}

#[tokio::test]
async fn attempts_in_a_row_share_a_connection_and_one_that_has_closed_is_not_an_error() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let url = serve(move |mut stream| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            for _ in 0..2 {
                read_head(&mut stream).await;
                let _ = stream.write_all(OK).await;
            }
        }
    })
    .await;
    let egress = egress();
    for (attempt, expected) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        assert_eq!(answer(&egress, get(&url), PATIENCE).await.status, 200, "attempt {attempt}");
        assert_eq!(connections.load(Ordering::SeqCst), expected, "attempt {attempt}");
    }
}
