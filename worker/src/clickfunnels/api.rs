//! The client of ClickFunnels' API: what we ask of it, and how patiently.
//!
//! Bearer token, JSON, a User-Agent (requests without one are refused), 20 items a page. Every request has a
//! time limit and a bound on its answer; one that may be repeated is, a bounded number of times.

pub use super::refusal::Error;

use super::page::{self, Page};
use super::record::Record;
use super::refusal::{self, Next};
use crate::egress::{Egress, Request, Response};
use carom_common::backoff_policy::Reconnect;
use carom_common::secret::SecretRef;
use carom_common::source::api::Api;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;
use tracing::info;
use url::Url;

/// The time limit of one request.
const DEADLINE: Duration = Duration::from_secs(30);
/// No answer of 20 records is larger.
const LARGEST: usize = 32 * 1024 * 1024;
/// How often a request is made at most.
const TRIES: u32 = 8;
/// How many pages of endpoints are read: nobody has 2,000.
const MOST_PAGES: usize = 100;
/// Where the API limits its rate and does not say for how long.
const UNSAID_WAIT: Duration = Duration::from_secs(1);

/// The API of one workspace.
pub struct Client {
    egress: Egress,
    base: Url,
    workspace: String,
    token: SecretRef,
}

/// An endpoint, as the API tells of it. Not `Debug`: its URL may hold our token, and its secret comes along
/// when it is created.
#[derive(Clone, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: u64,
    /// Where it sends to.
    #[serde(default)]
    pub url: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it is subscribed to.
    #[serde(default)]
    pub event_type_ids: Option<Vec<String>>,
    /// 2, or 1 for those that can be made by hand only.
    #[serde(default)]
    pub api_version: Option<u64>,
    /// What it signs with: told once, on creation.
    #[serde(default)]
    pub webhook_secret: Option<String>,
}

/// What is to be written of an endpoint; what is left out stays as it is.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct EndpointFields {
    /// Where it sends to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is subscribed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Written<'a> {
    webhooks_outgoing_endpoint: &'a EndpointFields,
}

#[derive(Deserialize)]
struct EventType {
    id: String,
}

