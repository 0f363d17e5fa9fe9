//! Redaction: card numbers, passwords and tokens are masked before anything is stored.
//!
//! On the path between decoding and whatever keeps what was decoded: an event's data, a parked intake, a
//! dead letter. Two things are masked: values whose *name* says that they are secret (`name`), and card
//! numbers wherever they stand (`card`), of which the last four digits are left. Pure; it never fails, and
//! doing it twice is doing it once. It must never mask what events are joined by: ids, times, telephone
//! numbers.

mod card;
mod name;
mod text;

use crate::intake::{Body, Intake};
use serde_json::Value;

/// What stands in the place of what was masked.
const MASK: &str = "…";

/// How deep JSON inside strings inside JSON is looked into.
const DEEPEST: usize = 3;

/// Masks a JSON value in place, and says how many values were. Names that are `spared` (a source's names of
/// its click id) are not taken for secrets, whatever they are.
pub fn value(value: &mut Value, spared: &[String]) -> usize {
    walk(value, "", spared, DEEPEST)
}

/// Masks an intake's query and body, and says how many values were. A body that is JSON stays JSON.
pub fn intake(intake: &mut Intake, spared: &[String]) -> usize {
    let (query, in_query) = pairs(&intake.query, spared);
    let (body, in_body) = body(&intake.body.0, spared);
    intake.query = query;
    intake.body = Body(body);
    in_query + in_body
}

/// How often text that is not JSON is looked at.
const LOOKS: usize = 4;

/// Masks a query string or form, and says how many values were. What is not masked stays to the byte.
pub fn pairs(given: &str, spared: &[String]) -> (String, usize) {
    let mut count = 0;
    let pairs: Vec<String> = given
        .split('&')
        .map(|pair| match masked_pair(pair, spared) {
            Some(masked) => {
                count += 1;
                masked
            }
            None => pair.to_owned(),
        })
        .collect();
    if count == 0 { (given.to_owned(), 0) } else { (pairs.join("&"), count) }
}

/// Masks named values in place, and says how many were.
pub fn parameters(given: &mut [(String, String)], spared: &[String]) -> usize {
    let mut count = 0;
    for (name, value) in given {
        if is_secret(name, spared) {
            count += usize::from(value != MASK);
            MASK.clone_into(value);
        } else if let Some((masked, found)) = string(value, name, spared, DEEPEST) {
            *value = masked;
            count += found;
        }
    }
    count
}

/// Whether a parameter says who somebody is, or how they are reached: by its name, or as an e-mail address.
pub fn is_personal(name: &str, value: &str) -> bool {
    name::said(name).personal || crate::identity::email(value).is_some()
}

/// Masks bytes of whatever kind, and says how many values were: as JSON where they are, as a form where they
/// look like one, else by what looks like a name with a value, and by card numbers. Bytes that are no text
/// stay as they are.
pub fn body(given: &[u8], spared: &[String]) -> (Vec<u8>, usize) {
    if let Ok(mut json) = serde_json::from_slice::<Value>(given) {
        let count = value(&mut json, spared);
        let masked = (count > 0).then(|| serde_json::to_vec(&json).ok()).flatten();
        return masked.map_or_else(|| (given.to_vec(), 0), |masked| (masked, count));
    }
    let mut masked = Vec::with_capacity(given.len());
    let mut count = 0;
    for chunk in given.utf8_chunks() {
        let (text, found) = broken(chunk.valid(), spared);
        masked.extend_from_slice(text.as_bytes());
        masked.extend_from_slice(chunk.invalid());
        count += found;
    }
    (masked, count)
}

/// Text that is not JSON. Where something was masked, what is left may look otherwise than before (a card
/// number's spaces are gone, and it is a form), so it is looked at again.
fn broken(given: &str, spared: &[String]) -> (String, usize) {
    let (mut text, mut count) = (given.to_owned(), 0);
    for _ in 0..LOOKS {
        let (masked, found) = broken_once(&text, spared);
        if found == 0 {
            break;
        }
        (text, count) = (masked, count + found);
    }
    (text, count)
}

