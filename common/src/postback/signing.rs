//! Signing what is sent, by Standard Webhooks. It is done for each attempt anew, after rendering: the time of
//! the attempt is signed, so that receivers can refuse what is old.

use super::{Credentials, Header, Postback, Unrenderable, authorization};
use crate::connector::{Method, Webhook};
use crate::id::DeliveryId;
use crate::signature;
use crate::template::Fault;
use jiff::Timestamp;

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Signs a postback where its webhook says so: each secret signs, so that a receiver may know any of them.
/// `now` is the time of the attempt.
///
/// # Errors
/// A secret cannot be read, or is none of Standard Webhooks.
pub fn sign(
    postback: &mut Postback,
    webhook: &Webhook,
    delivery: &DeliveryId,
    credentials: &Credentials<'_>,
    now: Timestamp,
) -> Result<(), Unrenderable> {
    let Some(signing) = &webhook.signing else { return Ok(()) };
    let id = delivery.to_string();
    let body = postback.body.as_ref().map_or(&[][..], |body| &body.bytes);
    let mut signatures = Vec::with_capacity(signing.secrets.len());
    for secret in &signing.secrets {
        let secret = credentials.read("its signing", secret)?;
        let signature =
            signature::standard_webhooks(&secret, &id, now, body).map_err(|_| Unrenderable::SigningSecret)?;
        signatures.push(signature);
    }
    let header = |name: &str, value: String, secret| Header { name: name.to_owned(), value, secret };
    postback.headers.extend([
        header(ID, id, false),
        header(TIMESTAMP, now.as_second().to_string(), false),
        // Whoever sees it within the receiver's tolerance could send the same again.
        header(SIGNATURE, signatures.join(" "), true),
    ]);
    Ok(())
}

/// Every fault of a webhook's signing.
pub(super) fn faults(webhook: &Webhook) -> Vec<Fault> {
    let Some(signing) = &webhook.signing else { return Vec::new() };
    let mut faults = Vec::new();
    if signing.secrets.is_empty() {
        let remedy = "name at least one, as in `secrets = [{ env = \"NETWORK_SIGNING_SECRET\" }]`";
        faults.push(Fault::new("signing.secrets", "there is no secret to sign with", remedy));
    }
    let headers = webhook.headers.iter().enumerate();
    let headers = headers.map(|(index, header)| (format!("headers[{index}].name"), header.name.as_str()));
    let authorization = webhook.authorization.as_ref().and_then(authorization::header);
    for (key, name) in headers.chain(authorization.map(|name| ("authorization.name".to_owned(), name))) {
        if [ID, TIMESTAMP, SIGNATURE].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            faults.push(Fault::new(key, format!("header `{name}` is set by signing"), "remove it"));
        }
    }
    faults
}

/// What is allowed and probably not meant.
pub(super) fn warnings(webhook: &Webhook) -> Vec<Fault> {
    if webhook.signing.is_some() && webhook.method == Method::Get {
        let problem = "the signature is over the body, and a GET has none: its URL is not signed";
        return vec![Fault::new("signing", problem, "use method = \"POST\" if the receiver can")];
    }
    Vec::new()
}
