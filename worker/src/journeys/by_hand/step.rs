//! The words that cases are written in.

use crate::journeys::journey::{Arrival, Click, Event, Input, Names, What};

/// The moment that cases count their minutes from: 2026-01-10, noon.
pub const NOON: i64 = 1_768_046_400_000;
/// A minute.
pub const MINUTE: i64 = 60_000;
/// A day.
pub const DAY: i64 = 24 * 60 * MINUTE;

/// A short name as a UUID: its letters are the last digits. Names of the same length keep their order.
pub fn uuid(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("019ba7b5-6c00-7000-8000-{digits:0>12}")
}

/// The short name of such a UUID.
pub fn name(uuid: &str) -> String {
    let digits = uuid.rsplit('-').next().unwrap_or_default().trim_start_matches('0');
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_or('?', char::from);
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// A click, in this minute, on an offer whose window is 30 days.
pub fn click(minute: i64, id: &str, cookie: &str) -> Arrival {
    let at = NOON + minute * MINUTE;
    let click = Click {
        id: uuid(id),
        advertiser: "acme".to_owned(),
        cookie: uuid(cookie),
        at,
        window: 30 * DAY,
        bot: false,
    };
    Arrival { at, input: Input::Click(click) }
}

fn event(minute: i64, what: What) -> Arrival {
    let at = NOON + minute * MINUTE;
    let event = Event {
        id: String::new(),
        advertiser: "acme".to_owned(),
        at,
        names: Names::Nothing,
        cookie: None,
        contact: None,
        email: None,
        phone: None,
        what,
    };
    Arrival { at, input: Input::Event(event) }
}

/// A contact signs up.
pub fn lead(minute: i64, contact: &str) -> Arrival {
    event(minute, What::Lead { form: false }).contact(contact)
}

/// Something is shipped to a contact.
pub fn shipped(minute: i64, contact: &str) -> Arrival {
    event(minute, What::Shipped { fulfillment: "50".to_owned() }).contact(contact)
}

/// A contact's one-time order of 100, paid.
pub fn order(minute: i64, order: &str, contact: &str) -> Arrival {
    let order = order.to_owned();
    event(minute, What::Order { order, amount: 100, paid: true, subscription: false }).contact(contact)
}

/// A contact's one-time order of some amount, not paid yet.
pub fn placed(minute: i64, order: &str, amount: i64, contact: &str) -> Arrival {
    let order = order.to_owned();
    event(minute, What::Order { order, amount, paid: false, subscription: false }).contact(contact)
}

/// The first payment of a contact's subscription, 100.
pub fn subscription(minute: i64, order: &str, contact: &str) -> Arrival {
    let order = order.to_owned();
    event(minute, What::Order { order, amount: 100, paid: true, subscription: true }).contact(contact)
}

/// A contact pays the only invoice of a one-time order.
pub fn invoice(minute: i64, order: &str, invoice: &str, amount: i64, contact: &str) -> Arrival {
    let (order, invoice) = (order.to_owned(), invoice.to_owned());
    event(minute, What::Invoice { order, invoice, amount, subscription: false }).contact(contact)
}

/// A contact pays a later invoice of a subscription, 100.
pub fn rebill(minute: i64, order: &str, invoice: &str, contact: &str) -> Arrival {
    let (order, invoice) = (order.to_owned(), invoice.to_owned());
    event(minute, What::Rebill { order, invoice, amount: 100 }).contact(contact)
}

/// Money moves for an order.
pub fn sale(minute: i64, order: &str, transaction: &str, amount: i64) -> Arrival {
    let (order, transaction) = (order.to_owned(), transaction.to_owned());
    event(minute, What::Sale { order, transaction, amount })
}

/// A sale transaction is marked as refunded in full.
pub fn marked(minute: i64, order: &str, transaction: &str, amount: i64) -> Arrival {
    let (order, transaction) = (order.to_owned(), transaction.to_owned());
    event(minute, What::RefundedSale { order, transaction, amount })
}

/// Money goes back by a transaction of its own.
pub fn refund(minute: i64, order: &str, transaction: &str, of: Option<&str>, amount: i64) -> Arrival {
    let (order, transaction) = (order.to_owned(), transaction.to_owned());
    event(minute, What::Refund { order, transaction, of: of.map(str::to_owned), amount })
}

/// A contact's order of 100 is refunded.
pub fn refunded_order(minute: i64, order: &str, contact: &str) -> Arrival {
    event(minute, What::RefundedOrder { order: order.to_owned(), amount: 100 }).contact(contact)
}

/// A contact's paid invoice is refunded.
pub fn refunded_invoice(minute: i64, order: &str, invoice: &str, amount: i64, contact: &str) -> Arrival {
    let (order, invoice) = (order.to_owned(), invoice.to_owned());
    event(minute, What::RefundedInvoice { order, invoice, amount }).contact(contact)
}

/// A purchase of 100 that a browser reports.
pub fn plain(minute: i64, transaction: &str, cookie: &str) -> Arrival {
    let transaction = transaction.to_owned();
    event(minute, What::Plain { transaction, amount: 100 }).with(|event| event.cookie = Some(uuid(cookie)))
}

impl Arrival {
    fn with(mut self, change: impl FnOnce(&mut Event)) -> Self {
        if let Input::Event(event) = &mut self.input {
            change(event);
        }
        self
    }

    fn with_click(mut self, change: impl FnOnce(&mut Click)) -> Self {
        if let Input::Click(click) = &mut self.input {
            change(click);
        }
        self
    }

    /// It names a click in a custom attribute.
    pub fn naming(self, click: &str) -> Self {
        let id = uuid(click);
        self.with(|event| event.names = Names::Click { id, by: "custom_attribute" })
    }

    /// It names a click somewhere else.
    pub fn naming_by(self, click: &str, by: &'static str) -> Self {
        let id = uuid(click);
        self.with(|event| event.names = Names::Click { id, by })
    }

    /// It gives another tracker's id.
    pub fn foreign(self) -> Self {
        self.with(|event| event.names = Names::Foreign)
    }

    /// It gives a macro that nobody filled in.
    pub fn placeholder(self) -> Self {
        self.with(|event| event.names = Names::Placeholder)
    }

    /// It names a contact.
    pub fn contact(self, contact: &str) -> Self {
        self.with(|event| event.contact = Some(contact.to_owned()))
    }

    /// It names an e-mail.
    pub fn email(self, local: &str) -> Self {
        self.with(|event| event.email = Some(format!("{local}@mail.example")))
    }

    /// It names a phone number: the last two digits of one.
    pub fn phone(self, digits: &str) -> Self {
        self.with(|event| event.phone = Some(format!("+141520000{digits}")))
    }

    /// By its sender's clock it happened in this minute.
    pub fn dated(self, minute: i64) -> Self {
        self.with(|event| event.at = NOON + minute * MINUTE)
    }

    /// It comes so many milliseconds later.
    pub fn later(mut self, milliseconds: i64) -> Self {
        self.at += milliseconds;
        self.with(|event| event.at += milliseconds).with_click(|click| click.at += milliseconds)
    }

    /// It is the event with this id, where another is to be a copy of it.
    pub fn id(self, id: &str) -> Self {
        let id = uuid(id);
        self.with(|event| event.id = id)
    }

    /// It is another advertiser's.
    pub fn of(self, advertiser: &str) -> Self {
        let name = || advertiser.to_owned();
        self.with(|event| event.advertiser = name()).with_click(|click| click.advertiser = name())
    }

    /// The click's offer has a window of so many minutes.
    pub fn window(self, minutes: i64) -> Self {
        self.with_click(|click| click.window = minutes * MINUTE)
    }

    /// The click was a bot's.
    pub fn bot(self) -> Self {
        self.with_click(|click| click.bot = true)
    }

    /// We hear of the click in this minute only.
    pub fn heard(mut self, minute: i64) -> Self {
        self.at = NOON + minute * MINUTE;
        self
    }
}
