//! Cross-origin requests, answered exactly: the one origin that asks, where its source names it, and nothing at all
//! for any other. No credentials: a tag has none.

use axum::response::{IntoResponse, Response};
use carom_common::source::Source;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// For how long a browser may keep the answer to its preflight, in seconds. Browsers allow two hours.
const MAX_AGE: &str = "7200";

/// A page that may report to its source.
pub struct Page {
    origin: HeaderValue,
}

impl Page {
    /// The page of a request, where it is of one of the source's origins. A request that names none, or several, is
    /// of no page.
    pub fn allowed(headers: &HeaderMap, source: &Source) -> Option<Self> {
        let mut named = headers.get_all(header::ORIGIN).iter();
        let origin = named.next().filter(|_| named.next().is_none())?;
        let allowed =
            source.allowed_origins.iter().any(|allowed| allowed.as_str().as_bytes() == origin.as_bytes());
        allowed.then(|| Self { origin: origin.clone() })
    }

    /// The answer to a browser that asks before it sends.
    pub fn preflight(&self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        self.may_read(response)
    }

    /// Lets the page read an answer.
    pub fn may_read(&self, mut response: Response) -> Response {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        of_nobody(response)
    }
}

/// An answer that another origin would be given otherwise.
pub fn of_nobody(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    response
}
