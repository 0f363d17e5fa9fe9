//! What rules that pay once per click have paid, and for which conversion.

use super::column::{fit, word};
use super::session::Session;
use crate::store::{Error, PayoutClaim};

pub(super) fn of_click(
    session: &Session<'_>,
    advertiser: &str,
    click: &str,
) -> Result<Vec<PayoutClaim>, Error> {
    let sql = "SELECT offer, rule, conversion_key FROM payout_claims WHERE advertiser = ?1 AND click = ?2";
    session.rows(sql, (advertiser, fit(click)), |row| {
        Ok(PayoutClaim {
            click: click.to_owned(),
            offer: word("offer", row.get(0)?)?,
            rule: row.get(1)?,
            conversion: row.get(2)?,
        })
    })
}

/// Keeps a claim. The first one stands.
pub(super) fn claim(session: &Session<'_>, advertiser: &str, claim: &PayoutClaim) -> Result<(), Error> {
    let sql = "INSERT INTO payout_claims (advertiser, click, offer, rule, conversion_key)
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let values = (advertiser, fit(&claim.click), claim.offer.as_str(), &claim.rule, &claim.conversion);
    session.execute(sql, values)?;
    Ok(())
}
