//! Checking resources against each other: ids that are double, names that lead nowhere, sources that
//! nobody authenticates, requests that can never be made.

mod api;
mod click_id;
mod pixel;
mod tag;

use super::Resources;
use super::place::{Place, Places};
use crate::config::Fault;
use crate::connector::{Connector, limits};
use crate::money::currency;
use crate::offer::Offer;
use crate::source::{Kind, Source};
use crate::{condition, mapping, postback, template};
use std::collections::{HashMap, HashSet};

/// All faults, and all warnings.
pub fn check(resources: &Resources, places: &Places) -> (Vec<Fault>, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    ids(resources, places, &mut faults);
    sources(resources, places, &mut faults, &mut warnings);
    offers_and_connectors(resources, places, &mut faults, &mut warnings);
    click_id::shared(resources, places, &mut warnings);
    (faults, warnings)
}

/// The faults of a document that is in the store already, with nothing beside it taken into account: neither files nor
/// variables are read, so that a secret that is away for a moment makes no version faulty. A source that is faulty lets
/// nobody in, which the check before `apply` tells and this does not.
pub fn document(resources: &Resources) -> Vec<Fault> {
    let places = |kind: &str, ids: Vec<&str>| -> Vec<Place> {
        let place =
            |id| Place { file: "the store".to_owned(), key: format!("{kind}[{id}]"), code_line: None };
        ids.into_iter().map(place).collect()
    };
    let places = Places {
        sources: places("source", resources.sources.iter().map(|item| item.id.as_str()).collect()),
        advertisers: places(
            "advertiser",
            resources.advertisers.iter().map(|item| item.id.as_str()).collect(),
        ),
        offers: places("offer", resources.offers.iter().map(|item| item.id.as_str()).collect()),
        connectors: places("connector", resources.connectors.iter().map(|item| item.id.as_str()).collect()),
    };
    let mut faults = Vec::new();
    ids(resources, &places, &mut faults);
    offers_and_connectors(resources, &places, &mut faults, &mut Vec::new());
    faults
}

/// Names that are double, or lead nowhere.
fn ids(resources: &Resources, places: &Places, faults: &mut Vec<Fault>) {
    unique(resources.advertisers.iter().map(|item| item.id.as_str()), &places.advertisers, faults);
    unique(resources.sources.iter().map(|item| item.id.as_str()), &places.sources, faults);
    unique(resources.offers.iter().map(|item| item.id.as_str()), &places.offers, faults);
    unique(resources.connectors.iter().map(|item| item.id.as_str()), &places.connectors, faults);
    owned(resources, places, faults);
}

fn offers_and_connectors(
    resources: &Resources,
    places: &Places,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) {
    for (offer, place) in resources.offers.iter().zip(&places.offers) {
        faults.extend(offer.faults().into_iter().map(|fault| at(place, "", fault)));
        warnings.extend(offer.warnings().into_iter().map(|fault| at(place, "", fault)));
    }
    for (connector, place) in resources.connectors.iter().zip(&places.connectors) {
        if connector.triggers.is_empty() {
            let remedy = "name at least one, such as \"conversion\"";
            faults.push(fault(place, "triggers", "there is no trigger, so it never fires", remedy));
        }
        let own = |offer: &&Offer| offer.advertiser == connector.advertiser;
        let offers: Vec<_> = resources.offers.iter().filter(own).collect();
        faults.extend(condition::faults(&connector.conditions).into_iter().map(|fault| at(place, "", fault)));
        warnings.extend(
            condition::warnings(&connector.conditions, &offers).into_iter().map(|fault| at(place, "", fault)),
        );
        faults.extend(currencies(connector, place));
        faults.extend(limits::faults(connector).into_iter().map(|fault| at(place, "", fault)));
        if let Some(webhook) = &connector.webhook {
            let found = postback::faults(webhook);
            faults.extend(found.into_iter().map(|fault| at(place, "webhook.", fault)));
            let found = postback::warnings(webhook);
            warnings.extend(found.into_iter().map(|fault| at(place, "webhook.", fault)));
        }
        click_id::check(connector, place, faults);
        pixel::check(connector, place, faults, warnings);
    }
}

