//! What `check` says of a webhook: its faults, all at once, and what is allowed but unwise.

use super::blueprint::{Blueprint, Content};
use crate::connector::Webhook;
use crate::template::Fault;
use crate::template::location::is_loopback;
use crate::time::Span;

const LONGEST_TIMEOUT: Span = Span::from_secs(60);
const MOST_AT_ONCE: u16 = 1_000;

/// Every fault of a webhook, with its key within the webhook.
pub fn faults(webhook: &Webhook) -> Vec<Fault> {
    let mut faults = Blueprint::of(webhook).err().unwrap_or_default();
    if webhook.timeout.0.is_zero() || webhook.timeout > LONGEST_TIMEOUT {
        let problem = format!("a timeout of {} is out of range", webhook.timeout);
        faults.push(Fault::new("timeout", problem, "choose more than nothing and at most 1m"));
    }
    if !(1..=MOST_AT_ONCE).contains(&webhook.concurrency) {
        let problem = format!("a concurrency of {} is out of range", webhook.concurrency);
        faults.push(Fault::new("concurrency", problem, format!("choose 1 to {MOST_AT_ONCE}")));
    }
    faults
}

/// What is allowed and probably not meant. A faulty webhook has no warnings: mend its faults first.
pub fn warnings(webhook: &Webhook) -> Vec<Fault> {
    let Ok(blueprint) = Blueprint::of(webhook) else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let origin = blueprint.url.origin();
    if origin.scheme() == "http" && !is_loopback(origin) {
        let problem = "everything is sent unencrypted, personal data and secrets too";
        warnings.push(Fault::new("url", problem, "use https:// if the receiver can"));
    }
    let mut unknown = |key: String, names: Vec<&str>| {
        for name in names {
            let problem = format!("`{name}` is not a macro that we know and is sent as it stands");
            warnings.push(Fault::new(&key, problem, "if a macro was meant, see `macros` for the names"));
        }
    };
    unknown("url".to_owned(), blueprint.url.lookalikes());
    for (index, (_, value)) in blueprint.parameters.iter().enumerate() {
        unknown(format!("parameters[{index}].value"), value.lookalikes());
    }
    for (index, (_, content)) in blueprint.headers.iter().enumerate() {
        if let Content::Template(value) = content {
            unknown(format!("headers[{index}].value"), value.lookalikes());
        }
    }
    warnings
}
