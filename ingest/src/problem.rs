//! Errors as `application/problem+json` (RFC 9457): what went wrong, and what to do about it.
//!
//! The `type` is `urn:carom:problem:<slug>` and stable; titles and details are for people. Nothing that a
//! client sent is repeated, and nothing about our inside is told.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No such path.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// No such offer.
    UnknownOffer,
    /// The click's values make no URL of the offer.
    UnusableClick,
    /// The token in the path is nobody's.
    TokenUnknown,
    /// There is no token, and the host has no source that is signed or open.
    TokenMissing,
    /// The site key is no source's.
    SiteKeyUnknown,
    /// The page is of an origin that the source does not name, or no page sent it.
    OriginNotAllowed,
    /// The body is JSON, and nothing that our tag says.
    NotOfTag,
    /// The body says that it is something else than JSON or text.
    ContentType,
    /// The source's requests are signed, and this one is not.
    SignatureMissing,
    /// It was signed too long ago, or at a time that is yet to come.
    SignatureStale,
    /// Its signature cannot be read, or is not of these bytes.
    SignatureInvalid,
    /// No secret can be read that it could be verified with.
    Unverifiable,
    /// The query is too long.
    QueryTooLong,
    /// The body is too large.
    BodyTooLarge,
    /// The body took too long.
    BodyTooSlow,
    /// The body broke off.
    BodyIncomplete,
    /// The body is compressed.
    ContentEncoding,
    /// The body should be JSON and is not.
    NotJson,
    /// The body is JSON and no object.
    NotAnObject,
    /// The body is no text.
    NotText,
    /// There is nothing in the request.
    EmptyEvent,
    /// Too many requests are in work.
    TooBusy,
    /// The source sends faster than it may.
    TooManyRequests,
    /// The source has too many requests in work.
    TooManyAtOnce,
    /// The broker has not confirmed, and the spool cannot take it.
    NotConfirmed,
    /// No resources were applied yet, or none can be read.
    NoResources,
}

impl Kind {
    /// The end of its `type`, its status and its title.
    fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing at this path"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "This path does not know the method")
            }
            Self::UnknownOffer => ("unknown-offer", StatusCode::NOT_FOUND, "There is no such offer"),
            Self::UnusableClick => (
                "unusable-click",
                StatusCode::BAD_REQUEST,
                "The offer's URL cannot be made with these values",
            ),
            Self::TokenUnknown => ("token-unknown", StatusCode::UNAUTHORIZED, "The token is not known"),
            Self::TokenMissing => {
                ("token-missing", StatusCode::UNAUTHORIZED, "This source must name its token")
            }
            Self::SiteKeyUnknown => ("site-key-unknown", StatusCode::FORBIDDEN, "The site key is not known"),
            Self::OriginNotAllowed => {
                ("origin-not-allowed", StatusCode::FORBIDDEN, "This page may not report to this source")
            }
            Self::NotOfTag => ("not-of-tag", StatusCode::BAD_REQUEST, "The body is none that the tag sends"),
            Self::ContentType => {
                ("content-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is of another type")
            }
            Self::SignatureMissing => {
                ("signature-missing", StatusCode::UNAUTHORIZED, "The events of this source must be signed")
            }
            Self::SignatureStale => {
                ("signature-stale", StatusCode::UNAUTHORIZED, "The signature is of another time")
            }
            Self::SignatureInvalid => {
                ("signature-invalid", StatusCode::UNAUTHORIZED, "The signature is not valid")
            }
            Self::Unverifiable => {
                ("unverifiable", StatusCode::SERVICE_UNAVAILABLE, "The signature cannot be verified now")
            }
            Self::QueryTooLong => ("query-too-long", StatusCode::URI_TOO_LONG, "The query is too long"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::BodyTooSlow => ("body-too-slow", StatusCode::REQUEST_TIMEOUT, "The body took too long"),
            Self::BodyIncomplete => ("body-incomplete", StatusCode::BAD_REQUEST, "The body is incomplete"),
            Self::ContentEncoding => {
                ("content-encoding", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is encoded")
            }
            Self::NotJson => ("not-json", StatusCode::BAD_REQUEST, "The body is not valid JSON"),
            Self::NotAnObject => ("not-an-object", StatusCode::BAD_REQUEST, "The body is no JSON object"),
            Self::NotText => ("not-text", StatusCode::BAD_REQUEST, "The body is not text"),
            Self::EmptyEvent => ("empty-event", StatusCode::BAD_REQUEST, "There is no event in the request"),
            Self::TooBusy => ("too-busy", StatusCode::SERVICE_UNAVAILABLE, "Too many requests are in work"),
            Self::TooManyRequests => {
                ("too-many-requests", StatusCode::TOO_MANY_REQUESTS, "This source sends too fast")
            }
            Self::TooManyAtOnce => (
                "too-many-at-once",
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests of this source are in work",
            ),
            Self::NoResources => {
                ("no-resources", StatusCode::SERVICE_UNAVAILABLE, "Nothing is set up here yet")
            }
            Self::NotConfirmed => {
                ("not-confirmed", StatusCode::SERVICE_UNAVAILABLE, "It could not be stored safely")
            }
        }
    }
}

/// A problem, to be answered.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its kind.
    pub kind: Kind,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem with what to do about it.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        let header = match kind {
            Kind::TokenUnknown | Kind::TokenMissing => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Carom-Token realm=\"events\"")))
            }
            Kind::SignatureMissing | Kind::SignatureStale | Kind::SignatureInvalid => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Carom-Signature realm=\"events\"")))
            }
            // It takes an operator, or at least the next look at the secrets.
            Kind::Unverifiable => Some((header::RETRY_AFTER, HeaderValue::from_static("30"))),
            Kind::TooBusy | Kind::NoResources => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            // Broker and disk are in trouble, both: haste would not help.
            Kind::NotConfirmed => Some((header::RETRY_AFTER, HeaderValue::from_static("5"))),
            Kind::ContentEncoding => Some((header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            Kind::BodyTooSlow => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        };
        Self { kind, detail: detail.into(), header }
    }

    /// The same, to be tried again after `wait`, rounded up to whole seconds.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { header: Some((header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))), ..self }
    }

    /// After how many seconds it may be tried again, where that is said.
    #[cfg(test)]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let (_, value) = self.header.as_ref().filter(|(name, _)| name == header::RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    /// What is wrong, in a few words.
    pub fn title(&self) -> &'static str {
        self.kind.facts().2
    }

    /// A method that a path does not know. `allowed` is the value of `Allow`.
    pub fn method(allowed: &'static str) -> Self {
        let detail = format!("Use one of {allowed}.");
        let header = Some((header::ALLOW, HeaderValue::from_static(allowed)));
        Self { kind: Kind::MethodNotAllowed, detail: detail.into(), header }
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (slug, status, title) = self.kind.facts();
        let wire = Wire {
            r#type: format!("urn:carom:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
        };
        let text = serde_json::to_string(&wire).unwrap_or_default();
        let mut response = Response::new(Body::from(text + "\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}
