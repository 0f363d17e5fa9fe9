//! How a request proves who sends it: the one header or parameter that its authorization adds.

use super::{Credentials, Unrenderable, header_name, is_printable};
use crate::connector::{Authorization, Method, Webhook};
use crate::secret::SecretRef;
use crate::template::Fault;
use crate::template::location::{Location, is_loopback};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

const HEADER: &str = "Authorization";

/// What is added to a request.
pub(super) enum Proof {
    /// A header, with its value.
    Header(String, String),
    /// A parameter of the query, with its value.
    Query(String, String),
}

impl Proof {
    /// What this authorization adds. What it is made of and cannot be seen in it goes to `secrets`.
    pub(super) fn of(
        authorization: &Authorization,
        credentials: &Credentials<'_>,
        secrets: &mut Vec<String>,
    ) -> Result<Self, Unrenderable> {
        let of = "its authorization";
        match authorization {
            Authorization::Basic { username, password } => {
                let password = credentials.read(of, password)?;
                let encoded = STANDARD.encode(format!("{username}:{password}"));
                secrets.push(password);
                Ok(Self::Header(HEADER.to_owned(), format!("Basic {encoded}")))
            }
            Authorization::Bearer { token } => {
                let token = credentials.read_printable(of, token)?;
                Ok(Self::Header(HEADER.to_owned(), format!("Bearer {token}")))
            }
            Authorization::Header { name, value } => {
                Ok(Self::Header(name.clone(), credentials.read_printable(of, value)?))
            }
            Authorization::Query { name, value } => {
                Ok(Self::Query(name.clone(), credentials.read(of, value)?))
            }
            Authorization::OAuth2 { .. } => {
                let token = credentials.access_token.ok_or(Unrenderable::NoAccessToken)?;
                if !is_printable(token) {
                    return Err(Unrenderable::SecretUnfit { of: "its access token".to_owned() });
                }
                Ok(Self::Header(HEADER.to_owned(), format!("Bearer {token}")))
            }
        }
    }
}

/// The header that an authorization sets, if it sets one.
pub(super) fn header(authorization: &Authorization) -> Option<&str> {
    match authorization {
        Authorization::Basic { .. } | Authorization::Bearer { .. } | Authorization::OAuth2 { .. } => {
            Some(HEADER)
        }
        Authorization::Header { name, .. } => Some(name),
        Authorization::Query { .. } => None,
    }
}

/// The secrets that an authorization refers to.
pub(super) fn references(authorization: &Authorization) -> Vec<&SecretRef> {
    match authorization {
        Authorization::Basic { password: kept, .. }
        | Authorization::Bearer { token: kept }
        | Authorization::Header { value: kept, .. }
        | Authorization::Query { value: kept, .. } => vec![kept],
        Authorization::OAuth2 { client_secret, refresh_token, .. } => {
            std::iter::once(client_secret).chain(refresh_token).collect()
        }
    }
}

/// Every fault of a webhook's authorization. `url` is the webhook's, where that can be read.
pub(super) fn faults(webhook: &Webhook, url: Option<&Location>) -> Vec<Fault> {
    let Some(authorization) = &webhook.authorization else { return Vec::new() };
    let mut faults = Vec::new();
    let mut fault = |key: &str, problem: String, remedy: &str| {
        faults.push(Fault::new(format!("authorization{key}"), problem, remedy));
    };
    if let Some(name) = header(authorization)
        && webhook.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name))
    {
        fault("", format!("`{name}` is among the headers too"), "give it once: remove that header");
    }
    match authorization {
        Authorization::Basic { username, .. } => {
            if username.contains(':') || username.chars().any(char::is_control) {
                let problem = "the name holds a colon or a control character".to_owned();
                fault(".username", problem, "write the user's name alone; RFC 7617 allows neither");
            }
        }
        Authorization::Bearer { .. } => {}
        Authorization::Header { name, .. } => {
            if let Some((problem, remedy)) = header_name::wrong(name, webhook.method) {
                fault(".name", problem, remedy);
            }
        }
        Authorization::Query { name, .. } => {
            let in_parameters = webhook.method == Method::Get
                && webhook.parameters.iter().any(|parameter| parameter.name == *name);
            if name.is_empty() {
                fault(".name", "a parameter has no name".to_owned(), "name it");
            } else if name.contains("{{") {
                let problem = "a parameter's name holds a macro".to_owned();
                fault(".name", problem, "write the name as it is to be sent");
            } else if in_parameters || url.is_some_and(|url| url.parameter_names().any(|other| other == name))
            {
                let problem = format!("`{name}` is among the parameters too");
                fault(".name", problem, "give it once: remove that parameter");
            }
        }
        Authorization::OAuth2 { token_url, client_id, .. } => {
            let is_plain = |url: &Url| {
                ["https", "http"].contains(&url.scheme())
                    && url.host().is_some()
                    && url.username().is_empty()
                    && url.password().is_none()
            };
            if !Url::parse(token_url).is_ok_and(|url| is_plain(&url)) {
                let problem = "tokens cannot be fetched from this".to_owned();
                fault(".token_url", problem, "write a URL in full, as in https://auth.example/oauth/token");
            }
            if client_id.is_empty() {
                fault(".client_id", "it is empty".to_owned(), "write who we are there");
            }
        }
    }
    faults
}

/// What is allowed and probably not meant.
pub(super) fn warnings(webhook: &Webhook) -> Vec<Fault> {
    let Some(Authorization::OAuth2 { token_url, .. }) = &webhook.authorization else { return Vec::new() };
    let plain = |url: Url| url.scheme() == "http" && !is_loopback(&url);
    if Url::parse(token_url).is_ok_and(plain) {
        let problem = "the client's secret is sent unencrypted";
        return vec![Fault::new("authorization.token_url", problem, "use https:// if the server can")];
    }
    Vec::new()
}
