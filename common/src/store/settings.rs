//! Where the store is.

use super::postgres::Url;
use crate::config;
use std::path::PathBuf;

/// Where the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// The file of an SQLite database. SQLite keeps a `-wal` and a `-shm` file beside it.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<Url>),
}

impl From<&config::Store> for Settings {
    fn from(store: &config::Store) -> Self {
        match &store.url {
            None => Self::Sqlite(store.path.clone()),
            Some(url) => Self::Postgres(Box::new(url.clone().trusting(&store.ca_file))),
        }
    }
}

impl Settings {
    /// The file, where the store is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

/// For people: which store is meant, without any password.
impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "store.path {}", path.display()),
            Self::Postgres(url) => write!(f, "store.url {url}"),
        }
    }
}
