//! The webhook of a connector: the request that it makes, and how hard it may press.

use super::{Authorization, Rate, Signing, Success};
use crate::secret::SecretRef;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The server-side half of a connector: one HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its own switch, apart from the connector's mode.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How parameters travel: in the query (GET) or in the body (POST).
    #[serde(default)]
    pub method: Method,
    /// Where to, with macros in path and query.
    pub url: String,
    /// The body's form; only for POST.
    #[serde(default)]
    pub encoding: Encoding,
    /// Named values, static or with macros, in their order.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The body as a whole, in place of parameters: JSON with macros inside its strings, or a form with macros
    /// in its values, by `encoding`. Only for POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What becomes of parameters, members of a JSON body and headers that come out empty.
    #[serde(default)]
    pub empty: Empty,
    /// What becomes of a request with a macro that stays without a value and has no default.
    #[serde(default)]
    pub unresolved: Unresolved,
    /// Other names for events, for `{{EVENT_NAME}}`: this receiver's, by ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Secrets that templates name as `{{secret.NAME}}`, each by reference. Never shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// How we prove who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Signing by Standard Webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// What an answer must say, besides its status, to count as delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Success>,
    /// Headers to add.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// How long one attempt may take, from looking up the name to the last byte that is read.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How many attempts may be under way at once, per worker.
    #[serde(default = "default_concurrency")]
    pub concurrency: u16,
    /// How many attempts may begin in a time, shared by all workers. None: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// What becomes of what comes out empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    /// It is sent, with nothing in it.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

/// What becomes of a request with a macro that stays without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unresolved {
    /// It is sent without; the trace says so.
    #[default]
    Send,
    /// It is not sent, and lies in the dead letters as unrenderable until the connector is mended.
    Block,
}

/// The request's method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Parameters are appended to the URL's query.
    #[default]
    Get,
    /// Parameters are sent in the body.
    Post,
}

/// The form of a POST body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// A flat JSON object of strings.
    Json,
}

/// One parameter of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name, sent as it is.
    pub name: String,
    /// Its value, with macros.
    pub value: String,
}

/// One header of the request: a value with macros, or a secret by reference. One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, with macros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the worker reads the whole value at each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}

pub(super) fn yes() -> bool {
    true
}

impl Webhook {
    /// A GET to this URL, with nothing else said.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            enabled: true,
            method: Method::Get,
            url: url.into(),
            encoding: Encoding::Form,
            parameters: Vec::new(),
            body: None,
            empty: Empty::Keep,
            unresolved: Unresolved::Send,
            rename: BTreeMap::new(),
            secrets: BTreeMap::new(),
            authorization: None,
            signing: None,
            success: None,
            headers: Vec::new(),
            timeout: default_timeout(),
            concurrency: default_concurrency(),
            rate: None,
        }
    }
}

fn default_timeout() -> Span {
    Span::from_secs(5)
}

fn default_concurrency() -> u16 {
    16
}
