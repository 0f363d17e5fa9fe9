//! Checking `[source.api]`: what `clickfunnels setup` and `reconcile` could not work with.

use super::fault;
use crate::config::Fault;
use crate::mapping;
use crate::resources::place::Place;
use crate::source::api::{Api, RECOMMENDED};
use crate::source::{Kind, Source};
use crate::spelling;
use std::net::IpAddr;
use url::{Host, Url};

/// What is wrong with a source's API, and what would be better otherwise.
pub(super) fn check(source: &Source, place: &Place, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let Some(api) = &source.api else { return };
    if source.kind != Kind::Clickfunnels {
        let remedy = "remove [source.api], or say kind = \"clickfunnels\"";
        faults.push(fault(place, "api", "only sources of kind clickfunnels have an API", remedy));
        return;
    }
    base_url(api, place, faults, warnings);
    if api.workspace.is_empty() || !api.workspace.chars().all(|c| c.is_ascii_alphanumeric()) {
        let remedy = "write the workspace's id, such as 42000; ClickFunnels' API lists it under /teams/{id}/workspaces";
        faults.push(fault(place, "api.workspace", format!("`{}` is no id", api.workspace), remedy));
    }
    if let Some(url) = &api.endpoint_url
        && !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        let remedy = "write the public URL of this source, as in https://carom.example/api/v1/events/{token}";
        faults.push(fault(place, "api.endpoint_url", "is no URL that ClickFunnels could send to", remedy));
    }
    event_types(api, place, faults);
    if let Err(error) = api.token.read() {
        let remedy = "set it where carom-worker runs; until then ClickFunnels' API cannot be asked";
        warnings.push(fault(place, "api.token", error.to_string(), remedy));
    }
}

fn base_url(api: &Api, place: &Place, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let key = "api.base_url";
    let remedy = "write it as in https://myworkspace.myclickfunnels.com/api/v2";
    let url = match Url::parse(&api.base_url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
        _ => {
            let problem = format!("`{}` is no URL of an API", api.base_url);
            return faults.push(fault(place, key, problem, remedy));
        }
    };
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        faults.push(fault(place, key, "has a user, a query or a fragment", remedy));
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let problem = "the API's token would go over the network in the clear";
        warnings.push(fault(place, key, problem, "write https://"));
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

fn event_types(api: &Api, place: &Place, faults: &mut Vec<Fault>) {
    if api.event_types.is_empty() {
        let remedy = "leave it out for the recommended ones";
        faults.push(fault(place, "api.event_types", "is empty, so nothing would ever come", remedy));
    }
    let catalogue: Vec<_> = mapping::catalogue().collect();
    for (index, name) in api.event_types.iter().enumerate() {
        if name == RECOMMENDED || catalogue.contains(&mapping::canonical(name)) {
            continue;
        }
        let known = catalogue.iter().copied().chain([RECOMMENDED]);
        let remedy = match spelling::nearest(name, known) {
            Some(nearest) => format!("is `{nearest}` meant?"),
            None => "take a name of ClickFunnels' catalogue, or \"recommended\"".to_owned(),
        };
        let problem = format!("`{name}` is no event type of ClickFunnels'");
        faults.push(fault(place, &format!("api.event_types[{index}]"), problem, remedy));
    }
}
