//! Decoding: from an intake's bytes to an event, the click that it names and what it claims.
//!
//! Pure. It decides nothing about other events and looks nothing up. An unknown type is an event all the
//! same; only bytes that are not what the source's kind says are refused.

mod parameters;
mod plain;
mod tag;
mod clickfunnels;
mod envelope;
mod worth;
mod order;
mod person;
mod visits;
mod click_id;

use crate::attribution::{FoundBy, Named};
use crate::conversion::Claim;
use crate::event::{Event, OrderSeen, Visit};
use crate::intake::Intake;
use crate::placeholder;
use crate::source::{Kind, Source};
use crate::trace::Code;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use parameters::Parameters;
pub use visits::without_query;

/// What an intake says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The event.
    pub event: Event,
    /// What it gives as a click id.
    pub named: Named,
    /// Where that was found.
    pub found_by: FoundBy,
    /// What it claims of a conversion.
    pub claim: Option<Claim>,
    /// What it tells of an order.
    pub order: Option<OrderSeen>,
    /// The visits that it lists.
    pub visits: Vec<Visit>,
    /// Whether the person that it names is to be erased.
    pub erases: bool,
    /// Whether it is a visit that a tag reports: a touch, and no event.
    pub is_visit: bool,
    /// Whether its page was opened to try connectors that are in Test mode: `trl_test=1`.
    pub trl_test: bool,
    /// What is worth telling about the reading of it.
    pub notes: Vec<(Code, String)>,
}

/// Why an intake's body is not what its source's kind says. Without any of its content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, and no object.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// Not text.
    #[error("the body is neither JSON nor a form: it is not UTF-8 text")]
    NotText,
    /// JSON, and nothing that our tag says.
    #[error("the body is no request of the tag: {0}")]
    NotOfTag(String),
}

/// Reads an intake as its source's kind says.
///
/// # Errors
/// The body is not of that kind at all.
pub fn decode(intake: &Intake, source: &Source) -> Result<Decoded, Undecodable> {
    let query = Parameters::of_query(&intake.query);
    let mut decoded = match source.kind {
        Kind::Clickfunnels => clickfunnels::decode(intake, source, &query)?,
        Kind::Plain => plain::decode(intake, source, &query)?,
        Kind::Tag => tag::decode(intake, source)?,
    };
    if prune(&mut decoded.event.data, DEEPEST) {
        let detail = format!("what is nested deeper than {DEEPEST} levels is left out of its data");
        decoded.notes.push((Code::Decoded, detail));
    }
    for name in query.repeated() {
        decoded
            .notes
            .push((Code::ParameterRepeated, format!("{name} came more than once; the first value counts")));
    }
    Ok(decoded)
}

/// How deep an event's data may be nested. Its envelopes add some levels, and no JSON reader of ours reads
/// more than 128.
const DEEPEST: usize = 64;

/// Cuts what is nested deeper than `levels`; whether anything was.
fn prune(value: &mut Value, levels: usize) -> bool {
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => return false,
    };
    if levels == 0 {
        *value = Value::Null;
        return true;
    }
    let mut cut = false;
    for child in children {
        cut |= prune(child, levels - 1);
    }
    cut
}

/// A key that is fit for an index whatever a sender puts into it: long ones end in their hash. It has 200
/// bytes at most.
fn bounded(key: String) -> String {
    if key.len() <= 200 && !key.contains('\0') {
        return key;
    }
    let head: String = key.chars().filter(|c| *c != '\0').take(32).collect();
    format!("{head}…{}", hex(&Sha256::digest(key.as_bytes())))
}

/// The first characters of a text, without what no terminal should see.
fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

/// What an object holds under a name in any case, where that is text, a number or a truth and not blank.
fn by_key<'a>(object: &'a Value, key: &'a str) -> impl Iterator<Item = String> + 'a {
    let fields = object.as_object().into_iter().flatten();
    let named = fields.filter(move |(name, _)| name.eq_ignore_ascii_case(key));
    named.filter_map(|(_, value)| placeholder::text(value)).filter(|text| !text.trim().is_empty())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