/// Currencies that nobody has, which no value could ever be in.
fn currencies(connector: &Connector, place: &Place) -> Vec<Fault> {
    let unknown = connector.currencies.iter().enumerate().filter(|(_, code)| currency(code).is_none());
    unknown
        .map(|(index, code)| {
            let problem = format!("`{code}` is no currency");
            fault(place, &format!("currencies[{index}]"), problem, "write its ISO 4217 code, such as \"EUR\"")
        })
        .collect()
}

fn fault(place: &Place, key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault::new(&place.file, format!("{}.{key}", place.key), problem, remedy)
}

fn at(place: &Place, prefix: &str, found: template::Fault) -> Fault {
    fault(place, &format!("{prefix}{}", found.key), found.problem, found.remedy)
}

fn unique<'a>(ids: impl Iterator<Item = &'a str>, places: &[Place], faults: &mut Vec<Fault>) {
    let mut first: HashMap<&str, &Place> = HashMap::new();
    for (id, place) in ids.zip(places) {
        if let Some(earlier) = first.insert(id, place) {
            let problem = format!("`{id}` is taken by another in {}", earlier.file);
            faults.push(fault(place, "id", problem, "give each its own id"));
        }
    }
}

fn owned(resources: &Resources, places: &Places, faults: &mut Vec<Fault>) {
    let known: HashSet<_> = resources.advertisers.iter().map(|advertiser| &advertiser.id).collect();
    let sources = resources.sources.iter().map(|item| &item.advertiser).zip(&places.sources);
    let offers = resources.offers.iter().map(|item| &item.advertiser).zip(&places.offers);
    let connectors = resources.connectors.iter().map(|item| &item.advertiser).zip(&places.connectors);
    for (advertiser, place) in sources.chain(offers).chain(connectors) {
        if !known.contains(advertiser) {
            let remedy =
                format!("add an [[advertiser]] with id = \"{advertiser}\", or name one that is there");
            faults.push(fault(place, "advertiser", format!("there is no advertiser `{advertiser}`"), remedy));
        }
    }
}

fn sources(resources: &Resources, places: &Places, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let mut domains: HashMap<String, &Place> = HashMap::new();
    let mut tokens = HashMap::new();
    let mut site_keys = HashMap::new();
    for (source, place) in resources.sources.iter().zip(&places.sources) {
        tag::check(source, place, &mut site_keys, faults);
        if source.kind != Kind::Tag {
            reachable(source, place, faults, warnings);
        }
        signature(source, place, faults, warnings);

        for (index, domain) in source.event_domains.iter().enumerate() {
            let key = format!("event_domains[{index}]");
            if domain.is_empty()
                || domain
                    .chars()
                    .any(|c| c.is_ascii_uppercase() || !(c.is_ascii_alphanumeric() || ".-:[]".contains(c)))
            {
                let problem = format!("`{domain}` is no host name");
                faults.push(fault(place, &key, problem, "write a lower-case host without port or path"));
            } else if let Some(earlier) = domains.insert(domain.clone(), place) {
                let problem = format!("`{domain}` belongs to {} already", earlier.key);
                faults.push(fault(place, &key, problem, "give each source its own domain"));
            }
        }
        for (index, token) in source.tokens.iter().enumerate() {
            let key = format!("tokens[{index}]");
            if matches!(token, crate::source::Token::Given(text) if text.len() < 16) {
                let remedy = "use at least 16 characters, as from `openssl rand -hex 24`";
                faults.push(fault(place, &key, "the token is short enough to be guessed", remedy));
            }
            match token.hash() {
                Ok(hash) => {
                    if let Some(earlier) = tokens.insert(String::from(hash), &place.key) {
                        let problem = format!("{earlier} has the same token");
                        faults.push(fault(place, &key, problem, "give each source its own"));
                    }
                }
                Err(error) => {
                    let remedy = "set it where carom-ingest runs; until then this token lets nobody in";
                    warnings.push(fault(place, &key, error.to_string(), remedy));
                }
            }
        }
        api::check(source, place, faults, warnings);
        for (index, row) in source.mapping.iter().enumerate() {
            let prefix = format!("mapping[{index}].");
            faults.extend(mapping::faults(row).into_iter().map(|fault| at(place, &prefix, fault)));
            if !mapping::is_known(&row.event) {
                let problem = format!("`{}` is no type of the catalogue", row.event);
                let remedy = "it counts only where the sender sends it under that very name";
                warnings.push(fault(place, &format!("{prefix}event"), problem, remedy));
            }
        }
        if source.kind != Kind::Clickfunnels && !source.mapping.is_empty() {
            let remedy = "remove it: an event of this kind is what its own name says";
            faults.push(fault(place, "mapping", "is of sources of kind \"clickfunnels\"", remedy));
        }
        if source.click_id_keys.iter().all(|key| key.trim().is_empty()) {
            faults.push(fault(place, "click_id_keys", "is empty", "leave it out to use the usual names"));
        }
    }
}

