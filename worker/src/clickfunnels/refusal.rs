//! What to make of one answer of the API, or of none: take it, ask again later, or say what is to be done.

use crate::egress::{Failure, Response};
use carom_common::secret;
use http::Method;
use std::time::Duration;

/// Longer than this nobody is waited for in one go: whoever asked says so, and comes again.
pub const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Why the API did not do what it was asked for. The texts say what to do and hold neither token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Our own configuration.
    #[error("source.api.base_url is no URL of a server")]
    BaseUrl,
    /// The token cannot be read.
    #[error("the API's token (source.api.token) cannot be read: {0}")]
    Token(#[from] secret::Error),
    /// 401.
    #[error(
        "ClickFunnels does not know the API's token (401): make one in its team settings under Developer Portal, put it where source.api.token says, and try again"
    )]
    Unauthorized,
    /// 403.
    #[error(
        "the API's token may not do this (403): it needs the rights to read and write webhooks of workspace {0}"
    )]
    Forbidden(String),
    /// 404.
    #[error(
        "ClickFunnels has no such workspace or endpoint (404): compare source.api.workspace ({0}) and source.api.base_url with what its workspace settings show"
    )]
    NotFound(String),
    /// 429, for longer than we wait, or again and again.
    #[error("ClickFunnels limits the rate of its API (429); try again {0}")]
    RateLimited(String),
    /// Another 4xx.
    #[error("ClickFunnels refused with {status}: {detail}")]
    Refused {
        /// The status.
        status: u16,
        /// What it said, shortened.
        detail: String,
    },
    /// 5xx, again and again.
    #[error("ClickFunnels' API fails with {0}; try again later")]
    Failing(u16),
    /// No answer, again and again.
    #[error("ClickFunnels' API cannot be reached: {0}")]
    Unreachable(#[from] Failure),
    /// Something that was not to be repeated may have been done.
    #[error(
        "ClickFunnels did not say whether it did what it was asked for ({0}); run the same command again: it finds what is there"
    )]
    Unknown(String),
    /// An answer that is not as documented.
    #[error("ClickFunnels' API answers otherwise than documented: {0}")]
    Unreadable(String),
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// The answer is good.
    Take,
    /// Ask again, after the time that it asked for, else when the backoff says so; or end with this.
    Again(Option<Duration>, Error),
    /// It is of no use to ask again.
    End(Error),
}

/// Decides. What changes nothing when it is done twice may be repeated whatever happened; anything else only
/// where it certainly was not done.
pub fn next(method: &Method, workspace: &str, outcome: &Result<Response, Failure>) -> Next {
    let repeatable = *method != Method::POST;
    let again = |wait, error| Next::Again(wait, error);
    match outcome {
        Err(failure @ (Failure::Blocked(_) | Failure::Unsendable(_))) => {
            Next::End(Error::Unreachable(failure.clone()))
        }
        // Nothing was sent.
        Err(failure @ (Failure::Dns(_) | Failure::Connect(_) | Failure::Tls(_))) => {
            again(None, Error::Unreachable(failure.clone()))
        }
        Err(failure) if repeatable => again(None, Error::Unreachable(failure.clone())),
        Err(failure) => Next::End(Error::Unknown(failure.to_string())),
        Ok(answer) => match answer.status {
            200..=299 if answer.truncated && repeatable => {
                again(None, Error::Unreadable("its answer is cut off, or larger than any should be".into()))
            }
            200..=299 => Next::Take,
            401 => Next::End(Error::Unauthorized),
            403 => Next::End(Error::Forbidden(workspace.to_owned())),
            404 => Next::End(Error::NotFound(workspace.to_owned())),
            429 => match answer.retry_after {
                Some(wait) if wait > LONGEST_WAIT => {
                    Next::End(Error::RateLimited(format!("in {} s", wait.as_secs())))
                }
                wait => again(wait, Error::RateLimited("in some minutes".to_owned())),
            },
            status @ 500.. if repeatable => again(answer.retry_after, Error::Failing(status)),
            status @ 500.. => Next::End(Error::Unknown(format!("status {status}"))),
            status => Next::End(Error::Refused { status, detail: detail(&answer.body_excerpt) }),
        },
    }
}

/// What a refusal says, on one line and with a bound: `{"error": "…"}`, or errors by field.
fn detail(body: &[u8]) -> String {
    const LONGEST: usize = 300;
    let said = serde_json::from_slice::<serde_json::Value>(body).map_or_else(
        |_| "(no JSON)".to_owned(),
        |body| match body.get("error") {
            Some(serde_json::Value::String(error)) => error.clone(),
            _ => body.to_string(),
        },
    );
    said.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<u64>, truncated: bool) -> Result<Response, Failure> {
        Ok(Response {
            status,
            headers: Default::default(),
            retry_after: retry_after.map(Duration::from_secs),
            body_excerpt: b"{\"error\": \"said\\nso\"}".to_vec(),
            truncated,
        })
    }

    fn told(method: &Method, outcome: &Result<Response, Failure>) -> String {
        match next(method, "42000", outcome) {
            Next::Take => "take".to_owned(),
            Next::Again(wait, error) => format!("again {:?}: {error}", wait.map(|wait| wait.as_secs())),
            Next::End(error) => format!("end: {error}"),
        }
    }

    #[test]
    fn every_answer_is_taken_or_asked_for_again_or_says_what_to_do() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, outcome, expected) in [
            (&get, answer(200, None, false), "take"),
            (&post, answer(201, None, false), "take"),
            (&get, answer(200, None, true), "again None: ClickFunnels' API answers otherwise"),
            // It may have been done, and what there is of the answer says more than asking again.
            (&post, answer(201, None, true), "take"),
            (
                &get,
                answer(401, None, false),
                "end: ClickFunnels does not know the API's token (401): make one",
            ),
            (&get, answer(403, None, false), "end: the API's token may not do this (403)"),
            (&get, answer(404, None, false), "end: ClickFunnels has no such workspace or endpoint (404)"),
            (&get, answer(429, Some(7), false), "again Some(7): ClickFunnels limits"),
            (&post, answer(429, Some(7), false), "again Some(7): ClickFunnels limits"),
            (&get, answer(429, None, false), "again None: ClickFunnels limits"),
            (
                &get,
                answer(429, Some(121), false),
                "end: ClickFunnels limits the rate of its API (429); try again in 121 s",
            ),
            (&get, answer(500, None, false), "again None: ClickFunnels' API fails with 500"),
            (&get, answer(503, Some(3), false), "again Some(3): ClickFunnels' API fails with 503"),
            (&post, answer(502, None, false), "end: ClickFunnels did not say whether"),
            (&get, answer(422, None, false), "end: ClickFunnels refused with 422: said so"),
            (&get, answer(302, None, false), "end: ClickFunnels refused with 302"),
            (&get, Err(Failure::Timeout), "again None: ClickFunnels' API cannot be reached"),
            (&post, Err(Failure::Timeout), "end: ClickFunnels did not say whether"),
            (
                &post,
                Err(Failure::Connect("refused".into())),
                "again None: ClickFunnels' API cannot be reached",
            ),
            (&get, Err(Failure::Unsendable("x".into())), "end: ClickFunnels' API cannot be reached"),
        ] {
            let told = told(method, &outcome);
            assert!(told.starts_with(expected), "{method} {outcome:?}: {told}");
        }
    }
}
