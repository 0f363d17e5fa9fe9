//! A journey's event as its sender would send it: a webhook's body, or a query.

use super::journey::{Event, Names, What};
use serde_json::{Map, Value, json};

/// Query and body of the request.
pub fn request(event: &Event) -> (String, String) {
    if let What::Plain { transaction, amount } = &event.what {
        return (plain(event, transaction, *amount), String::new());
    }
    let (kind, subject, mut data) = webhook(event);
    let mut query = String::new();
    if let Some((at, id)) = click(event) {
        match at {
            "form_field" => data["data"]["clickid"] = id.into(),
            "landing_page" => {
                let page = format!("https://f.example/p?a=1&clickid={id}");
                data["visits"] = json!({"first_visit": {"landing_page": page}});
            }
            "query" => query = format!("click_id={id}"),
            _ => data["custom_attributes"] = json!({"clickid": id}),
        }
    }
    let body = json!({
        "data": data, "event_id": event.id, "event_type": kind, "subject_type": subject,
        "created_at": time(event.at), "workspace_id": 1, "api_version": 2,
    });
    (query, body.to_string())
}

fn plain(event: &Event, transaction: &str, amount: i64) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("event", "purchase").append_pair("event_id", &event.id);
    query.append_pair("txid", transaction).append_pair("payout", &money(amount));
    if let Some((_, id)) = click(event) {
        query.append_pair("click_id", &id);
    }
    for (name, value) in [("contact_id", &event.contact), ("email", &event.email), ("phone", &event.phone)] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// What stands where a click id should, and where.
fn click(event: &Event) -> Option<(&'static str, String)> {
    match &event.names {
        Names::Nothing => None,
        Names::Placeholder => Some(("custom_attribute", "{clickid}".to_owned())),
        Names::Foreign => Some(("custom_attribute", "of-another-tracker".to_owned())),
        Names::Click { id, by } => Some((by, id.clone())),
    }
}

fn contact(event: &Event) -> Value {
    let mut contact = Map::new();
    let fields = [("id", &event.contact), ("email_address", &event.email), ("phone_number", &event.phone)];
    for (name, value) in fields {
        if let Some(value) = value {
            contact.insert(name.to_owned(), value.as_str().into());
        }
    }
    contact.into()
}

/// The type, the subject's type, and the data of a webhook.
fn webhook(event: &Event) -> (&'static str, &'static str, Value) {
    let paper = |id: &str, amount: i64| json!({"id": id, "total_amount": money(amount), "currency": "USD"});
    let invoice = |order: &str, invoice: &str, amount, subscription: bool, paid: u32| {
        let kind = if subscription { "subscription-order" } else { "one-time-order" };
        let mut data = paper(invoice, amount);
        data["order_id"] = order.into();
        data["order"] = json!({
            "id": order, "order_type": kind, "recurring_invoices_paid_count": paid, "contact": contact(event),
        });
        data
    };
    let transaction = |order: &str, id: &str, kind: &str, status: &str, amount| {
        json!({
            "id": id, "order_id": order, "external_type": kind, "status": status, "result": "approved",
            "amount": money(amount), "currency": "USD", "is_rebill": false,
        })
    };
    match &event.what {
        What::Lead { form: false } => ("contact.identified", "Contact", contact(event)),
        What::Identity => ("contact.updated", "Contact", contact(event)),
        What::Lead { form: true } => {
            let mut data = json!({"id": 1, "data": {"contact": contact(event)}});
            let email =
                event.email.as_ref().map(|email| json!({"email": email, "phone_number": event.phone}));
            data["data"]["contact"] = email.unwrap_or_else(|| json!({"phone_number": event.phone}));
            if let Some(contact) = &event.contact {
                data["contact_id"] = contact.as_str().into();
            }
            ("form_submission.created", "FormSubmission", data)
        }
        What::Plain { .. } => unreachable!("a plain event is a query"),
        What::Shipped { fulfillment } => {
            let data = json!({"id": fulfillment, "contact_id": event.contact});
            ("fulfillment.created", "Fulfillment", data)
        }
        What::Order { order, amount, paid, subscription } => {
            let mut data = paper(order, *amount);
            let kind = if *subscription { "subscription-order" } else { "one-time-order" };
            data["order_type"] = kind.into();
            data["contact"] = contact(event);
            let kind = match (paid, subscription) {
                (false, _) => "order.created",
                (true, false) => "one-time-order.completed",
                (true, true) => "subscription.first_payment_received",
            };
            (kind, "Order", data)
        }
        What::Invoice { order, invoice: id, amount, subscription } => {
            ("orders/invoice.paid", "Orders::Invoice", invoice(order, id, *amount, *subscription, 1))
        }
        What::Rebill { order, invoice: id, amount } => {
            ("orders/invoice.paid", "Orders::Invoice", invoice(order, id, *amount, true, 2))
        }
        What::Sale { order, transaction: id, amount } => {
            let data = transaction(order, id, "sale", "completed", *amount);
            ("orders/transaction.created", "Orders::Transaction", data)
        }
        What::RefundedOrder { order, amount } => {
            let mut data = paper(order, *amount);
            data["order_type"] = "one-time-order".into();
            data["billing_status"] = "refunded".into();
            data["contact"] = contact(event);
            ("one_time_order.refunded", "Order", data)
        }
        What::RefundedInvoice { order, invoice: id, amount } => {
            ("orders/invoice.refunded", "Orders::Invoice", invoice(order, id, *amount, false, 1))
        }
        What::RefundedSale { order, transaction: id, amount } => {
            let data = transaction(order, id, "sale", "refunded", *amount);
            ("orders/transaction.updated", "Orders::Transaction", data)
        }
        What::Refund { order, transaction: id, of, amount } => {
            let mut data = transaction(order, id, "refund", "completed", *amount);
            data["adjusted_transaction_id"] = of.clone().into();
            ("orders/transaction.created", "Orders::Transaction", data)
        }
    }
}

/// Hundredths as a decimal.
pub fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Milliseconds as a timestamp.
pub fn time(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap().to_string()
}
