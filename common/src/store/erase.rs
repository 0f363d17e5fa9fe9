//! Erasing a person: what says who they are goes, what the ledger is made of stays.
//!
//! The same for an operator's `forget` and for a funnel's `contact.deleted`. A tombstone comes first, so that
//! what happened before and comes late is nobody's; identities go last, so that an erasing that was cut off
//! finds the rest when it is run again.

use super::attempts::blanked_exchange;
use super::column::{document, fit, json, millis};
use super::reach::{Hold, Reach};
use super::session::{Row, Session};
use super::{Store, clicks, deliveries, identities, late, orders, parking, pixels, trace, visits};
use crate::dead_letter::Letter;
use crate::event::{Event, Person};
use crate::id::{AdvertiserId, ClickId, EventId};
use crate::identity::scoped;
use crate::store::{Candidate, Erased, Error, Somebody};
use crate::trace::{Code, Decision};
use jiff::Timestamp;
use std::collections::BTreeSet;
use uuid::Uuid;

/// How many events or clicks are erased in one transaction.
const STEP: usize = 200;

/// What belongs to a person.
#[derive(Default)]
struct Belongings {
    persons: BTreeSet<identities::Person>,
    contacts: BTreeSet<String>,
    marks: BTreeSet<String>,
    browsers: BTreeSet<String>,
    orders: BTreeSet<String>,
    events: BTreeSet<EventId>,
    clicks: BTreeSet<ClickId>,
}

impl Store {
    /// What erasing somebody would erase. Nothing is changed.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn would_erase(&self, somebody: Somebody) -> Result<Erased, Error> {
        self.read(move |session| Ok(belongings(session, &somebody, None)?.counted())).await
    }

    /// Erases somebody in steps that let others write in between, and says what was erased. Cut off anywhere,
    /// it can be run again.
    ///
    /// # Errors
    /// The database failed; the steps before stay done.
    pub async fn erase(&self, somebody: Somebody, now: Timestamp) -> Result<Erased, Error> {
        let whom = somebody.clone();
        let reach = Reach::of([&somebody.advertiser], Hold::Alone);
        let found = self
            .write(reach.clone(), move |session| {
                let found = belongings(session, &whom, None)?;
                bury(session, &whom, &found, now)?;
                Ok(found)
            })
            .await?;
        let mut erased = Erased::default();
        let events: Vec<EventId> = found.events.iter().copied().collect();
        for step in events.chunks(STEP) {
            let step = step.to_vec();
            erased += self
                .write(reach.clone(), move |session| {
                    step.iter().try_fold(Erased::default(), |so_far, event| {
                        Ok(so_far + erase_event(session, *event, now)?)
                    })
                })
                .await?;
        }
        let ids: Vec<ClickId> = found.clicks.iter().copied().collect();
        for step in ids.chunks(STEP) {
            let step = step.to_vec();
            let count = self.write(reach.clone(), move |session| erase_clicks(session, &step)).await?;
            erased.clicks += count;
        }
        erased += self.write(reach, move |session| erase_ties(session, &somebody, &found)).await?;
        Ok(erased)
    }

    /// The keys of the contacts with this number, by the sender that it is a number of: `contact:cf:24359`.
    /// A number with its sender before it (`cf:24359`) is one key.
    ///
    /// # Errors
    /// The database failed, or something stored cannot be read.
    pub async fn contacts(&self, advertiser: AdvertiserId, number: &str) -> Result<BTreeSet<String>, Error> {
        let number = number.to_owned();
        self.read(move |session| {
            if number.contains(':') {
                return Ok(BTreeSet::from([format!("contact:{number}")]));
            }
            let mut keys = BTreeSet::new();
            for (_, event) in events_about(session, advertiser.as_str(), &format!("contact:{number}"))? {
                keys.insert(scoped("contact", &event, &number));
            }
            for sender in ["cf", "classic"] {
                let key = format!("contact:{sender}:{number}");
                if identities::knows(session, advertiser.as_str(), &key)? {
                    keys.insert(key);
                }
            }
            Ok(keys)
        })
        .await
    }
}

