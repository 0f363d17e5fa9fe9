//! Conversions, by their key within an advertiser.

use super::column::{document, json, millis};
use super::session::Session;
use crate::conversion::Conversion;
use crate::id::AdvertiserId;
use crate::store::Error;
use jiff::Timestamp;

/// The conversion with this key, as it stands.
pub(super) fn find(
    session: &Session<'_>,
    advertiser: &AdvertiserId,
    key: &str,
) -> Result<Option<Conversion>, Error> {
    let sql = "SELECT document FROM conversions WHERE advertiser = ?1 AND key = ?2";
    session.first(sql, (advertiser.as_str(), key), |row| document("conversion", &row.get::<_, String>(0)?))
}

/// Keeps a conversion as it stands since `at`.
pub(super) fn keep(session: &Session<'_>, conversion: &Conversion, at: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO conversions (advertiser, key, status, updated_at, document)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (advertiser, key) DO UPDATE SET status = excluded.status,
                   updated_at = excluded.updated_at, document = excluded.document";
    session.execute(
        sql,
        (
            conversion.advertiser.as_str(),
            &conversion.key,
            conversion.status.as_str(),
            millis(at),
            json("conversion", conversion)?,
        ),
    )?;
    Ok(())
}
