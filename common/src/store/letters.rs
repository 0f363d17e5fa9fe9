//! Dead letters: buried, listed, and gone again by replay or purge.

use super::column::{Condition, document, json, maybe_uuid, millis, time, word};
use super::reach::{Hold, Reach};
use super::session::{Row, Session};
use super::{Store, deliveries, erase, trace};
use crate::dead_letter::{Content, Letter};
use crate::delivery::Delivery;
use crate::id::{AdvertiserId, ConnectorId, DeliveryId, EventId};
use crate::store::{Error, LetterFilter, LetterRecord, LetterStanding, Standing};
use crate::trace::{Code, Decision};
use jiff::Timestamp;
use uuid::Uuid;

/// The longest page, whatever is asked for: a reading is to be short.
const PAGE: u32 = 1_000;

const COLUMNS: &str = "id, kind, connector, event_id, event_type, delivery_id, round, reason, detail, attempts, \
                       last_status, response, at, queue";

/// What a replay or purge must know of a letter, without its content.
struct Key {
    id: Uuid,
    delivery: Option<(DeliveryId, u32)>,
}

impl Store {
    /// Stores letters that no attempt was settled for, and says how many were new.
    ///
    /// # Errors
    /// The database failed; none of them is stored.
    pub async fn bury(&self, letters: Vec<Letter>) -> Result<usize, Error> {
        self.write(self.reach(&letters).await?, move |session| {
            let mut new = 0;
            for letter in &letters {
                new += usize::from(bury(session, letter)?);
            }
            Ok(new)
        })
        .await
    }

    /// A page of the letters that are dead, oldest first, after an id; at most 1,000. An empty page is
    /// the end.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn letters(
        &self,
        filter: &LetterFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<LetterRecord>, Error> {
        let mut condition = condition(filter);
        if let Some(after) = after {
            condition.and("id > ?", after.as_bytes().to_vec());
        }
        self.read(move |session| {
            let (matching, limit) = (&condition.sql, limit.min(PAGE));
            let sql = format!("SELECT {COLUMNS} FROM letters WHERE {matching} ORDER BY id LIMIT {limit}");
            session.rows(&sql, condition.values.as_slice(), record)
        })
        .await
    }

