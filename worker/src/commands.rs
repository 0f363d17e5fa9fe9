//! What operators do, a file per command. Standard output is for what was asked; the log is on standard
//! error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these commands talk to a person or a pipe")]

pub mod apply;
pub mod check;
mod chosen;
pub mod clickfunnels;
pub mod connector;
pub mod connectors;
pub mod dlq;
pub mod events;
pub mod forget;
pub mod health;
pub mod log;
pub mod macros;
pub mod migrate;
mod operator;
pub mod pause;
pub mod pixel;
pub mod preview;
pub mod simulate;
mod stored;
pub mod test_webhook;
pub mod topology;
pub mod trace;
mod trial;

use carom_common::config::Config;
use carom_common::store::{self, Store};
use carom_common::time::Span;
use jiff::{SignedDuration, Timestamp};

/// What was asked cannot be meant: exit code 64.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

fn usage(error: impl std::fmt::Display) -> Usage {
    Usage(error.to_string())
}

fn settings(config: &Config) -> store::Settings {
    (&config.store).into()
}

/// Opens the store to read; says what to do where there is none.
fn reading(config: &Config) -> anyhow::Result<Store> {
    let settings = settings(config);
    Store::open_read_only(&settings).map_err(|error| {
        anyhow::anyhow!("{error} ({settings}; name the worker's configuration with --config or CAROM_CONFIG)")
    })
}

/// Reads `1h` as the time that long ago.
fn ago(text: Option<&str>) -> Result<Option<Timestamp>, Usage> {
    let Some(text) = text else { return Ok(None) };
    let span: Span = text.parse().map_err(usage)?;
    let span = SignedDuration::try_from(span.0).map_err(usage)?;
    Ok(Some(Timestamp::now() - span))
}

/// Reads an argument that has a type of ours.
fn parsed<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Usage>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| text.parse().map_err(|error| Usage(format!("`{text}`: {error}")))).transpose()
}

/// What others wrote must not steer the terminal that it is shown on: control characters are replaced, but for line
/// ends and tabs.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// A line of JSON.
fn json_line(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
