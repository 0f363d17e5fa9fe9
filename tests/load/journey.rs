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
}

/// Stands for the number while a template is made: no fixture holds it.
const MARK: &str = "\u{1}";
/// Stands for the last digits of it, as many as a telephone number has room for.
const SHORT: &str = "\u{2}";
const SHORT_DIGITS: usize = 7;

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
        let mut value: Value = serde_json::from_str(&fixture::raw(file)?)?;
        number(&mut value);
        let pieces = pieces(&value.to_string());
        let bytes = pieces.iter().map(Piece::bytes).sum();
        Ok(Self { before: crate::http::post_head(address, target, bytes), pieces, bytes })
    }

    /// A click on an offer, from a visitor of its own.
    pub fn click(address: SocketAddr, target: &str) -> Self {
        let separator = if target.contains('?') { '&' } else { '?' };
        let request = crate::http::get(address, &format!("{target}{separator}sub1={MARK}&utm_source=load"));
        let pieces = pieces(&String::from_utf8_lossy(&request));
        Self { before: Vec::new(), pieces, bytes: 0 }
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
            }
        }
    }
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(digits) => *digits,
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
        in_all(data, key, &text("p", "@example.com"));
    }
    in_all(data, "phone_number", &Value::String(format!("+1847{SHORT}")));
    data["id"] = subject.clone();
    for key in ["public_id", "order_number", "contact_id"] {
        in_all(data, key, &subject);
    }
    if let Some(contact) = data.get_mut("contact").filter(|contact| contact.is_object()) {
        contact["id"] = subject.clone();
    }
    event["subject_id"] = subject;
}

/// Replaces every member of this name that is there and says something.
fn in_all(value: &mut Value, key: &str, with: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == key && !member.is_null() && !member.is_object() {
                    *member = with.clone();
                } else {
                    in_all(member, key, with);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| in_all(element, key, with)),
        _ => {}
    }
}

fn pieces(template: &str) -> Vec<Piece> {
    // As JSON writes it.
    let template = template.replace("\\u0001", MARK).replace("\\u0002", SHORT);
    let marks: Vec<_> =
        template.match_indices([MARK, SHORT].map(|mark| mark.chars().next().unwrap_or(' '))).collect();
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, mark) in marks {
        pieces.push(Piece::Text(template.as_bytes()[from..at].to_vec()));
        pieces.push(Piece::Number(if mark == MARK { DIGITS } else { SHORT_DIGITS }));
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
    fn a_postback_tells_its_number() {
        assert_eq!(told("/p?n=00000000-0000-4000-8000-000000000007&x=1"), Some(7));
        assert_eq!(told("/p?n=7"), None);
        assert_eq!(told("/p"), None);
    }
}
