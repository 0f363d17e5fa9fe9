//! Access tokens of connectors whose authorization is OAuth 2 (RFC 6749): fetched through our egress, kept in
//! memory, refreshed before they expire.
//!
//! One fetch at a time per connector; whoever comes meanwhile waits for it and shares what it brings, its
//! failure too. Neither tokens nor what a token endpoint says are ever logged or stored (G9).

use crate::egress::{Egress, Request, Response};
use carom_common::connector::{Authorization, Connector};
use carom_common::id::ConnectorId;
use carom_common::secret::{self, SecretRef};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// A token that says nothing of its end is asked for anew after this.
const UNSAID: Duration = Duration::from_secs(3_600);
/// A token is refreshed so long before it expires, or after three quarters of its life.
const MARGIN: Duration = Duration::from_secs(60);
/// A fetch that failed answers for this long whoever comes after it, so that those who wait in line do not
/// each ask an endpoint that is down.
const SHARED_FAILURE: Duration = Duration::from_secs(1);
/// What is read of a token endpoint's answer, in bytes.
const ANSWER: usize = 64 * 1024;

/// Why there is no token. The texts hold nothing that the endpoint has said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A secret cannot be read here.
    #[error("{0}")]
    Secret(String),
    /// The endpoint's address is none.
    #[error("token_url is no URL")]
    Url,
    /// The endpoint gave no answer; the class of the failure.
    #[error("the token endpoint gave no answer: {0}")]
    Unanswered(&'static str),
    /// It gave another answer than a token.
    #[error("the token endpoint answered {0}")]
    Refused(u16),
    /// It said 200, and there is no usable token in it.
    #[error("the token endpoint's answer holds no access token")]
    NoToken,
}

/// The tokens of all connectors.
#[derive(Default)]
pub struct Tokens {
    places: std::sync::Mutex<HashMap<ConnectorId, Arc<Mutex<Place>>>>,
}

/// One connector's token. Its lock is held while one is fetched.
#[derive(Default)]
struct Place {
    /// What it was fetched by: a connector that was changed needs another.
    by: Option<Authorization>,
    token: Option<Token>,
    /// The newest refresh token, where the endpoint gave another one.
    refresh: Option<String>,
    failed: Option<(Instant, Error)>,
}

struct Token {
    text: String,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    #[serde(default)]
    refresh_token: Option<String>,
}

impl Tokens {
    /// The token for a connector's next attempt, and whether it had to be fetched; none where its
    /// authorization is another.
    ///
    /// # Errors
    /// There is none to be had now.
    pub async fn token(
        &self,
        egress: &Egress,
        connector: &Connector,
    ) -> Result<Option<(String, bool)>, Error> {
        let Some(webhook) = &connector.webhook else { return Ok(None) };
        let Some(authorization @ Authorization::OAuth2 { .. }) = &webhook.authorization else {
            return Ok(None);
        };
        let place = self.place(&connector.id);
        let mut place = place.lock().await;
        if place.by.as_ref() != Some(authorization) {
            *place = Place { by: Some(authorization.clone()), ..Place::default() };
        }
        if let Some(token) = place.token.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Some((token.text.clone(), false)));
        }
        if let Some((_, error)) = place.failed.as_ref().filter(|(at, _)| at.elapsed() < SHARED_FAILURE) {
            return Err(error.clone());
        }
        place.token = None;
        match fetch(egress, authorization, place.refresh.as_deref(), webhook.timeout.0).await {
            Ok((token, refresh)) => {
                let text = token.text.clone();
                place.token = Some(token);
                place.failed = None;
                place.refresh = refresh.or(place.refresh.take());
                Ok(Some((text, true)))
            }
            Err(error) => {
                // One that was given to us may have been taken back; the configured one is tried next. An
                // endpoint that is down says nothing of it.
                if matches!(error, Error::Refused(400 | 401)) {
                    place.refresh = None;
                }
                place.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    /// The receiver refused this token (401): the next attempt fetches another.
    pub async fn refused(&self, connector: &ConnectorId, token: &str) {
        let place = self.place(connector);
        let mut place = place.lock().await;
        if place.token.as_ref().is_some_and(|kept| kept.text == token) {
            place.token = None;
        }
    }

    fn place(&self, connector: &ConnectorId) -> Arc<Mutex<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.entry(connector.clone()).or_default().clone()
    }
}

async fn fetch(
    egress: &Egress,
    authorization: &Authorization,
    newer_refresh: Option<&str>,
    patience: Duration,
) -> Result<(Token, Option<String>), Error> {
    let Authorization::OAuth2 { token_url, client_id, client_secret, refresh_token, scope } = authorization
    else {
        return Err(Error::NoToken);
    };
    let read =
        |secret: &SecretRef| secret.read().map_err(|error: secret::Error| Error::Secret(error.to_string()));
    let url: Url = token_url.parse().map_err(|_| Error::Url)?;
    let (client_secret, refresh) = match (newer_refresh, refresh_token) {
        (Some(newer), _) => (read(client_secret)?, Some(newer.to_owned())),
        (None, Some(configured)) => (read(client_secret)?, Some(read(configured)?)),
        (None, None) => (read(client_secret)?, None),
    };
    let body = form(client_id, &client_secret, refresh.as_deref(), scope.as_deref());
    let request = Request {
        method: http::Method::POST,
        url,
        headers: vec![("Accept".to_owned(), "application/json".to_owned())],
        body: Some(("application/x-www-form-urlencoded".to_owned(), body)),
    };
    let exchange = egress.attempt_up_to(ANSWER, request, patience).await;
    let response = exchange.result.map_err(|failure| Error::Unanswered(failure.class()))?;
    read_answer(&response)
}

/// The client's secret goes in the body: it is what platforms document, and RFC 6749 (2.3.1) allows one way only
/// in a request.
fn form(id: &str, secret: &str, refresh: Option<&str>, scope: Option<&str>) -> Vec<u8> {
    let grant = if refresh.is_some() { "refresh_token" } else { "client_credentials" };
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", grant);
    if let Some(refresh) = refresh {
        form.append_pair("refresh_token", refresh);
    }
    form.append_pair("client_id", id).append_pair("client_secret", secret);
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
    }
    form.finish().into_bytes()
}

fn read_answer(response: &Response) -> Result<(Token, Option<String>), Error> {
    if response.status != 200 {
        return Err(Error::Refused(response.status));
    }
    let answer: Answer = serde_json::from_slice(&response.body_excerpt).map_err(|_| Error::NoToken)?;
    let text = answer.access_token;
    // It is to stand in a header.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::NoToken);
    }
    let life = answer.expires_in.as_ref().and_then(seconds).unwrap_or(UNSAID);
    let until = Instant::now() + life.saturating_sub(MARGIN).max(life * 3 / 4).min(life);
    Ok((Token { text, until }, answer.refresh_token.filter(|token| !token.is_empty())))
}

/// Some endpoints write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    // No clock of ours is asked for longer than a year.
    Some(Duration::from_secs(seconds.min(366 * 86_400)))
}

#[cfg(test)]
mod tests;
