//! How far the webhook log can be followed without missing what is still to come below.
//!
//! With SQLite's one writer, numbers become visible in their order. PostgreSQL gives a number when a row is
//! written and shows it when its transaction commits: of two workers, the one with the greater number may be
//! first. So a reader goes no farther than where every transaction that could hold a lower number has ended.
//! Each of ours has its id before it writes anything (`Engine::begin`), so the ids tell.

use super::session::Session;
use super::{Error, Store};
use std::collections::VecDeque;

/// How far a reader of the log may go, as far as it has looked.
#[derive(Clone, Debug, Default)]
pub struct Horizon {
    reached: i64,
    /// The last number that had been given at the first look.
    first: Option<i64>,
    /// The last number that was given, and a transaction that began after that.
    seen: VecDeque<(i64, i64)>,
}

impl Horizon {
    /// The last number that had been given when this was looked at first.
    #[must_use]
    pub fn began_at(&self) -> i64 {
        self.first.unwrap_or_default()
    }

    /// Whether all that had been given a number by the first look is settled.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.first.is_some_and(|first| self.reached >= first)
    }
}

/// No more looks are remembered than this: a transaction that lasts for longer holds the horizon where it is.
const REMEMBERED: usize = 1_000;

impl Store {
    /// The greatest sequence number below which no attempt can become visible any more. It never goes back.
    ///
    /// # Errors
    /// The database failed.
    pub async fn horizon(&self, horizon: &mut Horizon) -> Result<i64, Error> {
        let given = |session: &Session<'_>| match session {
            Session::Sqlite(_) => {
                let newest: i64 =
                    session.one("SELECT coalesce(max(sequence), 0) FROM attempts", (), |row| row.get(0))?;
                Ok((newest, true))
            }
            // The sequence itself, not the rows: it stands outside all transactions.
            Session::Postgres(_) => {
                let given =
                    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM attempts_sequence_seq";
                Ok((session.one(given, (), |row| row.get(0))?, false))
            }
        };
        let (last, settled) = self.read(given).await?;
        horizon.first.get_or_insert(last);
        if settled {
            horizon.reached = horizon.reached.max(last);
            return Ok(horizon.reached);
        }
        // A transaction of its own, after the number was read: whoever was given that has begun, and has a lower
        // id than we get now. The snapshot's xmax is none such: it follows the last that has ended, and whoever is
        // under way may be beyond it. A standby gives no ids, and knows nothing better.
        let running = "SELECT pg_snapshot_xmin(s)::text::bigint,
                           (CASE WHEN pg_is_in_recovery() THEN pg_snapshot_xmax(s) ELSE pg_current_xact_id() END)
                               ::text::bigint
                       FROM pg_current_snapshot() s";
        let (oldest, next): (i64, i64) =
            self.read(move |session| session.one(running, (), |row| Ok((row.get(0)?, row.get(1)?)))).await?;
        if horizon.seen.len() < REMEMBERED {
            horizon.seen.push_back((last, next));
        }
        while let Some((last, _)) = horizon.seen.front().copied().filter(|(_, next)| *next <= oldest) {
            horizon.reached = horizon.reached.max(last);
            horizon.seen.pop_front();
        }
        Ok(horizon.reached)
    }
}
