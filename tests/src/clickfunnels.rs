//! A ClickFunnels API that behaves as its documentation says: a bearer token, 20 items a page with
//! `Pagination-Next` and `Link` where there is more, a secret with a new endpoint and never again, and
//! trouble on request.

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use carom_common::mapping;
use http::{HeaderMap, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// The access token that it knows.
pub const API_TOKEN: &str = "scenario-api-token-0123456789";
/// Its workspace.
pub const WORKSPACE: u64 = 42_000;
/// How many items a page has.
const PAGE: usize = 20;

/// A request: method, path with query, and what it was answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub answered: u16,
}

/// What goes wrong with one of the requests to come.
struct Trouble {
    /// How many requests go well before.
    after: usize,
    status: u16,
    retry_after: Option<u64>,
    delay: Duration,
}

#[derive(Default)]
struct Held {
    events: Vec<Value>,
    endpoints: Vec<Value>,
    /// The secrets of all endpoints that were ever made.
    secrets: Vec<String>,
    asked: Vec<Asked>,
    troubles: Vec<Trouble>,
}

/// The API. It ends when it is dropped.
pub struct ClickFunnels {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    runtime: Option<Runtime>,
}

impl ClickFunnels {
    /// On a free port.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("clickfunnels").enable_all().build()?;
        let held: Arc<Mutex<Held>> = Arc::default();
        let router = Router::new().fallback(answer).with_state(held.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        Ok(Self { address, held, runtime: Some(runtime) })
    }

    /// What `source.api.base_url` is to be.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v2", self.address)
    }

    /// Something happened so long ago: a record of it. Gives the webhook's body, which somebody may deliver.
    pub fn happened(&self, event_type: &str, ago: Duration, data: Value) -> Value {
        let mut held = self.held.lock().unwrap();
        let id = held.events.last().map_or(100, |last| last["id"].as_u64().unwrap() + 1);
        let at = Timestamp::now() - SignedDuration::try_from(ago).unwrap();
        let record = json!({
            "id": id, "public_id": format!("P{id}"), "workspace_id": WORKSPACE,
            "uuid": Uuid::new_v4().as_simple().to_string(), "event_type_id": event_type,
            "subject_id": data["id"], "subject_type": "Order", "data": data, "api_version": 2,
            "created_at": at.to_string(), "page": null, "funnel": null,
        });
        held.events.push(record.clone());
        json!({
            "data": record["data"], "page": null, "funnel": null, "event_id": record["uuid"],
            "created_at": record["created_at"], "event_type": event_type, "subject_id": record["subject_id"],
            "api_version": 2, "subject_type": "Order", "workspace_id": WORKSPACE,
        })
    }

    /// A paid one-time order of ten minutes ago.
    pub fn order(&self, order: u64) -> Value {
        let data = json!({
            "id": order, "workspace_id": WORKSPACE, "contact_id": 70_000 + order, "total_amount": "10.00",
            "currency": "USD", "order_type": "one-time-order", "billing_status": "paid",
            "service_status": "completed", "live_mode": true,
            "contact": {"id": 70_000 + order, "email_address": format!("buyer{order}@example.com")},
        });
        self.happened("one-time-order.completed", Duration::from_secs(600), data)
    }

    /// The request after the next `after` is answered so, once.
    pub fn trouble(&self, after: usize, status: u16, retry_after: Option<u64>) {
        self.troubled(Trouble { after, status, retry_after, delay: Duration::ZERO });
    }

    /// The request after the next `after` is not answered for a long time.
    pub fn silence(&self, after: usize) {
        self.troubled(Trouble { after, status: 500, retry_after: None, delay: Duration::from_secs(60) });
    }

    fn troubled(&self, trouble: Trouble) {
        self.held.lock().unwrap().troubles.push(trouble);
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.held.lock().unwrap().asked.clone()
    }

    /// The endpoints as they are, without their secrets.
    pub fn endpoints(&self) -> Vec<Value> {
        self.held.lock().unwrap().endpoints.clone()
    }

    /// Every secret that it ever told.
    pub fn secrets(&self) -> Vec<String> {
        self.held.lock().unwrap().secrets.clone()
    }
}

impl Drop for ClickFunnels {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    State(held): State<Arc<Mutex<Held>>>,
    method: http::Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (response, delay) = {
        let mut held = held.lock().unwrap();
        let (response, delay) = match trouble(&mut held) {
            Some(trouble) => {
                let retry_after = trouble.retry_after.map(|wait| ("retry-after", wait.to_string()));
                let body = json!({"error": "not now"});
                (reply(trouble.status, retry_after.into_iter().collect(), &body), trouble.delay)
            }
            None => (served(&mut held, method.as_str(), &uri, &headers, &body), Duration::ZERO),
        };
        let answered = response.status().as_u16();
        held.asked.push(Asked { method: method.to_string(), path: uri.to_string(), answered });
        (response, delay)
    };
    tokio::time::sleep(delay).await;
    response
}