    /// How many letters are dead.
    ///
    /// # Errors
    /// The database failed.
    pub async fn count_letters(&self, filter: &LetterFilter) -> Result<u64, Error> {
        let condition = condition(filter);
        self.read(move |session| {
            let sql = format!("SELECT count(*) FROM letters WHERE {}", condition.sql);
            let count: i64 = session.one(&sql, condition.values.as_slice(), |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// A letter, whole. One that was replayed is still shown; one that was purged is gone.
    ///
    /// # Errors
    /// The database failed, or the letter cannot be read.
    pub async fn letter(&self, id: Uuid) -> Result<Option<(LetterRecord, Letter)>, Error> {
        self.read(move |session| {
            let sql = format!("SELECT {COLUMNS} FROM letters WHERE id = ?1");
            let listed = session.first(&sql, [id.as_bytes()], record)?;
            let whole = session.first(
                "SELECT document FROM letter_documents WHERE letter_id = ?1",
                [id.as_bytes()],
                |row| document("letter", &row.get::<_, String>(0)?),
            )?;
            Ok(listed.zip(whole))
        })
        .await
    }

    /// What the store says of each of these letters, in their order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn letter_standings(&self, letters: &[Letter]) -> Result<Vec<LetterStanding>, Error> {
        let keys: Vec<Key> = letters.iter().map(key).collect();
        self.read(move |session| keys.iter().map(|key| standing(session, key)).collect()).await
    }

    /// Notes that these letters were sent out again, each delivery in its letter's next round, and says of
    /// how many that is news. A letter that the store had not heard of is known from then on.
    ///
    /// # Errors
    /// The database failed; none of them is noted.
    pub async fn replayed(&self, letters: Vec<Letter>, at: Timestamp) -> Result<usize, Error> {
        self.write(self.reach(&letters).await?, move |session| {
            leave_all(session, &letters, "replayed", Code::Replayed, at)
        })
        .await
    }

    /// Notes that these letters were removed, and says of how many that is news. Their content goes.
    ///
    /// # Errors
    /// The database failed; none of them is noted.
    pub async fn purged(&self, letters: Vec<Letter>, at: Timestamp) -> Result<usize, Error> {
        self.write(self.reach(&letters).await?, move |session| {
            leave_all(session, &letters, "purged", Code::Purged, at)
        })
        .await
    }

    /// Notes that these letters are copies of what is settled, and of how many that is news: they are listed as
    /// dead no more. Nothing becomes of their deliveries, which are in a later round or done.
    ///
    /// # Errors
    /// The database failed; none of them is noted.
    pub async fn were_copies(&self, letters: Vec<Uuid>) -> Result<usize, Error> {
        self.write(Reach::nothing(), move |session| {
            let sql = "UPDATE letters SET state = 'replayed' WHERE id = ?1 AND state = 'dead'";
            let mut noted = 0;
            for id in &letters {
                noted += session.execute(sql, [id.as_bytes()])?;
            }
            Ok(noted)
        })
        .await
    }

    /// Settling beside others, but not while a person of the same advertiser is erased. An intake does not say
    /// whose it is: its event does, and where there is none, there is none to be erased either.
    async fn reach(&self, letters: &[Letter]) -> Result<Reach, Error> {
        let deliveries = letters.iter().filter_map(delivery);
        let mut reach = Reach::of(deliveries.map(|delivery| &delivery.facts.event.advertiser), Hold::Shared);
        let intakes = letters.iter().filter(|letter| matches!(letter.content, Content::Intake(_)));
        let intakes: Vec<EventId> = intakes.filter_map(event).collect();
        if !intakes.is_empty() {
            let advertisers = self.read(move |session| advertisers(session, &intakes)).await?;
            reach.add(&Reach::of(&advertisers, Hold::Shared));
        }
        Ok(reach)
    }
}

/// Whose these events are, as far as they are stored.
fn advertisers(session: &Session<'_>, events: &[EventId]) -> Result<Vec<AdvertiserId>, Error> {
    let sql = "SELECT advertiser FROM events WHERE id = ?1";
    let mut found = Vec::new();
    for event in events {
        found.extend(session.first(sql, [event.0.as_bytes()], |row| word("advertiser", row.get(0)?))?);
    }
    Ok(found)
}

fn bury(session: &Session<'_>, letter: &Letter) -> Result<bool, Error> {
    if !insert(session, letter, "dead")? {
        return Ok(false);
    }
    if let Content::Delivery(delivery) = &letter.content {
        let change = deliveries::Change {
            standing: "dead",
            round: delivery.round,
            attempt: delivery.attempt.saturating_sub(1),
            reason: Some(letter.reason),
            parked: None,
            queued_at: delivery.due_since,
            at: letter.at,
        };
        deliveries::give_up(session, delivery, &change)?;
    }
    note(session, letter, Code::Dead, letter.at)?;
    Ok(true)
}

/// Stores a letter; false where it is stored already, in whatever state.
pub(super) fn insert(session: &Session<'_>, letter: &Letter, state: &str) -> Result<bool, Error> {
    let erased = event(letter).map_or(Ok(false), |event| erase::is_erased(session, event))?;
    let letter = &if erased { letter.clone().without_person() } else { letter.clone() };
    let sql = "INSERT INTO letters (id, state, kind, connector, event_id, event_type, event_name, delivery_id, round,
                   reason, detail, attempts, last_status, at, queue, response)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
               ON CONFLICT (id) DO NOTHING";
    let kind = match &letter.content {
        Content::Delivery(_) => "delivery",
        Content::Intake(_) => "intake",
        Content::Click(_) => "click",
        Content::Message(_) => "message",
    };
    let delivery = delivery(letter);
    let inserted = session.execute(
        sql,
        (
            letter.id.as_bytes(),
            state,
            kind,
            delivery.map(|delivery| delivery.connector.as_str()),
            event(letter).as_ref().map(|event| event.0.as_bytes()),
            delivery.map(|delivery| &delivery.facts.event.raw_type),
            delivery.and_then(|delivery| delivery.facts.event.name.as_ref()),
            delivery.map(|delivery| delivery.id.0.as_bytes()),
            delivery.map_or(0, |delivery| delivery.round),
            letter.reason.as_str(),
            &letter.detail,
            letter.attempts,
            letter.last_status,
            millis(letter.at),
            &letter.queue,
            &letter.response,
        ),
    )?;
    if inserted == 1 && state != "purged" {
        let sql = "INSERT INTO letter_documents (letter_id, document) VALUES (?1, ?2)";
        session.execute(sql, (letter.id.as_bytes(), json("letter", letter)?))?;
    }
    Ok(inserted == 1)
}

fn condition(filter: &LetterFilter) -> Condition {
    let mut condition = Condition::new("state = 'dead'");
    if let Some(id) = filter.id {
        condition.and("id = ?", id.as_bytes().to_vec());
    }
    if let Some(connector) = &filter.connector {
        condition.and("connector = ?", connector.as_str().to_owned());
    }
    if let Some(reason) = filter.reason {
        condition.and("reason = ?", reason.as_str().to_owned());
    }
    if let Some(status) = filter.status {
        condition.and("last_status = ?", status);
    }
    if let Some(event_type) = &filter.event_type {
        condition.and("(event_type = ? OR event_name = ?)", event_type.clone());
    }
    if let Some(since) = filter.since {
        condition.and("at >= ?", millis(since));
    }
    if let Some(before) = filter.before {
        condition.and("at < ?", millis(before));
    }
    condition
}

fn record(row: &Row<'_>) -> Result<LetterRecord, Error> {
    let connector: Option<String> = row.get("connector")?;
    let id: [u8; 16] = row.get("id")?;
    Ok(LetterRecord {
        id: Uuid::from_bytes(id),
        kind: row.get("kind")?,
        connector: connector.map(|id| word::<ConnectorId>("connector", id)).transpose()?,
        event: maybe_uuid(row, "event_id")?.map(EventId),
        event_type: row.get("event_type")?,
        delivery: maybe_uuid(row, "delivery_id")?.map(DeliveryId),
        round: row.get("round")?,
        reason: word("reason", row.get("reason")?)?,
        detail: row.get("detail")?,
        attempts: row.get("attempts")?,
        last_status: row.get("last_status")?,
        response: row.get("response")?,
        at: time(row.get("at")?)?,
        queue: row.get("queue")?,
    })
}

fn standing(session: &Session<'_>, key: &Key) -> Result<LetterStanding, Error> {
    let state: Option<String> =
        session.first("SELECT state FROM letters WHERE id = ?1", [key.id.as_bytes()], |row| row.get(0))?;
    if state.as_deref().is_some_and(|state| state != "dead") {
        return Ok(LetterStanding::Settled);
    }
    if let Some((delivery, round)) = key.delivery {
        // Several letters can come of one round: whoever dies between publishing and settling leaves one,
        // and the next to try leaves another.
        let over = deliveries::stands(session, delivery)?.is_some_and(|(stored, standing)| {
            stored > round
                || matches!(standing, Standing::Delivered | Standing::Tested)
                || (standing == Standing::Purged && stored == round)
        });
        if over {
            return Ok(LetterStanding::Settled);
        }
    }
    Ok(if state.is_some() { LetterStanding::Dead } else { LetterStanding::Unheard })
}

fn leave_all(
    session: &Session<'_>,
    letters: &[Letter],
    state: &str,
    code: Code,
    at: Timestamp,
) -> Result<usize, Error> {
    let mut left = 0;
    for letter in letters {
        left += usize::from(leave(session, letter, state, code, at)?);
    }
    Ok(left)
}

/// Takes a letter out of the dead ones; false where it is out already.
fn leave(
    session: &Session<'_>,
    letter: &Letter,
    state: &str,
    code: Code,
    at: Timestamp,
) -> Result<bool, Error> {
    let sql = "UPDATE letters SET state = ?2 WHERE id = ?1 AND state = 'dead'";
    let updated = session.execute(sql, (letter.id.as_bytes(), state))? == 1;
    if !updated && !insert(session, letter, state)? {
        return Ok(false);
    }
    if state == "purged" {
        forget(session, letter.id)?;
    }
    if let Content::Delivery(delivery) = &letter.content {
        leave_copies(session, delivery, state)?;
        let change = deliveries::Change {
            standing: if state == "purged" { "purged" } else { "queued" },
            round: if state == "purged" { delivery.round } else { delivery.round + 1 },
            attempt: 0,
            reason: None,
            parked: None,
            queued_at: at,
            at,
        };
        if state == "purged" {
            deliveries::give_up(session, delivery, &change)?;
        } else {
            // The new round may have been tried before we came to note it; then that stands.
            deliveries::advance(session, delivery, &change)?;
        }
    }
    note(session, letter, code, at)?;
    Ok(true)
}

/// Other letters of the same delivery, up to this round, go the same way: they are copies.
fn leave_copies(session: &Session<'_>, delivery: &Delivery, state: &str) -> Result<(), Error> {
    let parameters = (delivery.id.0.as_bytes(), delivery.round);
    let sql = "SELECT id FROM letters WHERE delivery_id = ?1 AND round <= ?2 AND state = 'dead'";
    let copies: Vec<Uuid> = session.rows(sql, parameters, |row| {
        let id: [u8; 16] = row.get(0)?;
        Ok(Uuid::from_bytes(id))
    })?;
    for copy in copies {
        session.execute("UPDATE letters SET state = ?2 WHERE id = ?1", (copy.as_bytes(), state))?;
        if state == "purged" {
            forget(session, copy)?;
        }
    }
    Ok(())
}

fn forget(session: &Session<'_>, id: Uuid) -> Result<(), Error> {
    session.execute("DELETE FROM letter_documents WHERE letter_id = ?1", [id.as_bytes()])?;
    session.execute("UPDATE letters SET response = '' WHERE id = ?1", [id.as_bytes()])?;
    Ok(())
}

/// Traces what became of a letter with its event, where that is known.
fn note(session: &Session<'_>, letter: &Letter, code: Code, at: Timestamp) -> Result<(), Error> {
    let Some(event) = event(letter) else { return Ok(()) };
    let detail = match delivery(letter) {
        Some(delivery) => format!(
            "connector {}, round {}, {}, letter {}",
            delivery.connector,
            delivery.round,
            letter.reason.as_str(),
            letter.id
        ),
        None => format!("{}, letter {}", letter.reason.as_str(), letter.id),
    };
    trace::append_if_known(session, event, Decision::new(at, code, detail))
}

fn key(letter: &Letter) -> Key {
    Key { id: letter.id, delivery: delivery(letter).map(|delivery| (delivery.id, delivery.round)) }
}

fn delivery(letter: &Letter) -> Option<&Delivery> {
    match &letter.content {
        Content::Delivery(delivery) => Some(delivery),
        _ => None,
    }
}

fn event(letter: &Letter) -> Option<EventId> {
    match &letter.content {
        Content::Delivery(delivery) => Some(delivery.facts.event.id),
        Content::Intake(intake) => Some(intake.id),
        Content::Click(_) | Content::Message(_) => None,
    }
}
