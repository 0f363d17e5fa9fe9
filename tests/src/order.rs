//! The events of one paid one-time order and of its refund, as orders of their own: the fixtures with other
//! ids, so that many of them can be sent to one stack.

use crate::fixture;
use anyhow::Result;
use serde_json::Value;
use uuid::Uuid;

/// The eight events of one paid one-time order.
pub const EVENTS: [&str; 8] = [
    "cf2_order.created.json",
    "catalogue/order.updated.v2.json",
    "cf2_orders_invoice.created.json",
    "cf2_orders_transaction.created.sale.json",
    "cf2_orders_invoice.paid.json",
    "cf2_one-time-order.invoice.paid.json",
    "cf2_one-time-order.completed.json",
    "cf2_order.completed.one_time.json",
];

/// Its refund transaction.
pub const REFUND: &str = "cf2_orders_transaction.created.refund.json";

/// An order with ids, a contact and a click of its own.
pub struct Order {
    /// Tells it from the others, from 1.
    pub number: u64,
    /// The click id in its bodies.
    pub click: String,
    /// What all of its documents are about, where they are to agree; else they keep the fixtures' amounts.
    pub total: Option<&'static str>,
    /// What its refund gives back; else the fixture's amount.
    pub refund: Option<&'static str>,
}

impl Order {
    /// Its sender's id.
    pub fn id(&self) -> u64 {
        1_000_000 + self.number
    }

    /// A fixture as this order's.
    pub fn body(&self, name: &str) -> Result<String> {
        let mut body: Value = serde_json::from_str(&fixture::with_click(name, &self.click)?)?;
        self.rewrite(&mut body);
        let data = &mut body["data"];
        if let Some(total) = self.total {
            for field in ["total_amount", "amount", "due_amount"] {
                if data.get(field).is_some() {
                    data[field] = total.into();
                }
            }
        }
        if name.contains("transaction") {
            // Their ids are too small to be told from other numbers.
            let sale = 3_000_000 + self.number;
            let is_refund = name == REFUND;
            data["id"] = if is_refund { 4_000_000 + self.number } else { sale }.into();
            if is_refund {
                data["adjusted_transaction_id"] = sale.to_string().into();
            }
            if let Some(refund) = self.refund.filter(|_| is_refund) {
                data["amount"] = refund.into();
            }
        }
        body["event_id"] = self.uuid(name).into();
        Ok(body.to_string())
    }

    /// Everything by which the fixtures' order, contact and invoice can be known.
    fn rewrite(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|field| self.rewrite(field)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item)),
            Value::Number(number) => {
                let base = match number.as_u64() {
                    Some(22_642) => 1_000_000,
                    Some(24_359) => 2_000_000,
                    Some(838) => 5_000_000,
                    _ => return,
                };
                *value = (base + self.number).into();
            }
            Value::String(text) => {
                if Uuid::try_parse(text).is_ok() && *text != self.click {
                    *text = self.uuid(text);
                } else if text == "jane.doe@example.com" {
                    *text = format!("jane.{}@example.com", self.number);
                } else if text == "+18005550199" {
                    *text = format!("+1800{:07}", 5_550_000 + self.number);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// An id that is always the same for the same thing of this order.
    fn uuid(&self, of: &str) -> String {
        let mut hash: u128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D;
        for byte in of.bytes().chain(self.number.to_be_bytes()) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013B);
        }
        Uuid::from_u128(hash).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_orders_share_nothing_that_could_join_them() {
        let order = |number, click: &str| Order {
            number,
            click: click.to_owned(),
            total: Some("396.00"),
            refund: Some("396.00"),
        };
        let orders = [order(1, "0192f0c1-0000-7000-8000-000000000001"), order(2, "second-click")];
        for name in EVENTS.into_iter().chain([REFUND]) {
            let [first, second] = orders.each_ref().map(|order| order.body(name).unwrap());
            for theirs in
                ["22642", "24359", "jane.doe@", "+18005550199", "01JD3V7Q9ZK4T8M2N5X6C7B8A9", "13.00"]
            {
                assert!(!first.contains(theirs), "{name} still has {theirs}");
            }
            let read = |body: &str| serde_json::from_str::<Value>(body).unwrap();
            let (first, second) = (read(&first), read(&second));
            for at in ["/event_id", "/data/id"] {
                assert_ne!(first.pointer(at), second.pointer(at), "{name}: {at}");
            }
            assert_eq!(first, read(&orders[0].body(name).unwrap()), "a copy is a copy");
        }
    }
}
