//! A connection to PostgreSQL, used by a thread that may block. tokio-postgres has it, on a runtime of its own
//! that runs only while we wait, with a limit to every wait.

use super::{Url, tls};
use crate::store::Failure;
use crate::store::session::Cell;
use std::borrow::Cow;
use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row, Statement};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement may take in the server, and then wait for a lock.
const LIMITS: &str = "SET statement_timeout = '15s'; SET lock_timeout = '10s'; \
                      SET idle_in_transaction_session_timeout = '20s'; SET client_min_messages = error";
/// How long we wait for an answer: longer than the server may take, so that it is the server that ends it where
/// it still can.
pub(super) const ANSWER: Duration = Duration::from_secs(18);

/// No text of PostgreSQL's can hold a NUL, and what a sender puts into a name must not fail for ever: this and
/// `0` stand for a NUL, this and `1` for itself. So every text is read as it was written, and two texts are two.
const ESCAPE: char = '\u{10ffff}';

/// A connection.
pub(in crate::store) struct Link {
    open: Option<(Runtime, Client)>,
    schema: String,
    statements: RefCell<HashMap<String, Statement>>,
    broken: Flag<bool>,
    /// How long an answer may take.
    answer: Duration,
}

impl Link {
    /// Connects and sets what every connection of ours has set.
    pub(in crate::store) fn open(url: &Url) -> Result<Self, Failure> {
        let away = |error: std::io::Error| Failure::Away(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(away)?;
        let config = url.config(CONNECT);
        let connecting = async {
            match tls::connector(url)? {
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    Ok::<_, Failure>(client)
                }
                Some(connector) => {
                    let (client, connection) = config.connect(connector).await?;
                    tokio::spawn(connection);
                    Ok(client)
                }
            }
        };
        let limited = async { tokio::time::timeout(2 * CONNECT, connecting).await };
        let client = runtime.block_on(limited).unwrap_or_else(|_| {
            Err(Failure::Away(format!("no connection within {} s", 2 * CONNECT.as_secs())))
        });
        let client = match client {
            Ok(client) => client,
            Err(failure) => {
                runtime.shutdown_background();
                return Err(failure);
            }
        };
        let mut link = Self {
            open: Some((runtime, client)),
            schema: String::new(),
            statements: RefCell::default(),
            broken: Flag::new(false),
            answer: ANSWER,
        };
        link.batch(LIMITS)?;
        let setup = "SELECT current_schema()::text, current_setting('server_encoding'), \
                     current_setting('synchronous_commit')";
        let rows = link.rows(setup, &[])?;
        let text = |at: usize| -> Option<String> { rows.first()?.try_get::<_, Option<String>>(at).ok()? };
        let (schema, encoding, commit) = (text(0), text(1), text(2));
        link.schema = schema.ok_or_else(|| {
            Failure::Away("the search_path names no schema that is there, and tables need one".to_owned())
        })?;
        if encoding.as_deref() != Some("UTF8") {
            return Err(Failure::Away(
                "the database's encoding is not UTF8: make one that has it".to_owned(),
            ));
        }
        // Durable is durable, whatever the server's default. What waits for replicas as well stays.
        if matches!(commit.as_deref(), Some("off" | "local" | "remote_write")) {
            link.batch("SET synchronous_commit = on")?;
        }
        Ok(link)
    }

    /// One that was never there: everything fails.
    pub(super) fn lost() -> Self {
        Self {
            open: None,
            schema: String::new(),
            statements: RefCell::default(),
            broken: Flag::new(true),
            answer: ANSWER,
        }
    }

    /// The same, where an answer may take so long.
    pub(in crate::store) fn answering_within(mut self, answer: Duration) -> Self {
        self.answer = answer;
        self
    }

    /// Where its tables are.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether it is of no more use.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.get() || self.open.as_ref().is_none_or(|(_, client)| client.is_closed())
    }

    /// Runs statements without parameters, in one go.
    pub(in crate::store) fn batch(&self, sql: &str) -> Result<(), Failure> {
        self.wait(|client| client.batch_execute(sql))
    }

    /// Does something, and says to how many rows.
    pub(in crate::store) fn execute(&self, sql: &str, cells: &[Cell<'_>]) -> Result<usize, Failure> {
        let statement = self.prepared(sql)?;
        let params = parameters(cells);
        let count = self.wait(|client| client.execute(&statement, &params))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Reads rows.
    pub(in crate::store) fn rows(&self, sql: &str, cells: &[Cell<'_>]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(sql)?;
        let params = parameters(cells);
        self.wait(|client| client.query(&statement, &params))
    }

    /// The statement, prepared once.
    fn prepared(&self, sql: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let translated = numbered(sql);
        let statement = self.wait(|client| client.prepare(&translated))?;
        self.statements.borrow_mut().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Waits for an answer, with a limit. What does not come makes the connection useless: the answer might
    /// come later, in the place of another.
    fn wait<'a, T, F>(&'a self, ask: impl FnOnce(&'a Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let Some((runtime, client)) = self.open.as_ref().filter(|_| !self.broken.get()) else {
            return Err(Failure::Away("the connection was lost".to_owned()));
        };
        let limited = async { tokio::time::timeout(self.answer, ask(client)).await };
        match runtime.block_on(limited) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let failure = Failure::from(error);
                if matches!(failure, Failure::Away(_)) {
                    self.broken.set(true);
                }
                Err(failure)
            }
            Err(_) => {
                self.broken.set(true);
                Err(Failure::Away(format!("no answer within {} s", self.answer.as_secs())))
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((runtime, client)) = self.open.take() {
            drop(client);
            // It may be dropped where nothing may block.
            runtime.shutdown_background();
        }
    }
}

fn parameters<'a>(cells: &'a [Cell<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

/// `?1` as PostgreSQL writes it: `$1`. There is no question mark elsewhere in our SQL.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

/// A text as PostgreSQL can hold it.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The text that was written so. An escape that we did not write is left as it is.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let stands_for = match (char, chars.peek()) {
            (ESCAPE, Some('0')) => Some('\0'),
            (ESCAPE, Some('1')) => Some(ESCAPE),
            _ => None,
        };
        if stands_for.is_some() {
            chars.next();
        }
        plain.push(stands_for.unwrap_or(char));
    }
    Cow::Owned(plain)
}

impl ToSql for Cell<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => match *ty {
                Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
                Type::INT8 => number.to_sql(ty, out),
                _ => Err(format!("a number was given for {ty}").into()),
            },
            Self::Text(text) => escaped(text).as_ref().to_sql(&Type::TEXT, out),
            Self::Blob(bytes) if *ty == Type::BYTEA => bytes.as_ref().to_sql(ty, out),
            Self::Blob(_) => Err(format!("bytes were given for {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Integer(bool::from_sql(ty, raw)?.into()),
            Type::BYTEA => Self::Blob(Cow::Borrowed(raw)),
            Type::TEXT | Type::VARCHAR | Type::NAME => Self::Text(unescaped(std::str::from_utf8(raw)?)),
            _ => return Err(format!("a column is of type {ty}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
