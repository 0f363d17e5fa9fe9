//! The outcome of an attempt, as a function of what happened.

use crate::breaker::Sign;
use crate::egress::{Exchange, Failure};
use carom_common::connector::Success;
use carom_common::connector::success::{Rejection, judge};
use carom_common::delivery::{Outcome, Reason};
use carom_common::postback;
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
    /// A class for metrics: `2xx` … `5xx`, `rejected`, a failure's class, or a reason.
    pub class: String,
    sign: Sign,
    verdict: Verdict,
}

enum Verdict {
    Success,
    Tested,
    Failure { retry_after: Option<Duration> },
    Dead(Reason),
}

impl Tried {
    /// Nothing was tried, and nothing will be.
    pub fn dead(reason: Reason, detail: impl Into<String>) -> Self {
        let class = reason.as_str().to_owned();
        let verdict = Verdict::Dead(reason);
        Self { exchange: None, detail: detail.into(), class, sign: Sign::Nothing, verdict }
    }

    /// Nothing could be tried this time.
    pub fn failed(class: &str, detail: String, sign: Sign) -> Self {
        let verdict = Verdict::Failure { retry_after: None };
        let record = ExchangeRecord { failure: Some(class.to_owned()), ..ExchangeRecord::default() };
        Self { exchange: Some(record), detail, class: class.to_owned(), sign, verdict }
    }

    /// It is of Test mode: this would have been sent.
    pub fn tested(record: ExchangeRecord) -> Self {
        let (detail, class) = ("not sent, in test mode".to_owned(), "test".to_owned());
        Self { exchange: Some(record), detail, class, sign: Sign::Nothing, verdict: Verdict::Tested }
    }

    /// A request was made. `secrets` are blotted out of what is kept of the response.
    pub fn exchanged(
        record: ExchangeRecord,
        exchange: Exchange,
        secrets: &[String],
        success: Option<&Success>,
    ) -> Self {
        let record = ExchangeRecord { duration: exchange.duration, ..record };
        match exchange.result {
            Ok(response) => {
                let status = response.status;
                let judged = judge(status, &response.body_excerpt, response.truncated, success);
                let retry_after = response.retry_after;
                let by_status = format!("{}xx", status / 100);
                let (class, failure, verdict) = match judged {
                    Ok(()) => (by_status, None, Verdict::Success),
                    Err(Rejection::Status(410)) => {
                        let paused = "gone, so the connector is paused".to_owned();
                        (by_status, Some(paused), Verdict::Failure { retry_after })
                    }
                    Err(Rejection::Status(_)) => (by_status, None, Verdict::Failure { retry_after }),
                    Err(rejection) => {
                        let why = format!("rejected: {rejection}");
                        ("rejected".to_owned(), Some(why), Verdict::Failure { retry_after })
                    }
                };
                let why = failure.as_ref().map(|why| format!(", {why}")).unwrap_or_default();
                let detail = format!("status {status}{why}");
                let sign = if status >= 500 || status == 429 { Sign::Failing } else { Sign::Alive };
                let response =
                    excerpt(&postback::answer(&response.body_excerpt, response.truncated, secrets));
                let record = ExchangeRecord { status: Some(status), failure, response, ..record };
                Self { exchange: Some(record), detail, class, sign, verdict }
            }
            Err(failure) => {
                let (sign, verdict) = match failure {
                    Failure::Blocked(_) => (Sign::Nothing, Verdict::Dead(Reason::BlockedAddress)),
                    Failure::Unsendable(_) => (Sign::Nothing, Verdict::Dead(Reason::Unrenderable)),
                    _ => (Sign::Failing, Verdict::Failure { retry_after: None }),
                };
                let class = failure.class().to_owned();
                let record = ExchangeRecord { failure: Some(class.clone()), ..record };
                Self { exchange: Some(record), detail: failure.to_string(), class, sign, verdict }
            }
        }
    }

