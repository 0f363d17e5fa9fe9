//! Leases: what only one of several processes does at a time, without a leader.
//!
//! Whoever has a lease renews it while they work. Whoever dies loses it when its time is up, and another takes
//! it. A lease keeps work from being done twice at once; it is no lock on data, which its own transactions guard.

use super::Store;
use super::column::millis;
use super::{Error, reach::Reach};
use jiff::Timestamp;
use std::time::Duration;

impl Store {
    /// Takes a lease for so long, or renews it, and says whether it is the holder's now. Another's is left alone
    /// until its time is up. Clocks of machines that share a store must agree to within a fraction of the time.
    ///
    /// # Errors
    /// The database failed; the lease is whose it was.
    pub async fn lease(&self, name: &str, holder: &str, time: Duration) -> Result<bool, Error> {
        let now = millis(Timestamp::now());
        let until = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(Reach::nothing(), move |session| {
            let sql = "INSERT INTO leases (name, holder, until) VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
                       WHERE leases.holder = excluded.holder OR leases.until <= ?4";
            Ok(session.execute(sql, (&name, &holder, until, now))? == 1)
        })
        .await
    }

    /// Gives a lease back, where it is the holder's.
    ///
    /// # Errors
    /// The database failed; its time runs on.
    pub async fn release(&self, name: &str, holder: &str) -> Result<(), Error> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(Reach::nothing(), move |session| {
            session.execute("DELETE FROM leases WHERE name = ?1 AND holder = ?2", (&name, &holder))?;
            Ok(())
        })
        .await
    }
}
