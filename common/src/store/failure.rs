//! What a database says when it says no, as text that may be logged.

use std::path::PathBuf;
use tokio_postgres::error::SqlState;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite's file is no longer where it was when it was opened: what is written to it now, nobody will find.
    #[error("the store's file {} is away, or another is in its place", .0.display())]
    Moved(PathBuf),
    /// PostgreSQL said no.
    #[error("PostgreSQL: {0}")]
    Postgres(#[source] PostgresFailure),
    /// PostgreSQL cannot be reached, or went away. What was asked may have been done.
    #[error("PostgreSQL is away: {0}")]
    Away(String),
    /// A column holds something else than it should.
    #[error("a column holds {0}")]
    Column(&'static str),
}

/// What PostgreSQL answered: its code, and its words where they quote no value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{said} ({})", .code.code())]
pub struct PostgresFailure {
    /// The SQLSTATE.
    pub code: SqlState,
    /// In words.
    pub said: String,
}

impl Failure {
    /// The same for another who must hear it.
    pub(super) fn same(&self) -> Self {
        use rusqlite::ffi;
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(code, text)) => {
                rusqlite::Error::SqliteFailure(*code, text.clone()).into()
            }
            Self::Sqlite(other) => {
                let code = ffi::Error::new(ffi::SQLITE_ERROR);
                rusqlite::Error::SqliteFailure(code, Some(other.to_string())).into()
            }
            Self::Moved(path) => Self::Moved(path.clone()),
            Self::Postgres(failure) => Self::Postgres(failure.clone()),
            Self::Away(why) => Self::Away(why.clone()),
            Self::Column(what) => Self::Column(what),
        }
    }

    /// The SQLSTATE, where PostgreSQL gave one.
    pub(super) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(failure) => Some(&failure.code),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => {
                // Data exceptions quote the value that was wrong, which may be a person's.
                let quotes = said.code().code().starts_with("22");
                let text = if quotes { "a value is not what its column takes" } else { said.message() };
                let failure = PostgresFailure { code: said.code().clone(), said: text.to_owned() };
                // 57P01 to 57P03: it is being shut down, or has not come up yet.
                match said.code().code() {
                    "57P01" | "57P02" | "57P03" => Self::Away(failure.to_string()),
                    _ => Self::Postgres(failure),
                }
            }
            None => {
                let mut why = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(cause) = source {
                    why = format!("{why}: {cause}");
                    source = cause.source();
                }
                Self::Away(why)
            }
        }
    }
}
