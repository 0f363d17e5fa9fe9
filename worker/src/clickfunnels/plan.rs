//! What setting up comes to: which listed endpoint is ours, what is to be written of it, which types there
//! are to subscribe to.

use super::api::{Endpoint, EndpointFields};
use carom_common::mapping;
use carom_common::secret::TokenHash;
use carom_common::source::api::{Api, RECOMMENDED};
use carom_common::source::endpoint;
use carom_common::{source::Source, spelling};
use std::collections::BTreeSet;

/// The endpoint as it should be.
pub struct Wanted {
    /// Its URL: with our token in it, or with `{token}` where nobody knows the text of any.
    pub url: String,
    /// Its name.
    pub name: String,
    /// What it is subscribed to, in ClickFunnels' spelling.
    pub types: BTreeSet<String>,
}

/// What is to be done.
pub struct Plan {
    /// The endpoint that is ours; none: it is to be created.
    pub ours: Option<Endpoint>,
    /// What of it is to be written. Empty where it is as it should be.
    pub changes: EndpointFields,
    /// Others that send the same to us, which does no harm and is of no use.
    pub doubles: Vec<u64>,
}

/// Types as they can be subscribed to.
#[derive(Debug, PartialEq, Eq)]
pub struct Types {
    /// In ClickFunnels' own spelling.
    pub offered: BTreeSet<String>,
    /// Recommended ones that it does not offer.
    pub left_out: Vec<String>,
}

/// Finds our endpoint among those that there are: by its URL, however it is encoded and with whichever of
/// our tokens; else by the id that was noted when it was set up. Endpoints of version 1 are others'.
pub fn plan(wanted: &Wanted, listed: &[Endpoint], noted: Option<u64>, tokens: &[TokenHash]) -> Plan {
    let by_url: Vec<&Endpoint> = listed
        .iter()
        .filter(|one| one.api_version != Some(1) && endpoint::same(&wanted.url, &one.url, tokens))
        .collect();
    let is_noted = |one: &&&Endpoint| Some(one.id) == noted;
    let ours = by_url.iter().find(is_noted).or_else(|| by_url.first()).copied();
    let ours = ours.or_else(|| listed.iter().find(|one| Some(one.id) == noted));
    let doubles = by_url.iter().map(|one| one.id).filter(|id| Some(*id) != ours.map(|ours| ours.id));
    Plan {
        ours: ours.cloned(),
        changes: ours.map_or_else(|| all(wanted), |ours| changes(wanted, ours)),
        doubles: doubles.collect(),
    }
}

/// Everything, as it is written on creation.
pub fn all(wanted: &Wanted) -> EndpointFields {
    EndpointFields {
        url: Some(wanted.url.clone()),
        name: Some(wanted.name.clone()),
        event_type_ids: Some(wanted.types.iter().cloned().collect()),
    }
}

/// What differs. A URL whose token nobody knows the text of is left as it is.
fn changes(wanted: &Wanted, found: &Endpoint) -> EndpointFields {
    let subscribed: BTreeSet<String> = found.event_type_ids.iter().flatten().cloned().collect();
    let everything = all(wanted);
    let is_known = !wanted.url.contains(endpoint::TOKEN);
    EndpointFields {
        url: everything.url.filter(|url| is_known && !endpoint::same(url, &found.url, &[])),
        name: everything.name.filter(|name| *name != found.name),
        event_type_ids: everything.event_type_ids.filter(|_| subscribed != wanted.types),
    }
}

