//! A receiver of postbacks: records every request, answers as it is told, can go down and come back.

use crate::eventually::eventually;
use anyhow::{Context, Result, ensure};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Router, http};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Timestamp,
    pub instant: Instant,
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The how many-th request of its delivery this is, from 1.
    pub number: usize,
    /// What it was answered.
    pub answered: u16,
    /// When.
    pub answered_at: Instant,
}

impl Received {
    /// A named value: from the query, or from a JSON or form body.
    pub fn field(&self, name: &str) -> Option<String> {
        let of = |pairs: &[(String, String)]| {
            pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        of(&self.query).or_else(|| match self.header("content-type")? {
            "application/json" => Some(self.json()?.get(name)?.as_str()?.to_owned()),
            _ => of(&pairs(std::str::from_utf8(&self.body).ok()?)),
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The stable id of its delivery: the parameter `event_id` of all our connectors.
    pub fn delivery(&self) -> Option<String> {
        self.field("event_id")
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it was answered as delivered.
    pub fn taken(&self) -> bool {
        matches!(self.answered, 200..=207 | 226)
    }
}

/// What is kept of a request by which thousands are counted.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The stable id of its delivery.
    pub delivery: Uuid,
    /// Whether it was answered as delivered.
    pub taken: bool,
    /// When it was answered, in milliseconds since 1970.
    pub answered_at: i64,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: format!("{status} from the receiver\n"),
            delay: Duration::ZERO,
        }
    }

    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// What to answer a request; it is given before `answered` is known.
pub type Script = Arc<dyn Fn(&Received) -> Answer + Send + Sync>;

/// The same answer to everybody.
pub fn always(status: u16) -> Script {
    Arc::new(move |_| Answer::status(status))
}

/// To each delivery these in turn, the last one for ever.
pub fn sequence(statuses: &'static [u16]) -> Script {
    Arc::new(move |request| {
        let index = (request.number - 1).min(statuses.len() - 1);
        Answer::status(statuses[index])
    })
}

#[derive(Default)]
struct Recorded {
    requests: Vec<Received>,
    marks: Vec<Mark>,
    /// Whether only marks are kept.
    briefly: bool,
    per_delivery: BTreeMap<String, usize>,
    /// How often each purchase's postback was taken: what thousands of events are counted by.
    taken: BTreeMap<String, usize>,
}

struct Shared {
    recorded: Mutex<Recorded>,
    script: Mutex<Script>,
    heard: Box<dyn Fn(&Received) + Send + Sync>,
}

/// The receiver. It runs on a runtime of its own: a test that blocks does not slow it, and its connections
/// end when it goes down.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Receiver {
    /// On a free port, answering 200.
    pub fn start() -> Result<Self> {
        Self::on(crate::ports::free()?, |_| {})
    }

    /// On this port. `heard` is called for every request, when its answer is known.
    pub fn on(port: u16, heard: impl Fn(&Received) + Send + Sync + 'static) -> Result<Self> {
        let shared =
            Shared { recorded: Mutex::default(), script: Mutex::new(always(200)), heard: Box::new(heard) };
        let mut receiver =
            Self { address: ([127, 0, 0, 1], port).into(), shared: Arc::new(shared), runtime: None };
        receiver.up()?;
        Ok(receiver)
    }

    /// The URL of one of its paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers like this from now on.
    pub fn answer(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// Goes down: its connections break and new ones are refused.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Comes up, on the port that it had.
    pub fn up(&mut self) -> Result<()> {
        ensure!(self.runtime.is_none(), "the receiver is up");
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("receiver").enable_all().build()?;
        let deadline = Instant::now() + Duration::from_secs(5);
        // The sockets of the last time may take a moment to go.
        let listener = loop {
            match std::net::TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) if Instant::now() > deadline => {
                    runtime.shutdown_background();
                    return Err(error)
                        .with_context(|| format!("the receiver cannot listen on {}", self.address));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        listener.set_nonblocking(true)?;
        let router = Router::new().fallback(receive).with_state(self.shared.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Every request so far, in the order of their coming.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.recorded.lock().unwrap().requests.clone()
    }

    /// How many requests so far.
    pub fn count(&self) -> usize {
        self.shared.recorded.lock().unwrap().requests.len()
    }

    /// The requests that `wanted` likes.
    pub fn matching(&self, wanted: impl Fn(&Received) -> bool) -> Vec<Received> {
        self.shared
            .recorded
            .lock()
            .unwrap()
            .requests
            .iter()
            .filter(|request| wanted(request))
            .cloned()
            .collect()
    }

    /// The requests with this value of a field, such as `tx`.
    pub fn with(&self, field: &str, value: &str) -> Vec<Received> {
        self.matching(|request| request.field(field).as_deref() == Some(value))
    }

    /// Per purchase (the parameter `tx`), how often its postback was taken: answered as delivered.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        self.shared.recorded.lock().unwrap().taken.clone()
    }

    /// How many purchases' postbacks were taken.
    pub fn taken_count(&self) -> usize {
        self.shared.recorded.lock().unwrap().taken.len()
    }

    /// Waits until this purchase's postback was taken.
    pub async fn has_taken(&self, tx: &str) -> Result<()> {
        eventually(Duration::from_secs(30), format!("the receiver has taken {tx}"), async || {
            ensure!(self.taken().contains_key(tx), "it has taken {}", self.taken_count());
            Ok(())
        })
        .await
    }

    /// A mark for each request of a delivery so far, in the order of their coming.
    pub fn marks(&self) -> Vec<Mark> {
        self.shared.recorded.lock().unwrap().marks.clone()
    }

    /// Keeps nothing but marks from now on: for hundreds of thousands of requests.
    pub fn record_briefly(&self) {
        self.shared.recorded.lock().unwrap().briefly = true;
    }

    /// Forgets what has come so far, the counts by delivery included.
    pub fn forget(&self) {
        let mut recorded = self.shared.recorded.lock().unwrap();
        *recorded = Recorded { briefly: recorded.briefly, ..Recorded::default() };
    }

    /// Waits for `count` requests that `wanted` likes, and gives them.
    pub async fn wait_for(
        &self,
        limit: Duration,
        count: usize,
        wanted: impl Fn(&Received) -> bool,
    ) -> Result<Vec<Received>> {
        eventually(limit, format!("the receiver has {count} such requests"), async || {
            let found = self.matching(&wanted);
            ensure!(found.len() >= count, "it has {}, of {} in all", found.len(), self.count());
            Ok(found)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: http::Method,
    uri: http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (at, instant) = (Timestamp::now(), Instant::now());
    let query = pairs(uri.query().unwrap_or_default());
    let (method, path) = (method.to_string(), uri.path().to_owned());
    let mut request = Received {
        at,
        instant,
        method,
        path,
        query,
        headers,
        body: body.to_vec(),
        number: 1,
        answered: 0,
        answered_at: instant,
    };
    if let Some(delivery) = request.delivery() {
        let mut recorded = shared.recorded.lock().unwrap();
        let count = recorded.per_delivery.entry(delivery).or_default();
        *count += 1;
        request.number = *count;
    }
    let script = shared.script.lock().unwrap().clone();
    let answer = script(&request);
    request.answered = answer.status;
    request.answered_at = instant + answer.delay;
    (shared.heard)(&request);
    {
        let mut recorded = shared.recorded.lock().unwrap();
        if let Some(tx) = request.field("tx").filter(|_| request.taken()) {
            *recorded.taken.entry(tx).or_default() += 1;
        }
        if let Some(delivery) = request.delivery().and_then(|id| Uuid::try_parse(&id).ok()) {
            let delay = i64::try_from(answer.delay.as_millis()).unwrap_or(i64::MAX);
            let answered_at = at.as_millisecond().saturating_add(delay);
            recorded.marks.push(Mark { delivery, taken: request.taken(), answered_at });
        }
        if !recorded.briefly {
            recorded.requests.push(request);
        }
    }
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// The pairs of a query or form.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{query}"));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}
