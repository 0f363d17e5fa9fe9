//! What `check` says of how a connector's deliveries are made: its limits and its success rule.

use super::{Connector, success};
use crate::template::Fault;
use std::time::Duration;

/// What a worker holds must be settled in this time, so no attempt may have to wait for longer.
pub const HOLD: Duration = Duration::from_secs(60);

/// Every fault, with its key within the connector.
pub fn faults(connector: &Connector) -> Vec<Fault> {
    let webhook = connector.webhook.as_ref();
    let mut faults = Vec::new();
    if let Some(success) = webhook.and_then(|webhook| webhook.success.as_ref()) {
        faults.extend(success::faults(success).into_iter().map(|fault| {
            let key = format!("webhook.success.{}", fault.key);
            Fault { key: key.trim_end_matches('.').to_owned(), ..fault }
        }));
    }
    if let Some(rate) = webhook.and_then(|webhook| webhook.rate).filter(|rate| rate.interval() > HOLD) {
        let problem = format!("a rate of {rate} is less than one in a minute");
        faults.push(Fault::new("webhook.rate", problem, "choose at least 1/m, or 60/h"));
    }
    if connector.max_event_age.is_some_and(|age| age.0.is_zero()) {
        let problem = "every event is older than that";
        faults.push(Fault::new("max_event_age", problem, "choose more than nothing, as in 7d"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str) -> Connector {
        let text = format!("id = \"n\"\nadvertiser = \"a\"\ntriggers = [\"conversion\"]\n{rest}\n");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn limits_that_cannot_be_kept_are_faults() {
        let url = "url = \"https://n.example/\"";
        for (rest, key) in [
            (format!("max_event_age = \"0s\"\n[webhook]\n{url}"), Some("max_event_age")),
            (format!("max_event_age = \"7d\"\n[webhook]\n{url}\nrate = \"1/m\""), None),
            (format!("[webhook]\n{url}\nrate = \"60/h\""), None),
            (format!("[webhook]\n{url}\nrate = \"59/h\""), Some("webhook.rate")),
            (format!("[webhook]\n{url}\nsuccess = {{}}"), Some("webhook.success")),
            (
                format!("[webhook]\n{url}\nsuccess = {{ status = [\"404\"] }}"),
                Some("webhook.success.status[0]"),
            ),
        ] {
            let found = faults(&read(&rest));
            assert_eq!(found.first().map(|fault| fault.key.as_str()), key, "{rest}");
        }
    }
}