fn broken_once(given: &str, spared: &[String]) -> (String, usize) {
    let is_form = given.contains('=') && !given.contains(|c: char| c.is_whitespace() || "{}<>\"".contains(c));
    if is_form {
        return pairs(given, spared);
    }
    let (named, by_name) = text::named(given, spared);
    let (masked, cards) = card::mask(&named, card::Solid::Masked);
    (masked, by_name + cards)
}

fn masked_pair(pair: &str, spared: &[String]) -> Option<String> {
    let (name, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    let given = pair.split_once('=').map_or(pair, |(name, _)| name);
    let masked = if is_secret(&name, spared) {
        (!value.is_empty() && value != MASK).then(|| MASK.to_owned())
    } else {
        string(&value, &name, spared, DEEPEST).map(|(masked, _)| masked)
    }?;
    let masked: String = form_urlencoded::byte_serialize(masked.as_bytes()).collect();
    Some(format!("{given}={masked}"))
}

fn is_secret(name: &str, spared: &[String]) -> bool {
    name::said(name).secret && !spared.iter().any(|spared| spared.eq_ignore_ascii_case(name))
}

fn walk(value: &mut Value, key: &str, spared: &[String], deepest: usize) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Array(items) => items.iter_mut().map(|item| walk(item, key, spared, deepest)).sum(),
        Value::Object(fields) => {
            // A form's fields can come as {"name": "password", "value": "…"}.
            let names = ["name", "key", "field"];
            let named = names.iter().find_map(|name| fields.get(*name)?.as_str());
            let says_secret = named.is_some_and(|named| is_secret(named, spared));
            let field = |(name, value): (&String, &mut Value)| {
                if is_secret(name, spared) || (says_secret && name == "value") {
                    all(value)
                } else {
                    walk(value, name, spared, deepest)
                }
            };
            fields.iter_mut().map(field).sum()
        }
        Value::Number(number) => {
            let masked = card::mask(&number.to_string(), name::said(key).solid);
            replace(value, (masked.1 > 0).then_some(masked))
        }
        Value::String(text) => {
            let masked = string(text, key, spared, deepest);
            replace(value, masked)
        }
    }
}

fn replace(value: &mut Value, masked: Option<(String, usize)>) -> usize {
    let Some((masked, count)) = masked else { return 0 };
    *value = Value::String(masked);
    count
}

/// Masks all that a secret name holds. What holds nothing tells nothing and stays.
fn all(value: &mut Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Array(items) => items.iter_mut().map(all).sum(),
        Value::Object(fields) => fields.values_mut().map(all).sum(),
        Value::String(text) if text.is_empty() || text == MASK => 0,
        Value::String(_) | Value::Number(_) => {
            *value = Value::String(MASK.to_owned());
            1
        }
    }
}

/// Masks within a string: JSON, an address' query, or text with card numbers in it. None where nothing is.
fn string(given: &str, key: &str, spared: &[String], deepest: usize) -> Option<(String, usize)> {
    let trimmed = given.trim();
    let looks_like_json = trimmed.starts_with(['{', '[']) && trimmed.ends_with(['}', ']']);
    if looks_like_json
        && deepest > 0
        && let Ok(mut inner) = serde_json::from_str::<Value>(trimmed)
    {
        let count = walk(&mut inner, key, spared, deepest - 1);
        return (count > 0).then(|| (inner.to_string(), count));
    }
    let (text, by_name) = address(given, spared).unwrap_or_else(|| (given.to_owned(), 0));
    let (masked, cards) = card::mask(&text, name::said(key).solid);
    (by_name + cards > 0).then_some((masked, by_name + cards))
}

/// The query of a URL, such as that of the page that a visitor landed on.
fn address(given: &str, spared: &[String]) -> Option<(String, usize)> {
    given.contains("://").then_some(())?;
    let (before, rest) = given.split_once('?')?;
    let (query, fragment) = rest.split_once('#').map_or((rest, None), |(query, rest)| (query, Some(rest)));
    let (query, count) = pairs(query, spared);
    let fragment = fragment.map_or_else(String::new, |fragment| format!("#{fragment}"));
    Some((format!("{before}?{query}{fragment}"), count))
}

#[cfg(test)]
mod tests;
