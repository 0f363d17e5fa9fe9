//! Identity: the keys by which events, clicks and visits are one person's.
//!
//! E-mails and phone numbers are joined on by keyed hashes, never in the clear: whoever reads the table
//! cannot test addresses against it without the key.

use crate::event::{Envelope, Event};
use crate::id::VisitorId;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// Hashes what is to be joined on and not to be read.
#[derive(Clone)]
pub struct Hasher(Hmac<Sha256>);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Hasher {
    /// A hasher with this key, of any length.
    pub fn new(key: &[u8]) -> Self {
        // A key of any length is a key: the error has no cause.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&[0; 64].into())))
    }

    /// The mark of an e-mail address; none where it is no address.
    pub fn email(&self, given: &str) -> Option<String> {
        email(given).map(|address| self.mark("email", &address))
    }

    /// The mark of a phone number; none where it is no number.
    pub fn phone(&self, given: &str) -> Option<String> {
        phone(given).map(|number| self.mark("phone", &number))
    }

    fn mark(&self, what: &str, value: &str) -> String {
        let mut hash = self.0.clone();
        hash.update(what.as_bytes());
        hash.update(&[0]);
        hash.update(value.as_bytes());
        format!("{what}:{}", hex::encode(&hash.finalize().into_bytes()[..16]))
    }
}

/// An e-mail address as it is compared: without spaces around it, in lower case.
pub fn email(given: &str) -> Option<String> {
    let address = given.trim().to_lowercase();
    let (local, domain) = address.split_once('@')?;
    let sound = !local.is_empty()
        && domain.contains('.')
        && !domain.contains('@')
        && !address.contains(|c: char| c.is_whitespace() || c.is_control() || c == '[' || c == ']');
    (sound && address.len() <= 254).then_some(address)
}

/// A phone number as it is compared: E.164 where it can be read as international, else its digits.
pub fn phone(given: &str) -> Option<String> {
    let given = given.trim();
    if given.len() > 64 {
        return None;
    }
    let international = given.strip_prefix("00").map(|rest| format!("+{rest}"));
    let candidate = international.as_deref().unwrap_or(given);
    if is_plain_north_american(candidate) {
        return Some(candidate.to_owned());
    }
    if candidate.starts_with('+')
        && let Ok(number) = phonenumber::parse(None, candidate)
    {
        return Some(number.format().mode(phonenumber::Mode::E164).to_string());
    }
    let digits: String = candidate.chars().filter(char::is_ascii_digit).collect();
    let other = candidate.chars().any(|c| c.is_alphabetic() || c == '@');
    (!other && (7..=15).contains(&digits.len())).then_some(digits)
}

/// Whether a number is E.164 already, of the North American plan: `+1` and ten digits, none of which is a prefix to be
/// taken off. Most are, and reading one takes as long as all else that is read of an event.
fn is_plain_north_american(number: &str) -> bool {
    number.strip_prefix("+1").is_some_and(|rest| {
        rest.len() == 10
            && rest.starts_with(|c| matches!(c, '2'..='9'))
            && rest.bytes().all(|c| c.is_ascii_digit())
    })
}

/// A phone number as E.164, `+19053871234`. One without `+` or `00` is of `country`, two letters by ISO 3166-1;
/// none where it cannot be read.
pub fn e164(given: &str, country: Option<&str>) -> Option<String> {
    let given = given.trim();
    if given.len() > 64 {
        return None;
    }
    let international = given.strip_prefix("00").map(|rest| format!("+{rest}"));
    let candidate = international.as_deref().unwrap_or(given);
    let country = if candidate.starts_with('+') { None } else { Some(country_of(country?)?) };
    let number = phonenumber::parse(country, candidate).ok()?;
    let written = number.format().mode(phonenumber::Mode::E164).to_string();
    let digits = written.bytes().filter(u8::is_ascii_digit).count();
    // No shorter than any number in use, no longer than E.164 allows.
    (7..=15).contains(&digits).then_some(written)
}

