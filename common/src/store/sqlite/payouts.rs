//! What rules that pay once per click have paid, and for which conversion.

use super::column::{rows, word};
use crate::store::{Error, PayoutClaim};
use rusqlite::Connection;

pub(super) fn of_click(
    connection: &Connection,
    advertiser: &str,
    click: &str,
) -> Result<Vec<PayoutClaim>, Error> {
    let sql =
        "SELECT click, offer, rule, conversion_key FROM payout_claims WHERE advertiser = ?1 AND click = ?2";
    rows(&mut *connection.prepare_cached(sql)?, (advertiser, click), |row| {
        Ok(PayoutClaim {
            click: row.get(0)?,
            offer: word("offer", row.get(1)?)?,
            rule: row.get(2)?,
            conversion: row.get(3)?,
        })
    })
}

/// Keeps a claim. The first one stands.
pub(super) fn claim(connection: &Connection, advertiser: &str, claim: &PayoutClaim) -> Result<(), Error> {
    let sql = "INSERT OR IGNORE INTO payout_claims (advertiser, click, offer, rule, conversion_key)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = (advertiser, &claim.click, claim.offer.as_str(), &claim.rule, &claim.conversion);
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}
