//! `/c/{offer}`: from a visitor's click to the offer's page, with the click on its way to the worker.
//!
//! A visitor is never held back by the broker: the redirect waits a moment for its click's confirm, then for
//! the spool. It never goes out before the click is safe, and leads to configured offers only.

use crate::agent::Agent;
use crate::app::App;
use crate::client::{self, Client};
use crate::custody::{Safe, Unsafe};
use crate::geo::Countries;
use crate::index::Target;
use crate::metrics::UNKNOWN;
use crate::parcel::Parcel;
use crate::problem::{Kind, Problem};
use crate::visitor;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use carom_common::click::{Click, NotATouch};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use jiff::Timestamp;
use std::sync::Arc;
use tracing::error;

/// The longest query of a click.
const QUERY_BYTES: usize = 8 * 1024;
/// How much is kept of a referrer.
const REFERRER_BYTES: usize = 1024;
/// How much is kept of a user agent.
const USER_AGENT_BYTES: usize = 512;

/// The headers by which browsers say that nobody has clicked yet.
const PURPOSES: [&str; 4] = ["purpose", "sec-purpose", "x-purpose", "x-moz"];

/// Answers a request to the redirect.
pub async fn handle(app: Arc<App>, offer: Option<&str>, request: Request<Body>) -> Response {
    let index = app.index.borrow().clone();
    if let Err(problem) = index.in_use() {
        app.metrics.click(UNKNOWN, "no_resources");
        return problem.into_response();
    }
    let Some(target) = offer.and_then(|name| index.target(name)) else {
        app.metrics.click(UNKNOWN, "unknown_offer");
        let detail = "Look at the link: the part after /c/ must be the id of one of this relay's offers.";
        return Problem::new(Kind::UnknownOffer, detail).into_response();
    };
    let mut told = Told { app: &app, target, outcome: "abandoned" };
    match redirect(&app, target, &request.into_parts().0).await {
        Ok((outcome, response)) => {
            told.outcome = outcome;
            response
        }
        Err((outcome, problem)) => {
            told.outcome = outcome;
            problem.into_response()
        }
    }
}

/// Counts how a request ended, also one whose visitor left before it did.
struct Told<'a> {
    app: &'a App,
    target: &'a Target,
    outcome: &'static str,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.app.metrics.click(self.target.offer.id.as_str(), self.outcome);
    }
}

