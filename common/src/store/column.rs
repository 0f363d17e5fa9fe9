//! How our values stand in columns.

use super::session::{Cell, Row};
use crate::store::Error;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use uuid::Uuid;

/// The most bytes of an entry of ours in an index. PostgreSQL takes no more than about 2,700 of a whole row.
const LONGEST: usize = 1_000;

/// A time, in milliseconds.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The time that a column holds.
pub(super) fn time(millis: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(millis)
        .map_err(|error| Error::Unreadable { what: "time", source: serde_json::Error::custom(error) })
}

/// The id that a column holds.
pub(super) fn uuid(row: &Row<'_>, column: &str) -> Result<Uuid, Error> {
    row.get(column).map(Uuid::from_bytes)
}

/// The id that a column holds, if it holds one.
pub(super) fn maybe_uuid(row: &Row<'_>, column: &str) -> Result<Option<Uuid>, Error> {
    row.get::<_, Option<[u8; 16]>>(column).map(|bytes| bytes.map(Uuid::from_bytes))
}

/// An id or a word of ours, such as a connector's id, a tier or a reason.
pub(super) fn word<T: DeserializeOwned>(what: &'static str, text: String) -> Result<T, Error> {
    serde_json::from_value(serde_json::Value::String(text))
        .map_err(|source| Error::Unreadable { what, source })
}

/// A document of the domain.
pub(super) fn document<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|source| Error::Unreadable { what, source })
}

/// A document to be stored.
pub(super) fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|source| Error::Unreadable { what, source })
}

/// What a sender gives, as far as an index takes it: very long ones end in their hash.
pub(super) fn fit(text: &str) -> Cow<'_, str> {
    // These take more room in PostgreSQL than here: see `Link`.
    let escaped: usize = text.matches('\0').count() * 4 + text.matches('\u{10ffff}').count();
    if text.len() + escaped <= LONGEST {
        return Cow::Borrowed(text);
    }
    let head: String = text.chars().take(32).collect();
    Cow::Owned(format!("{head}…{:x}", Sha256::digest(text.as_bytes())))
}

/// A condition that is put together from what a filter gives, with the values in their order.
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Cell<'static>>,
}

impl Condition {
    /// Begins with a condition without values.
    pub(super) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// Adds `AND sql`, in which every `?` stands for this value.
    pub(super) fn and(&mut self, sql: &str, value: impl Into<Cell<'static>>) {
        self.values.push(value.into());
        let sql = sql.replace('?', &format!("?{}", self.values.len()));
        self.sql.push_str(" AND ");
        self.sql.push_str(&sql);
    }
}
