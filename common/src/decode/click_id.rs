//! Finding the click id that a ClickFunnels body or the request's own query gives, in the order of the
//! domain: custom attributes, form fields, landing pages, the query, Classic's fields.

use super::envelope::View;
use super::{Parameters, by_key, person, visits};
use crate::attribution::{self, FoundBy, Named};
use crate::placeholder::{self, Placeholder};
use crate::source::Source;

/// The click id and where it was found. What is still a placeholder counts only where nothing better is.
pub(super) fn find(view: &View, source: &Source, query: &Parameters) -> (Named, FoundBy) {
    let keys = &source.click_id_keys;
    let mut unresolved = None;
    let in_body = |at: &str, found_by: FoundBy| {
        let object = view.at(at);
        let texts = object.into_iter().flat_map(|object| keys.iter().flat_map(|key| by_key(object, key)));
        texts.map(|text| (text, found_by)).collect::<Vec<_>>()
    };
    let attributes = ["/data"].into_iter().chain(person::CONTACTS);
    let attributes =
        attributes.flat_map(|at| in_body(&format!("{at}/custom_attributes"), FoundBy::CustomAttribute));
    let fields =
        ["/data/data", "/data/data/contact"].into_iter().flat_map(|at| in_body(at, FoundBy::FormField));
    let pages = visits::landing_pages(view).filter_map(visits::query_of).flat_map(|parameters| {
        keys.iter().filter_map(move |key| parameters.first(&[key])).collect::<Vec<_>>()
    });
    let pages = pages.map(|text| (text, FoundBy::LandingPage));
    let typed = keys.iter().filter_map(|key| typed(&query.first(&[key])?, view));
    let typed = typed.map(|text| (text, FoundBy::Query));
    let classic = classic_places(view).iter().flat_map(|at| in_body(at, FoundBy::ClassicField));

    for (text, found_by) in attributes.chain(fields).chain(pages).chain(typed).chain(classic) {
        match attribution::named(&text) {
            Named::Nothing => {}
            Named::Placeholder(text) => {
                unresolved.get_or_insert((Named::Placeholder(text), found_by));
            }
            // What a script writes where it has no value is no id of anybody's.
            Named::Foreign(text) if ["null", "undefined"].contains(&text.to_ascii_lowercase().as_str()) => {}
            named => return (named, found_by),
        }
    }
    unresolved.unwrap_or((Named::Nothing, FoundBy::None))
}

/// What a value in the endpoint's URL means: a path into the body where it is one, else itself. A path that
/// leads nowhere gives nothing, and the name of a macro that nobody filled in stays as it is.
fn typed(value: &str, view: &View) -> Option<String> {
    let Some(Placeholder::Path(path)) = placeholder::parse(value) else {
        return Some(value.to_owned());
    };
    let found = resolve(view, path);
    let is_macro = !path.contains('.');
    found.filter(|text| !text.trim().is_empty()).or_else(|| is_macro.then(|| value.to_owned()))
}

/// What stands at a path that was typed into the endpoint's URL.
pub(super) fn resolve(view: &View, path: &str) -> Option<String> {
    if view.is_classic() {
        placeholder::resolve_classic(view.body(), path)
    } else {
        placeholder::resolve(view.body(), path)
    }
}

fn classic_places(view: &View) -> &'static [&'static str] {
    match (view.is_classic(), view.is_of_contact()) {
        (false, _) => &[],
        (true, false) => &["/data/contact", "/data/contact/additional_info"],
        (true, true) => &["/data", "/data/additional_info"],
    }
}
