//! What a sweep did, for people and for scripts.

use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;
use uuid::Uuid;

/// What a sweep does to the letters that it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sends them out again.
    Replay,
    /// Removes them.
    Purge,
}

impl Act {
    /// The word for what was done.
    pub fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Purge => "purged",
        }
    }
}

/// What became of one letter.
#[derive(Clone, Copy)]
pub enum End {
    /// What was asked for.
    Done,
    /// It was done before.
    Copy,
    /// It is not meant.
    Left,
    /// Its connector is gone.
    Homeless,
    /// The sweep ended before its turn: it lies where it lay.
    Untouched,
}

/// What a sweep did.
pub struct Swept {
    act: Act,
    done: u64,
    copies: u64,
    left: HashSet<Uuid>,
    homeless: u64,
    /// Whether it was told to stop.
    pub interrupted: bool,
    /// How many of those that lay there at the beginning never came.
    pub unseen: u32,
    /// How long it took.
    pub took: Duration,
}

impl Swept {
    /// Nothing yet.
    pub fn new(act: Act) -> Self {
        let (left, took) = (HashSet::new(), Duration::ZERO);
        Self { act, done: 0, copies: 0, left, homeless: 0, interrupted: false, unseen: 0, took }
    }

    /// Counts what became of a letter. One that comes round twice is left once.
    pub fn count(&mut self, letter: Uuid, end: End) {
        match end {
            End::Done => self.done += 1,
            End::Copy => self.copies += 1,
            End::Left => {
                self.left.insert(letter);
            }
            End::Homeless => self.homeless += 1,
            End::Untouched => {}
        }
    }

    /// For scripts.
    pub fn json(&self) -> Value {
        json!({
            self.act.done(): self.done,
            "left": self.left.len(),
            "copies": self.copies,
            "homeless": self.homeless,
            "unseen": self.unseen,
            "interrupted": self.interrupted,
            "seconds": self.took.as_secs_f64(),
            "per_second": self.per_second(),
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "nobody has so many letters")]
    fn per_second(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64().max(0.001)
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} left where they were", self.done, self.act.done(), self.left.len())?;
        if self.copies > 0 {
            write!(f, ", {} copies dropped", self.copies)?;
        }
        if self.homeless > 0 {
            write!(
                f,
                ", {} left because their connector is gone (apply it again, or purge them)",
                self.homeless
            )?;
        }
        write!(f, ", in {:.1} s ({:.0}/s)", self.took.as_secs_f64(), self.per_second())?;
        if self.interrupted {
            write!(f, "; interrupted: run it again to go on")?;
        } else if self.unseen > 0 {
            write!(
                f,
                "; {} were not seen, because another sweep or a lost connection had them: run it again",
                self.unseen
            )?;
        }
        Ok(())
    }
}
