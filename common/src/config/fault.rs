//! Faults of a configuration: all of them at once, each with its place and what would be right.

use serde::Serialize;
use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file, or `environment`.
    pub file: String,
    /// The key, as in `connector[meta].webhook.url`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub remedy: String,
}

impl Fault {
    /// A fault.
    pub fn new(
        file: impl Into<String>,
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { file: file.into(), key: key.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

impl Fault {
    /// A text that is no TOML: where, and what is expected there. The line itself is not shown, because a
    /// password may stand in it.
    pub(crate) fn not_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let at = error.span().and_then(|span| text.get(..span.start)).map(|before| {
            let (line, column) =
                (before.matches('\n').count() + 1, before.lines().last().unwrap_or_default());
            let column = if before.ends_with('\n') { 1 } else { column.chars().count() + 1 };
            format!(" at line {line}, column {column}")
        });
        let problem = format!("not TOML{}: {}", at.unwrap_or_default(), error.message());
        Self::new(file, "", problem, "mend the syntax")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// All faults of a configuration, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// A single fault.
    pub fn one(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
