//! Settling attempts, after their hand-off was confirmed; and knowing the copies of what is settled.

use super::column::millis;
use super::reach::{Hold, Reach};
use super::session::Session;
use super::{Store, deliveries, letters, trace};
use crate::delivery::Reason;
use crate::id::EventId;
use crate::store::{AttemptKey, AttemptStanding, End, Error, ExchangeRecord, Settlement};
use crate::trace::{Code, Decision};
use jiff::Timestamp;

impl Store {
    /// Whether an attempt of an event's delivery is to be made. A message for one that is settled is a copy:
    /// the attempt itself is, its delivery is in a later round, or it was delivered in this one. The last is
    /// what a crash between a retry's confirm and its settling leaves: the same attempt is made again and succeeds,
    /// and then the retry comes back.
    ///
    /// # Errors
    /// The database failed.
    pub async fn attempt_standing(&self, key: AttemptKey, event: EventId) -> Result<AttemptStanding, Error> {
        self.read(move |session| attempt_standing(session, key, event)).await
    }

    /// The same of several, in their order, by one reading.
    ///
    /// # Errors
    /// The database failed.
    pub async fn attempt_standings(
        &self,
        attempts: Vec<(AttemptKey, EventId)>,
    ) -> Result<Vec<AttemptStanding>, Error> {
        self.read(move |session| {
            attempts.into_iter().map(|(key, event)| attempt_standing(session, key, event)).collect()
        })
        .await
    }

    /// Settles attempts and says of each whether it was fresh. One that is settled already changes
    /// nothing.
    ///
    /// # Errors
    /// The database failed; none of them is settled.
    pub async fn settle(&self, settlements: Vec<Settlement>) -> Result<Vec<bool>, Error> {
        let advertisers = settlements.iter().map(|one| &one.delivery.facts.event.advertiser);
        let reach = Reach::of(advertisers, Hold::Shared);
        self.write(reach, move |session| settlements.iter().map(|one| settle(session, one)).collect()).await
    }
}

fn attempt_standing(
    session: &Session<'_>,
    key: AttemptKey,
    event: EventId,
) -> Result<AttemptStanding, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM attempts WHERE delivery_id = ?1 AND round = ?2 AND attempt = ?3)
                   OR EXISTS (SELECT 1 FROM deliveries WHERE id = ?1
                              AND (round > ?2 OR (round = ?2 AND standing IN ('delivered', 'tested')))),
                   EXISTS (SELECT 1 FROM events WHERE id = ?4 AND erased = 1)";
    let parameters = (key.delivery.0.as_bytes(), key.round, key.attempt, event.0.as_bytes());
    let found = session.one(sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(match found? {
        (true, _) => AttemptStanding::Settled,
        (false, true) => AttemptStanding::Erased,
        (false, false) => AttemptStanding::Due,
    })
}

