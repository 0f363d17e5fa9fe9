//! What must hold of every trace and of every retry, as functions of what was recorded.

use super::ledger::Attempt;
use carom_common::retry::Schedule;
use std::collections::HashMap;

/// Two clocks, each told to the millisecond: the broker's and ours.
const GRAIN: i64 = 5;

/// What is wrong with a delivery's retries: a tier that is not the schedule's, or an attempt that came before its
/// tier's time was up. `failed` has the times at which the receiver answered its refusals.
///
/// After a crash one attempt may have been made twice, the second time after its retry had begun to wait. So an
/// attempt `k + 1` is early only when it is so by the store (after the settled attempt `k`) and by the receiver
/// (after its `k`th refusal) alike.
pub fn early(schedule: &Schedule, attempts: &[Attempt], failed: &[i64]) -> Vec<String> {
    let mut wrong = Vec::new();
    for attempt in attempts.iter().filter(|attempt| attempt.outcome == "retry") {
        let Some(tier) = schedule.after(attempt.number, None) else {
            wrong.push(format!("attempt {} was retried beyond the schedule", attempt.number));
            continue;
        };
        if attempt.detail != tier.to_string() {
            wrong.push(format!("after attempt {} it waited in {}", attempt.number, attempt.detail));
        }
        let next = |next: &&Attempt| next.round == attempt.round && next.number == attempt.number + 1;
        let Some(next) = attempts.iter().find(next) else { continue };
        let wait = i64::try_from(tier.millis()).unwrap_or(i64::MAX) - GRAIN;
        let nth_refusal = failed.get(attempt.number as usize - 1);
        let by_store = next.at < attempt.at + attempt.took + wait;
        let by_receiver = nth_refusal.is_none_or(|refused| next.at < refused + wait);
        if by_store && by_receiver {
            wrong.push(format!(
                "attempt {} began {} ms after the answer to the one before, of the tier {tier}",
                next.number,
                next.at - attempt.at - attempt.took
            ));
        }
    }
    wrong
}

/// What is wrong with the order of an event's states. Without a crash (`calm`), attempts come in their order too.
pub fn disorder(decisions: &[(String, String)], calm: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let place = |wanted: &str| decisions.iter().position(|(code, _)| code == wanted);
    if place("received") != Some(0) {
        wrong.push("it does not begin with received".to_owned());
    }
    let selected = place("selected");
    if selected.is_some() && place("decoded") > selected {
        wrong.push("it was selected before it was decoded".to_owned());
    }
    // Per connector and round: the last attempt that was told, and whether it is over.
    let mut told: HashMap<(&str, &str), (u32, bool)> = HashMap::new();
    for (code, detail) in decisions {
        if !matches!(code.as_str(), "retry" | "delivered" | "dead") {
            continue;
        }
        let Some((connector, round, attempt)) = attempt_of(detail) else {
            wrong.push(format!("{code} does not say of which attempt: {detail}"));
            continue;
        };
        if selected.is_none() {
            wrong.push(format!("{code} of what was never selected"));
        }
        let (last, delivered) = told.entry((connector, round)).or_insert((0, false));
        if *delivered {
            wrong.push(format!("{code} after it was delivered: {detail}"));
        }
        if calm && attempt != *last + 1 {
            wrong.push(format!("attempt {attempt} follows attempt {last}"));
        }
        *last = attempt;
        *delivered |= code == "delivered";
    }
    wrong
}

/// From `connector network, round 0, attempt 1, …`.
fn attempt_of(detail: &str) -> Option<(&str, &str, u32)> {
    let mut parts = detail.split(", ");
    let connector = parts.next()?.strip_prefix("connector ")?;
    let round = parts.next()?.strip_prefix("round ")?;
    let attempt = parts.next()?.strip_prefix("attempt ")?.parse().ok()?;
    Some((connector, round, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::mix;

    fn attempt(number: u32, at: i64, outcome: &str, detail: &str) -> Attempt {
        Attempt { round: 0, number, at, took: 10, outcome: outcome.to_owned(), detail: detail.to_owned() }
    }

    #[test]
    fn a_retry_that_is_early_or_in_another_tier_is_found() {
        let schedule = mix::schedule();
        let good =
            [attempt(1, 0, "retry", "300ms"), attempt(2, 310, "retry", "1s"), attempt(3, 1_320, "dead", "")];
        assert!(early(&schedule, &good, &[10, 320, 1_330]).is_empty());
        let [first, second, third] = good.clone();
        let too_early = [first.clone(), Attempt { at: 290, ..second.clone() }, third.clone()];
        assert_eq!(early(&schedule, &too_early, &[10, 300, 1_330]).len(), 1);
        let wrong_tier =
            [Attempt { detail: "1s".to_owned(), ..first.clone() }, second.clone(), third.clone()];
        assert_eq!(early(&schedule, &wrong_tier, &[10, 320, 1_330]).len(), 1);
        // Attempt 1 was made twice: its retry counts from the first time.
        let made_twice = [Attempt { at: 200, ..first }, second, third];
        assert!(early(&schedule, &made_twice, &[10, 210, 320, 1_330]).is_empty());
    }

    #[test]
    fn a_trace_out_of_order_is_found() {
        let told = |codes: &[(&str, u32)]| -> Vec<(String, String)> {
            let detail = |attempt: &u32| format!("connector a, round 0, attempt {attempt}, status 200");
            codes.iter().map(|(code, attempt)| ((*code).to_owned(), detail(attempt))).collect()
        };
        let begin = [("received", 0), ("decoded", 0), ("selected", 0)];
        let with = |more: &[(&str, u32)]| told(&[&begin[..], more].concat());
        assert!(disorder(&with(&[("retry", 1), ("retry", 2), ("delivered", 3)]), true).is_empty());
        assert!(disorder(&with(&[("delivered", 1), ("handed_over", 0)]), true).is_empty());
        for bad in [&[("retry", 2)][..], &[("delivered", 1), ("retry", 2)], &[("retry", 1), ("delivered", 1)]]
        {
            assert_eq!(disorder(&with(bad), true).len(), 1, "{bad:?}");
        }
        assert!(disorder(&with(&[("retry", 2), ("retry", 1)]), false).is_empty(), "a crash may do that");
        assert_eq!(disorder(&with(&[("delivered", 1), ("delivered", 2)]), false).len(), 1);
        assert_eq!(disorder(&told(&[("decoded", 0), ("received", 0)]), true).len(), 1);
        assert_eq!(disorder(&told(&[("received", 0), ("dead", 1)]), true).len(), 1);
    }
}