/// Whether anybody can send as a source, and whether somebody could who should not.
fn reachable(source: &Source, place: &Place, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let signed = source.signature.is_some();
    if !source.open && !signed && source.tokens.is_empty() {
        let remedy = "give it `tokens` or a `signature`, or say `open = true` if anybody may send as it";
        faults.push(fault(place, "tokens", "nobody could send as this source", remedy));
    }
    if source.open {
        warnings.push(fault(
            place,
            "open",
            "anybody can send events as this source",
            "give it `tokens` or a `signature` instead",
        ));
        if source.event_domains.is_empty() && source.tokens.is_empty() {
            let remedy = "give it `event_domains` (or `tokens`), or no request can name it";
            faults.push(fault(place, "event_domains", "an open source is named by its domain", remedy));
        }
    } else if signed && source.event_domains.is_empty() && source.tokens.is_empty() {
        let remedy = "give it `event_domains` (or `tokens`), or no request can name it";
        let problem = "a signature proves who sends, and does not name the source";
        faults.push(fault(place, "event_domains", problem, remedy));
    } else if !signed && !source.event_domains.is_empty() {
        let remedy = "remove them, give the source a `signature`, or say `open = true`: a domain names a \
                      source and authenticates nobody";
        faults.push(fault(place, "event_domains", "the source is neither signed nor open", remedy));
    }
}

/// What is wrong with a source's signature. A secret that cannot be read here is only warned of: it is
/// ingest that reads it.
fn signature(source: &Source, place: &Place, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let Some(signature) = &source.signature else { return };
    if source.open {
        let problem = "the source is open, and a signature that nobody needs protects nothing";
        faults.push(fault(place, "signature", problem, "remove `open`, or remove the signature"));
    }
    faults.extend(signature.faults().into_iter().map(|fault| at(place, "signature.", fault)));
    for (index, secret) in signature.secrets.iter().enumerate() {
        let key = format!("signature.secrets[{index}]");
        if !secret.names_a_place() {
            // What stands there may be the secret itself, so it is not repeated.
            let remedy = "put the secret into a variable, and write the variable's name";
            faults.push(fault(place, &key, "this is no name of an environment variable", remedy));
            continue;
        }
        match secret.read() {
            Ok(text) => {
                if let Err(error) = signature.key(&text) {
                    let remedy = format!("put the secret as its sender shows it into {secret}");
                    faults.push(fault(place, &key, error.to_string(), remedy));
                }
            }
            Err(error) => {
                let remedy = "set it where carom-ingest runs; while none can be read, events of this source \
                              are answered 503";
                warnings.push(fault(place, &key, error.to_string(), remedy));
            }
        }
    }
}

#[cfg(test)]
mod tests;
