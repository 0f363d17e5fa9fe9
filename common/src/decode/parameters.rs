//! Named values in their order: a query, a form, or a flat JSON object.

use super::Undecodable;
use crate::placeholder;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Named values. A name that comes again does not count: the first value does.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, Value)>);

impl Parameters {
    /// Reads a query string or a form.
    pub fn of_query(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
    }

    /// Reads a body: JSON where it says so or looks so, else a form.
    ///
    /// # Errors
    /// It is neither.
    pub fn of_body(content_type: Option<&str>, body: &[u8]) -> Result<Self, Undecodable> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let says_json = content_type.is_some_and(|given| given.to_ascii_lowercase().contains("json"));
        match first {
            None => Ok(Self::default()),
            Some(b'{' | b'[') => object(body).map(|object| Self(object.into_iter().collect())),
            Some(_) if says_json => object(body).map(|object| Self(object.into_iter().collect())),
            Some(_) => std::str::from_utf8(body).map(Self::of_query).map_err(|_| Undecodable::NotText),
        }
    }

    /// Those of an object, in its order.
    pub fn of_object(object: Map<String, Value>) -> Self {
        Self(object.into_iter().collect())
    }

    /// These, and those of `other` that are not among them.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The first value of the first name that has one, as text; names are compared without case. Empty
    /// values count as none.
    pub fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let mut values = self.0.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            values.find_map(|(_, value)| placeholder::text(value)).filter(|text| !text.trim().is_empty())
        })
    }

    /// All of them, in their order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The names that came more than once.
    pub fn repeated(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut told = HashSet::new();
        let names = self.0.iter().map(|(name, _)| name);
        names
            .filter(|name| !seen.insert(*name) && told.insert(*name))
            .map(|name| name.chars().take(64).collect())
            .collect()
    }

    /// All of them as one JSON object, the first value of each name.
    pub fn into_object(self) -> Value {
        let mut object = Map::new();
        for (name, value) in self.0 {
            object.entry(name).or_insert(value);
        }
        Value::Object(object)
    }
}

/// A JSON object.
///
/// # Errors
/// The bytes are no JSON, or no object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Undecodable> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Undecodable::NotAnObject),
        Err(error) => Err(Undecodable::NotJson(format!("line {}, column {}", error.line(), error.column()))),
    }
}
