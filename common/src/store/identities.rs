//! Identities: which browsers, contacts, e-mails and phone numbers are one visitor's.
//!
//! Browsers and contacts that were seen together are one person, for good. Persons that share an e-mail or
//! phone number are one visitor while the mark is on no more than [`SHARED_BY`] of them: an address that a
//! whole company gives, or `test@…`, joins nobody.

use super::column::millis;
use super::session::Session;
use crate::attribution::FoundBy;
use crate::click::Click;
use crate::event::Event;
use crate::id::VisitorId;
use crate::identity::{Who, visitor_key};
use crate::store::Error;
use std::collections::{BTreeSet, HashSet, VecDeque};
use uuid::Uuid;

/// On more persons than this a mark joins nobody.
pub(super) const SHARED_BY: usize = 20;
/// How many persons a visitor is followed through at most.
const MOST_PERSONS: usize = 500;

const ADD_MARK: &str =
    "INSERT INTO marks (advertiser, mark, person) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

/// A person: nothing but what browsers and contacts are joined to.
pub(super) type Person = [u8; 16];

/// Joins what an event names: the browser that sent it, that of the click that it names, the contact, the
/// e-mail and the phone number. Says whether the contact is known now by more than its number.
pub(super) fn link(
    session: &Session<'_>,
    event: &Event,
    who: &Who,
    named: Option<&Click>,
) -> Result<bool, Error> {
    let advertiser = event.advertiser.as_str();
    let marks: Vec<&String> = who.email.iter().chain(&who.phone).collect();
    let mut keys: BTreeSet<String> = who.visitor.iter().cloned().collect();
    keys.extend(named.map(|click| visitor_key(click.visitor)));
    // A contact is known by what comes with it. Its number alone says nothing of who it is.
    if !keys.is_empty() || !marks.is_empty() || who.describes_contact {
        keys.extend(who.contact.clone());
    }
    if keys.len() + marks.len() < 2 && !who.describes_contact {
        let mut contact_known = false;
        for key in who.visitor.iter().chain(&who.contact) {
            if let Some(person) = person(session, advertiser, key)? {
                contact_known |= who.contact.as_ref() == Some(key);
                see(session, &person, event)?;
            }
        }
        return Ok(contact_known);
    }
    let mut persons = BTreeSet::new();
    for key in &keys {
        persons.extend(person(session, advertiser, key)?);
    }
    if keys.is_empty() {
        // Somebody known by marks alone is nobody new where one of them is known.
        for mark in &marks {
            if persons.is_empty() {
                persons.extend(persons_of(session, advertiser, mark, 1)?);
            }
        }
    }
    let mut persons = persons.into_iter();
    let one = persons.next().unwrap_or_else(|| Uuid::now_v7().into_bytes());
    for other in persons {
        session.execute("UPDATE identities SET person = ?1 WHERE person = ?2", (one, other))?;
        for mark in session.rows("SELECT mark FROM marks WHERE person = ?1", [other], |row| row.get(0))? {
            let mark: String = mark;
            session.execute(ADD_MARK, (advertiser, mark, one))?;
        }
        drop_person(session, &other)?;
    }
    see(session, &one, event)?;
    for key in &keys {
        session.execute(
            "INSERT INTO identities (advertiser, key, person) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (advertiser, key, one),
        )?;
    }
    match marks.as_slice() {
        [email, phone] => {
            let both = "INSERT INTO marks (advertiser, mark, person) VALUES (?1, ?2, ?4), (?1, ?3, ?4)
                        ON CONFLICT DO NOTHING";
            session.execute(both, (advertiser, email, phone, one))?;
        }
        marks => {
            for mark in marks {
                session.execute(ADD_MARK, (advertiser, mark, one))?;
            }
        }
    }
    Ok(who.contact.is_some())
}

/// Notes that a person was seen.
fn see(session: &Session<'_>, person: &Person, event: &Event) -> Result<(), Error> {
    let sql = "INSERT INTO persons (person, seen_at) VALUES (?1, ?2)
               ON CONFLICT (person) DO UPDATE SET seen_at = excluded.seen_at WHERE excluded.seen_at > persons.seen_at";
    session.execute(sql, (person, millis(event.received_at)))?;
    Ok(())
}

/// Takes a person out, with everything that is joined to them.
pub(super) fn drop_person(session: &Session<'_>, person: &Person) -> Result<(), Error> {
    for table in ["identities", "marks", "persons"] {
        session.execute(&format!("DELETE FROM {table} WHERE person = ?1"), [person])?;
    }
    Ok(())
}

/// Whether a contact is known by more than its number.
pub(super) fn knows(session: &Session<'_>, advertiser: &str, key: &str) -> Result<bool, Error> {
    Ok(person(session, advertiser, key)?.is_some())
}

/// Everything that is one visitor with whom an event names.
pub(super) struct Visitor {
    /// Their browsers, each with how it was found first.
    pub(super) browsers: Vec<(VisitorId, FoundBy)>,
    /// The keys and marks that are theirs, each once.
    pub(super) holders: Vec<String>,
    /// Whether the contact is known by more than its number.
    pub(super) contact_known: bool,
}

