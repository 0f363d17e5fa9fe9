//! What the tag talks to, where it is looked at alone: the script as carom-ingest serves it, and a stand-in for the
//! tracking endpoint that remembers what it was sent, answers as it is told, and can go away.

use super::pages::listening;
use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::ports;
use crate::process::Process;
use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A request to the tracking endpoint.
#[derive(Clone, Debug)]
pub struct Tracked {
    pub body: Value,
    pub query: String,
    pub headers: HeaderMap,
}

impl Tracked {
    /// The id that the tag gave it.
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    /// The event's name; empty where it is none.
    pub fn event(&self) -> &str {
        self.body["event"]["name"].as_str().unwrap_or_default()
    }

    pub fn is_visit(&self) -> bool {
        self.body["visit"] == true
    }
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// 202, with the pixels.
    Takes,
    /// This status, with a problem document.
    Refuses(u16),
    /// 200 with a page that somebody else has written, as a proxy does that was set up wrongly.
    IsAnother,
}

struct Shared {
    script: String,
    tracked: Mutex<Vec<Tracked>>,
    /// What asked for `/seen`: the canary of pixels.
    seen: Mutex<Vec<String>>,
    manner: Mutex<Manner>,
    delay: Mutex<Duration>,
    pixels: Mutex<Value>,
}

/// The endpoint. It ends when it is dropped.
pub struct Endpoint {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Endpoint {
    /// With the script that carom-ingest serves.
    pub async fn start() -> Result<Self> {
        let script = served_script().await?;
        let shared = Shared {
            script,
            tracked: Mutex::default(),
            seen: Mutex::default(),
            manner: Mutex::new(Manner::Takes),
            delay: Mutex::default(),
            pixels: Mutex::new(json!([])),
        };
        let mut endpoint = Self { port: ports::free()?, shared: Arc::new(shared), runtime: None };
        endpoint.up()?;
        Ok(endpoint)
    }

    /// Its origin, which is none of the pages'.
    pub fn origin(&self) -> String {
        format!("http://relay.example:{}", self.port)
    }

    /// The snippet that a page has in its head, with these further attributes of the script.
    pub fn snippet(&self, attributes: &str) -> String {
        let queue =
            "window.carom = window.carom || function () { (carom.q = carom.q || []).push(arguments) };";
        // A page's nonce is for both.
        let nonce =
            attributes.split(' ').find(|attribute| attribute.starts_with("nonce=")).unwrap_or_default();
        format!(
            "<script {nonce}>{queue}</script>\n<script async src=\"{}/carom.js\" data-key=\"pk_test\" {attributes}></script>",
            self.origin()
        )
    }

