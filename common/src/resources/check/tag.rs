//! Checking sources of kind `tag`: the key that names them, the pages that may report, and what they cannot have.

use super::fault;
use crate::config::Fault;
use crate::resources::place::Place;
use crate::source::{Kind, Source};
use std::collections::HashMap;

/// The shortest site key. It is no secret; it is only not to be another site's by chance.
const SHORTEST: usize = 8;

/// What is wrong with a source's site key and origins. `keys` are those of the sources before it.
pub(super) fn check<'a>(
    source: &'a Source,
    place: &'a Place,
    keys: &mut HashMap<&'a str, &'a Place>,
    faults: &mut Vec<Fault>,
) {
    if source.kind != Kind::Tag {
        let remedy = "remove it, or say kind = \"tag\"";
        if source.site_key.is_some() {
            faults.push(fault(place, "site_key", "is of sources of kind \"tag\"", remedy));
        }
        if !source.allowed_origins.is_empty() {
            faults.push(fault(place, "allowed_origins", "are of sources of kind \"tag\"", remedy));
        }
        if source.pending {
            faults.push(fault(place, "pending", "is of sources of kind \"tag\"", remedy));
        }
        return;
    }
    site_key(source, place, keys, faults);
    if source.allowed_origins.is_empty() {
        let remedy = "name the pages that report, each by scheme and host, as in [\"https://shop.example\"]";
        faults.push(fault(place, "allowed_origins", "no page could report to this source", remedy));
    }
    // Whatever would prove who sends would stand in every page, and prove nothing.
    let public = "remove it: a tag is known by its site_key and the page's origin, and holds no secret";
    for (key, given) in [
        ("tokens", !source.tokens.is_empty()),
        ("signature", source.signature.is_some()),
        ("open", source.open),
        ("event_domains", !source.event_domains.is_empty()),
    ] {
        if given {
            faults.push(fault(place, key, "is of sources whose senders are servers", public));
        }
    }
}

fn site_key<'a>(
    source: &'a Source,
    place: &'a Place,
    keys: &mut HashMap<&'a str, &'a Place>,
    faults: &mut Vec<Fault>,
) {
    let remedy =
        "write one of your own, of at least 8 letters, digits, `-` and `_`, as in \"pk_live_7d2f0c\"";
    let Some(key) = &source.site_key else {
        faults.push(fault(place, "site_key", "no tag could name this source", remedy));
        return;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if key.len() < SHORTEST || key.len() > 128 || !key.bytes().all(plain) {
        faults.push(fault(place, "site_key", "is too short, too long, or not fit for a URL", remedy));
    }
    if let Some(earlier) = keys.insert(key, place) {
        let problem = format!("{} has the same key", earlier.key);
        faults.push(fault(place, "site_key", problem, "give each source its own"));
    }
}
