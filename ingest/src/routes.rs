//! Which path leads where, and what every answer has in common.

use crate::app::App;
use crate::problem::{Kind, Problem};
use crate::webhook::Caller;
use crate::{click, tag, track, webhook};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderValue, Method, Request, header};
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::Instant;

const CLICK: &str = "/c/{offer}";
const EVENTS: &str = "/api/v1/events";
const EVENTS_BY_TOKEN: &str = "/api/v1/events/{token}";

/// The public paths.
pub fn router(app: Arc<App>) -> Router {
    let script = [app.tag.path.clone(), app.tag.versioned.clone()];
    script
        .iter()
        .fold(Router::new(), |router, path| router.route(path, any(script_at)))
        .route(CLICK, any(to_offer))
        .route(EVENTS, any(by_host))
        .route(EVENTS_BY_TOKEN, any(by_token))
        .route(&app.track_path, any(from_page))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(app.clone(), around))
        .with_state(app)
}

type Named = Result<Path<String>, PathRejection>;

async fn to_offer(State(app): State<Arc<App>>, offer: Named, request: Request<Body>) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => {
            // A name that is no UTF-8 is no offer's.
            let offer = offer.ok().map(|Path(name)| name);
            click::handle(app, offer.as_deref(), request).await
        }
        _ => Problem::method("GET, HEAD, OPTIONS").into_response(),
    }
}

async fn by_host(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    events(app, Caller::Host, request).await
}

async fn by_token(State(app): State<Arc<App>>, token: Named, request: Request<Body>) -> Response {
    let token = token.map(|Path(token)| token).unwrap_or_default();
    events(app, Caller::Token(&token), request).await
}

async fn events(app: Arc<App>, caller: Caller<'_>, request: Request<Body>) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD | Method::POST => webhook::handle(app, caller, request).await,
        _ => Problem::method("GET, HEAD, POST").into_response(),
    }
}

async fn from_page(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    match *request.method() {
        Method::POST | Method::OPTIONS => track::handle(app, request).await,
        _ => Problem::method("POST, OPTIONS").into_response(),
    }
}

async fn script_at(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    tag::handle(&app.tag, &request)
}

async fn nowhere(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    // A page that still names another version of the script gets this one.
    if app.tag.is_version(request.uri().path()) {
        return tag::handle(&app.tag, &request);
    }
    let detail = "Clicks go to /c/{offer}, events to /api/v1/events or /api/v1/events/{token}.";
    Problem::new(Kind::NotFound, detail).into_response()
}

/// What surrounds every request: the figures, and that no answer is kept by a cache but where it says so itself.
async fn around(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let route = match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(CLICK) => &app.metrics.requests.click,
        Some(EVENTS | EVENTS_BY_TOKEN) => &app.metrics.requests.events,
        Some(path) if path == app.track_path => &app.metrics.requests.track,
        Some(path) if path == app.tag.path || path == app.tag.versioned => &app.metrics.requests.tag,
        _ => &app.metrics.requests.other,
    };
    let _in_work = InWork::new(&route.in_flight);
    let started = Instant::now();
    let mut response = next.run(request).await;
    route.took(response.status(), started.elapsed());
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A request in work, counted as such until it is answered or its client has gone.
struct InWork<'a>(&'a IntGauge);

impl<'a> InWork<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