/// Erases a contact that its funnel has deleted, within the transaction that is under way: what is the
/// contact's alone. A funnel's contact may share a browser, an e-mail or a phone number with others, who
/// have not asked for anything.
pub(super) fn erase_contact(
    session: &Session<'_>,
    mut somebody: Somebody,
    happened: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    let advertiser = somebody.advertiser.as_str().to_owned();
    let mut own = BTreeSet::new();
    for contact in &somebody.contacts {
        if let Some(person) = identities::person(session, &advertiser, contact)? {
            let keys = keys_of(session, &person)?;
            let mut contacts = keys.iter().filter(|key| key.starts_with("contact:"));
            if contacts.all(|key| somebody.contacts.contains(key)) {
                own.insert(person);
            }
        }
    }
    let mut marks = Vec::new();
    for mark in &somebody.marks {
        let sharing = identities::persons_of(session, &advertiser, mark, own.len() + 1)?;
        if sharing.iter().all(|person| own.contains(person)) {
            marks.push(mark.clone());
        }
    }
    somebody.marks = marks;
    let somebody = &somebody;
    let found = belongings(session, somebody, Some(&own))?;
    bury(session, somebody, &found, happened)?;
    for event in &found.events {
        erase_event(session, *event, now)?;
    }
    let ids: Vec<ClickId> = found.clicks.iter().copied().collect();
    erase_clicks(session, &ids)?;
    erase_ties(session, somebody, &found)?;
    Ok(())
}

/// Whether an event was erased.
pub(super) fn is_erased(session: &Session<'_>, event: EventId) -> Result<bool, Error> {
    let sql = "SELECT erased FROM events WHERE id = ?1";
    let erased: Option<bool> = session.first(sql, [event.0.as_bytes()], |row| row.get(0))?;
    Ok(erased.unwrap_or_default())
}

/// Whether it is still kept of anybody that they were erased.
pub(super) fn are_there_graves(session: &Session<'_>) -> Result<bool, Error> {
    session.exists("SELECT 1 FROM tombstones LIMIT 1", ())
}

