//! Whom an event names: the contact's id, an e-mail address, a phone number.

use super::envelope::View;
use super::{bounded, by_key};
use crate::attribution;
use crate::event::Person;
use crate::id::VisitorId;
use serde_json::Value;

/// Where bodies keep a contact that is not their subject.
pub(super) const CONTACTS: [&str; 3] = ["/data/contact", "/data/order/contact", "/data/primary_contact"];

/// The person of an event.
pub(super) fn of(view: &View, visitor: Option<VisitorId>) -> Person {
    Person {
        visitor,
        contact: contact(view),
        email: first(view, &["email_address", "email"], email),
        phone: first(view, &["phone_number", "phone"], phone),
    }
}

/// The contact's id. The contact itself, where it is there, has it; `contact_id` beside it is another number
/// in some samples of the API reference (22440 beside contact 24359), and that one joins with nothing.
pub(super) fn contact(view: &View) -> Option<String> {
    let id = if view.is_of_contact() {
        view.text(&["/data/id", "/subject_id"])
    } else {
        let of_contacts: Vec<_> = CONTACTS.iter().map(|at| format!("{at}/id")).collect();
        let of_contacts: Vec<_> = of_contacts.iter().map(String::as_str).collect();
        view.text(&of_contacts).or_else(|| view.text(&["/data/contact_id", "/data/order/contact_id"]))
    };
    id.map(bounded)
}

/// The first usable value of these names: of the contact, then of what was typed into a form.
fn first(view: &View, names: &[&str], usable: fn(&str) -> Option<String>) -> Option<String> {
    let itself = view.is_of_contact().then_some(&["/data", "/data/contact_profile"][..]);
    let contacts = CONTACTS.iter().chain(&["/data/contact/contact_profile"]);
    let forms = ["/data/data/contact", "/data/data"];
    let places = itself.into_iter().flatten().chain(contacts).chain(&forms);
    places.filter_map(|at| view.at(at)).find_map(|object| named(object, names, usable))
}

fn named(object: &Value, names: &[&str], usable: fn(&str) -> Option<String>) -> Option<String> {
    names.iter().find_map(|name| by_key(object, name).find_map(|text| usable(&text)))
}

/// An e-mail address as given, if it is one at all: pages that hide addresses say `[email protected]`.
pub(super) fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.split_once('@')?;
    let plain = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
    };
    let fits = text.len() <= 254 && plain(local) && plain(domain);
    let dotted = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
    (fits && dotted && !attribution::is_placeholder(text)).then(|| text.to_owned())
}

/// A phone number as given, if there are digits enough to tell one person by.
pub(super) fn phone(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let fits = text.len() <= 64 && digits >= 5 && !text.contains(char::is_control);
    (fits && !attribution::is_placeholder(text)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_joins_nobody() {
        for (given, is_one) in [
            ("jane.doe@example.com", true),
            (" Jane@Example.co.uk ", true),
            ("[email protected]", false),
            ("{email}", false),
            ("{a@b.c}", false),
            ("jane@localhost", false),
            ("jane@example..com", false),
            ("jane@a@example.com", false),
            ("@example.com", false),
            ("jane doe@example.com", false),
            ("", false),
        ] {
            assert_eq!(email(given).is_some(), is_one, "{given}");
        }
        for (given, is_one) in
            [("+18005550199", true), ("(800) 555-0199", true), ("n/a", false), ("123", false)]
        {
            assert_eq!(phone(given).is_some(), is_one, "{given}");
        }
    }
}
