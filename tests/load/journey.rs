//! What is sent: real bodies, each with a number of its own in every place where funnels' events differ.
//!
//! A body is a fixture of `tests/fixtures/` with those places cut out once, so that making the next one copies text and
//! writes digits. The number is read back from the postback's parameter `n`, the end of the event's own id.

use anyhow::{Context, Result};
use carom_tests::fixture;
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;

/// A kind of request, made for a number.
#[derive(Clone)]
pub struct Journey {
    before: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: usize,
}

#[derive(Clone)]
enum Piece {
    Text(Vec<u8>),
    /// The number, as so many digits.
    Number(usize),
    /// The id of a click that is in the store.
    Click(Named),
}

/// Which clicks of a filled store events name: so many of them, at even distances from the first to the last.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// How many clicks are in the store.
    pub of: usize,
    /// How many of them are named, in turn.
    pub some: usize,
}

impl Named {
    fn id(self, number: usize) -> uuid::Uuid {
        let some = self.some.clamp(1, self.of.max(1));
        crate::filled::click_id(number % some * (self.of / some), self.of)
    }
}

/// Stands for the number while a template is made: no fixture holds it.
const MARK: &str = "\u{1}";
/// Stands for the last digits of it, as many as a telephone number has room for.
const SHORT: &str = "\u{2}";
const SHORT_DIGITS: usize = 7;
/// The same as it stands in a text of JSON.
const CLICK_IN_JSON: &str = "\\u0003";
/// Stands for a click's id.
const CLICK: &str = "\u{3}";
/// How long a UUID is with its dashes, and where its last part begins.
const UUID: usize = 36;
const UUID_HEAD: usize = 24;

/// The bodies, by the names that `--body` takes.
pub const BODIES: [&str; 3] = ["contact", "form", "order"];

/// How many digits a number has: what ends an event's id.
const DIGITS: usize = 12;

impl Journey {
    /// A webhook of ClickFunnels with one of the [`BODIES`]: 0.8, 2.5 and 8 kB.
    pub fn webhook(address: SocketAddr, target: &str, body: &str) -> Result<Self> {
        let file = match body {
            "contact" => "cf2_contact.identified.spec001.json",
            "form" => "cf2_contact.identified.with_clickid.json",
            _ => "cf2_order.completed.one_time.json",
        };
        Self::of_text(address, target, &fixture::raw(file)?, None)
    }

    /// The form's webhook, whose contact came by a click of ours.
    pub fn joined(address: SocketAddr, target: &str, named: Named) -> Result<Self> {
        let text = fixture::with_click("cf2_contact.identified.with_clickid.json", CLICK_IN_JSON)?;
        Self::of_text(address, target, &text, Some(named))
    }

    fn of_text(address: SocketAddr, target: &str, text: &str, named: Option<Named>) -> Result<Self> {
        let mut value: Value = serde_json::from_str(text)?;
        number(&mut value);
        let pieces = pieces(&value.to_string(), named);
        let bytes = pieces.iter().map(Piece::bytes).sum();
        Ok(Self { before: crate::http::post_head(address, target, bytes), pieces, bytes })
    }

    /// A click on an offer, from a visitor of its own.
    pub fn click(address: SocketAddr, target: &str) -> Self {
        let separator = if target.contains('?') { '&' } else { '?' };
        let request = crate::http::get(address, &format!("{target}{separator}sub1={MARK}&utm_source=load"));
        let pieces = pieces(&String::from_utf8_lossy(&request), None);
        Self { before: Vec::new(), pieces, bytes: 0 }
    }

    /// What a tag tells of a purchase, by a visitor of its own, from a page of this origin.
    pub fn tracked(address: SocketAddr, target: &str, origin: &str) -> Self {
        let at = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
        let body = format!(
            "{{\"v\":1,\"id\":\"00000000-0000-7000-8000-{MARK}\",\"at\":{at},\"visitor\":\"00000000-0000-4000-8000-{MARK}\",\
             \"page\":{{\"url\":\"{origin}/thanks\",\"referrer\":\"{origin}/\"}},\"event\":{{\"name\":\"Purchase\",\"data\":\
             {{\"value\":49.5,\"currency\":\"USD\",\"transaction_id\":\"T-{MARK}\"}}}}}}"
        );
        let pieces = pieces(&body, None);
        let bytes = pieces.iter().map(Piece::bytes).sum();
        Self { before: crate::http::page_head(address, target, origin, bytes), pieces, bytes }
    }

    /// Any request, the same for every number.
    pub fn fixed(request: Vec<u8>) -> Self {
        Self { before: request, pieces: Vec::new(), bytes: 0 }
    }

