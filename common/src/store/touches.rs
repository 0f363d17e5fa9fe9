//! Touches: what a visitor's browsers clicked and what a funnel recorded on its own pages, as one history.

use super::column::document;
use super::identities::Visitor;
use super::session::Session;
use super::{clicks, visits};
use crate::attribution::FoundBy;
use crate::click::Click;
use crate::event::{Event, Visit};
use crate::store::{Error, TouchRef, Touches};
use crate::touch::Touch;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// How many of a visitor's newest touches are looked at.
const NEWEST: usize = 20;

/// A visitor's clicks, each with how it was found, and all their touches.
pub(super) struct Gathered {
    /// The newest touches that are clicks, the newest first; of two at the same time the one with the greater
    /// id comes first.
    pub(super) clicks: Vec<(Click, FoundBy)>,
    /// All of them: of a click and a visit at the same time, the click is the newer.
    pub(super) touches: Touches,
}

/// Gathers the touches of a visitor at or before the event, within its advertiser. `listed` are the visits
/// that the event itself lists. The click that it names is among them whatever the times say: clocks differ.
pub(super) fn gather(
    session: &Session<'_>,
    event: &Event,
    visitor: &Visitor,
    listed: &[Visit],
    named: Option<&Click>,
) -> Result<Gathered, Error> {
    let mut clicks = Vec::new();
    let mut all: BTreeMap<Reverse<(jiff::Timestamp, TouchRef)>, Touch> = BTreeMap::new();
    let mut add = |place: TouchRef, touch: Touch| {
        all.entry(Reverse((touch.at, place))).or_insert(touch);
    };
    let mut seen = HashSet::new();
    for (browser, found_by) in &visitor.browsers {
        if !seen.insert(*browser) {
            continue;
        }
        let newest = clicks::newest_touches(session, event, *browser, NEWEST)?;
        if newest.len() >= NEWEST
            && let Some(oldest) = clicks::oldest_touch(session, event, *browser)?
        {
            add(TouchRef::Click(oldest.id), Touch::from(&oldest));
        }
        for click in newest {
            add(TouchRef::Click(click.id), Touch::from(&click));
            clicks.push((click, *found_by));
        }
    }
    if let Some(click) = named.filter(|click| click.not_a_touch.is_none()) {
        add(TouchRef::Click(click.id), Touch::from(click));
    }
    let mut known = HashSet::new();
    for visit in listed.iter().filter(|visit| visit.at <= event.at) {
        known.insert(visit.id.clone());
        add(TouchRef::Visit(visit.id.clone()), Touch::from(visit));
    }
    for holder in visitor.holders.iter().filter(|holder| visits::may_have(holder)) {
        for visit in visits::of(session, event, holder, NEWEST)? {
            if !known.contains(&visit.id) {
                add(TouchRef::Visit(visit.id.clone()), Touch::from(&visit));
            }
        }
    }
    clicks.sort_by_key(|(click, _)| Reverse((click.at, click.id)));
    clicks.truncate(NEWEST);
    let place = |(Reverse((_, place)), touch): (Reverse<(jiff::Timestamp, TouchRef)>, Touch)| (place, touch);
    let first = all.last_key_value().map(|(key, touch)| place((key.clone(), touch.clone())));
    let recent = all.into_iter().take(NEWEST).map(place).collect();
    Ok(Gathered { clicks, touches: Touches { first, recent } })
}

/// Touches by where they are. Those that are gone are left out.
pub(super) fn find(
    session: &Session<'_>,
    advertiser: &str,
    first: Option<&TouchRef>,
    recent: &[TouchRef],
) -> Result<Touches, Error> {
    let mut touches = Touches::default();
    for place in recent {
        touches.recent.extend(one(session, advertiser, place)?.map(|touch| (place.clone(), touch)));
    }
    if let Some(place) = first {
        touches.first = one(session, advertiser, place)?.map(|touch| (place.clone(), touch));
    }
    Ok(touches)
}

fn one(session: &Session<'_>, advertiser: &str, place: &TouchRef) -> Result<Option<Touch>, Error> {
    match place {
        TouchRef::Click(id) => Ok(clicks::find(session, *id)?.map(|click| Touch::from(&click))),
        TouchRef::Visit(id) => {
            let sql = "SELECT document FROM visits WHERE advertiser = ?1 AND id = ?2";
            let found: Option<String> = session.first(sql, (advertiser, id), |row| row.get(0))?;
            found.map(|text| Ok(Touch::from(&document::<Visit>("visit", &text)?))).transpose()
        }
    }
}