/// The visitor that an event names: by its own browser and that of the click that it names, its contact, its
/// e-mail, its phone number. `named`: that click, where it is of the event's advertiser.
pub(super) fn visitor(
    session: &Session<'_>,
    event: &Event,
    who: &Who,
    named: Option<&Click>,
) -> Result<Visitor, Error> {
    let advertiser = event.advertiser.as_str();
    let named = named.map(|click| click.visitor);
    let given = event.person.visitor.into_iter().chain(named);
    let mut found = Visitor {
        browsers: given.map(|visitor| (visitor, FoundBy::Visitor)).collect(),
        holders: Vec::new(),
        contact_known: false,
    };
    let named = named.map(visitor_key);
    found.holders.extend([&who.visitor, &named, &who.contact].into_iter().flatten().cloned());
    let mut own = BTreeSet::new();
    let keys =
        [(&who.visitor, FoundBy::Visitor), (&named, FoundBy::Visitor), (&who.contact, FoundBy::Contact)];
    for (key, found_by) in keys {
        let Some(key) = key else { continue };
        if let Some(person) = person(session, advertiser, key)? {
            found.contact_known |= found_by == FoundBy::Contact;
            if own.insert(person) {
                keys_of(session, &person, found_by, &mut found)?;
            }
        }
    }
    let strong = !found.holders.is_empty();
    let mut reached =
        Reached { session, advertiser, own: &own, strong, persons: own.clone(), marks: Vec::new() };
    for (mark, found_by) in [(&who.email, FoundBy::Email), (&who.phone, FoundBy::Phone)] {
        let Some(mark) = mark else { continue };
        for person in reached.by_marks(VecDeque::from([mark.clone()]), true)? {
            keys_of(session, &person, found_by, &mut found)?;
        }
    }
    let others = own.iter().map(|person| marks_of(session, person)).collect::<Result<Vec<_>, _>>()?;
    let by_own = if who.visitor.is_some() { FoundBy::Visitor } else { FoundBy::Contact };
    for person in reached.by_marks(others.into_iter().flatten().collect(), false)? {
        keys_of(session, &person, by_own, &mut found)?;
    }
    found.holders.append(&mut reached.marks);
    let mut seen = HashSet::new();
    found.holders.retain(|holder| seen.insert(holder.clone()));
    found.browsers.truncate(MOST_PERSONS);
    found.holders.truncate(MOST_PERSONS);
    Ok(found)
}

/// The persons that a walk over shared marks has reached.
struct Reached<'a> {
    session: &'a Session<'a>,
    advertiser: &'a str,
    own: &'a BTreeSet<Person>,
    /// Whether the event names a browser or contact, and is somebody whatever its marks say.
    strong: bool,
    persons: BTreeSet<Person>,
    /// The marks that were walked over.
    marks: Vec<String>,
}

impl Reached<'_> {
    /// Walks on from these marks, and gives the persons that were not reached before.
    fn by_marks(&mut self, mut marks: VecDeque<String>, given: bool) -> Result<Vec<Person>, Error> {
        let mut new = Vec::new();
        let mut led_on = false;
        let mut walked: HashSet<String> = HashSet::new();
        let first: HashSet<String> = if given { marks.iter().cloned().collect() } else { HashSet::new() };
        while let Some(mark) = marks.pop_front() {
            let far = self.persons.len() >= MOST_PERSONS || walked.len() >= MOST_PERSONS;
            if far || !walked.insert(mark.clone()) {
                continue;
            }
            let limit = SHARED_BY + self.own.len() + 1;
            let sharing = persons_of(self.session, self.advertiser, &mark, limit)?;
            let others = sharing.iter().filter(|person| !self.own.contains(*person)).count();
            let of_us = others < sharing.len() || (first.contains(&mark) && self.strong);
            if others + usize::from(of_us) > SHARED_BY {
                continue;
            }
            self.marks.push(mark.clone());
            for person in sharing {
                let own = self.own.contains(&person);
                if self.persons.insert(person) || (own && given && !std::mem::replace(&mut led_on, true)) {
                    // A mark that is on the event's own person as well leads on over that one's others.
                    let persons = if own { self.own.iter().copied().collect() } else { vec![person] };
                    for person in &persons {
                        marks.extend(marks_of(self.session, person)?);
                    }
                    new.extend(persons.into_iter().filter(|person| !self.own.contains(person)));
                }
            }
        }
        Ok(new)
    }
}

/// The person that a browser or contact is joined to.
pub(super) fn person(session: &Session<'_>, advertiser: &str, key: &str) -> Result<Option<Person>, Error> {
    let sql = "SELECT person FROM identities WHERE advertiser = ?1 AND key = ?2";
    session.first(sql, (advertiser, key), |row| row.get(0))
}

/// The persons that a mark was seen with, at most `limit` of them.
pub(super) fn persons_of(
    session: &Session<'_>,
    advertiser: &str,
    mark: &str,
    limit: usize,
) -> Result<Vec<Person>, Error> {
    let sql = "SELECT person FROM marks WHERE advertiser = ?1 AND mark = ?2 ORDER BY person LIMIT ?3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    session.rows(sql, (advertiser, mark, limit), |row| row.get(0))
}

/// The marks that a person was seen with.
pub(super) fn marks_of(session: &Session<'_>, person: &Person) -> Result<Vec<String>, Error> {
    session
        .rows("SELECT mark FROM marks WHERE person = ?1 ORDER BY mark LIMIT 500", [person], |row| row.get(0))
}

/// Adds the browsers and contacts of a person.
fn keys_of(
    session: &Session<'_>,
    person: &Person,
    found_by: FoundBy,
    found: &mut Visitor,
) -> Result<(), Error> {
    // Greater keys first: browsers come before contacts.
    let sql = "SELECT key FROM identities WHERE person = ?1 ORDER BY key DESC LIMIT ?2";
    let limit = i64::try_from(MOST_PERSONS).unwrap_or(i64::MAX);
    let keys: Vec<String> = session.rows(sql, (person, limit), |row| row.get(0))?;
    let ids = keys.iter().filter_map(|key| key.strip_prefix("visitor:")?.parse().ok());
    found.browsers.extend(ids.map(|id| (id, found_by)));
    found.holders.extend(keys);
    Ok(())
}
