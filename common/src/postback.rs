//! A postback: the one request that tells a receiver of a delivery, rendered but not sent.
//!
//! On the path it stands between a delivery taken from its queue and the attempt. It is a function of
//! the connector as it is now, the delivery's id and its facts, and the same for every attempt: nothing
//! in it says which attempt it is. It does no I/O; secrets come in through a function.

mod blueprint;
mod check;
mod mask;
mod shown;
mod subject;

pub use check::{faults, warnings};
pub use shown::{Shown, blotted, excerpt};

use crate::connector::{Connector, Encoding, Method};
use crate::event::Facts;
use crate::id::DeliveryId;
use crate::secret::{self, SecretRef};
use crate::template::location::Unfit;
use crate::template::place::Place;
use crate::template::{Fault, Rendered, Template, Values};
use blueprint::{Blueprint, Content};
pub use subject::Subject;
use url::Url;

/// The header that tells receivers the delivery's id, unless the connector sets it itself. Its name is
/// the one of the IETF draft, which Stripe and others have long read.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A rendered request. Its `Debug` is masked as its log lines are.
#[derive(Clone, PartialEq, Eq)]
pub struct Postback {
    /// GET or POST.
    pub method: Method,
    /// Where to, parameters of a GET included.
    pub url: Url,
    /// The headers, but for those of the body and the connection. Names are valid and distinct.
    pub headers: Vec<Header>,
    /// The body of a POST.
    pub body: Option<Body>,
    /// The macros without a value, as written, each once. They were sent as nothing.
    pub unresolved: Vec<String>,
}

/// A header of a postback.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, as configured.
    pub name: String,
    /// Its value: printable ASCII.
    pub value: String,
    /// Whether it is shown as `…`: it came from a secret, or its name says that it is one.
    pub secret: bool,
}

/// The body of a postback.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// The body itself.
    pub bytes: Vec<u8>,
}

/// Why a delivery cannot be made a request. It names places and keys, never values.
#[derive(Debug, thiserror::Error)]
pub enum Unrenderable {
    /// The connector's webhook is faulty; `check` says so before it is ever used.
    #[error("the webhook is faulty: {}", crate::template::list(.0))]
    Faulty(Vec<Fault>),
    /// These facts make no URL of its template.
    #[error(transparent)]
    Url(#[from] Unfit),
    /// A secret cannot be read. It is no fault of the delivery: once it is mended, the same delivery goes.
    #[error("the secret of header {header}: {source}")]
    Secret {
        /// The header.
        header: String,
        /// Why.
        source: secret::Error,
    },
    /// A secret was read and cannot stand in a header.
    #[error("the secret of header {header} holds a character that is not printable ASCII")]
    SecretUnfit {
        /// The header.
        header: String,
    },
}

/// What a webhook's secrets are read with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Reads a secret where it is kept.
    pub secret: &'a dyn Fn(&SecretRef) -> Result<String, secret::Error>,
    /// The access token of a webhook whose authorization is OAuth 2; fetching it is not rendering's business.
    pub access_token: Option<&'a str>,
}

/// Renders the request that tells `connector` of a delivery.
///
/// # Errors
/// The connector is faulty, a secret of it cannot be read, or the facts do not fit its URL.
pub fn render(
    connector: &Connector,
    delivery: &DeliveryId,
    facts: &Facts,
    credentials: &Credentials<'_>,
) -> Result<Postback, Unrenderable> {
    let blueprint = Blueprint::of(&connector.webhook).map_err(Unrenderable::Faulty)?;
    let subject = Subject { connector: &connector.id, delivery, facts };
    let mut unresolved = Vec::new();
    let parameters: Vec<(&str, String)> = blueprint
        .parameters
        .iter()
        .map(|(name, value)| (*name, text(value, &subject, Place::Text, &mut unresolved)))
        .collect();
    let (in_query, body) = match connector.webhook.method {
        Method::Get => (parameters, None),
        Method::Post => (Vec::new(), Some(Body::of(connector.webhook.encoding, parameters))),
    };
    let filled = blueprint.url.fill(&subject, &in_query)?;
    let mut headers = Vec::with_capacity(blueprint.headers.len() + 1);
    for (name, content) in &blueprint.headers {
        let (value, secret) = match content {
            Content::Template(template) => {
                (text(template, &subject, Place::Header, &mut unresolved), mask::is_secret_header(name))
            }
            Content::Secret(reference) => (read(name, reference, credentials.secret)?, true),
        };
        headers.push(Header { name: (*name).to_owned(), value, secret });
    }
    if !headers.iter().any(|header| header.name.eq_ignore_ascii_case(IDEMPOTENCY_KEY)) {
        let value = delivery.to_string();
        headers.push(Header { name: IDEMPOTENCY_KEY.to_owned(), value, secret: false });
    }
    let unresolved = each_once(filled.unresolved.into_iter().chain(unresolved));
    Ok(Postback { method: connector.webhook.method, url: filled.url, headers, body, unresolved })
}

fn text(template: &Template, values: &dyn Values, place: Place, unresolved: &mut Vec<String>) -> String {
    let Rendered { text, unresolved: missing } = template.render(values, place);
    unresolved.extend(missing);
    text
}

fn read(
    header: &str,
    reference: &SecretRef,
    secret: &dyn Fn(&SecretRef) -> Result<String, secret::Error>,
) -> Result<String, Unrenderable> {
    let value =
        secret(reference).map_err(|source| Unrenderable::Secret { header: header.to_owned(), source })?;
    if is_printable(&value) {
        Ok(value)
    } else {
        Err(Unrenderable::SecretUnfit { header: header.to_owned() })
    }
}

/// Whether a text can stand in a header as it is.
fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn each_once(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

impl Body {
    /// Parameters as a body, in their order. Names in a JSON object are distinct: the blueprint saw to it.
    fn of(encoding: Encoding, parameters: Vec<(&str, String)>) -> Self {
        match encoding {
            Encoding::Form => {
                let bytes = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(parameters)
                    .finish()
                    .into_bytes();
                Self { content_type: "application/x-www-form-urlencoded", bytes }
            }
            Encoding::Json => {
                let object: serde_json::Map<_, _> =
                    parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
                let bytes = serde_json::Value::Object(object).to_string().into_bytes();
                Self { content_type: "application/json", bytes }
            }
        }
    }
}

#[cfg(test)]
mod tests;
