//! What is counted of a visitor: approved conversions and named events, each once.
//!
//! Each stands under one holder: the contact, browser, e-mail or phone number that it came with. Who is one
//! visitor is asked when it is counted, so that persons that turn out to be one have both their counts.

use super::column::millis;
use super::session::{Bind, Given, Session};
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
    let advertiser = event.advertiser.as_str();
    for some in holders.chunks(AT_ONCE) {
        // Both together, unless one of them could crowd out the other.
        let both = look(session, advertiser, some, None)?;
        let crowded = both.len() >= MOST_COUNTED;
        for (what, keys) in [(What::Conversion, &mut conversions), (What::Event, &mut events)] {
            if keys.len() < MOST_COUNTED {
                let found = if crowded { &look(session, advertiser, some, Some(what))? } else { &both };
                keys.extend(found.iter().filter(|(of, _)| of == what.as_str()).map(|(_, key)| key.clone()));
            }
        }
    }
    Ok((conversions, events))
}

/// What is counted under some holders, at most [`MOST_COUNTED`] of it, and what each is. A look for each holder: asked
/// for several at once, PostgreSQL reads all that the advertiser has, as long as it has not counted the table.
fn look(
    session: &Session<'_>,
    advertiser: &str,
    holders: &[String],
    what: Option<What>,
) -> Result<Vec<(String, String)>, Error> {
    let most = i64::try_from(MOST_COUNTED).unwrap_or(i64::MAX);
    let mut given = Given::default();
    let (advertiser, most) = (given.place(advertiser.cell()), given.place(most.into()));
    let alike =
        what.map_or_else(String::new, |what| format!(" AND what = {}", given.place(what.as_str().cell())));
    let looks: Vec<_> = holders
        .iter()
        .map(|holder| {
            let holder = given.place(holder.cell());
            format!(
                "SELECT what, key FROM counted WHERE advertiser = {advertiser} AND holder = {holder}{alike}"
            )
        })
        .collect();
    let sql = format!("{} LIMIT {most}", looks.join(" UNION ALL "));
    session.rows(&sql, given, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Counts things under a holder. Twice is once.
pub(super) fn count(
    session: &Session<'_>,
    event: &Event,
    holder: &str,
    things: &[(What, String)],
) -> Result<(), Error> {
    if things.is_empty() {
        return Ok(());
    }
    let mut given = Given::default();
    let whose = given.places([event.advertiser.as_str().cell(), holder.cell()]);
    let at = given.place(millis(event.received_at).into());
    let rows: Vec<_> = things
        .iter()
        .map(|(what, key)| format!("({whose}, {}, {at})", given.places([what.as_str().cell(), key.cell()])))
        .collect();
    let sql = format!(
        "INSERT INTO counted (advertiser, holder, what, key, at) VALUES {} ON CONFLICT DO NOTHING",
        rows.join(", ")
    );
    session.execute(&sql, given)?;
    Ok(())
}