/// Compares what is asked for with what ClickFunnels offers. The two may spell a type differently; its own
/// spelling is what it takes.
///
/// # Errors
/// Types that were asked for by name are not offered: a line for each, with the nearest.
pub fn types(source: &Source, api: &Api, offered: &[String]) -> Result<Types, Vec<String>> {
    let named: BTreeSet<&str> = api
        .event_types
        .iter()
        .filter(|name| *name != RECOMMENDED)
        .map(|name| mapping::canonical(name))
        .collect();
    let (mut found, mut left_out, mut unknown) = (BTreeSet::new(), Vec::new(), Vec::new());
    for wanted in api.types(&source.mapping) {
        if let Some(theirs) = offered.iter().find(|one| mapping::canonical(one) == wanted) {
            found.insert(theirs.clone());
        } else if named.contains(wanted.as_str()) {
            unknown.push(match spelling::nearest(&wanted, offered.iter().map(String::as_str)) {
                Some(nearest) => format!("`{wanted}`; is `{nearest}` meant?"),
                None => format!("`{wanted}`"),
            });
        } else {
            left_out.push(wanted);
        }
    }
    if unknown.is_empty() { Ok(Types { offered: found, left_out }) } else { Err(unknown) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const URL: &str = "https://carom.example/api/v1/events/a-secret-token?click_id={contact.x}";
    const ENCODED: &str = "https://carom.example/api/v1/events/a-secret-token?click_id=%7Bcontact.x%7D";

    fn wanted(url: &str) -> Wanted {
        let types = ["contact.created", "order.created"].map(String::from);
        Wanted { url: url.to_owned(), name: "Carom".to_owned(), types: types.into() }
    }

    fn listed(id: u64, url: &str) -> Endpoint {
        let types = Some(vec!["order.created".to_owned(), "contact.created".to_owned()]);
        let (name, api_version) = ("Carom".to_owned(), Some(2));
        Endpoint { id, url: url.to_owned(), name, event_type_ids: types, api_version, webhook_secret: None }
    }

    fn tokens() -> Vec<TokenHash> {
        vec![TokenHash::of("a-secret-token"), TokenHash::of("an-older-token")]
    }

    fn planned(wanted: &Wanted, listed: &[Endpoint], noted: Option<u64>) -> (Option<u64>, Vec<u64>) {
        let plan = plan(wanted, listed, noted, &tokens());
        (plan.ours.map(|ours| ours.id), plan.doubles)
    }

    #[test]
    fn our_endpoint_is_found_by_its_url_and_else_by_the_id_that_was_noted() {
        let other = || listed(1, "https://other.example/hook");
        let first = || Endpoint { api_version: Some(1), ..listed(2, URL) };
        for (all, noted, ours, doubles) in [
            (vec![], None, None, vec![]),
            (vec![other(), first()], None, None, vec![]),
            (vec![other(), listed(3, ENCODED)], None, Some(3), vec![]),
            (vec![listed(3, URL), listed(4, ENCODED)], None, Some(3), vec![4]),
            (vec![listed(3, URL), listed(4, ENCODED)], Some(4), Some(4), vec![3]),
            (vec![other(), listed(3, URL)], Some(1), Some(3), vec![]),
            (vec![other()], Some(1), Some(1), vec![]),
            (vec![other()], Some(9), None, vec![]),
        ] {
            assert_eq!(planned(&wanted(URL), &all, noted), (ours, doubles));
        }
        let sealed = "https://carom.example/api/v1/events/{token}?click_id={contact.x}";
        assert_eq!(planned(&wanted(sealed), &[listed(3, ENCODED)], None), (Some(3), vec![]));
    }

    #[test]
    fn only_what_differs_is_written() {
        let changed = |found: Endpoint, url: &str| {
            let changes = plan(&wanted(url), &[found], Some(3), &tokens()).changes;
            serde_json::to_value(&changes).unwrap()
        };
        assert_eq!(changed(listed(3, ENCODED), URL), json!({}));
        assert_eq!(changed(Endpoint { name: "Old".into(), ..listed(3, URL) }, URL), json!({"name": "Carom"}));
        assert_eq!(
            changed(Endpoint { event_type_ids: None, ..listed(3, URL) }, URL),
            json!({"event_type_ids": ["contact.created", "order.created"]})
        );
        let older = URL.replace("a-secret-token", "an-older-token");
        assert_eq!(changed(listed(3, &older), URL), json!({"url": URL}), "a token is rotated");
        let sealed = URL.replace("a-secret-token", "{token}");
        assert_eq!(changed(listed(3, &older), &sealed), json!({}), "nobody knows the newer one's text");
    }

    fn asked(names: &[&str]) -> (Source, Api) {
        let api = json!({
            "base_url": "https://w.example/api/v2", "workspace": "1", "token": {"env": "X"},
            "event_types": names,
        });
        let source = json!({
            "id": "shop", "advertiser": "acme", "kind": "clickfunnels", "open": true, "api": api,
        });
        let source: Source = serde_json::from_value(source).unwrap();
        let api = source.api.clone().unwrap();
        (source, api)
    }

    #[test]
    fn types_are_subscribed_to_in_clickfunnels_own_spelling() {
        let offered = ["one_time_order.completed", "contact.created", "blogs/post.created"].map(String::from);
        let (source, api) = asked(&["one-time-order.completed", "contact.created"]);
        let types = types(&source, &api, &offered).unwrap();
        assert_eq!(types.offered, ["contact.created", "one_time_order.completed"].map(String::from).into());
        assert_eq!(types.left_out, Vec::<String>::new());
    }

    #[test]
    fn a_named_type_that_is_not_offered_is_a_fault_and_a_recommended_one_is_left_out() {
        let offered = ["contact.created", "orders/invoice.paid"].map(String::from);
        let (source, api) = asked(&["recommended"]);
        let found = types(&source, &api, &offered).unwrap();
        assert_eq!(found.offered.len(), 2);
        assert!(found.left_out.contains(&"one-time-order.completed".to_owned()));
        let (source, api) = asked(&["recommended", "contact.create"]);
        assert_eq!(
            types(&source, &api, &offered),
            Err(vec!["`contact.create`; is `contact.created` meant?".into()])
        );
    }
}
