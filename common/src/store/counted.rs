//! What is counted of a visitor: approved conversions and named events, each once.
//!
//! Each stands under one holder: the contact, browser, e-mail or phone number that it came with. Who is one
//! visitor is asked when it is counted, so that persons that turn out to be one have both their counts.

use super::column::millis;
use super::session::{Bind, Session};
use crate::click::Click;
use crate::event::Event;
use crate::identity::{Who, visitor_key};
use crate::store::{Error, MOST_COUNTED};
use std::collections::BTreeSet;

/// How many holders are asked for in one look: all that a visitor usually has.
const AT_ONCE: usize = 8;

/// What can be counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Conversion,
    Event,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Conversion => "conversion",
            Self::Event => "event",
        }
    }
}

/// Under whom an event is counted: what names a person most surely comes first, because it can be erased
/// without taking others along. None where it names nobody.
pub(super) fn holder(who: &Who, named: Option<&Click>) -> Option<String> {
    let browser = who.visitor.clone().or_else(|| named.map(|click| visitor_key(click.visitor)));
    who.contact.clone().or(browser).or_else(|| who.email.clone()).or_else(|| who.phone.clone())
}

/// The conversions and the events that these holders have, at most [`MOST_COUNTED`] of each.
pub(super) fn of(
    session: &Session<'_>,
    event: &Event,
    holders: &[String],
) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
    let (mut conversions, mut events) = (BTreeSet::new(), BTreeSet::new());
    let most = i64::try_from(MOST_COUNTED).unwrap_or(i64::MAX);
    for some in holders.chunks(AT_ONCE) {
        for (what, keys) in [(What::Conversion, &mut conversions), (What::Event, &mut events)] {
            if keys.len() >= MOST_COUNTED {
                continue;
            }
            let mut cells = vec![event.advertiser.as_str().cell(), what.as_str().cell(), most.cell()];
            cells.extend(some.iter().map(Bind::cell));
            let places: Vec<_> = (4..=cells.len()).map(|place| format!("?{place}")).collect();
            let places = places.join(", ");
            let sql = format!(
                "SELECT key FROM counted WHERE advertiser = ?1 AND holder IN ({places}) AND what = ?2 LIMIT ?3"
            );
            keys.extend(session.rows(&sql, cells.as_slice(), |row| row.get::<_, String>(0))?);
        }
    }
    Ok((conversions, events))
}

/// Counts something under a holder. Twice is once.
pub(super) fn count(
    session: &Session<'_>,
    event: &Event,
    holder: &str,
    what: What,
    key: &str,
) -> Result<(), Error> {
    let sql = "INSERT INTO counted (advertiser, holder, what, key, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let at = millis(event.received_at);
    session.execute(sql, (event.advertiser.as_str(), holder, what.as_str(), key, at))?;
    Ok(())
}