    pub fn manner(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Lets every answer wait.
    pub fn delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// What is answered to events from now on, as the contract has it.
    pub fn pixels(&self, pixels: Value) {
        *self.shared.pixels.lock().unwrap() = pixels;
    }

    /// Goes down: connections break and new ones are refused.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Comes up again.
    pub fn up(&mut self) -> Result<()> {
        let router = Router::new().fallback(answer).with_state(self.shared.clone());
        let deadline = std::time::Instant::now() + secs(5);
        self.runtime = Some(loop {
            match listening(self.port, router.clone()) {
                Ok(runtime) => break runtime,
                Err(error) if std::time::Instant::now() > deadline => return Err(error),
                // The sockets of the last time may take a moment to go.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        });
        Ok(())
    }

    /// All that has come, in the order of its coming.
    pub fn tracked(&self) -> Vec<Tracked> {
        self.shared.tracked.lock().unwrap().clone()
    }

    /// Those of them that `wanted` likes.
    pub fn matching(&self, wanted: impl Fn(&Tracked) -> bool) -> Vec<Tracked> {
        self.tracked().into_iter().filter(wanted).collect()
    }

    /// What pixels have told it, by a request to `/seen?…`.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Forgets what has come.
    pub fn forget(&self) {
        self.shared.tracked.lock().unwrap().clear();
        self.shared.seen.lock().unwrap().clear();
    }

    /// Waits for `count` requests that `wanted` likes, and gives them.
    pub async fn wait_for(&self, count: usize, wanted: impl Fn(&Tracked) -> bool) -> Result<Vec<Tracked>> {
        eventually(secs(20), format!("the endpoint has {count} such requests"), async || {
            let found = self.matching(&wanted);
            let all: Vec<_> = self.tracked().into_iter().map(|tracked| tracked.body).collect();
            ensure!(found.len() >= count, "it has {}, of {all:#?}", found.len());
            Ok(found)
        })
        .await
    }

    /// Waits for what a pixel tells, which must begin so, and gives all of it.
    pub async fn has_seen(&self, beginning: &str) -> Result<String> {
        eventually(secs(20), format!("a pixel says {beginning}"), async || {
            let seen = self.seen();
            let found = seen.iter().find(|words| words.starts_with(beginning)).cloned();
            found.ok_or_else(|| anyhow::anyhow!("they say {seen:?}"))
        })
        .await
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.down();
    }
}

/// The script as carom-ingest serves it, from one that runs alone: it needs neither a broker nor resources for that.
pub async fn served_script() -> Result<String> {
    let folder = tempfile::tempdir()?;
    let (port, ops_port, nobody) = (ports::free()?, ports::free()?, ports::free()?);
    let mut command = crate::process::command("carom-ingest")?;
    command.current_dir(folder.path());
    command.env("CAROM_INGEST_LISTEN", format!("127.0.0.1:{port}"));
    command.env("CAROM_INGEST_OPS_LISTEN", format!("127.0.0.1:{ops_port}"));
    command.env("CAROM_BROKER_URL", format!("amqp://127.0.0.1:{nobody}"));
    let mut ingest = Process::start("carom-ingest", command, &folder.path().join("ingest.log"))?;
    let client = Client::new()?;
    eventually(secs(15), "carom-ingest serves the script", async || {
        ingest.must_run()?;
        let answer = client.get(&format!("http://127.0.0.1:{port}/carom.js")).await?;
        ensure!(answer.status == 200, "it answers {}", answer.status);
        Ok(answer.body)
    })
    .await
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default().to_owned();
    match uri.path() {
        "/carom.js" => typed("text/javascript", shared.script.clone()),
        "/library.js" => typed(
            "text/javascript",
            "window.library = (words) => fetch(`ORIGIN/seen?${words}`, { mode: \"no-cors\" });"
                .replace("ORIGIN", &format!("//{}", headers[header::HOST].to_str().unwrap_or_default())),
        ),
        "/pixel.gif" => typed("image/gif", PIXEL),
        "/seen" => {
            let words = percent_decoded(&query);
            shared.seen.lock().unwrap().push(words);
            StatusCode::NO_CONTENT.into_response()
        }
        "/api/v1/track" if method == Method::POST => {
            let delay = *shared.delay.lock().unwrap();
            let parsed = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let event = parsed["event"].is_object();
            let id = parsed["id"].clone();
            let origin = headers.get(header::ORIGIN).cloned().unwrap_or(HeaderValue::from_static("*"));
            shared.tracked.lock().unwrap().push(Tracked { body: parsed, query, headers });
            tokio::time::sleep(delay).await;
            let manner = *shared.manner.lock().unwrap();
            let pixels = if event { shared.pixels.lock().unwrap().clone() } else { json!([]) };
            let mut response = match manner {
                Manner::Takes => {
                    let body = json!({"id": id, "pixels": pixels}).to_string();
                    (StatusCode::ACCEPTED, typed("application/json", body)).into_response()
                }
                Manner::Refuses(status) => {
                    let body =
                        json!({"type": "urn:carom:problem:test", "detail": "as it was told"}).to_string();
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                    (status, typed("application/problem+json", body)).into_response()
                }
                Manner::IsAnother => typed("text/html", "<!doctype html><p>A page of somebody else's"),
            };
            response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn typed(kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// What `encodeURIComponent` has made of it.
fn percent_decoded(query: &str) -> String {
    crate::receiver::pairs(&format!("q={}", query.replace('+', "%2B")))
        .into_iter()
        .next()
        .map(|(_, value)| value)
        .unwrap_or_default()
}

/// One transparent point.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
