//! Orders, for the events that name nothing else, and for upsells.

use super::column::{document, json, millis};
use super::session::Session;
use crate::event::Event;
use crate::order::{Earlier, Order};
use crate::store::Error;
use jiff::Timestamp;
use std::time::Duration;

pub(super) fn find(session: &Session<'_>, advertiser: &str, key: &str) -> Result<Option<Order>, Error> {
    let sql = "SELECT document FROM orders WHERE advertiser = ?1 AND key = ?2";
    session.first(sql, (advertiser, key), |row| document("order", &row.get::<_, String>(0)?))
}

pub(super) fn keep(
    session: &Session<'_>,
    advertiser: &str,
    key: &str,
    order: &Order,
    at: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO orders (advertiser, key, buyer, funnel, paid_at, updated_at, document)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (advertiser, key) DO UPDATE SET buyer = excluded.buyer, funnel = excluded.funnel,
                   paid_at = excluded.paid_at, updated_at = excluded.updated_at, document = excluded.document";
    session.execute(
        sql,
        (
            advertiser,
            key,
            &order.buyer,
            &order.funnel,
            order.paid_at.map(millis),
            millis(at),
            json("order", order)?,
        ),
    )?;
    Ok(())
}

/// Keeps an order without who ordered it.
pub(super) fn forget_buyer(
    session: &Session<'_>,
    advertiser: &str,
    key: &str,
    order: Order,
) -> Result<(), Error> {
    let order = Order { buyer: None, ..order };
    let sql = "UPDATE orders SET buyer = NULL, document = ?3 WHERE advertiser = ?1 AND key = ?2";
    session.execute(sql, (advertiser, key, json("order", &order)?))?;
    Ok(())
}

/// The newest order that the same contact paid in the same funnel before the event, and not longer before
/// it than `window`. Of two at the same time the one with the lesser key is the earlier.
pub(super) fn earlier(
    session: &Session<'_>,
    event: &Event,
    key: &str,
    order: &Order,
    window: Duration,
) -> Result<Option<Earlier>, Error> {
    let (Some(buyer), Some(funnel)) = (&order.buyer, &order.funnel) else {
        return Ok(None);
    };
    let until = millis(event.at);
    let since = until.saturating_sub(i64::try_from(window.as_millis()).unwrap_or(i64::MAX));
    let sql = "SELECT key, document FROM orders
               WHERE advertiser = ?1 AND buyer = ?2 AND funnel = ?3 AND paid_at >= ?4
               AND (paid_at, key) < (?5, ?6) ORDER BY paid_at DESC, key DESC LIMIT 1";
    let found = session.rows(sql, (event.advertiser.as_str(), buyer, funnel, since, until, key), |row| {
        Ok(Earlier { key: row.get(0)?, order: document("order", &row.get::<_, String>(1)?)? })
    })?;
    Ok(found.into_iter().next())
}
