//! A postback: the one request that tells a receiver of a delivery, rendered but not sent.
//!
//! On the path it stands between a delivery taken from its queue and the attempt. It is a function of
//! the connector as it is now, the delivery's id and its facts, and the same for every attempt: nothing
//! in it says which attempt it is. It does no I/O; secrets come in through a function.

mod authorization;
mod blueprint;
mod check;
mod header_name;
mod mask;
mod shown;
mod signing;
pub(crate) mod subject;

pub(crate) use check::renaming;
pub use check::{faults, warnings};
pub use shown::{Shown, answer, excerpt};
pub use signing::sign;
pub use subject::fields;

use crate::connector::{Connector, Empty, Method, Unresolved, Webhook};
use crate::event::Facts;
use crate::id::DeliveryId;
use crate::secret::{self, SecretRef};
use crate::template::location::Unfit;
use crate::template::place::Place;
use crate::template::{Fault, Rendered};
use authorization::Proof;
use blueprint::{Blueprint, Content};
use jiff::Timestamp;
use std::collections::BTreeMap;
use subject::Subject;
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
    /// How it is shown where it is kept.
    shown: Masked,
}

/// What a postback is shown as, and what must not be kept of it where a receiver echoes it.
#[derive(Clone, PartialEq, Eq)]
struct Masked {
    url: String,
    /// None where the body is shown as it is.
    body: Option<String>,
    secrets: Vec<String>,
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
    /// The connector has no webhook any more: it was made a pixel alone after this was queued.
    #[error("the connector has no webhook")]
    NoWebhook,
    /// The connector's webhook is faulty; `check` says so before it is ever used.
    #[error("the webhook is faulty: {}", crate::template::list(.0))]
    Faulty(Vec<Fault>),
    /// These facts make no URL of its template.
    #[error(transparent)]
    Url(#[from] Unfit),
    /// Macros without a value, as written, of a webhook that sends nothing then.
    #[error("there is no value for {}", .0.join(", "))]
    Unresolved(Vec<String>),
    /// A secret cannot be read. It is no fault of the delivery: once it is mended, the same delivery goes.
    #[error("the secret of {of}: {source}")]
    Secret {
        /// What it is for.
        of: String,
        /// Why.
        source: secret::Error,
    },
    /// There is no access token yet. It is no fault of the delivery either.
    #[error("there is no access token")]
    NoAccessToken,
    /// A secret was read and cannot stand in a header. Whoever rotates it has pasted it badly, and mends it.
    #[error("the secret of {of} holds a character that is not printable ASCII")]
    SecretUnfit {
        /// What it is for.
        of: String,
    },
    /// A secret was read, and is none to sign with. It is mended as well.
    #[error("a secret of its signing is none of Standard Webhooks: `whsec_` and Base64")]
    SigningSecret,
}

impl Unrenderable {
    /// Whether the delivery is as good as before, and is tried again: what is missing or unfit is a secret, and
    /// the operator's, or an authorization server's, to mend. One that was pasted wrongly must not bury all that
    /// is queued.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Secret { .. } | Self::NoAccessToken | Self::SecretUnfit { .. } | Self::SigningSecret => {
                true
            }
            Self::NoWebhook | Self::Faulty(_) | Self::Url(_) | Self::Unresolved(_) => false,
        }
    }
}

/// What a webhook's secrets are read with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Reads a secret where it is kept.
    pub secret: &'a dyn Fn(&SecretRef) -> Result<String, secret::Error>,
    /// The access token of a webhook whose authorization is OAuth 2; fetching it is not rendering's business.
    pub access_token: Option<&'a str>,
}

impl Credentials<'_> {
    /// A secret, which is used for `of`.
    fn read(&self, of: &str, reference: &SecretRef) -> Result<String, Unrenderable> {
        (self.secret)(reference).map_err(|source| Unrenderable::Secret { of: of.to_owned(), source })
    }

    /// A secret that stands in a header.
    fn read_printable(&self, of: &str, reference: &SecretRef) -> Result<String, Unrenderable> {
        let value = self.read(of, reference)?;
        if is_printable(&value) { Ok(value) } else { Err(Unrenderable::SecretUnfit { of: of.to_owned() }) }
    }
}

/// Renders the request of an attempt at `now`, and signs it where its webhook says so.
///
/// # Errors
/// As [`render`] and [`sign`].
pub fn signed(
    connector: &Connector,
    delivery: &DeliveryId,
    facts: &Facts,
    credentials: &Credentials<'_>,
    now: Timestamp,
) -> Result<Postback, Unrenderable> {
    let mut postback = render(connector, delivery, facts, credentials)?;
    let webhook = connector.webhook.as_ref().ok_or(Unrenderable::NoWebhook)?;
    sign(&mut postback, webhook, delivery, credentials, now)?;
    Ok(postback)
}

