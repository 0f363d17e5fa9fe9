//! Journeys by the dice: a few devices, contacts, orders, and what happens with them, heard of in disorder.
//!
//! Identities, orders and papers are a journey's own, so that one store serves many journeys at once. What
//! the rules leave open is not generated: a contact orders once (a second order may be an upsell), an
//! order has one first invoice, and what is refunded in parts is refunded by transactions only.

use super::dice::Dice;
use super::journey::{Arrival, Click, Event, Input, Names, What};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// 2026-01-10, noon.
const START: i64 = 1_768_046_400_000;
/// How many advertisers the journeys are of.
pub const ADVERTISERS: u64 = 200;
/// The windows that offers have, in milliseconds.
pub const WINDOWS: [i64; 3] = [30 * DAY, DAY, 30 * MINUTE];

/// An advertiser's id.
pub fn advertiser(number: u64) -> String {
    format!("a{}", number % ADVERTISERS)
}

/// A contact of a journey.
#[derive(Clone)]
struct Contact {
    id: String,
    email: Option<String>,
    phone: Option<String>,
}

struct Writer {
    number: u64,
    dice: Dice,
    /// Ids given out so far.
    ids: u64,
    /// By the story's own clock.
    now: i64,
    /// How fast things follow each other.
    pace: i64,
    cookies: Vec<String>,
    contacts: Vec<Contact>,
    clicks: Vec<Click>,
    story: Vec<Arrival>,
}

