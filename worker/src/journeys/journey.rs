//! A journey: what a few people did, in the order in which we heard of it. Plain text and numbers.
//!
//! Times are milliseconds since 1970, amounts are hundredths of a dollar.

/// One thing that we heard, and when.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it came in, by our clock.
    pub at: i64,
    /// What it was.
    pub input: Input,
}

/// What can come in.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody crossed the redirect.
    Click(Click),
    /// A source told us something.
    Event(Event),
}

/// A crossing of the redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// Its id, a UUID as text. Of two ids the greater is the one whose text is.
    pub id: String,
    /// Whose offer it was.
    pub advertiser: String,
    /// The browser's cookie, a UUID as text.
    pub cookie: String,
    /// When, by our clock.
    pub at: i64,
    /// How old it may be for an event that does not name it: its offer's window, in milliseconds.
    pub window: i64,
    /// Whether it was a bot or a prefetch.
    pub bot: bool,
}

/// What a source told us.
#[derive(Clone, Debug)]
pub struct Event {
    /// The id that its sender gave it. Copies have the same.
    pub id: String,
    /// Whose source it came by.
    pub advertiser: String,
    /// When it happened, by its sender's clock.
    pub at: i64,
    /// What it gives as a click id.
    pub names: Names,
    /// The cookie that came along: a browser sent it itself.
    pub cookie: Option<String>,
    /// The sender's id of the contact.
    pub contact: Option<String>,
    /// The contact's e-mail.
    pub email: Option<String>,
    /// The contact's phone number.
    pub phone: Option<String>,
    /// What it says.
    pub what: What,
}

/// What an event gives as a click id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Nothing.
    Nothing,
    /// A macro that nobody filled in.
    Placeholder,
    /// Something of no form of ours.
    Foreign,
    /// An id of our form.
    Click {
        /// The id.
        id: String,
        /// Where it stands: `custom_attribute`, `form_field`, `landing_page` or `query`.
        by: &'static str,
    },
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A contact signed up. The flag: by a form, else by being identified.
    Lead { form: bool },
    /// A contact was changed.
    Identity,
    /// Something was shipped to a contact. It names nobody else.
    Shipped { fulfillment: String },
    /// An order was placed, and paid or not yet.
    Order { order: String, amount: i64, paid: bool, subscription: bool },
    /// The first invoice of an order was paid.
    Invoice { order: String, invoice: String, amount: i64, subscription: bool },
    /// A later invoice of a subscription was paid.
    Rebill { order: String, invoice: String, amount: i64 },
    /// Money moved for an order. It names the order only.
    Sale { order: String, transaction: String, amount: i64 },
    /// An order is refunded in full.
    RefundedOrder { order: String, amount: i64 },
    /// A paid invoice is refunded in full.
    RefundedInvoice { order: String, invoice: String, amount: i64 },
    /// A sale transaction is marked as refunded in full. It names the order only.
    RefundedSale { order: String, transaction: String, amount: i64 },
    /// Money went back, of a sale transaction where it says so. It names the order only.
    Refund { order: String, transaction: String, of: Option<String>, amount: i64 },
    /// A plain source's purchase.
    Plain { transaction: String, amount: i64 },
}

impl What {
    /// The order that it is about, or belongs to.
    pub fn order(&self) -> Option<&str> {
        match self {
            What::Order { order, .. }
            | What::Invoice { order, .. }
            | What::Rebill { order, .. }
            | What::Sale { order, .. }
            | What::RefundedOrder { order, .. }
            | What::RefundedInvoice { order, .. }
            | What::RefundedSale { order, .. }
            | What::Refund { order, .. } => Some(order),
            What::Lead { .. } | What::Identity | What::Shipped { .. } | What::Plain { .. } => None,
        }
    }

    /// Whether it describes its order, or a document of it. Transactions only name theirs.
    pub fn describes_order(&self) -> bool {
        matches!(
            self,
            What::Order { .. }
                | What::Invoice { .. }
                | What::Rebill { .. }
                | What::RefundedOrder { .. }
                | What::RefundedInvoice { .. }
        )
    }

    /// Whether it describes its contact. All others only name theirs.
    pub fn describes_contact(&self) -> bool {
        matches!(self, What::Lead { form: false } | What::Identity)
    }

    /// Whether it tells of money that went back.
    pub fn refunds(&self) -> bool {
        matches!(
            self,
            What::RefundedOrder { .. }
                | What::RefundedInvoice { .. }
                | What::RefundedSale { .. }
                | What::Refund { .. }
        )
    }
}