pub(super) fn settle(session: &Session<'_>, settlement: &Settlement) -> Result<bool, Error> {
    let delivery = &settlement.delivery;
    let sql = "SELECT (SELECT round FROM deliveries WHERE id = ?1),
                      EXISTS (SELECT 1 FROM events WHERE id = ?2 AND erased = 1)";
    let key = (delivery.id.0.as_bytes(), delivery.facts.event.id.0.as_bytes());
    let (round, erased): (Option<u32>, bool) = session.one(sql, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if round.is_some_and(|round| round > delivery.round) {
        return Ok(false);
    }
    let (outcome, detail) = match &settlement.end {
        End::Delivered => ("delivered", String::new()),
        End::Tested => ("test", String::new()),
        End::Retry(tier) => ("retry", tier.to_string()),
        End::Dead(letter) => ("dead", letter.reason.as_str().to_owned()),
    };
    let fresh = insert_attempt(session, settlement, outcome, &detail, erased)?;
    // Two copies may have been tried at once: what one of them delivered is delivered, whatever came of
    // the other.
    if !fresh && !matches!(settlement.end, End::Delivered) {
        return Ok(false);
    }
    let ended = ended(settlement);
    let (standing, code, reason, parked): (_, _, Option<Reason>, _) = match &settlement.end {
        End::Delivered => ("delivered", Code::Delivered, None, None),
        End::Tested => ("tested", Code::Tested, None, None),
        End::Retry(tier) => ("retrying", Code::Retry, None, Some((*tier, ended))),
        End::Dead(letter) => ("dead", Code::Dead, Some(letter.reason), None),
    };
    let change = deliveries::Change {
        standing,
        round: delivery.round,
        attempt: delivery.attempt,
        reason,
        parked,
        queued_at: delivery.due_since,
        at: ended,
    };
    if !fresh {
        deliveries::give_up(session, delivery, &change)?;
        return Ok(false);
    }
    deliveries::advance(session, delivery, &change)?;
    if let End::Dead(letter) = &settlement.end {
        letters::insert(session, letter, "dead")?;
    }
    let decision = Decision::new(settlement.at, code, describe(settlement));
    trace::append(session, delivery.facts.event.id, &[decision])?;
    Ok(true)
}

fn insert_attempt(
    session: &Session<'_>,
    settlement: &Settlement,
    outcome: &str,
    detail: &str,
    erased: bool,
) -> Result<bool, Error> {
    let sql =
        "INSERT INTO attempts (delivery_id, round, attempt, connector, event_id, event_type, at, outcome,
                   detail, method, url, duration_us, status, failure, response, request_headers, request_body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
               ON CONFLICT (delivery_id, round, attempt) DO NOTHING";
    let delivery = &settlement.delivery;
    // It may have been under way while its person was erased.
    let blanked = settlement.exchange.clone().map(|exchange| match erased {
        true => exchange.without_content(),
        false => exchange,
    });
    let exchange = blanked.as_ref();
    let micros = |exchange: &ExchangeRecord| i64::try_from(exchange.duration.as_micros()).unwrap_or(i64::MAX);
    let inserted = session.execute(
        sql,
        (
            delivery.id.0.as_bytes(),
            delivery.round,
            delivery.attempt,
            delivery.connector.as_str(),
            delivery.facts.event.id.0.as_bytes(),
            &delivery.facts.event.raw_type,
            millis(settlement.at),
            outcome,
            detail,
            exchange.map(|exchange| &exchange.method),
            exchange.map(|exchange| &exchange.url),
            exchange.map(micros),
            exchange.and_then(|exchange| exchange.status),
            exchange.and_then(|exchange| exchange.failure.as_ref()),
            exchange.map(|exchange| &exchange.response),
            exchange.map(|exchange| &exchange.request_headers),
            exchange.map(|exchange| &exchange.request_body),
        ),
    )?;
    Ok(inserted == 1)
}

/// When the attempt was over: what its wait in a tier counts from.
fn ended(settlement: &Settlement) -> Timestamp {
    let duration = settlement.exchange.as_ref().map(|exchange| exchange.duration).unwrap_or_default();
    settlement.at.checked_add(duration).unwrap_or(settlement.at)
}

fn describe(settlement: &Settlement) -> String {
    let delivery = &settlement.delivery;
    let mut detail =
        format!("connector {}, round {}, attempt {}", delivery.connector, delivery.round, delivery.attempt);
    match settlement.exchange.as_ref().map(|exchange| (exchange.status, &exchange.failure)) {
        Some((Some(status), None)) => detail.push_str(&format!(", status {status}")),
        Some((Some(status), Some(failure))) => detail.push_str(&format!(", status {status}, {failure}")),
        Some((None, Some(failure))) => detail.push_str(&format!(", {failure}")),
        _ => {}
    }
    match &settlement.end {
        End::Delivered | End::Tested => {}
        End::Retry(tier) => detail.push_str(&format!(", again in {tier}")),
        End::Dead(letter) => detail.push_str(&format!(", {}", letter.reason.as_str())),
    }
    let unresolved = settlement.exchange.as_ref().map(|exchange| exchange.unresolved.as_slice());
    if let Some(names @ [_, ..]) = unresolved {
        detail.push_str(&format!(", without a value for {}", names.join(", ")));
    }
    detail
}