/// The journey of this number. The same number is always the same journey.
pub fn journey(number: u64) -> Vec<Arrival> {
    let mut dice = Dice::new(number);
    let pace = *dice.one(&[MINUTE, 10 * MINUTE, 5 * 60 * MINUTE, 10 * DAY]);
    let now = START + dice.time(DAY);
    let empty = || (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (cookies, contacts, clicks, story) = empty();
    let mut writer = Writer { number, dice, ids: 0, now, pace, cookies, contacts, clicks, story };
    writer.people();
    if number % 200 == 77 {
        writer.office();
    } else {
        writer.live();
    }
    writer.disorder()
}

impl Writer {
    fn uuid(&mut self) -> String {
        self.ids += 1;
        let (early, late) = (self.dice.below(1 << 16), self.dice.below(1 << 48));
        format!("{:08x}-{early:04x}-7{:03x}-8000-{late:012x}", self.number, self.ids)
    }

    /// A sender's number of something: digits, the journey's own.
    fn paper(&mut self) -> String {
        self.ids += 1;
        format!("{}", self.number * 1_000 + self.ids)
    }

    fn people(&mut self) {
        let number = self.number;
        let emails: Vec<String> = (0..2).map(|n| format!("p{number}.{n}@mail.example")).collect();
        let phones: Vec<String> = (0..2).map(|n| format!("+1415{}", 2_000_000 + number * 2 + n)).collect();
        for _ in 0..=self.dice.below(3) {
            let cookie = self.uuid();
            self.cookies.push(cookie);
        }
        for _ in 0..=self.dice.below(3) {
            let email = self.dice.in_hundred(65).then(|| self.dice.one(&emails).clone());
            let phone = self.dice.in_hundred(60).then(|| self.dice.one(&phones).clone());
            let contact = Contact { id: self.paper(), email, phone };
            self.contacts.push(contact);
        }
    }

    /// What happens, in the order in which it does.
    fn live(&mut self) {
        for _ in 0..=self.dice.below(3) {
            self.click();
        }
        for contact in self.contacts.clone() {
            if self.story.len() < 9 {
                self.deal_with(&contact);
            }
        }
        if self.dice.in_hundred(40) {
            self.browse();
        }
        while self.story.len() < 3 {
            self.click();
            self.browse();
        }
    }

    fn deal_with(&mut self, contact: &Contact) {
        if self.dice.in_hundred(60) {
            let form = self.dice.in_hundred(40);
            self.tell(What::Lead { form }, Some(contact));
        }
        if self.dice.in_hundred(35) {
            self.click();
        }
        if self.dice.in_hundred(20) {
            self.tell(What::Identity, Some(contact));
        }
        if self.dice.in_hundred(20) {
            self.browse();
        }
        match self.dice.below(4) {
            0 => {}
            1 => self.subscribe(contact),
            _ => self.buy(contact),
        }
        if self.dice.in_hundred(20) {
            let fulfillment = self.paper();
            self.tell(What::Shipped { fulfillment }, Some(contact));
        }
    }

    fn buy(&mut self, contact: &Contact) {
        let amount = 1_000 + 2 * self.dice.time(5_000);
        let order = self.paper();
        let told = |paid, amount| What::Order { order: order.clone(), amount, paid, subscription: false };
        if self.dice.in_hundred(40) {
            self.tell(told(false, amount - 100), Some(contact));
            if self.dice.in_hundred(15) {
                return;
            }
        }
        if self.dice.in_hundred(85) {
            self.tell(told(true, amount), Some(contact));
        }
        if self.dice.in_hundred(25) {
            self.click();
        }
        let invoice = self.dice.in_hundred(30).then(|| self.paper());
        if let Some(invoice) = invoice.clone() {
            let order = order.clone();
            self.tell(What::Invoice { order, invoice, amount, subscription: false }, Some(contact));
        }
        let parts = [vec![], vec![amount], vec![amount], vec![amount / 2, amount / 2]];
        let mut sales = Vec::new();
        for amount in self.dice.one(&parts).clone() {
            let transaction = self.paper();
            sales.push((transaction.clone(), amount));
            self.tell(What::Sale { order: order.clone(), transaction, amount }, None);
        }
        match self.dice.below(5) {
            0 | 1 => {}
            2 if !sales.is_empty() => self.refund_in_parts(&order, &sales),
            _ if sales.len() > 1 => self.refund_in_parts(&order, &sales),
            _ => self.refund_in_full(contact, &order, amount, invoice, sales.first()),
        }
    }

    /// By every paper there is, or some of them: the same money each time.
    fn refund_in_full(
        &mut self,
        contact: &Contact,
        order: &str,
        amount: i64,
        invoice: Option<String>,
        sale: Option<&(String, i64)>,
    ) {
        let order = order.to_owned();
        if self.dice.in_hundred(70) {
            self.tell(What::RefundedOrder { order: order.clone(), amount }, Some(contact));
        }
        if let Some(invoice) = invoice.filter(|_| self.dice.in_hundred(50)) {
            self.tell(What::RefundedInvoice { order: order.clone(), invoice, amount }, Some(contact));
        }
        if let Some((sale, _)) = sale {
            if self.dice.in_hundred(50) {
                let transaction = sale.clone();
                self.tell(What::RefundedSale { order: order.clone(), transaction, amount }, None);
            }
            if self.dice.in_hundred(50) {
                let (transaction, of) = (self.paper(), self.dice.in_hundred(70).then(|| sale.clone()));
                self.tell(What::Refund { order, transaction, of, amount }, None);
            }
        }
    }

    fn refund_in_parts(&mut self, order: &str, sales: &[(String, i64)]) {
        for (sale, amount) in sales {
            let order = order.to_owned();
            match self.dice.below(4) {
                0 => {}
                1 => {
                    self.tell(What::RefundedSale { order, transaction: sale.clone(), amount: *amount }, None)
                }
                _ => {
                    let (transaction, of) = (self.paper(), self.dice.in_hundred(70).then(|| sale.clone()));
                    let amount = self.dice.time(*amount);
                    self.tell(What::Refund { order, transaction, of, amount }, None);
                }
            }
        }
    }

    fn subscribe(&mut self, contact: &Contact) {
        let amount = 1_000 + self.dice.time(5_000);
        let order = self.paper();
        if self.dice.in_hundred(85) {
            let what = What::Order { order: order.clone(), amount, paid: true, subscription: true };
            self.tell(what, Some(contact));
        }
        if self.dice.in_hundred(40) {
            let (order, invoice) = (order.clone(), self.paper());
            self.tell(What::Invoice { order, invoice, amount, subscription: true }, Some(contact));
        }
        for _ in 0..self.dice.below(3) {
            if self.dice.in_hundred(30) {
                self.now += 31 * DAY;
            }
            let (order, invoice) = (order.clone(), self.paper());
            self.tell(What::Rebill { order, invoice, amount }, Some(contact));
        }
    }

    /// One e-mail for about as many contacts as may share one.
    fn office(&mut self) {
        self.pace = MINUTE;
        self.click();
        let contacts = 18 + self.dice.below(6);
        for _ in 0..contacts {
            let email = Some(format!("office{}@mail.example", self.number));
            let contact = Contact { id: self.paper(), email, phone: None };
            self.tell(What::Lead { form: false }, Some(&contact));
        }
        self.click();
    }

    fn click(&mut self) {
        self.now += self.dice.time(self.pace);
        let other = u64::from(self.dice.in_hundred(8));
        // Now and then two at the very same time.
        let twin = self.clicks.last().filter(|_| self.dice.in_hundred(10)).map(|click| click.at);
        let click = Click {
            id: self.uuid(),
            advertiser: advertiser(self.number + other),
            cookie: self.dice.one(&self.cookies).clone(),
            at: twin.unwrap_or(self.now),
            window: *self.dice.one(&WINDOWS),
            bot: self.dice.in_hundred(12),
        };
        self.clicks.push(click.clone());
        self.story.push(Arrival { at: click.at, input: Input::Click(click) });
    }

    /// A browser reports a purchase itself.
    fn browse(&mut self) {
        let transaction = self.paper();
        self.tell(What::Plain { transaction, amount: 500 }, None);
    }

    fn tell(&mut self, what: What, contact: Option<&Contact>) {
        self.now += self.dice.time(self.pace);
        // Clocks differ, and some are far out.
        let skew = if self.dice.in_hundred(15) { self.dice.time(60 * MINUTE) - 30 * MINUTE } else { 0 };
        let plain = matches!(what, What::Plain { .. });
        let only_names_order = contact.is_none() && !plain;
        let bare = matches!(what, What::Shipped { .. });
        let mut event = Event {
            id: self.uuid(),
            advertiser: advertiser(self.number),
            at: if plain { self.now } else { self.now + skew },
            names: Names::Nothing,
            cookie: plain.then(|| self.dice.one(&self.cookies).clone()),
            contact: contact.map(|contact| contact.id.clone()),
            email: contact.filter(|_| !bare).and_then(|contact| contact.email.clone()),
            phone: contact.filter(|_| !bare).and_then(|contact| contact.phone.clone()),
            what,
        };
        if plain && self.dice.in_hundred(30) {
            event.email = self.contacts.first().and_then(|contact| contact.email.clone());
        }
        if event.what.order().is_some() && contact.is_some() && event.email.is_none() && event.phone.is_none()
        {
            // Whoever orders leaves something to be reached by.
            event.email = contact.map(|contact| format!("c{}@mail.example", contact.id));
        }
        if !only_names_order && !bare && event.what != What::Identity {
            event.names = self.names(&event.what);
        }
        self.story.push(Arrival { at: self.now, input: Input::Event(event) });
    }

    fn names(&mut self, what: &What) -> Names {
        let by = match what {
            What::Plain { .. } => "query",
            What::Lead { form: true } => *self.dice.one(&["form_field", "form_field", "query"]),
            _ => *self.dice.one(&["custom_attribute", "custom_attribute", "landing_page", "query"]),
        };
        match self.dice.below(20) {
            0..8 => Names::Nothing,
            8 => Names::Placeholder,
            9 => Names::Foreign,
            10 => Names::Click { id: self.uuid(), by },
            // It may be one that was clicked after this, or another advertiser's.
            _ if self.clicks.is_empty() => Names::Nothing,
            _ => Names::Click { id: self.dice.one(&self.clicks).id.clone(), by },
        }
    }

    /// The story as it is heard: some things late, some twice.
    fn disorder(mut self) -> Vec<Arrival> {
        let mut heard = Vec::new();
        let delays = [1, 1, MINUTE / 4, MINUTE, 14 * MINUTE, 25 * MINUTE];
        for mut arrival in std::mem::take(&mut self.story) {
            let mut longest = *self.dice.one(&delays);
            if self.dice.in_hundred(10) {
                longest = longest.max(self.pace);
            }
            arrival.at += self.dice.time(longest);
            if let Input::Event(event) = &mut arrival.input {
                if matches!(event.what, What::Plain { .. }) {
                    // A plain event has no time of its own.
                    event.at = arrival.at;
                }
                if self.dice.in_hundred(10) {
                    let again = arrival.at + self.dice.time(20 * MINUTE);
                    heard.push(Arrival { at: again, input: arrival.input.clone() });
                }
            }
            heard.push(arrival);
        }
        heard.sort_by_key(|arrival| arrival.at);
        without_strangers_to_come(&mut heard);
        heard
    }
}

/// Whether a click that is not recorded yet will be another advertiser's, nobody can know; what waits for
/// one is left out.
fn without_strangers_to_come(heard: &mut [Arrival]) {
    for later in (0..heard.len()).rev() {
        let Input::Click(click) = heard[later].input.clone() else { continue };
        for earlier in &mut heard[..later] {
            if let Input::Event(event) = &mut earlier.input
                && event.advertiser != click.advertiser
                && matches!(&event.names, Names::Click { id, .. } if *id == click.id)
            {
                event.names = Names::Nothing;
            }
        }
    }
}

#[test]
fn generated_journeys_hold_what_they_are_generated_for() {
    use std::collections::BTreeMap;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..2_000 {
        let arrivals = journey(number);
        assert!((3..=40).contains(&arrivals.len()), "journey {number} has {} inputs", arrivals.len());
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        let outcome = super::simple::follow(&arrivals);
        for decision in &outcome.decisions {
            *seen.entry(decision.found_by.to_owned()).or_default() += 1;
            for lacked in &decision.lacked {
                let how = if decision.in_vain { "in vain" } else { "with success" };
                *seen.entry(format!("waits for {lacked} {how}")).or_default() += 1;
            }
            *seen.entry(format!("copy: {}", decision.duplicate)).or_default() += 1;
        }
        for conversion in &outcome.conversions {
            *seen.entry(conversion.status.to_owned()).or_default() += 1;
        }
    }
    for wanted in [
        "custom_attribute",
        "form_field",
        "landing_page",
        "query",
        "order",
        "visitor",
        "contact",
        "email",
        "phone",
        "none",
        "waits for click in vain",
        "waits for click with success",
        "waits for order in vain",
        "waits for order with success",
        "waits for contact in vain",
        "waits for contact with success",
        "waits for sale in vain",
        "waits for sale with success",
        "copy: true",
        "pending",
        "approved",
        "partially_refunded",
        "refunded",
    ] {
        assert!(seen.get(wanted).is_some_and(|times| *times >= 20), "too little of {wanted}: {seen:#?}");
    }
}