    /// How long its body is.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the request of a number.
    pub fn write(&self, number: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.before);
        self.write_body(number, into);
    }

    /// Writes the body alone.
    pub fn write_body(&self, number: usize, into: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => into.extend_from_slice(text),
                Piece::Number(digits) => {
                    // Writing to memory does not fail.
                    let number = number % 10_usize.pow(u32::try_from(*digits).unwrap_or(1));
                    let _ = write!(into, "{number:0digits$}");
                }
                Piece::Click(named) => {
                    let mut room = uuid::Uuid::encode_buffer();
                    let id = named.id(number).hyphenated();
                    into.extend_from_slice(id.encode_lower(&mut room).as_bytes());
                }
            }
        }
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(digits) => *digits,
            Self::Click(_) => UUID,
        }
    }
}

/// The number that a postback's target tells.
pub fn told(target: &str) -> Option<usize> {
    let (_, query) = target.split_once('?')?;
    let id = query.split('&').find_map(|pair| pair.strip_prefix("n="))?;
    id.get(id.len().checked_sub(DIGITS)?..)?.parse().ok()
}

/// Makes an event one of many: its id, its subject and its person are the number's own.
fn number(event: &mut Value) {
    let text = |before: &str, after: &str| Value::String(format!("{before}{MARK}{after}"));
    event["event_id"] = text("00000000-0000-4000-8000-", "");
    let data = &mut event["data"];
    let subject = text("1", "");
    for key in ["email_address", "email"] {
        in_all(data, key, &|_| text("p", "@example.com"));
    }
    in_all(data, "phone_number", &|_| Value::String(format!("+1847{SHORT}")));
    // Of the contact, and of each of the visits: what they begin with tells them apart.
    in_all(data, "uuid", &|given| match given.as_str().and_then(|uuid| uuid.get(..UUID_HEAD)) {
        Some(head) => text(head, ""),
        None => given.clone(),
    });
    data["id"] = subject.clone();
    for key in ["public_id", "order_number", "contact_id"] {
        in_all(data, key, &|_| subject.clone());
    }
    if let Some(contact) = data.get_mut("contact").filter(|contact| contact.is_object()) {
        contact["id"] = subject.clone();
    }
    event["subject_id"] = subject;
}

/// Replaces every member of this name that is there and says something.
fn in_all(value: &mut Value, key: &str, with: &dyn Fn(&Value) -> Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == key && !member.is_null() && !member.is_object() {
                    *member = with(member);
                } else {
                    in_all(member, key, with);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_all(element, key, with)),
        _ => {}
    }
}

fn pieces(template: &str, named: Option<Named>) -> Vec<Piece> {
    // As JSON writes it.
    let template = template.replace("\\u0001", MARK).replace("\\u0002", SHORT).replace(CLICK_IN_JSON, CLICK);
    let marks: Vec<_> =
        template.match_indices([MARK, SHORT, CLICK].map(|mark| mark.chars().next().unwrap_or(' '))).collect();
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, mark) in marks {
        pieces.push(Piece::Text(template.as_bytes()[from..at].to_vec()));
        pieces.push(match (mark, named) {
            (CLICK, Some(named)) => Piece::Click(named),
            (SHORT, _) => Piece::Number(SHORT_DIGITS),
            _ => Piece::Number(DIGITS),
        });
        from = at + mark.len();
    }
    pieces.push(Piece::Text(template.as_bytes()[from..].to_vec()));
    pieces
}

/// The address of a URL of ours, and its path.
pub fn address(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://").context("a URL of ours begins with http://")?;
    let (host, path) = rest.split_once('/').context("a URL of ours has a path")?;
    Ok((host.parse()?, format!("/{path}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_makes_a_body_of_its_own_as_long_as_the_head_says() {
        for body in BODIES {
            let journey = Journey::webhook("127.0.0.1:80".parse().unwrap(), "/e", body).unwrap();
            let (mut one, mut other) = (Vec::new(), Vec::new());
            journey.write_body(7, &mut one);
            journey.write_body(8, &mut other);
            assert_eq!((one.len(), other.len()), (journey.bytes(), journey.bytes()));
            assert_ne!(one, other);
            let value: Value = serde_json::from_slice(&one).unwrap();
            assert_eq!(value["event_id"], "00000000-0000-4000-8000-000000000007", "{body}");
        }
    }

    #[test]
    fn an_event_names_a_click_of_the_store() {
        let named = Named { of: 1_000, some: 10 };
        let journey = Journey::joined("127.0.0.1:80".parse().unwrap(), "/e", named).unwrap();
        let mut body = Vec::new();
        journey.write_body(13, &mut body);
        assert_eq!(body.len(), journey.bytes());
        let value: Value = serde_json::from_slice(&body).unwrap();
        let id = crate::filled::click_id(300, 1_000).to_string();
        assert_eq!(value["data"]["custom_attributes"]["clickid"], id);
        assert_eq!(value["data"]["uuid"], "80b7f903-76cd-4edf-94bf-000000000013");
    }

    #[test]
    fn a_postback_tells_its_number() {
        assert_eq!(told("/p?n=00000000-0000-4000-8000-000000000007&x=1"), Some(7));
        assert_eq!(told("/p?n=7"), None);
        assert_eq!(told("/p"), None);
    }
}