/// In which order events are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl Client {
    /// A client for a source's API. Does no I/O.
    ///
    /// # Errors
    /// The URL cannot be used, which `check` has told.
    pub fn new(egress: Egress, api: &Api) -> Result<Self, Error> {
        let base: Url = api.base_url.parse().map_err(|_| Error::BaseUrl)?;
        if base.cannot_be_a_base() {
            return Err(Error::BaseUrl);
        }
        Ok(Self { egress, base, workspace: api.workspace.clone(), token: api.token.clone() })
    }

    /// The ids of all event types that there are to subscribe to.
    ///
    /// # Errors
    /// The API does not answer as it should.
    pub async fn event_types(&self) -> Result<Vec<String>, Error> {
        let path = ["webhooks", "outgoing", "event_types"];
        let (mut types, mut after) = (Vec::new(), None);
        // The list is documented as one page. Should it come in several, none is missed.
        for _ in 0..MOST_PAGES {
            let answer = self.call(Method::GET, &path, &query(after, Order::Ascending), None).await?;
            let page: Vec<EventType> = read(&answer)?;
            types.extend(page.into_iter().map(|one| one.id));
            let next = page::next(&answer.headers, 0, None);
            if next.is_none() || next == after {
                break;
            }
            after = next;
        }
        Ok(types)
    }

    /// All endpoints of the workspace.
    ///
    /// # Errors
    /// The API does not answer as it should.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, Error> {
        let path = ["workspaces", &self.workspace, "webhooks", "outgoing", "endpoints"];
        let (mut endpoints, mut after) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let answer = self.call(Method::GET, &path, &query(after, Order::Ascending), None).await?;
            let page = page::of(&answer.headers, read::<Vec<Endpoint>>(&answer)?, |endpoint| endpoint.id);
            endpoints.extend(page.items);
            if page.next.is_none() || page.next <= after {
                break;
            }
            after = page.next;
        }
        Ok(endpoints)
    }

    /// Creates an endpoint. Its secret is in the answer, and in no later one.
    ///
    /// # Errors
    /// The API does not answer as it should. After [`Error::Unknown`] it may be there all the same.
    pub async fn create_endpoint(&self, fields: &EndpointFields) -> Result<Endpoint, Error> {
        let path = ["workspaces", &self.workspace, "webhooks", "outgoing", "endpoints"];
        read(&self.call(Method::POST, &path, &[], Some(written(fields)?)).await?)
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// The API does not answer as it should.
    pub async fn update_endpoint(&self, id: u64, fields: &EndpointFields) -> Result<(), Error> {
        let path = ["webhooks", "outgoing", "endpoints", &id.to_string()];
        self.call(Method::PUT, &path, &[], Some(written(fields)?)).await.map(drop)
    }

    /// Removes an endpoint; one that is gone already is no error.
    ///
    /// # Errors
    /// The API does not answer as it should.
    pub async fn delete_endpoint(&self, id: u64) -> Result<(), Error> {
        let path = ["webhooks", "outgoing", "endpoints", &id.to_string()];
        match self.call(Method::DELETE, &path, &[], None).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A page of event records.
    ///
    /// # Errors
    /// The API does not answer as it should.
    pub async fn events(&self, after: Option<u64>, order: Order) -> Result<Page<Record>, Error> {
        let path = ["workspaces", &self.workspace, "webhooks", "outgoing", "events"];
        let answer = self.call(Method::GET, &path, &query(after, order), None).await?;
        let records: Result<_, _> =
            read::<Vec<Box<RawValue>>>(&answer)?.iter().map(|raw| Record::read(raw)).collect();
        Ok(page::of(&answer.headers, records?, |record| record.id))
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, Error> {
        let url = self.url(path, query)?;
        let mut delays = Reconnect::new();
        let mut left = TRIES;
        loop {
            let request = self.request(&method, &url, body.clone())?;
            let outcome = self.egress.attempt_up_to(LARGEST, request, DEADLINE).await.result;
            left -= 1;
            let (wait, error) = match refusal::next(&method, &self.workspace, &outcome) {
                Next::Take => return Ok(outcome?),
                Next::Again(wait, error) if left > 0 => (wait, error),
                Next::Again(_, error) | Next::End(error) => return Err(self.without_token(error)),
            };
            let limited = matches!(error, Error::RateLimited(_));
            let wait = match wait {
                Some(asked) => asked.min(refusal::LONGEST_WAIT),
                None if limited => delays.next().max(UNSAID_WAIT),
                None => delays.next(),
            };
            info!(%error, wait = wait.as_secs_f64(), left, "clickfunnels.asked_again");
            tokio::time::sleep(wait).await;
        }
    }

    /// A refusal may repeat what was sent.
    fn without_token(&self, error: Error) -> Error {
        match (error, self.token.read()) {
            (Error::Refused { status, detail }, Ok(token)) => {
                Error::Refused { status, detail: detail.replace(&token, "…") }
            }
            (error, _) => error,
        }
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| Error::BaseUrl)?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The token is read for each request, so that one that is rotated is followed.
    fn request(&self, method: &Method, url: &Url, body: Option<Vec<u8>>) -> Result<Request, Error> {
        let authorization = format!("Bearer {}", self.token.read()?);
        Ok(Request {
            method: method.clone(),
            url: url.clone(),
            headers: vec![
                ("Authorization".to_owned(), authorization),
                ("Accept".to_owned(), "application/json".to_owned()),
            ],
            body: body.map(|body| ("application/json".to_owned(), body)),
        })
    }
}

/// The order is said only where it is not the API's own: what is not said cannot be misunderstood.
fn query(after: Option<u64>, order: Order) -> Vec<(&'static str, String)> {
    let after = after.map(|id| ("after", id.to_string()));
    let order = (order == Order::Descending).then(|| ("sort_order", "desc".to_owned()));
    after.into_iter().chain(order).collect()
}

fn written(fields: &EndpointFields) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&Written { webhooks_outgoing_endpoint: fields })
        .map_err(|error| Error::Unreadable(error.to_string()))
}

/// Reads an answer. What cannot be read is told by its place, not its content.
fn read<T: serde::de::DeserializeOwned>(answer: &Response) -> Result<T, Error> {
    serde_json::from_slice(&answer.body_excerpt).map_err(|error| {
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        Error::Unreadable(format!("{kind:?} fault of its JSON at line {line}, column {column}"))
    })
}

#[cfg(test)]
mod tests;
