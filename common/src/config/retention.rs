//! `[retention]`: for how long each kind of data is kept.

use super::{Config, Fault};
use crate::store::Perishable;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// For how long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Keep {
    /// Nothing of it is ever pruned.
    Forever,
    /// It is pruned when it is older than this, which is not nothing.
    For(Span),
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim() == "forever" {
            return Ok(Self::Forever);
        }
        let span: Span = text.parse().map_err(|error| format!("{error}; or write forever"))?;
        if span.0.is_zero() {
            return Err("0 could mean never or at once: write forever, or at least 1s".to_owned());
        }
        Ok(Self::For(span))
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forever => f.write_str("forever"),
            Self::For(span) => span.fmt(f),
        }
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> String {
        keep.to_string()
    }
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// What events' senders said, and of whom.
    pub payloads: Keep,
    /// Details of clicks.
    pub clicks: Keep,
    /// Visits on funnels' pages.
    pub visits: Keep,
    /// Requests and answers of attempts.
    pub log: Keep,
    /// The decisions in events' traces.
    pub decisions: Keep,
    /// The content of letters that were replayed or purged.
    pub letters: Keep,
    /// Who is who.
    pub identities: Keep,
}

impl Retention {
    /// What is pruned, after how long.
    pub fn perishables(&self) -> Vec<(Perishable, Duration)> {
        let all = [
            (Perishable::Payloads, self.payloads),
            (Perishable::Clicks, self.clicks),
            (Perishable::Visits, self.visits),
            (Perishable::Log, self.log),
            (Perishable::Decisions, self.decisions),
            (Perishable::Letters, self.letters),
            (Perishable::Identities, self.identities),
        ];
        let limited = all.into_iter().filter_map(|(what, keep)| match keep {
            Keep::Forever => None,
            Keep::For(span) => Some((what, span.0)),
        });
        limited.collect()
    }
}

/// What cannot be meant by keys that are well-formed each for itself. A worker that starts again hands
/// events over as the store has them, and an event may wait, be due and be retried before that is done.
pub(super) fn faults(file: &str, config: &Config) -> Vec<Fault> {
    let Keep::For(payloads) = config.retention.payloads else {
        return Vec::new();
    };
    let tiers: Duration = config.retry.schedule.tiers().iter().map(|tier| tier.delay()).sum();
    let least = config.worker.max_due.0 + tiers + config.worker.parking.0;
    if payloads.0 > least {
        return Vec::new();
    }
    let remedy = format!(
        "write more than {}, which is worker.max_due, worker.parking and all of retry.schedule, or shorten those",
        Span(least)
    );
    let problem = format!("{payloads} is shorter than an event may be on its way");
    vec![Fault::new(file, "retention.payloads", problem, remedy)]
}
