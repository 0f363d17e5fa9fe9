//! Following the store's resources, as both binaries do: the newest version that can be used.
//!
//! `apply` checks what it writes. All the same the newest version may be none for this binary: a newer one wrote keys
//! that this one does not know, somebody edited the row by hand, a back-up was restored badly. Such a version is
//! refused whole, because half a configuration is one that nobody has written, and the last good one stays.

use super::{Resources, Versioned, check};
use crate::store::{Error, Store};
use std::fmt;

/// What a look at the store finds.
#[derive(Clone, Debug)]
pub enum Look {
    /// The version in use is still the newest, or nothing was applied yet.
    Unchanged,
    /// A newer version, good to be used.
    Newer(Versioned),
    /// A newer version that must not be used.
    Refused(Refused),
}

/// A version that cannot be used. Its text names places and no values: a document may hold what is no log's business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} of the resources {why}; mend it and apply it again")]
pub struct Refused {
    /// Which.
    pub version: u64,
    /// Why.
    pub why: Why,
}

/// Why a version cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// This binary cannot read it: another wrote it, or a hand.
    Unreadable {
        /// Where reading ended, in the document.
        line: usize,
        /// In that line.
        column: usize,
    },
    /// It can be read, and `check` would not let it pass: the keys that are wrong.
    Faulty(Vec<String>),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { line, column } => {
                write!(f, "cannot be read by this binary (line {line}, column {column} of the document)")
            }
            Self::Faulty(keys) => write!(f, "is faulty in {}", keys.join(", ")),
        }
    }
}

/// What there is to begin with.
#[derive(Clone, Debug)]
pub struct First {
    /// The newest version that can be used. Where none can, the newest that can be read: what works of it is better
    /// than nothing. None where not even that is there.
    pub resources: Option<Versioned>,
    /// The newest version of all, where it is not to be used.
    pub refused: Option<Refused>,
}

/// Looks for a version other than that in use.
///
/// # Errors
/// The store cannot be asked.
pub async fn look(store: &Store, in_use: u64) -> Result<Look, Error> {
    let version = store.resources_version().await?;
    if version == 0 || version == in_use {
        return Ok(Look::Unchanged);
    }
    match store.resources().await {
        Ok(found) => Ok(match faults(&found.resources) {
            None => Look::Newer(found),
            Some(why) => Look::Refused(Refused { version: found.version, why }),
        }),
        Err(Error::Unreadable { source, .. }) => {
            let why = Why::Unreadable { line: source.line(), column: source.column() };
            Ok(Look::Refused(Refused { version, why }))
        }
        Err(error) => Err(error),
    }
}

/// Finds what to begin with: the newest version, or one before it.
///
/// # Errors
/// The store cannot be asked.
pub async fn first(store: &Store) -> Result<First, Error> {
    let refused = match look(store, 0).await? {
        Look::Unchanged => return Ok(First { resources: Some(Versioned::default()), refused: None }),
        Look::Newer(newest) => return Ok(First { resources: Some(newest), refused: None }),
        Look::Refused(refused) => refused,
    };
    let mut readable = match refused.why {
        Why::Faulty(_) => Some(store.resources().await?),
        Why::Unreadable { .. } => None,
    };
    let mut below = refused.version;
    while let Some(older) = store.resources_before(below).await? {
        if faults(&older.resources).is_none() {
            return Ok(First { resources: Some(older), refused: Some(refused) });
        }
        below = older.version;
        readable.get_or_insert(older);
    }
    Ok(First { resources: readable, refused: Some(refused) })
}

fn faults(resources: &Resources) -> Option<Why> {
    let faults = check::document(resources);
    let keys: Vec<_> = faults.into_iter().map(|fault| fault.key).collect();
    (!keys.is_empty()).then_some(Why::Faulty(keys))
}