/// The trouble whose turn it is, if there is one.
fn trouble(held: &mut Held) -> Option<Trouble> {
    let due = held.troubles.iter().position(|trouble| trouble.after == 0);
    let trouble = due.map(|index| held.troubles.remove(index));
    for waiting in &mut held.troubles {
        waiting.after = waiting.after.saturating_sub(1);
    }
    trouble
}

fn served(held: &mut Held, method: &str, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if said("authorization") != format!("Bearer {API_TOKEN}") || said("user-agent").is_empty() {
        return reply(401, vec![], &json!({"error": "API key missing or invalid"}));
    }
    let path = uri.path().strip_prefix("/api/v2").unwrap_or_default();
    let of_workspace = format!("/workspaces/{WORKSPACE}/webhooks/outgoing");
    let fields =
        || serde_json::from_slice::<Value>(body).unwrap_or_default()["webhooks_outgoing_endpoint"].take();
    if let Some(rest) = path.strip_prefix(of_workspace.as_str()) {
        return match (method, rest) {
            ("GET", "/endpoints") => page(uri, &held.endpoints),
            ("GET", "/events") => page(uri, &held.events),
            ("POST", "/endpoints") => create(held, &fields()),
            _ => missing(),
        };
    }
    if (method, path) == ("GET", "/webhooks/outgoing/event_types") {
        let mut types: Vec<_> = mapping::catalogue().collect();
        types.sort_unstable();
        let types: Vec<_> = types.into_iter().map(|id| json!({"id": id, "topic": id})).collect();
        return reply(200, vec![], &Value::Array(types));
    }
    let Some(id) = path.strip_prefix("/webhooks/outgoing/endpoints/").and_then(|id| id.parse::<u64>().ok())
    else {
        return missing();
    };
    let Some(index) = held.endpoints.iter().position(|endpoint| endpoint["id"] == id) else {
        return missing();
    };
    match method {
        "GET" => reply(200, vec![], &held.endpoints[index]),
        "PUT" | "PATCH" => {
            if let Value::Object(fields) = fields() {
                for (name, value) in fields {
                    held.endpoints[index][name] = value;
                }
            }
            reply(200, vec![], &held.endpoints[index])
        }
        "DELETE" => {
            held.endpoints.remove(index);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => missing(),
    }
}

/// The secret is in this answer, and in no other.
fn create(held: &mut Held, fields: &Value) -> Response {
    if !fields["url"].is_string() || !fields["event_type_ids"].is_array() {
        return reply(422, vec![], &json!({"error": "url and event_type_ids are needed"}));
    }
    let id = 5 + held.secrets.len() as u64;
    let mut endpoint = json!({
        "id": id, "public_id": format!("E{id}"), "workspace_id": WORKSPACE, "url": fields["url"],
        "name": fields["name"], "event_type_ids": fields["event_type_ids"], "api_version": 2,
        "page_ids": [], "funnel_ids": [],
    });
    held.endpoints.push(endpoint.clone());
    let secret = format!("{}{}", Uuid::new_v4().as_simple(), Uuid::new_v4().as_simple());
    endpoint["webhook_secret"] = secret.as_str().into();
    held.secrets.push(secret);
    reply(201, vec![], &endpoint)
}

fn page(uri: &Uri, all: &[Value]) -> Response {
    let query = crate::receiver::pairs(uri.query().unwrap_or_default());
    let said = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let after: Option<u64> = said("after").and_then(|id| id.parse().ok());
    let descends = said("sort_order") == Some("desc");
    let id = |item: &Value| item["id"].as_u64().unwrap();
    let mut items: Vec<&Value> = all.iter().collect();
    items.sort_by_key(|item| id(item));
    if descends {
        items.reverse();
    }
    items.retain(|item| after.is_none_or(|after| if descends { id(item) < after } else { id(item) > after }));
    let more = items.len() > PAGE;
    items.truncate(PAGE);
    let last = items.last().map(|item| id(item)).filter(|_| more);
    let headers = last.map_or_else(Vec::new, |last| {
        let link = format!("<https://w.myclickfunnels.com{}?after={last}>; rel=\"next\"", uri.path());
        vec![("pagination-next", last.to_string()), ("link", link)]
    });
    reply(200, headers, &json!(items))
}

fn missing() -> Response {
    reply(404, vec![], &json!({"error": "Not found: Record missing"}))
}

fn reply(status: u16, headers: Vec<(&'static str, String)>, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = (status, body.to_string()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