/// Renders the request that tells `connector` of a delivery. Only the secrets that it uses are read.
///
/// # Errors
/// The connector is faulty, a secret of it cannot be read, the facts do not fit its URL, or a macro has no
/// value and the connector sends nothing then.
pub fn render(
    connector: &Connector,
    delivery: &DeliveryId,
    facts: &Facts,
    credentials: &Credentials<'_>,
) -> Result<Postback, Unrenderable> {
    let webhook = connector.webhook.as_ref().ok_or(Unrenderable::NoWebhook)?;
    let blueprint = Blueprint::of(webhook).map_err(Unrenderable::Faulty)?;
    let secrets = secrets(webhook, &blueprint, credentials)?;
    let subject = Subject { connector, delivery, facts, rename: &webhook.rename, secrets: &secrets };
    let mut out = Gathered::default();
    let authorization = webhook.authorization.as_ref();
    let proof = authorization.map(|kind| Proof::of(kind, credentials, &mut out.secrets)).transpose()?;

    let mut parameters = Vec::with_capacity(blueprint.parameters.len() + 1);
    for (name, template) in &blueprint.parameters {
        let value = template.render(&subject, Place::Text);
        if template.leaves_out(&value, webhook.empty) {
            out.note(value);
        } else {
            parameters.push((*name, value));
        }
    }
    let (mut in_query, body) = match &blueprint.body {
        blueprint::Body::None => (parameters, None),
        blueprint::Body::Parameters => (Vec::new(), Some(Body::form(form(parameters), &mut out))),
        blueprint::Body::Form(form) => {
            (Vec::new(), Some(Body::form(form.render(&subject, webhook.empty), &mut out)))
        }
        blueprint::Body::Json(json) => {
            let rendered = json.render(&subject, webhook.empty, mask::is_secret_parameter);
            (Vec::new(), Some(Body::json(rendered, &mut out)))
        }
    };
    if let Some(Proof::Query(name, secret)) = &proof {
        let mut value = Rendered::default();
        value.push_secret(secret, Place::Text);
        in_query.push((name, value));
    }
    let filled = blueprint.url.fill(&subject, in_query, webhook.empty)?;
    out.secrets.extend(filled.secrets);

    let mut headers = headers(&blueprint, &subject, webhook.empty, credentials, &mut out)?;
    if let Some(Proof::Header(name, value)) = proof {
        headers.push(Header { name, value, secret: true });
    }
    if !headers.iter().any(|header| header.name.eq_ignore_ascii_case(IDEMPOTENCY_KEY)) {
        let value = delivery.to_string();
        headers.push(Header { name: IDEMPOTENCY_KEY.to_owned(), value, secret: false });
    }
    let unresolved = each_once(filled.unresolved.into_iter().chain(out.unresolved));
    if webhook.unresolved == Unresolved::Block && !unresolved.is_empty() {
        return Err(Unrenderable::Unresolved(unresolved));
    }
    let shown = Masked {
        url: filled.shown,
        body: out.shown_body,
        secrets: out.secrets.into_iter().chain(secrets.into_values()).collect(),
    };
    Ok(Postback { method: webhook.method, url: filled.url, headers, body, unresolved, shown })
}

/// What is to be known of all that was rendered.
#[derive(Default)]
struct Gathered {
    unresolved: Vec<String>,
    secrets: Vec<String>,
    shown_body: Option<String>,
}

impl Gathered {
    /// Notes what came of a part; gives its text.
    fn note(&mut self, part: Rendered) -> String {
        self.unresolved.extend(part.unresolved);
        self.secrets.extend(part.secrets);
        part.text
    }
}

/// The secrets that a webhook's templates name, read.
fn secrets(
    webhook: &Webhook,
    blueprint: &Blueprint<'_>,
    credentials: &Credentials<'_>,
) -> Result<BTreeMap<String, String>, Unrenderable> {
    let read = |name: &str| {
        // `check` refuses a name that is not declared; without one there is no value.
        let reference = webhook.secrets.get(name)?;
        let value = credentials.read(&format!("{{{{secret.{name}}}}}"), reference);
        Some(value.map(|value| (name.to_owned(), value)))
    };
    blueprint.secrets().into_iter().filter_map(read).collect()
}

fn headers(
    blueprint: &Blueprint<'_>,
    subject: &Subject<'_>,
    empty: Empty,
    credentials: &Credentials<'_>,
    out: &mut Gathered,
) -> Result<Vec<Header>, Unrenderable> {
    let mut headers = Vec::with_capacity(blueprint.headers.len() + 5);
    for (name, content) in &blueprint.headers {
        let of = || format!("header {name}");
        let (value, secret) = match content {
            Content::Template(template) => {
                let sound = |secret| subject.secret(secret).is_none_or(is_printable);
                if !template.bare_secrets().all(sound) {
                    return Err(Unrenderable::SecretUnfit { of: of() });
                }
                let rendered = template.render(subject, Place::Header);
                if template.leaves_out(&rendered, empty) {
                    out.note(rendered);
                    continue;
                }
                let secret = rendered.holds_a_secret() || mask::is_secret_header(name);
                (out.note(rendered), secret)
            }
            Content::Secret(reference) => (credentials.read_printable(&of(), reference)?, true),
        };
        headers.push(Header { name: (*name).to_owned(), value, secret });
    }
    Ok(headers)
}

/// Parameters as a form, in their order.
fn form(parameters: Vec<(&str, Rendered)>) -> Rendered {
    let mut form = Rendered::default();
    for (index, (name, value)) in parameters.into_iter().enumerate() {
        if index > 0 {
            form.push("&");
        }
        form.push_value(name, Place::Form);
        form.push("=");
        form.append(value, Place::Form);
    }
    form
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
    fn form(rendered: Rendered, out: &mut Gathered) -> Self {
        out.shown_body = Some(mask::form(rendered.shown()));
        let bytes = out.note(rendered).into_bytes();
        Self { content_type: "application/x-www-form-urlencoded", bytes }
    }

    fn json(rendered: Rendered, out: &mut Gathered) -> Self {
        out.shown_body = rendered.holds_a_secret().then(|| rendered.shown().to_owned());
        let bytes = out.note(rendered).into_bytes();
        Self { content_type: "application/json", bytes }
    }
}

#[cfg(test)]
mod tests;
