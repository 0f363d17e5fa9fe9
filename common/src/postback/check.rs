//! What `check` says of a webhook: its faults, all at once, and what is allowed but unwise.

use super::blueprint::{Blueprint, Content};
use super::{authorization, signing};
use crate::connector::Webhook;
use crate::secret::SecretRef;
use crate::template::location::is_loopback;
use crate::template::{Fault, Template, catalogue};
use crate::time::Span;
use std::collections::BTreeMap;

const LONGEST_TIMEOUT: Span = Span::from_secs(60);
const MOST_AT_ONCE: u16 = 1_000;

/// Every fault of a webhook, with its key within the webhook.
pub fn faults(webhook: &Webhook) -> Vec<Fault> {
    let (blueprint, mut faults) = match Blueprint::of(webhook) {
        Ok(blueprint) => (Some(blueprint), Vec::new()),
        Err(faults) => (None, faults),
    };
    faults.extend(secrets(webhook, blueprint.as_ref()));
    faults.extend(references(webhook));
    faults.extend(authorization::faults(webhook, blueprint.as_ref().map(|blueprint| &blueprint.url)));
    faults.extend(signing::faults(webhook));
    faults.extend(renaming(&webhook.rename));
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

/// The faults of its secrets: names that cannot be written in a macro, and macros that name none. The latter
/// are seen only where all templates can be read.
fn secrets(webhook: &Webhook, blueprint: Option<&Blueprint<'_>>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for name in webhook.secrets.keys() {
        let written = format!("{{{{{}{name}}}}}", catalogue::SECRET);
        if Template::parse(&written, &catalogue::CONNECTOR).is_err() {
            let problem = "no macro can name it";
            faults.push(Fault::new(format!("secrets.{name}"), problem, "use letters, digits, `_` and `-`"));
        }
    }
    for name in blueprint.map(Blueprint::secrets).unwrap_or_default() {
        if !webhook.secrets.contains_key(name) {
            let problem = format!("there is no secret `{name}`, and a template names it");
            let remedy = "say where it is kept, as { env = \"…\" } or { file = \"…\" }";
            faults.push(Fault::new(format!("secrets.{name}"), problem, remedy));
        }
    }
    faults
}

/// The faults of its references to secrets.
fn references(webhook: &Webhook) -> Vec<Fault> {
    let mut all: Vec<(String, &SecretRef)> = Vec::new();
    all.extend(webhook.secrets.iter().map(|(name, kept)| (format!("secrets.{name}"), kept)));
    for (index, header) in webhook.headers.iter().enumerate() {
        all.extend(header.secret.iter().map(|kept| (format!("headers[{index}].secret"), kept)));
    }
    let authorization = webhook.authorization.iter().flat_map(authorization::references);
    all.extend(authorization.map(|kept| ("authorization".to_owned(), kept)));
    let signing = webhook.signing.iter().flat_map(|signing| signing.secrets.iter().enumerate());
    all.extend(signing.map(|(index, kept)| (format!("signing.secrets[{index}]"), kept)));
    all.retain(|(_, kept)| !kept.names_a_place());
    let fault = |key| {
        let remedy = "put the secret into a variable, and write the variable's name";
        Fault::new(key, "this is no name of an environment variable", remedy)
    };
    all.into_iter().map(|(key, _)| fault(key)).collect()
}

/// The faults of a receiver's names for events.
pub(crate) fn renaming(rename: &BTreeMap<String, String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let names: Vec<_> = rename.keys().map(|name| name.to_lowercase()).collect();
    for (index, (name, new)) in rename.iter().enumerate() {
        let key = format!("rename.{name}");
        if name.is_empty() || new.is_empty() {
            faults.push(Fault::new(&key, "an event has no name", "write a name on both sides, or remove it"));
        }
        if names[..index].contains(&names[index]) {
            let problem = "the same name stands here in another case, and names are the same in any";
            faults.push(Fault::new(&key, problem, "keep one of them"));
        }
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
    for (index, parameter) in webhook.parameters.iter().enumerate() {
        if let Ok(value) = Template::parse(&parameter.value, &catalogue::CONNECTOR) {
            unknown(format!("parameters[{index}].value"), value.lookalikes());
        }
    }
    if webhook.body.is_some() {
        unknown(
            "body".to_owned(),
            blueprint.body.templates().into_iter().flat_map(Template::lookalikes).collect(),
        );
    }
    for (index, (_, content)) in blueprint.headers.iter().enumerate() {
        if let Content::Template(value) = content {
            unknown(format!("headers[{index}].value"), value.lookalikes());
        }
    }
    warnings.extend(unused(webhook, &blueprint));
    warnings.extend(authorization::warnings(webhook));
    warnings.extend(signing::warnings(webhook));
    warnings
}

/// The secrets that nothing uses.
fn unused(webhook: &Webhook, blueprint: &Blueprint<'_>) -> Vec<Fault> {
    let used = blueprint.secrets();
    let idle = webhook.secrets.keys().filter(|name| !used.contains(&name.as_str()));
    idle.map(|name| {
        let remedy = format!("write {{{{secret.{name}}}}} where it belongs, or remove it");
        Fault::new(format!("secrets.{name}"), "no template names it", remedy)
    })
    .collect()
}
