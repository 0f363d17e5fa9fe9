//! What a job writes: how much of the store nobody else may be deciding on meanwhile.
//!
//! With SQLite there is one writer, and nothing to say. On PostgreSQL several processes write side by side, and
//! each group of jobs takes locks for its scopes before it reads: the store's, which all share but who needs
//! all of it, and those of advertisers, in the order of their ids.

use crate::id::AdvertiserId;
use std::collections::BTreeMap;

/// What is taken: with others who do the same, or alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// Beside others who only add: settling, recording clicks.
    Shared,
    /// Alone: whoever reads, decides and writes.
    Alone,
}

/// What a job, or a group of jobs, takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) store: Hold,
    pub(super) advertisers: BTreeMap<AdvertiserId, Hold>,
}

impl Reach {
    /// Single statements that need nobody to stand still.
    pub(super) fn nothing() -> Self {
        Self { store: Hold::Shared, advertisers: BTreeMap::new() }
    }

    /// Everything: nobody else writes meanwhile.
    pub(super) fn everything() -> Self {
        Self { store: Hold::Alone, advertisers: BTreeMap::new() }
    }

    /// These advertisers.
    pub(super) fn of<'a>(advertisers: impl IntoIterator<Item = &'a AdvertiserId>, hold: Hold) -> Self {
        let advertisers = advertisers.into_iter().map(|id| (id.clone(), hold)).collect();
        Self { store: Hold::Shared, advertisers }
    }

    /// Takes what another needs as well.
    pub(super) fn add(&mut self, other: &Self) {
        self.store = self.store.max(other.store);
        for (id, hold) in &other.advertisers {
            let held = self.advertisers.entry(id.clone()).or_insert(*hold);
            *held = (*held).max(*hold);
        }
    }

    /// Whether whoever holds this may do what needs the other.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let holds =
            |(id, hold): (&AdvertiserId, &Hold)| self.advertisers.get(id).is_some_and(|held| held >= hold);
        self.store == Hold::Alone || (other.store == Hold::Shared && other.advertisers.iter().all(holds))
    }
}