/// Whether a text names a country that numbers can be of, by two letters.
pub fn is_country(code: &str) -> bool {
    country_of(code).is_some()
}

fn country_of(code: &str) -> Option<phonenumber::country::Id> {
    code.trim().to_ascii_uppercase().parse().ok()
}

/// What an event says of who it is about, as keys. Everything is within the event's advertiser.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The key of the browser that sent it.
    pub visitor: Option<String>,
    /// The key of the contact that it names.
    pub contact: Option<String>,
    /// The mark of its e-mail.
    pub email: Option<String>,
    /// The mark of its phone number.
    pub phone: Option<String>,
    /// The key of the order that it is about.
    pub order: Option<String>,
    /// Whether it tells of the contact itself, rather than only naming it.
    pub describes_contact: bool,
}

impl Who {
    /// Reads them off an event.
    pub fn of(event: &Event, hasher: &Hasher) -> Self {
        let person = &event.person;
        Self {
            visitor: person.visitor.map(visitor_key),
            contact: person.contact.as_deref().map(|id| scoped("contact", event, id)),
            email: person.email.as_deref().and_then(|email| hasher.email(email)),
            phone: person.phone.as_deref().and_then(|phone| hasher.phone(phone)),
            order: event.order.as_deref().map(|id| scoped("order", event, id)),
            describes_contact: event.raw_type.starts_with("contact.") || event.raw_type == "contact_created",
        }
    }

    /// Whether it names a person by more than the sender's number of a contact.
    pub fn names_a_person(&self) -> bool {
        self.visitor.is_some() || self.email.is_some() || self.phone.is_some()
    }
}

/// The key of a browser.
pub fn visitor_key(visitor: VisitorId) -> String {
    format!("visitor:{visitor}")
}

/// A sender's id with the space that it is unique in: ClickFunnels' own, Classic's, or a plain source's.
pub fn scoped(what: &str, event: &Event, id: &str) -> String {
    match event.envelope {
        Envelope::Plain => format!("{what}:{}:{id}", event.source),
        Envelope::ClassicFlat | Envelope::ClassicNested => format!("{what}:classic:{id}"),
        _ => format!("{what}:cf:{id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_has_the_same_mark_however_it_is_written() {
        let hasher = Hasher::new(b"key");
        let mark = hasher.email("Jane.Doe@Example.com ").unwrap();
        assert_eq!(hasher.email("jane.doe@example.com").unwrap(), mark);
        assert_ne!(Hasher::new(b"other").email("jane.doe@example.com").unwrap(), mark);
        assert!(!mark.contains("jane"));
        for bad in ["", "jane", "jane@", "@example.com", "jane@localhost", "[email protected]", "a b@c.d"] {
            assert_eq!(hasher.email(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_same_number_has_the_same_mark_however_it_is_written() {
        for given in ["+18005550199", "+1 (800) 555-0199", "001 800 555 0199"] {
            assert_eq!(phone(given).as_deref(), Some("+18005550199"), "{given}");
        }
        assert_eq!(phone("0800 555 0199").as_deref(), Some("08005550199"));
        for bad in ["", "123", "call me", "+", "jane@example.com", &"1".repeat(100)] {
            assert_eq!(phone(bad), None, "{bad}");
        }
        // What is not read as others are is the same as if it had been.
        for area in 200..1000 {
            for line in ["0000000", "5550199", "1234567"] {
                let number = format!("+1{area}{line}");
                let read = phonenumber::parse(None, &number).unwrap();
                assert_eq!(read.format().mode(phonenumber::Mode::E164).to_string(), number);
                assert!(is_plain_north_american(&number), "{number}");
            }
        }
        for other in ["+118005550199", "+1800555019", "+18005550199x", "+44 20 7946 0018", "+11800555019"] {
            assert!(!is_plain_north_american(other), "{other}");
        }
        let hasher = Hasher::new(b"key");
        assert_ne!(hasher.phone("+18005550199").unwrap(), hasher.email("a@b.cd").unwrap());
    }
}