    /// What it says of the destination.
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// The answer's status, where there was one.
    pub fn status(&self) -> Option<u16> {
        self.exchange.as_ref().and_then(|exchange| exchange.status)
    }

    /// Whether the receiver said that it is gone for good (410).
    pub fn is_gone(&self) -> bool {
        self.status() == Some(410)
    }

    /// What follows from it after the given attempt (from 1). Every failure is retried, 4xx too.
    pub fn outcome(&self, attempt: u32, schedule: &Schedule) -> Outcome {
        match self.verdict {
            Verdict::Success => Outcome::Delivered,
            Verdict::Tested => Outcome::Tested,
            Verdict::Dead(reason) => Outcome::Dead(reason),
            Verdict::Failure { retry_after } => {
                schedule.after(attempt, retry_after).map_or(Outcome::Dead(Reason::Exhausted), Outcome::Retry)
            }
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(RESPONSE_KEPT).map(|c| if c == '\0' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::Response;

    fn answered(status: u16, retry_after: Option<u64>) -> Tried {
        judged(status, retry_after, None)
    }

    fn judged(status: u16, retry_after: Option<u64>, success: Option<&Success>) -> Tried {
        let response = Response {
            status,
            headers: Default::default(),
            retry_after: retry_after.map(Duration::from_secs),
            body_excerpt: b"token is s3cret-token".to_vec(),
            truncated: false,
        };
        let exchange = Exchange { duration: Duration::ZERO, result: Ok(response) };
        Tried::exchanged(ExchangeRecord::default(), exchange, &["s3cret-token".to_owned()], success)
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

    #[test]
    fn a_secret_that_the_cap_cuts_in_two_is_not_kept_in_part() {
        let response = Response {
            status: 200,
            headers: Default::default(),
            retry_after: None,
            body_excerpt: b"token is s3cret-t".to_vec(),
            truncated: true,
        };
        let exchange = Exchange { duration: Duration::ZERO, result: Ok(response) };
        let secrets = ["s3cret-token".to_owned()];
        let tried = Tried::exchanged(ExchangeRecord::default(), exchange, &secrets, None);
        assert_eq!(tried.exchange.unwrap().response, "token is …");
    }

    #[test]
    fn a_status_that_is_good_is_a_failure_by_the_success_rule_and_the_record_names_it() {
        let success: Success = serde_json::from_str(r#"{"text": {"not_contains": "token"}}"#).unwrap();
        let tried = judged(200, Some(60), Some(&success));
        assert_eq!((tried.class.as_str(), tried.sign()), ("rejected", Sign::Alive));
        let exchange = tried.exchange.as_ref().unwrap();
        assert_eq!(exchange.status, Some(200));
        assert_eq!(exchange.failure.as_deref(), Some("rejected: not text not_contains \"token\""));
        let schedule = Schedule::default();
        assert_eq!(tried.outcome(1, &schedule), Outcome::Retry(schedule.tiers()[2]));
    }

    #[test]
    fn what_speaks_of_the_destination_is_told_from_what_does_not() {
        for (status, sign) in [
            (200, Sign::Alive),
            (302, Sign::Alive),
            (401, Sign::Alive),
            (404, Sign::Alive),
            (410, Sign::Alive),
            (429, Sign::Failing),
            (500, Sign::Failing),
            (503, Sign::Failing),
        ] {
            assert_eq!(answered(status, None).sign(), sign, "{status}");
        }
        let failed = |failure| {
            let exchange = Exchange { duration: Duration::ZERO, result: Err(failure) };
            Tried::exchanged(ExchangeRecord::default(), exchange, &[], None).sign()
        };
        for failure in [Failure::Timeout, Failure::Connect(String::new()), Failure::Tls(String::new())] {
            assert_eq!(failed(failure), Sign::Failing);
        }
        assert_eq!(failed(Failure::Unsendable(String::new())), Sign::Nothing);
        assert_eq!(Tried::dead(Reason::Expired, "").sign(), Sign::Nothing);
        assert!(answered(410, None).is_gone() && !answered(404, None).is_gone());
    }
}