/// How a request ended, for whoever counts, and its answer.
type Ended<T> = (&'static str, T);

async fn redirect(app: &App, target: &Target, head: &Parts) -> Result<Ended<Response>, Ended<Problem>> {
    let client = Client::of(head, &app.limits);
    let refused = |problem| ("refused", problem);
    let click = click(target, head, client, &app.countries, Timestamp::now()).map_err(refused)?;
    let cookie = visitor::remember(click.visitor, &head.headers, client.https);
    let location = location(target, &click).map_err(refused)?;
    if let Some(reason) = click.not_a_touch {
        app.metrics.clicks_not_touches.with_label_values(&[reason.as_str()]).inc();
    }
    let outcome = make_safe(app, click).await?;

    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The browsers' own default, said aloud: the offer learns the page's origin at most. It cannot loosen
    // what the page itself has asked for, because the referrer was cut before it came to us.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok((outcome, response))
}

fn click(
    target: &Target,
    head: &Parts,
    client: Client,
    countries: &Countries,
    now: Timestamp,
) -> Result<Click, Problem> {
    let query = head.uri.query().unwrap_or_default();
    if query.len() > QUERY_BYTES {
        let detail = format!("Use a link with at most {QUERY_BYTES} bytes of query.");
        return Err(Problem::new(Kind::QueryTooLong, detail));
    }
    let visitor = visitor::known(&head.headers).unwrap_or_else(visitor::new);
    let user_agent = text(&head.headers, header::USER_AGENT, USER_AGENT_BYTES);
    let agent = user_agent.as_deref().map(Agent::read);
    let gpc = visitor::opts_out(&head.headers);
    Ok(Click {
        target: target.offer.target.clone(),
        parameters: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        referrer: text(&head.headers, header::REFERER, REFERRER_BYTES),
        device: agent.map(|agent| agent.device),
        country: client.address.and_then(|address| countries.of(address)),
        address: client.address.filter(|_| !gpc).map(client::network),
        gpc,
        not_a_touch: not_a_touch(&head.method, &head.headers, agent),
        user_agent,
        ..Click::new(target.offer.advertiser.clone(), target.offer.id.clone(), visitor, now)
    })
}

/// Why a request is no click of a person, as far as its head tells.
fn not_a_touch(method: &Method, headers: &HeaderMap, agent: Option<Agent>) -> Option<NotATouch> {
    let prefetches = |value: &HeaderValue| {
        let value = value.as_bytes().to_ascii_lowercase();
        value.windows(8).any(|word| word == b"prefetch") || value.windows(7).any(|word| word == b"preview")
    };
    if *method == Method::HEAD {
        Some(NotATouch::Head)
    } else if *method == Method::OPTIONS {
        Some(NotATouch::Options)
    } else if PURPOSES.iter().any(|name| headers.get_all(*name).iter().any(prefetches)) {
        Some(NotATouch::Prefetch)
    } else {
        agent.map_or(Some(NotATouch::EmptyUserAgent), |agent| agent.program)
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName, most: usize) -> Option<String> {
    let mut text = String::from_utf8_lossy(headers.get(name)?.as_bytes().trim_ascii()).into_owned();
    text.truncate(text.floor_char_boundary(most));
    (!text.is_empty()).then_some(text)
}

fn location(target: &Target, click: &Click) -> Result<HeaderValue, Problem> {
    let unusable =
        |why: String| Problem::new(Kind::UnusableClick, format!("Mend the link's parameters: {why}."));
    let url = target.url.fill(click).map_err(|unfit| unusable(unfit.to_string()))?;
    HeaderValue::try_from(url).map_err(|_| {
        error!(offer = %target.offer.id, "click.location_is_no_header");
        unusable("the URL would not be one".to_owned())
    })
}

/// The redirect waits for this, and goes out only if it succeeds.
async fn make_safe(app: &App, click: Click) -> Result<&'static str, Ended<Problem>> {
    let not_safe = |outcome| {
        let detail = "Follow the link again in a few seconds.";
        (outcome, Problem::new(Kind::NotConfirmed, detail))
    };
    // A click is bounded by its request's head, far below what a message can hold.
    let parcel = Parcel::new(&click, None).map_err(|_| not_safe("refused"))?;
    drop(click);
    match app.clicks.keep(parcel, app.limits.click_patience.0, app.confirm_timeout).await {
        Ok(Safe::Confirmed) => Ok("confirmed"),
        Ok(Safe::Spooled) => Ok("spooled"),
        Err(Unsafe(refused)) => Err(not_safe(refused.as_str())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_looks_is_told_from_who_clicks() {
        type Row = (Method, &'static [(&'static str, &'static str)], Option<NotATouch>);
        let table: &[Row] = &[
            (Method::GET, &[("user-agent", "Mozilla/5.0")], None),
            (Method::GET, &[("user-agent", "Mozilla/5.0"), ("sec-purpose", "")], None),
            (Method::HEAD, &[("user-agent", "Mozilla/5.0")], Some(NotATouch::Head)),
            (Method::HEAD, &[("user-agent", "curl/8.5.0")], Some(NotATouch::Head)),
            (Method::OPTIONS, &[("user-agent", "Mozilla/5.0")], Some(NotATouch::Options)),
            (Method::GET, &[("user-agent", "curl/8.5.0")], Some(NotATouch::Bot)),
            (Method::GET, &[("user-agent", "WhatsApp/2.23.20.0 A")], Some(NotATouch::LinkPreview)),
            (Method::GET, &[("user-agent", "M"), ("purpose", "prefetch")], Some(NotATouch::Prefetch)),
            (
                Method::GET,
                &[("user-agent", "M"), ("sec-purpose", "Prefetch;prerender")],
                Some(NotATouch::Prefetch),
            ),
            (Method::GET, &[("user-agent", "M"), ("x-moz", "prefetch")], Some(NotATouch::Prefetch)),
            (Method::GET, &[("user-agent", "M"), ("x-purpose", "preview")], Some(NotATouch::Prefetch)),
            (Method::GET, &[("user-agent", "  ")], Some(NotATouch::EmptyUserAgent)),
            (Method::GET, &[], Some(NotATouch::EmptyUserAgent)),
        ];
        for (method, headers, expected) in table {
            let lines = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers: HeaderMap = lines.collect();
            let user_agent = text(&headers, header::USER_AGENT, USER_AGENT_BYTES);
            let agent = user_agent.as_deref().map(Agent::read);
            assert_eq!(not_a_touch(method, &headers, agent), *expected, "{headers:?}");
        }
    }

    #[test]
    fn a_long_user_agent_is_cut_between_characters() {
        let headers = HeaderMap::from_iter([(
            header::USER_AGENT,
            HeaderValue::from_bytes("é".repeat(400).as_bytes()).unwrap(),
        )]);
        assert_eq!(text(&headers, header::USER_AGENT, 511).unwrap(), "é".repeat(255));
        let odd = HeaderMap::from_iter([(header::REFERER, HeaderValue::from_bytes(b"a\xffb").unwrap())]);
        assert_eq!(text(&odd, header::REFERER, 1024).unwrap(), "a\u{fffd}b");
    }
}
