use super::*;
use http_body_util::BodyExt;
use std::io::Read;

/// What may come of the script, compressed.
const MOST: usize = 3_000;

fn tag(script: &str, track: &str) -> Tag {
    let patience = carom_common::time::Span::from_secs(1);
    Tag::new(&config::Tag { script: script.to_owned(), track: track.to_owned(), patience })
}

fn usual() -> Tag {
    tag("/carom.js", "/api/v1/track")
}

fn ask(tag: &Tag, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    handle(tag, &request.body(Body::empty()).unwrap())
}

async fn body(response: Response) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().into()
}

#[tokio::test]
async fn the_script_is_small_and_its_gzip_is_the_script() {
    let tag = usual();
    let response = ask(&tag, "/carom.js", &[("accept-encoding", "br;q=1.0, gzip;q=0.8")]);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = body(response).await;
    assert!(packed.len() <= MOST, "{} bytes", packed.len());
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut unpacked).unwrap();
    let plain = ask(&tag, "/carom.js", &[]);
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(body(plain).await, unpacked.as_bytes());
    println!("carom.js: {} bytes, by gzip {}", unpacked.len(), packed.len());
}

#[test]
fn the_source_keeps_the_rules_that_squeezing_rests_on() {
    assert_eq!(SOURCE.matches(ENDPOINT).count(), 1);
    for (number, line) in SOURCE.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.starts_with("//") {
            continue;
        }
        let quotes = |quote| line.matches(quote).count() % 2;
        assert_eq!((quotes('"'), quotes('`')), (0, 0), "line {number}: a string ends on its line");
        assert!(
            !line.contains("/*") && !line.contains(" //"),
            "line {number}: a comment is a line of its own"
        );
    }
}

#[test]
fn the_version_is_in_the_name_and_follows_what_is_served() {
    let tag = usual();
    assert!(tag.versioned.starts_with("/carom-") && tag.versioned.ends_with(".js"), "{}", tag.versioned);
    assert_eq!(tag.versioned, usual().versioned);
    assert_ne!(self::tag("/carom.js", "/t").versioned, tag.versioned);
    for (path, versioned) in
        [("/a.b/c", "/a.b/c-0f"), ("/a/.hidden", "/a/.hidden-0f"), ("/a.min.js", "/a.min-0f.js")]
    {
        assert_eq!(with_version(path, "0f"), versioned);
    }
}

#[test]
fn caches_keep_a_version_for_ever_and_the_name_for_minutes() {
    let tag = usual();
    let caching = |path: &str| ask(&tag, path, &[]).headers()["cache-control"].to_str().unwrap().to_owned();
    assert!(caching(&tag.versioned).contains("immutable"));
    assert!(caching("/carom.js").contains("max-age=600"));
    // A page that was made before an upgrade goes on working, and nobody keeps the wrong script as its version.
    assert!(tag.is_version("/carom-0123456789ab.js"));
    assert!(caching("/carom-0123456789ab.js").contains("max-age=600"));
    for other in
        ["/carom-0123456789AB.js", "/carom-0123.js", "/carom-0123456789ab", "/x-0123456789ab.js", "/carom.js"]
    {
        assert!(!tag.is_version(other), "{other}");
    }
    for response in [ask(&tag, "/carom.js", &[]), ask(&tag, &tag.versioned, &[])] {
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["vary"], "accept-encoding");
    }
}

#[tokio::test]
async fn who_has_it_is_told_so() {
    let tag = usual();
    let etag = ask(&tag, "/carom.js", &[]).headers()["etag"].to_str().unwrap().to_owned();
    for (sent, status) in [
        (etag.as_str(), 304),
        (etag.trim_start_matches("W/"), 304),
        (&format!("\"x\", {etag}"), 304),
        ("*", 304),
        ("\"x\"", 200),
        ("", 200),
    ] {
        let response = ask(&tag, "/carom.js", &[("if-none-match", sent), ("accept-encoding", "gzip")]);
        assert_eq!(response.status(), status, "{sent}");
        assert_eq!(response.headers()["etag"], etag.as_str());
        assert_eq!(body(response).await.is_empty(), status == 304);
    }
}

#[test]
fn gzip_goes_to_those_who_take_it() {
    for (accepts, takes) in [
        ("gzip", true),
        ("deflate, gzip;q=1.0, *;q=0.5", true),
        ("*", true),
        ("gzip;q=0", false),
        ("gzip; q=0.0", false),
        ("br", false),
        ("", false),
    ] {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
        assert_eq!(accepts_gzip(&headers), takes, "{accepts}");
    }
}

#[test]
fn the_script_finds_its_endpoint_from_where_it_is() {
    for (script, track, way) in [
        ("/carom.js", "/api/v1/track", "api/v1/track"),
        ("/a/b/c.js", "/a/t", "../t"),
        ("/a/b/c.js", "/a/b/t", "t"),
        ("/a/b/c.js", "/x/t", "../../x/t"),
        ("/a.js", "/t", "t"),
        ("/a/b.js", "/a", "../a"),
    ] {
        assert_eq!(super::way(script, track), way, "{script} {track}");
        let tag = tag(script, track);
        let plain = std::str::from_utf8(&tag.plain).unwrap();
        assert!(plain.contains(&format!("\"{way}\"")), "{way}");
    }
}

#[test]
fn the_script_is_read_and_nothing_else() {
    let tag = usual();
    let request = Request::builder().method("POST").uri("/carom.js").body(Body::empty()).unwrap();
    assert_eq!(handle(&tag, &request).status(), 405);
    let head = Request::builder().method("HEAD").uri("/carom.js").body(Body::empty()).unwrap();
    assert_eq!(handle(&tag, &head).status(), 200);
}