/// Whether a candidate is of a person who was erased: its event was, or it happened before one that it names
/// was. `graves`: whether anybody's name is still kept for that.
pub(super) fn is_of_the_erased(
    session: &Session<'_>,
    candidate: &Candidate,
    graves: bool,
) -> Result<bool, Error> {
    let (event, who) = (&candidate.event, &candidate.who);
    if is_erased(session, event.id)? {
        return Ok(true);
    }
    if !graves {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM tombstones WHERE advertiser = ?1 AND key IN (?2, ?3, ?4) AND at >= ?5";
    let (contact, email, phone) = (&who.contact, &who.email, &who.phone);
    session.exists(sql, (event.advertiser.as_str(), contact, email, phone, millis(event.at)))
}

/// Notes that an event, which was just kept without a person, is an erased one's.
pub(super) fn mark(session: &Session<'_>, event: EventId) -> Result<(), Error> {
    let sql = "UPDATE events SET erased = 1, blanked = 1 WHERE id = ?1";
    session.execute(sql, [event.0.as_bytes()])?;
    Ok(())
}

impl Belongings {
    fn counted(&self) -> Erased {
        Erased {
            events: self.events.len() as u64,
            clicks: self.clicks.len() as u64,
            persons: self.persons.len() as u64,
            ..Erased::default()
        }
    }
}

/// Finds what belongs to somebody: the persons whose contact or e-mail it is; their browsers, contacts and
/// those marks that nobody else has; and the events and clicks of all these. An e-mail that too many
/// persons share leads to no person, only to the events that name it. `only`: no other persons than these.
fn belongings(
    session: &Session<'_>,
    somebody: &Somebody,
    only: Option<&BTreeSet<[u8; 16]>>,
) -> Result<Belongings, Error> {
    let advertiser = somebody.advertiser.as_str();
    let mut found = Belongings {
        contacts: somebody.contacts.iter().cloned().collect(),
        marks: somebody.marks.iter().cloned().collect(),
        ..Belongings::default()
    };
    for contact in &somebody.contacts {
        found.persons.extend(identities::person(session, advertiser, contact)?);
    }
    for mark in &somebody.marks {
        let sharing = identities::persons_of(session, advertiser, mark, identities::SHARED_BY + 1)?;
        if sharing.len() <= identities::SHARED_BY {
            found.persons.extend(sharing);
        }
    }
    if let Some(only) = only {
        found.persons.retain(|person| only.contains(person));
    }
    let mut visitors = BTreeSet::new();
    for person in &found.persons {
        for key in keys_of(session, person)? {
            if key.starts_with("contact:") {
                found.contacts.insert(key);
            } else {
                visitors.insert(key);
            }
        }
        for mark in identities::marks_of(session, person)? {
            let sharing = identities::persons_of(session, advertiser, &mark, found.persons.len() + 1)?;
            if sharing.iter().all(|other| found.persons.contains(other)) {
                found.marks.insert(mark);
            }
        }
    }
    for visitor in &visitors {
        let ids = visitor.strip_prefix("visitor:").and_then(|id| Uuid::try_parse(id).ok());
        found.clicks.extend(ids.map_or(Ok(Vec::new()), |id| clicks_of(session, advertiser, id))?);
    }
    find_events(session, advertiser, &visitors, &mut found)?;
    found.browsers = visitors;
    Ok(found)
}

fn find_events(
    session: &Session<'_>,
    advertiser: &str,
    visitors: &BTreeSet<String>,
    found: &mut Belongings,
) -> Result<(), Error> {
    for subject in found.marks.iter().chain(visitors) {
        found.events.extend(events_about(session, advertiser, subject)?.into_iter().map(|(id, _)| id));
    }
    for key in &found.contacts {
        let Some(number) = number(key) else { continue };
        for (id, event) in events_about(session, advertiser, &format!("contact:{number}"))? {
            if scoped("contact", &event, number) == *key {
                found.events.insert(id);
            }
        }
        let sql = "SELECT key FROM orders WHERE advertiser = ?1 AND buyer = ?2";
        let orders: Vec<String> = session.rows(sql, (advertiser, key), |row| row.get(0))?;
        found.orders.extend(orders);
    }
    // Transactions name an order and nobody else.
    for key in &found.orders {
        let Some(number) = number(key) else { continue };
        for (id, event) in events_about(session, advertiser, &format!("order:{number}"))? {
            if scoped("order", &event, number) == *key && names_nobody(&event) {
                found.events.insert(id);
            }
        }
    }
    let sql = "SELECT id, document FROM events WHERE click_id = ?1 AND advertiser = ?2 AND erased = 0";
    for click in &found.clicks {
        let of_click = session.rows(sql, (click.0.as_bytes(), advertiser), read_event)?;
        found.events.extend(of_click.into_iter().filter(|(_, event)| names_nobody(event)).map(|(id, _)| id));
    }
    Ok(())
}

/// The sender's own number in a key such as `contact:cf:24359`.
fn number(key: &str) -> Option<&str> {
    key.splitn(3, ':').nth(2)
}

fn names_nobody(event: &Event) -> bool {
    event.person == Person::default()
}

fn events_about(
    session: &Session<'_>,
    advertiser: &str,
    subject: &str,
) -> Result<Vec<(EventId, Event)>, Error> {
    let sql = "SELECT events.id, events.document FROM subjects JOIN events ON events.id = subjects.event_id
               WHERE subjects.subject = ?1 AND events.advertiser = ?2 AND events.erased = 0";
    session.rows(sql, (fit(subject), advertiser), read_event)
}

fn read_event(row: &Row<'_>) -> Result<(EventId, Event), Error> {
    Ok((EventId(Uuid::from_bytes(row.get(0)?)), document("event", &row.get::<_, String>(1)?)?))
}

fn keys_of(session: &Session<'_>, person: &identities::Person) -> Result<Vec<String>, Error> {
    let sql = "SELECT key FROM identities WHERE person = ?1";
    session.rows(sql, [person], |row| row.get(0))
}

fn clicks_of(session: &Session<'_>, advertiser: &str, visitor: Uuid) -> Result<Vec<ClickId>, Error> {
    let mut found = Vec::new();
    for touch in [0, 1] {
        // Two readings, each by its own index.
        let sql = format!("SELECT id FROM clicks WHERE advertiser = ?1 AND visitor = ?2 AND touch = {touch}");
        let read = |row: &Row<'_>| Ok(ClickId(Uuid::from_bytes(row.get(0)?)));
        found.extend(session.rows(&sql, (advertiser, visitor.as_bytes()), read)?);
    }
    Ok(found)
}

/// Notes who is erased, for what happened before and comes later.
fn bury(session: &Session<'_>, somebody: &Somebody, found: &Belongings, at: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO tombstones (advertiser, key, at) VALUES (?1, ?2, ?3)
               ON CONFLICT (advertiser, key) DO UPDATE SET at = excluded.at
               WHERE excluded.at > tombstones.at";
    for key in found.contacts.iter().chain(&found.marks) {
        session.execute(sql, (somebody.advertiser.as_str(), key, millis(at)))?;
    }
    Ok(())
}

/// Erases an event: what is left are ids, kinds, times, money and where its deliveries stand.
fn erase_event(session: &Session<'_>, id: EventId, now: Timestamp) -> Result<Erased, Error> {
    let key = id.0.as_bytes();
    // The names are those of `Event::without_person`; removed as text, nothing else is touched.
    let sql = "UPDATE events SET click_given = CASE WHEN click_id IS NOT NULL THEN click_given END,
                   news = NULL, erased = 1, blanked = 1
               WHERE id = ?1 AND erased = 0";
    if session.execute(sql, [key])? == 0 {
        return Ok(Erased::default());
    }
    blank_document(session, id)?;
    let sql = "DELETE FROM subjects WHERE event_id = ?1 AND substr(subject, 1, 6) <> 'order:'
               AND (substr(subject, 1, 6) <> 'click:' OR (SELECT click_id FROM events WHERE id = ?1) IS NULL)";
    session.execute(sql, [key])?;
    let erased = Erased {
        events: 1,
        parked: session.execute("DELETE FROM parked WHERE event_id = ?1", [key])? as u64,
        attempts: blank_exchanges(session, id)? as u64,
        letters: blank_letters(session, id)?,
        ..Erased::default()
    };
    parking::unpark(session, id)?;
    deliveries::blank(session, id)?;
    late::forget(session, id)?;
    let detail = "its person was erased; ids, times and money are left".to_owned();
    trace::append(session, id, &[Decision::new(now, Code::Erased, detail)])?;
    Ok(erased)
}

/// Blanks what an event's document says of its person. The names are those of `Event::without_person`; nothing
/// else is touched, also where a newer binary wrote what we do not know.
pub(super) fn blank_document(session: &Session<'_>, event: EventId) -> Result<(), Error> {
    let sql = "SELECT document FROM events WHERE id = ?1";
    let read =
        |row: &Row<'_>| document::<serde_json::Map<_, serde_json::Value>>("event", &row.get::<_, String>(0)?);
    let Some(mut kept) = session.first(sql, [event.0.as_bytes()], read)? else { return Ok(()) };
    for name in ["person", "data", "foreign_click"] {
        kept.shift_remove(name);
    }
    let sql = "UPDATE events SET document = ?2 WHERE id = ?1";
    session.execute(sql, (event.0.as_bytes(), json("event", &kept)?))?;
    Ok(())
}

/// Blanks what the webhook log keeps of an event's deliveries and pixels.
pub(super) fn blank_exchanges(session: &Session<'_>, event: EventId) -> Result<usize, Error> {
    let sql = concat!(
        "UPDATE attempts SET ",
        blanked_exchange!(),
        " WHERE delivery_id IN (SELECT id FROM deliveries WHERE event_id = ?1)
          AND (url <> '' OR response <> '')"
    );
    Ok(session.execute(sql, [event.0.as_bytes()])? + pixels::blank(session, event)?)
}

fn blank_letters(session: &Session<'_>, event: EventId) -> Result<u64, Error> {
    let sql = "SELECT letter_documents.letter_id, document FROM letters
               JOIN letter_documents ON letter_id = letters.id WHERE event_id = ?1";
    let letters = session.rows(sql, [event.0.as_bytes()], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, document::<Letter>("letter", &row.get::<_, String>(1)?)?))
    })?;
    for (id, letter) in &letters {
        session.execute(
            "UPDATE letter_documents SET document = ?2 WHERE letter_id = ?1",
            (id, json("letter", &letter.clone().without_person())?),
        )?;
    }
    session.execute("UPDATE letters SET response = '' WHERE event_id = ?1", [event.0.as_bytes()])?;
    Ok(letters.len() as u64)
}

