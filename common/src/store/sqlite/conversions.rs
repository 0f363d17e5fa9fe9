//! Conversions, by their key within an advertiser.

use super::column::{document, first, json, millis};
use crate::conversion::Conversion;
use crate::id::AdvertiserId;
use crate::store::Error;
use jiff::Timestamp;
use rusqlite::Connection;

/// The conversion with this key, as it stands.
pub(super) fn find(
    connection: &Connection,
    advertiser: &AdvertiserId,
    key: &str,
) -> Result<Option<Conversion>, Error> {
    let sql = "SELECT document FROM conversions WHERE advertiser = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    first(&mut statement, (advertiser.as_str(), key), |row| document("conversion", &row.get::<_, String>(0)?))
}

/// Keeps a conversion as it stands since `at`.
pub(super) fn keep(connection: &Connection, conversion: &Conversion, at: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO conversions (advertiser, key, status, updated_at, document)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (advertiser, key) DO UPDATE SET status = excluded.status,
                   updated_at = excluded.updated_at, document = excluded.document";
    connection.prepare_cached(sql)?.execute((
        conversion.advertiser.as_str(),
        &conversion.key,
        conversion.status.as_str(),
        millis(at),
        json("conversion", conversion)?,
    ))?;
    Ok(())
}
