//! The pages of a shop or funnel: HTML for each path, on every host that the browser takes it for.

use crate::ports;
use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    html: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Page {
    pub fn new(html: impl Into<String>) -> Self {
        Self { html: html.into(), headers: Vec::new() }
    }

    /// With a header, as in `content-security-policy`.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.headers.push((HeaderName::from_static(name), value));
        self
    }
}

type Shelf = Arc<Mutex<BTreeMap<String, Page>>>;

/// A server of pages, on a runtime of its own. It ends when it is dropped.
pub struct Pages {
    port: u16,
    shelf: Shelf,
    runtime: Option<Runtime>,
}

impl Pages {
    /// On a free port, with no page yet.
    pub fn start() -> Result<Self> {
        Self::on(ports::free()?)
    }

    /// On this port.
    pub fn on(port: u16) -> Result<Self> {
        let shelf = Shelf::default();
        let router = Router::new().fallback(serve).with_state(shelf.clone());
        let runtime = listening(port, router)?;
        Ok(Self { port, shelf, runtime: Some(runtime) })
    }

    /// Puts a page at `path` of every host, or at `host/path` of one.
    pub fn put(&self, place: &str, page: Page) {
        self.shelf.lock().unwrap().insert(place.to_owned(), page);
    }

    /// The origin of a host, as in `http://shop.example:12345`.
    pub fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves this on a port of the loopback, by a runtime of its own.
pub fn listening(port: u16, router: Router) -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("pages").enable_all().build()?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    runtime.spawn(async move { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await });
    Ok(runtime)
}

async fn serve(State(shelf): State<Shelf>, headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let page = {
        let shelf = shelf.lock().unwrap();
        shelf.get(&format!("{host}{}", uri.path())).or_else(|| shelf.get(uri.path())).cloned()
    };
    if uri.path() == "/favicon.ico" {
        return StatusCode::NO_CONTENT.into_response();
    }
    let Some(page) = page else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = page.html.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().extend(page.headers);
    response
}
