//! An order, as far as events that name nothing but the order need it: a transaction carries an order's
//! id, and neither a contact nor a click.

use crate::event::OrderSeen;
use crate::id::{ClickId, EventId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Whether it is a subscription, where an event said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<bool>,
    /// The key of the contact that ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
    /// The funnel that it was ordered in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel: Option<String>,
    /// The click that it is attributed to: decided once, by the first of its events that had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click: Option<ClickId>,
    /// The event that first approved it: what follows the sale has that one's touches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<EventId>,
    /// When it was first approved, by its sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<Timestamp>,
}

impl Order {
    /// Adds what an event tells of it. What is known already stays, so that the order of arrival tells
    /// nothing.
    #[must_use]
    pub fn with(mut self, seen: &OrderSeen, buyer: Option<&str>) -> Self {
        self.subscription = self.subscription.or(seen.subscription);
        self.buyer = self.buyer.or_else(|| buyer.map(ToOwned::to_owned));
        self.funnel = self.funnel.or_else(|| seen.funnel.clone());
        self
    }

    /// The event parameter under which its sale counts where the event that settles it does not say.
    pub fn counts_as(&self) -> &'static str {
        if self.subscription == Some(true) { "subscribe" } else { "purchase" }
    }
}

/// A paid order of the same contact in the same funnel, before the one at hand: which makes that an upsell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its key.
    pub key: String,
    /// What is known of it.
    pub order: Order,
}
