//! The outcome of an attempt, as a function of what happened.

use crate::egress::{Exchange, Failure};
use carom_common::delivery::{self, Outcome, Reason};
use carom_common::retry::Schedule;
use carom_common::store::ExchangeRecord;
use std::time::Duration;

/// How much of a response is kept in the log, in characters.
const RESPONSE_KEPT: usize = 1_000;

/// What was tried and how that went.
pub struct Tried {
    /// The exchange, if a request was made.
    pub exchange: Option<ExchangeRecord>,
    /// More about it, for people. No secrets, no personal data.
    pub detail: String,
    /// A class for metrics: `2xx` … `5xx`, a failure's class, or a reason.
    pub class: String,
    verdict: Verdict,
}

enum Verdict {
    Success,
    Failure { retry_after: Option<Duration> },
    Dead(Reason),
}

impl Tried {
    /// Nothing was tried, and nothing will be.
    pub fn dead(reason: Reason, detail: impl Into<String>) -> Self {
        let class = reason.as_str().to_owned();
        Self { exchange: None, detail: detail.into(), class, verdict: Verdict::Dead(reason) }
    }

    /// Nothing could be tried this time.
    pub fn failed(class: &str, detail: String) -> Self {
        let verdict = Verdict::Failure { retry_after: None };
        let record = ExchangeRecord { failure: Some(class.to_owned()), ..ExchangeRecord::default() };
        Self { exchange: Some(record), detail, class: class.to_owned(), verdict }
    }

    /// A request was made. `secrets` are blotted out of what is kept of the response.
    pub fn exchanged(record: ExchangeRecord, exchange: Exchange, secrets: &[String]) -> Self {
        let record = ExchangeRecord { duration: exchange.duration, ..record };
        match exchange.result {
            Ok(response) => {
                let status = response.status;
                let record = ExchangeRecord {
                    status: Some(status),
                    response: excerpt(&response.body_excerpt, secrets),
                    ..record
                };
                let verdict = if delivery::is_success(status) {
                    Verdict::Success
                } else {
                    Verdict::Failure { retry_after: response.retry_after }
                };
                let class = format!("{}xx", status / 100);
                Self { exchange: Some(record), detail: format!("status {status}"), class, verdict }
            }
            Err(failure) => {
                let verdict = match failure {
                    Failure::Blocked(_) => Verdict::Dead(Reason::BlockedAddress),
                    Failure::Unsendable(_) => Verdict::Dead(Reason::Unrenderable),
                    _ => Verdict::Failure { retry_after: None },
                };
                let class = failure.class().to_owned();
                let record = ExchangeRecord { failure: Some(class.clone()), ..record };
                Self { exchange: Some(record), detail: failure.to_string(), class, verdict }
            }
        }
    }

    /// What follows from it after the given attempt (from 1). Every failure is retried, 4xx too.
    pub fn outcome(&self, attempt: u32, schedule: &Schedule) -> Outcome {
        match self.verdict {
            Verdict::Success => Outcome::Delivered,
            Verdict::Dead(reason) => Outcome::Dead(reason),
            Verdict::Failure { retry_after } => {
                schedule.after(attempt, retry_after).map_or(Outcome::Dead(Reason::Exhausted), Outcome::Retry)
            }
        }
    }
}

fn excerpt(body: &[u8], secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in secrets {
        text = text.replace(secret.as_str(), "…");
    }
    text.chars().take(RESPONSE_KEPT).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Response;

    fn answered(status: u16, retry_after: Option<u64>) -> Tried {
        let response = Response {
            status,
            headers: Default::default(),
            retry_after: retry_after.map(Duration::from_secs),
            body_excerpt: b"token is s3cret-token".to_vec(),
            truncated: false,
        };
        let exchange = Exchange { duration: Duration::ZERO, result: Ok(response) };
        Tried::exchanged(ExchangeRecord::default(), exchange, &["s3cret-token".to_owned()])
    }

    #[test]
    fn exactly_the_statuses_of_the_specification_are_a_success() {
        let schedule = Schedule::default();
        for status in 100..=599 {
            let delivered = answered(status, None).outcome(1, &schedule) == Outcome::Delivered;
            assert_eq!(delivered, (200..=207).contains(&status) || status == 226, "{status}");
        }
    }

    #[test]
    fn every_failure_is_retried_until_the_schedule_is_spent() {
        let schedule = Schedule::default();
        for status in [301, 400, 404, 410, 429, 500, 503] {
            for attempt in 1..=8 {
                assert!(
                    matches!(answered(status, None).outcome(attempt, &schedule), Outcome::Retry(_)),
                    "{status}"
                );
            }
            assert_eq!(answered(status, None).outcome(9, &schedule), Outcome::Dead(Reason::Exhausted));
        }
        let tier = answered(429, Some(30)).outcome(1, &schedule);
        assert_eq!(tier, Outcome::Retry(schedule.tiers()[2]));
    }

    #[test]
    fn a_secret_that_the_receiver_echoes_is_not_kept() {
        let kept = answered(500, None).exchange.unwrap().response;
        assert_eq!(kept, "token is …");
    }
}
