//! A session: one connection within a transaction, as the SQL of the business sees it.
//!
//! SQL is written once, in what SQLite and PostgreSQL both understand: `ON CONFLICT`, `CASE`, row values, no
//! rowid, integers for truths, columns of the stored row by their table's name where `excluded` is near.
//! Parameters are `?1`, `?2`, …; statements are prepared once per connection.

use super::postgres::Link;
use super::{Error, Failure};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::borrow::Cow;

/// A connection within a transaction.
pub(super) enum Session<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a Link),
}

impl Session<'_> {
    /// Does something, and says to how many rows.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(params.cells()))?)
            }
            Self::Postgres(link) => Ok(link.execute(sql, &params.cells())?),
        }
    }

    /// Reads every row.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut found = statement.query(rusqlite::params_from_iter(params.cells()))?;
                let mut all = Vec::new();
                while let Some(row) = found.next()? {
                    all.push(read(&Row::Sqlite(row))?);
                }
                Ok(all)
            }
            Self::Postgres(link) => {
                link.rows(sql, &params.cells())?.iter().map(|row| read(&Row::Postgres(row))).collect()
            }
        }
    }

    /// Reads the first row, if there is one.
    pub(super) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut found = statement.query(rusqlite::params_from_iter(params.cells()))?;
                found.next()?.map(|row| read(&Row::Sqlite(row))).transpose()
            }
            Self::Postgres(link) => {
                link.rows(sql, &params.cells())?.first().map(|row| read(&Row::Postgres(row))).transpose()
            }
        }
    }

    /// Reads the row that there always is, as of a count.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.first(sql, params, read)?.ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
    }

    /// Whether there is such a row.
    pub(super) fn exists(&self, sql: &str, params: impl Params) -> Result<bool, Error> {
        Ok(self.first(sql, params, |_| Ok(()))?.is_some())
    }

    /// Runs statements without parameters, as migrations are made of.
    pub(super) fn batch(&self, sql: &str) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(link) => Ok(link.batch(sql)?),
        }
    }
}

/// A value in a column or a parameter: all that we store is one of these.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl rusqlite::ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A row that was found.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// What a column holds, by its place or its name.
    ///
    /// # Errors
    /// There is no such column, or it holds something else.
    pub(super) fn get<P: Place, T: Column>(&self, place: P) -> Result<T, Error> {
        let cell = match self {
            Self::Sqlite(row) => match row.get_ref(place)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Integer(number),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text)),
                ValueRef::Blob(bytes) => Cell::Blob(Cow::Borrowed(bytes)),
                ValueRef::Real(_) => return Err(Failure::Column("a fraction").into()),
            },
            Self::Postgres(row) => row.try_get::<_, Cell<'_>>(place).map_err(Failure::from)?,
        };
        T::from_cell(cell)
    }
}

/// How a column is named: by its number or its name.
pub(super) trait Place:
    rusqlite::RowIndex + tokio_postgres::row::RowIndex + std::fmt::Display
{
}

impl Place for usize {}
impl Place for &str {}

/// What a column's value can be read as.
pub(super) trait Column: Sized {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error>;
}

impl Column for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Text(text) => Ok(text.into_owned()),
            _ => Err(Failure::Column("no text").into()),
        }
    }
}

impl Column for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Blob(bytes) => Ok(bytes.into_owned()),
            _ => Err(Failure::Column("no bytes").into()),
        }
    }
}

impl Column for [u8; 16] {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Blob(bytes) => bytes.as_ref().try_into().map_err(|_| Failure::Column("no 16 bytes").into()),
            _ => Err(Failure::Column("no bytes").into()),
        }
    }
}

impl Column for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        Ok(i64::from_cell(cell)? != 0)
    }
}

impl<T: Column> Column for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
        match cell {
            Cell::Null => Ok(None),
            cell => T::from_cell(cell).map(Some),
        }
    }
}

/// What can be given as a parameter.
pub(super) trait Bind {
    fn cell(&self) -> Cell<'_>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Column for $number {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Error> {
                match cell {
                    Cell::Integer(number) => {
                        Self::try_from(number).map_err(|_| Failure::Column("a number out of range").into())
                    }
                    _ => Err(Failure::Column("no number").into()),
                }
            }
        }
        impl Bind for $number {
            fn cell(&self) -> Cell<'_> {
                Cell::Integer(i64::from(*self))
            }
        }
    )*};
}
numbers!(i64, u32, u16, u8);

impl Bind for bool {
    fn cell(&self) -> Cell<'_> {
        Cell::Integer(i64::from(*self))
    }
}

impl Bind for str {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(self))
    }
}

impl Bind for String {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(self))
    }
}

impl Bind for [u8; 16] {
    fn cell(&self) -> Cell<'_> {
        Cell::Blob(Cow::Borrowed(self))
    }
}

impl Bind for Vec<u8> {
    fn cell(&self) -> Cell<'_> {
        Cell::Blob(Cow::Borrowed(self))
    }
}

impl Bind for Cell<'_> {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(number) => Cell::Integer(*number),
            Self::Text(text) => Cell::Text(Cow::Borrowed(text)),
            Self::Blob(bytes) => Cell::Blob(Cow::Borrowed(bytes)),
        }
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn cell(&self) -> Cell<'_> {
        T::cell(self)
    }
}

impl<T: Bind> Bind for Option<T> {
    fn cell(&self) -> Cell<'_> {
        self.as_ref().map_or(Cell::Null, Bind::cell)
    }
}

impl Bind for Cow<'_, str> {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(Cow::Borrowed(self))
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u16> for Cell<'_> {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Vec<u8>> for Cell<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Blob(Cow::Owned(bytes))
    }
}

/// The parameters of a statement that has as many as there are things: put down while its text is put together.
#[derive(Default)]
pub(super) struct Given<'a>(Vec<Cell<'a>>);

impl<'a> Given<'a> {
    /// Adds one, and gives its place in the text: `?7`.
    pub(super) fn place(&mut self, value: Cell<'a>) -> String {
        self.0.push(value);
        format!("?{}", self.0.len())
    }

    /// Adds several, and gives their places: `?7, ?8, ?9`.
    pub(super) fn places(&mut self, values: impl IntoIterator<Item = Cell<'a>>) -> String {
        let places: Vec<_> = values.into_iter().map(|value| self.place(value)).collect();
        places.join(", ")
    }
}

impl Params for Given<'_> {
    fn cells(&self) -> Vec<Cell<'_>> {
        self.0.iter().map(Bind::cell).collect()
    }
}

/// The parameters of a statement, in their order.
pub(super) trait Params {
    fn cells(&self) -> Vec<Cell<'_>>;
}

impl Params for () {
    fn cells(&self) -> Vec<Cell<'_>> {
        Vec::new()
    }
}

impl<T: Bind> Params for &[T] {
    fn cells(&self) -> Vec<Cell<'_>> {
        self.iter().map(Bind::cell).collect()
    }
}

impl<T: Bind, const N: usize> Params for [T; N] {
    fn cells(&self) -> Vec<Cell<'_>> {
        self.iter().map(Bind::cell).collect()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Bind),+> Params for ($($name,)+) {
            fn cells(&self) -> Vec<Cell<'_>> {
                #[allow(non_snake_case, reason = "a type and its value share their letter")]
                let ($($name,)+) = self;
                vec![$($name.cell()),+]
            }
        }
    };
}
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P);
tuples!(A B C D E F G H I J K L M N O P Q);
