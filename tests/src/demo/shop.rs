//! The demo's shop: a page with the tag, on another origin than carom-ingest, that also shows what the network heard.

use crate::browser::pages::listening;
use crate::receiver::Received;
use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use http::header;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;

/// The shop's key, as in `deploy/config/demo/tag.toml`.
const SITE_KEY: &str = "pk_demo_only_5b21";
/// Where the network hears of purchases: by postback and by pixel.
const NETWORK: &str = "/affiliates/";
/// How many lines the page shows.
const LINES: usize = 20;

const PAGE: &str = include_str!("shop.html");

/// What the network heard, newest first.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<VecDeque<Value>>>);

impl Heard {
    /// Takes note of a request to the receiver, if it is one that the page shows.
    pub fn note(&self, request: &Received) {
        let Some(by) = request.path.strip_prefix(NETWORK) else { return };
        let clock = request.at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string();
        let field = |name| request.field(name).unwrap_or_default();
        let line = json!({
            "at": clock, "by": by, "click_id": field("click_id"), "value": field("value"), "event_id": field("event_id"),
        });
        let mut lines = self.0.lock().unwrap();
        lines.push_front(line);
        lines.truncate(LINES);
    }
}

/// The running shop. It ends when it is dropped.
pub struct Shop {
    port: u16,
    runtime: Option<Runtime>,
}

impl Shop {
    /// On this port, with the tag of the carom-ingest at `relay`, as in `http://127.0.0.1:8080`.
    pub fn start(port: u16, relay: &str, heard: Heard) -> Result<Self> {
        let page = PAGE.replace("@RELAY@", relay).replace("@KEY@", SITE_KEY);
        let router = Router::new()
            .route("/", get(move || std::future::ready(Html(page.clone()))))
            .route("/heard", get(lines))
            .with_state(heard);
        Ok(Self { port, runtime: Some(listening(port, router)?) })
    }

    /// Its origin.
    pub fn origin(&self) -> String {
        origin(self.port)
    }
}

/// The origin of a shop on this port.
pub fn origin(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Drop for Shop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn lines(State(heard): State<Heard>) -> impl IntoResponse {
    let lines: Vec<_> = heard.0.lock().unwrap().iter().cloned().collect();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, Value::from(lines).to_string())
}
