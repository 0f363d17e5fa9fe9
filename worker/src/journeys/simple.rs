//! The second attribution: deliberately simple, slow, and so plain that it can be read against the rules.
//!
//! It imports nothing from `carom_common`. It keeps two lists, the clicks and the events that are decided,
//! and scans them for every question; there is no index and nothing is remembered between questions.

mod money;
mod people;

use super::journey::{Arrival, Click, Event, Input, Names, What};
pub use money::Conversion;

/// How long an event waits for what it lacks: 15 minutes of our clock.
const PARKING: i64 = 15 * 60_000;

/// What came of a journey.
pub struct Outcome {
    /// Of each event that arrived, in the order of arrival.
    pub decisions: Vec<Decision>,
    /// Every conversion, as it stands in the end.
    pub conversions: Vec<Conversion>,
}

/// What came of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Which arrival it was, counted from 0, clicks included.
    pub arrival: usize,
    /// Whether it is a copy of one that came before. Nothing else is said of a copy.
    pub duplicate: bool,
    /// What it lacked when it came: `click`, `order`, `contact`, `sale`. With none it did not wait.
    pub lacked: Vec<&'static str>,
    /// Whether it waited in vain.
    pub in_vain: bool,
    /// The id of the click that earned it.
    pub click: Option<String>,
    /// How that was found; `none` where it was not.
    pub found_by: &'static str,
}

/// An event that was decided, and the click that earned it.
struct Decided {
    event: Event,
    click: Option<Click>,
    /// The cookie of the click that it names, where that was recorded by then. Clicks that come later tie
    /// nobody to it.
    cookie: Option<String>,
}

/// An event that waits.
struct Parked {
    arrival: usize,
    since: i64,
    event: Event,
}

#[derive(Default)]
struct World {
    clicks: Vec<Click>,
    decided: Vec<Decided>,
    parked: Vec<Parked>,
    heard: Vec<(String, String)>,
    decisions: Vec<Decision>,
}

/// Goes through a journey to its end, until nothing waits any more.
pub fn follow(arrivals: &[Arrival]) -> Outcome {
    let mut world = World::default();
    for (number, arrival) in arrivals.iter().enumerate() {
        world.give_up_waiting(arrival.at);
        match &arrival.input {
            Input::Click(click) => world.clicks.push(click.clone()),
            Input::Event(event) => world.hear(number, arrival.at, event),
        }
        world.release();
    }
    world.give_up_waiting(i64::MAX);
    world.decisions.sort_by_key(|decision| decision.arrival);
    let events: Vec<&Event> = world.decided.iter().map(|decided| &decided.event).collect();
    Outcome { conversions: money::conversions(&events), decisions: world.decisions }
}

impl World {
    fn hear(&mut self, arrival: usize, now: i64, event: &Event) {
        let heard = (event.advertiser.clone(), event.id.clone());
        if self.heard.contains(&heard) {
            self.decisions.push(Decision {
                arrival,
                duplicate: true,
                found_by: "none",
                ..Decision::default()
            });
            return;
        }
        self.heard.push(heard);
        let lacked = self.lacks(event);
        let waits = !lacked.is_empty();
        self.decisions.push(Decision { arrival, lacked, found_by: "none", ..Decision::default() });
        if waits {
            self.parked.push(Parked { arrival, since: now, event: event.clone() });
        } else {
            self.decide(arrival, event.clone());
        }
    }

