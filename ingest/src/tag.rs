//! The tag: `carom.js`, the script that pages load from us.
//!
//! It is squeezed and compressed once, when the process starts, so that no build needs a tool for it. It is served
//! under its name, for a few minutes, and under its name with its version, for ever.

mod squeeze;

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use carom_common::config;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use sha2::{Digest, Sha256};
use std::io::Write;

const SOURCE: &str = include_str!("tag/carom.js");

/// The endpoint as the source names it: by the way that leads there from the script.
const ENDPOINT: &str = "\"api/v1/track\"";

/// A version never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// A new one is everywhere within minutes; the old one does while we cannot be reached.
const FOR_NOW: &str = "public, max-age=600, stale-while-revalidate=600, stale-if-error=604800";

/// Hexadecimal digits of a version.
const DIGITS: usize = 12;

/// The script as it is served.
pub struct Tag {
    /// Its path.
    pub path: String,
    /// Its path with its version in it.
    pub versioned: String,
    plain: Bytes,
    /// The same by gzip.
    gzip: Bytes,
    etag: HeaderValue,
}

impl Tag {
    /// The script for these paths.
    pub fn new(config: &config::Tag) -> Self {
        let endpoint = format!("\"{}\"", way(&config.script, &config.track));
        let plain = squeeze::squeeze(&SOURCE.replace(ENDPOINT, &endpoint));
        let version = hex::encode(Sha256::digest(&plain))[..DIGITS].to_owned();
        // Writing to memory does not fail; if it did, the plain one would be served.
        let gzip = compressed(plain.as_bytes()).unwrap_or_default();
        Self {
            path: config.script.clone(),
            versioned: with_version(&config.script, &version),
            plain: plain.into(),
            gzip: gzip.into(),
            // Weak: the same of both encodings.
            etag: HeaderValue::try_from(format!("W/\"{version}\""))
                .unwrap_or(HeaderValue::from_static("W/\"\"")),
        }
    }

    /// Whether this is the path of some version of the script.
    pub fn is_version(&self, path: &str) -> bool {
        let (stem, ending) = parted(&self.path);
        let version = path.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(ending));
        version.is_some_and(|version| {
            version.len() == DIGITS && version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

/// Answers a request for the script.
pub fn handle(tag: &Tag, request: &Request<Body>) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Problem::method("GET, HEAD").into_response();
    }
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().any(|tags| matches(tags, &tag.etag));
    let gzip = !tag.gzip.is_empty() && accepts_gzip(request.headers());
    let mut response = match (known, gzip) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, true) => Response::new(Body::from(tag.gzip.clone())),
        (false, false) => Response::new(Body::from(tag.plain.clone())),
    };
    // Another version of it that we were asked for may be a later one's, which we are not.
    let caching = if request.uri().path() == tag.versioned { FOR_EVER } else { FOR_NOW };
    let headers = response.headers_mut();
    let mut put =
        |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    put(header::CACHE_CONTROL, caching);
    put(header::VARY, "accept-encoding");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    // For pages that load it with `integrity`, which takes `crossorigin`.
    put(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    if !known {
        put(header::CONTENT_TYPE, "text/javascript; charset=utf-8");
        if gzip {
            put(header::CONTENT_ENCODING, "gzip");
        }
    }
    headers.insert(header::ETAG, tag.etag.clone());
    response
}

/// Whether a value of `If-None-Match` names this entity, by weak comparison.
fn matches(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    tags.split(',').any(|tag| tag.trim() == "*" || strong(tag) == strong(etag))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}

fn compressed(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    encoder.finish()
}

/// A path's part before its ending, and the ending: `/carom` and `.js`.
fn parted(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => path.split_at(name + dot),
        _ => (path, ""),
    }
}

fn with_version(path: &str, version: &str) -> String {
    let (stem, ending) = parted(path);
    format!("{stem}-{version}{ending}")
}

/// How a URL at `from` leads to `to`: relative, so that a proxy may serve both under a folder of its own.
fn way(from: &str, to: &str) -> String {
    let folders: Vec<_> = from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
    let target: Vec<_> = to.split('/').collect();
    let shared =
        folders.iter().zip(&target[..target.len() - 1]).take_while(|(one, other)| one == other).count();
    "../".repeat(folders.len() - shared) + &target[shared..].join("/")
}

#[cfg(test)]
mod tests;