fn erase_clicks(session: &Session<'_>, ids: &[ClickId]) -> Result<u64, Error> {
    let sql = "UPDATE clicks SET visitor = ?2, document = ?3, blanked = 1 WHERE id = ?1";
    let mut erased = 0;
    for id in ids {
        let Some(click) = clicks::find(session, *id)? else { continue };
        let click = click.without_person();
        erased += session
            .execute(sql, (id.0.as_bytes(), click.visitor.0.as_bytes(), json("click", &click)?))?
            as u64;
    }
    Ok(erased)
}

/// Erases what ties a person's things together: visits, other trackers' click ids, orders' buyers, and the
/// person.
fn erase_ties(session: &Session<'_>, somebody: &Somebody, found: &Belongings) -> Result<Erased, Error> {
    let advertiser = somebody.advertiser.as_str();
    let mut erased = Erased::default();
    let each = |sql: &str, keys: &mut dyn Iterator<Item = &String>| -> Result<u64, Error> {
        let mut count = 0;
        for key in keys {
            count += session.execute(sql, (advertiser, key))? as u64;
        }
        Ok(count)
    };
    let of_key = "DELETE FROM visits WHERE advertiser = ?1 AND key = ?2";
    let of_nobody: Vec<_> = found.events.iter().map(|event| visits::key_of_nobody(*event)).collect();
    erased.visits = each(of_key, &mut found.contacts.iter().chain(&found.browsers).chain(&of_nobody))?;
    let foreign = "DELETE FROM foreign_clicks WHERE advertiser = ?1 AND key = ?2";
    erased.foreign_clicks =
        each(foreign, &mut found.contacts.iter().chain(&found.marks).chain(&found.orders))?;
    let counted = "DELETE FROM counted WHERE advertiser = ?1 AND holder = ?2";
    each(counted, &mut found.contacts.iter().chain(&found.marks).chain(&found.browsers))?;
    for key in &found.orders {
        if let Some(order) = orders::find(session, advertiser, key)? {
            orders::forget_buyer(session, advertiser, key, order)?;
            erased.orders += 1;
        }
    }
    each("DELETE FROM marks WHERE advertiser = ?1 AND mark = ?2", &mut somebody.marks.iter())?;
    each("DELETE FROM identities WHERE advertiser = ?1 AND key = ?2", &mut somebody.contacts.iter())?;
    for person in &found.persons {
        identities::drop_person(session, person)?;
        erased.persons += 1;
    }
    Ok(erased)
}