    /// Decides what lacks nothing any more, in the order in which it came; and then what that released.
    fn release(&mut self) {
        loop {
            let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parked)
                .into_iter()
                .partition(|parked| self.lacks(&parked.event).is_empty());
            self.parked = waiting;
            if ready.is_empty() {
                return;
            }
            for parked in ready {
                self.decide(parked.arrival, parked.event);
            }
        }
    }

    /// Decides what has waited long enough by now, the longest first; each with what it releases.
    fn give_up_waiting(&mut self, now: i64) {
        while let Some(next) = self.parked.iter().position(|parked| parked.since + PARKING <= now) {
            let parked = self.parked.remove(next);
            for decision in &mut self.decisions {
                if decision.arrival == parked.arrival {
                    decision.in_vain = true;
                }
            }
            self.decide(parked.arrival, parked.event);
            self.release();
        }
    }

    /// What is not there yet that the event should wait for.
    fn lacks(&self, event: &Event) -> Vec<&'static str> {
        let mut lacks = Vec::new();
        if let Names::Click { id, .. } = &event.names {
            // Another advertiser's click is known to be another's: there is nothing to wait for. What
            // follows a sale has the sale's.
            let settled = follows_a_sale(event) && self.click_of_order(event).is_some();
            if !settled && !self.clicks.iter().any(|click| click.id == *id) {
                lacks.push("click");
            }
        }
        let names_click = matches!(event.names, Names::Click { .. });
        let names_person = event.cookie.is_some() || event.email.is_some() || event.phone.is_some();
        if !names_click && !names_person {
            if let Some(order) = event.what.order().filter(|_| !event.what.describes_order()) {
                if !self
                    .of(event)
                    .any(|past| past.event.what.describes_order() && past.event.what.order() == Some(order))
                {
                    lacks.push("order");
                }
            } else if event.contact.is_some()
                && !event.what.describes_contact()
                && !self.of(event).any(|past| introduces(past, event))
            {
                lacks.push("contact");
            }
        }
        if event.what.refunds() && !self.of(event).any(|past| sells(past, event)) {
            lacks.push("sale");
        }
        lacks
    }

    fn decide(&mut self, arrival: usize, event: Event) {
        let (click, found_by) = self.attribute(&event);
        for decision in &mut self.decisions {
            if decision.arrival == arrival {
                decision.click = click.as_ref().map(|click| click.id.clone());
                decision.found_by = found_by;
            }
        }
        let cookie = self.named(&event).map(|click| click.cookie.clone());
        self.decided.push(Decided { event, click, cookie });
    }

    /// A refund or rebill has the click of its order; else the click that the event names; else that of its
    /// order; else its visitor's newest before it.
    fn attribute(&self, event: &Event) -> (Option<Click>, &'static str) {
        let sale = self.click_of_order(event).filter(|_| follows_a_sale(event));
        if let Some(sale) = sale.filter(|sale| self.named(event) != Some(sale)) {
            return (Some(sale), "order");
        }
        if let Names::Click { by, .. } = &event.names
            && let Some(click) = self.named(event)
        {
            return (Some(click.clone()), by);
        }
        if let Some(click) = self.click_of_order(event) {
            return (Some(click), "order");
        }
        let sold = |past: &Decided| sells(past, event) && money::approves(&past.event);
        if event.what.refunds() && self.of(event).any(sold) {
            return (None, "none");
        }
        match self.click_of_visitor(event) {
            Some((click, found_by)) => (Some(click), found_by),
            None => (None, "none"),
        }
    }

    /// The click that the event names, if it is recorded and its advertiser's.
    fn named(&self, event: &Event) -> Option<&Click> {
        let Names::Click { id, .. } = &event.names else { return None };
        self.clicks.iter().find(|click| click.id == *id && click.advertiser == event.advertiser)
    }

    /// The click of the sale that the event is of or follows: what the order's events had when it was
    /// approved. Before that a later one counts, and after that only the first where there was none.
    fn click_of_order(&self, event: &Event) -> Option<Click> {
        let order = event.what.order()?;
        let mut click = None;
        let mut approved = false;
        for past in self.of(event).filter(|past| past.event.what.order() == Some(order)) {
            // A rebill has a key of its own and follows the sale; it is not part of it.
            if matches!(past.event.what, What::Rebill { .. }) {
                continue;
            }
            if !approved || click.is_none() {
                click = past.click.clone().or(click);
            }
            approved |= money::approves(&past.event);
        }
        click
    }

    /// The newest touch of the event's visitor at or before it, within its offer's window, and which of
    /// the event's marks led to whoever made it.
    fn click_of_visitor(&self, event: &Event) -> Option<(Click, &'static str)> {
        let ways = self.ways(event);
        let touches = self.clicks.iter().filter(|click| click.advertiser == event.advertiser && !click.bot);
        let newest = touches
            .filter(|click| click.at <= event.at && event.at - click.at <= click.window)
            .filter(|click| ways.iter().any(|(_, cookies)| cookies.contains(&click.cookie)))
            .max_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)))?;
        let (way, _) = ways.iter().find(|(_, cookies)| cookies.contains(&newest.cookie))?;
        Some((newest.clone(), way))
    }

    /// The contact that the event names, or else the one that its order names.
    fn contact(&self, event: &Event) -> Option<String> {
        let of_order = || {
            let order = event.what.order()?;
            let mut same = self.of(event).filter(|past| past.event.what.order() == Some(order));
            same.find_map(|past| past.event.contact.clone())
        };
        event.contact.clone().or_else(of_order)
    }

    /// What is decided of the event's advertiser. Nothing else concerns it.
    fn of(&self, event: &Event) -> impl Iterator<Item = &Decided> {
        let advertiser = event.advertiser.clone();
        self.decided.iter().filter(move |past| past.event.advertiser == advertiser)
    }
}

/// Whether an event has the click of its sale, whatever it names.
fn follows_a_sale(event: &Event) -> bool {
    event.what.refunds() || matches!(event.what, What::Rebill { .. })
}

/// Whether a past event tells who the contact is: it described them, or named them with a recorded click or
/// with anything of a person.
fn introduces(past: &Decided, event: &Event) -> bool {
    let by_click = past.cookie.is_some();
    let past = &past.event;
    let named = past.cookie.is_some() || past.email.is_some() || past.phone.is_some();
    past.contact == event.contact && (past.what.describes_contact() || named || by_click)
}

/// Whether a past event tells of the sale that a refund is of, other than by refunding it.
fn sells(past: &Decided, refund: &Event) -> bool {
    let past = &past.event.what;
    past.order() == refund.what.order() && !past.refunds() && !matches!(past, What::Rebill { .. })
}
