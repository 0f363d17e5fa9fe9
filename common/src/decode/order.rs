//! What an event tells of the order that it is about, for the events that name only the order.

use super::bounded;
use super::envelope::View;
use super::person;
use crate::event::OrderSeen;
use crate::placeholder;
use serde_json::Value;
use std::collections::HashSet;

/// How many of an order's products are kept.
const PRODUCTS: usize = 50;

/// The order of an event; none where it is about none.
pub(super) fn of(view: &View) -> Option<OrderSeen> {
    let (id, order) = if is_order(view) {
        (view.text(&["/data/id", "/subject_id"])?, view.at("/data"))
    } else {
        let order = view.at("/data/order").filter(|order| order.is_object());
        (view.text(&["/data/order_id", "/data/order/id"])?, order)
    };
    let bare = OrderSeen { id: bounded(id), ..OrderSeen::default() };
    let Some(order) = order else {
        return Some(bare);
    };
    // A line names its product; a Classic purchase lists the products themselves.
    let list = |name: &str| view.at("/data")?.get(name)?.as_array();
    let lines = list("line_items").into_iter().flatten();
    let bought = list("products").filter(|_| view.is_classic()).into_iter().flatten();
    let ids =
        lines.clone().filter_map(product_of).chain(bought.clone().filter_map(|product| product.get("id")));
    let products = distinct(ids.filter_map(placeholder::text));
    let type_ = order.get("order_type").and_then(Value::as_str).map(str::to_ascii_lowercase);
    // Orders name their funnel, and only some of an order's events carry the funnel itself. The name comes
    // first, so that two orders of one funnel are told to be that whichever of their events are seen.
    let funnel = view.origin.funnel_name.clone().or_else(|| view.origin.funnel.clone());
    Some(OrderSeen {
        subscription: type_.map(|type_| type_.contains("subscription")),
        contact: person::contact(view),
        funnel: funnel.map(bounded),
        products,
        bump: lines.chain(bought).any(is_bump),
        described: true,
        ..bare
    })
}

fn is_order(view: &View) -> bool {
    let type_ = view.raw_type.as_str();
    let of_order = ["order.", "one-time-order.", "one_time_order.", "subscription."];
    let by_type = of_order.iter().any(|start| type_.starts_with(start)) && !type_.contains("invoice");
    by_type || type_.starts_with("purchase_") || view.text(&["/subject_type"]).as_deref() == Some("Order")
}

/// The product of a line of an order or of an invoice.
fn product_of(line: &Value) -> Option<&Value> {
    let pointers = ["/original_product/id", "/products_variant/product_id", "/product_id"];
    pointers.iter().find_map(|at| line.pointer(at).filter(|id| !id.is_null()))
}

fn distinct(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    ids.filter(|id| !id.is_empty()).map(bounded).filter(|id| seen.insert(id.clone())).take(PRODUCTS).collect()
}

fn is_bump(line: &Value) -> bool {
    ["bump", "order_bump", "is_bump"].iter().any(|name| match line.get(name) {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    })
}
