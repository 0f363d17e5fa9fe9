//! What a type's row says under each of its conditions: a fixture, changed in one place or two.

use super::*;
use crate::conversion::{Evidence, Refund};

/// A fixture with what stands at pointers changed.
fn changed(file: &str, changes: &[(&str, Value)]) -> Value {
    let mut body = fixture(file);
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    body
}

const ORDER: &str = "cf2_order.created.json";
const SUBSCRIPTION: &str = "cf2_subscription.first_payment_received.json";
const INVOICE: &str = "cf2_orders_invoice.paid.json";
const RENEWAL: &str = "cf2_renewal-invoice-payment-declined.json";
const SALE: &str = "cf2_orders_transaction.created.sale.json";
const PURCHASE: &str = "classic_purchase_created.flat.json";

#[test]
fn each_type_claims_by_its_conditions() {
    let type_ = |name: &str| ("/event_type", name.into());
    let status = |name: &str| ("/data/billing_status", name.into());
    let approved = "approved";
    for (file, changes, kind, name, key, claims) in [
        (ORDER, vec![], "conversion", "purchase", "order:22642", "pending as purchase"),
        (
            SUBSCRIPTION,
            vec![type_("order.created")],
            "conversion",
            "purchase",
            "order:22650",
            "pending as subscribe",
        ),
        (ORDER, vec![type_("order.updated")], "adjustment", "-", "order:22642", "nothing"),
        (
            ORDER,
            vec![type_("order.updated"), status("paid")],
            "adjustment",
            "-",
            "order:22642",
            "approved as purchase",
        ),
        (
            ORDER,
            vec![type_("order.updated"), status("refunded")],
            "adjustment",
            "-",
            "order:22642",
            "refund 396.00",
        ),
        (
            SUBSCRIPTION,
            vec![type_("order.updated")],
            "adjustment",
            "-",
            "order:22650",
            "approved as subscribe",
        ),
        (
            SUBSCRIPTION,
            vec![type_("order.updated"), ("/data/in_trial", true.into())],
            "adjustment",
            "-",
            "order:22650",
            "nothing",
        ),
        (
            SUBSCRIPTION,
            vec![type_("order.updated"), ("/data/recurring_invoices_paid_count", 0.into())],
            "adjustment",
            "-",
            "order:22650",
            "nothing",
        ),
        (ORDER, vec![type_("order.deleted")], "adjustment", "-", "order:22642", "void"),
        (
            ORDER,
            vec![type_("order.completed")],
            "conversion",
            "purchase",
            "order:22642",
            "approved as purchase",
        ),
        (
            SUBSCRIPTION,
            vec![type_("order.completed")],
            "kpi",
            "subscription_ended",
            "subscription_ended:order:22650",
            "-",
        ),
        (
            ORDER,
            vec![type_("one_time_order.refunded"), status("refunded")],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            ORDER,
            vec![type_("one_time_order.refunded"), status("paid")],
            "refund",
            "refund",
            "order:22642",
            "refund -",
        ),
        (SALE, vec![], "adjustment", "-", "order:22642", approved),
        (SALE, vec![("/data/external_type", "capture".into())], "adjustment", "-", "order:22642", approved),
        (SALE, vec![("/data/external_type", "authorize".into())], "adjustment", "-", "order:22642", "-"),
        (SALE, vec![("/data/result", "pending".into())], "adjustment", "-", "order:22642", "-"),
        (SALE, vec![("/data/is_rebill", true.into())], "adjustment", "rebill", "order:22642", "-"),
        (
            SALE,
            vec![("/data/result", "declined".into())],
            "kpi",
            "transaction_declined",
            "transaction:4",
            "-",
        ),
        (
            SALE,
            vec![("/data/external_type", "refund".into())],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            SALE,
            vec![("/data/external_type", "credit".into())],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            SALE,
            vec![("/data/external_type", "void".into())],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            SALE,
            vec![("/data/external_type", "chargeback".into())],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            SALE,
            vec![("/data/external_type", "refund".into()), ("/data/result", "declined".into())],
            "kpi",
            "transaction_declined",
            "transaction:4",
            "-",
        ),
        (SALE, vec![type_("orders/transaction.updated")], "adjustment", "-", "order:22642", "-"),
        (
            SALE,
            vec![type_("orders/transaction.updated"), ("/data/status", "refunded".into())],
            "refund",
            "refund",
            "order:22642",
            "refund 396.00",
        ),
        (
            SALE,
            vec![type_("orders/transaction.updated"), ("/data/status", "partially-refunded".into())],
            "refund",
            "refund",
            "order:22642",
            "refund -",
        ),
        (INVOICE, vec![], "conversion", "purchase", "order:22642", "approved as purchase"),
        (
            INVOICE,
            vec![("/data/order/recurring_invoices_paid_count", 5.into())],
            "conversion",
            "purchase",
            "order:22642",
            "approved as purchase",
        ),
        (
            INVOICE,
            vec![("/data/order", Value::Null)],
            "conversion",
            "purchase",
            "order:22642",
            "approved as purchase",
        ),
        (
            RENEWAL,
            vec![type_("orders/invoice.paid")],
            "conversion",
            "rebill",
            "invoice:840",
            "approved as rebill",
        ),
        (
            RENEWAL,
            vec![type_("subscription.invoice.paid")],
            "conversion",
            "rebill",
            "invoice:840",
            "approved as rebill",
        ),
        (
            RENEWAL,
            vec![type_("orders/invoice.paid"), ("/data/order/recurring_invoices_paid_count", 1.into())],
            "conversion",
            "subscribe",
            "order:22650",
            "approved as subscribe",
        ),
        (
            RENEWAL,
            vec![
                type_("subscription.invoice.paid"),
                ("/data/order/recurring_invoices_paid_count", "1".into()),
            ],
            "conversion",
            "subscribe",
            "order:22650",
            "approved as subscribe",
        ),
        (INVOICE, vec![type_("orders/invoice.voided")], "adjustment", "void", "order:22642", "void"),
        (RENEWAL, vec![type_("orders/invoice.voided")], "adjustment", "void", "invoice:840", "void"),
        (RENEWAL, vec![type_("orders/invoice.refunded")], "refund", "refund", "order:22650", "refund 49.00"),
        (
            PURCHASE,
            vec![("/status", "Paid".into())],
            "conversion",
            "purchase",
            "classic-purchase:50538562",
            "approved as purchase",
        ),
        (
            PURCHASE,
            vec![("/status", "open".into())],
            "conversion",
            "purchase",
            "classic-purchase:50538562",
            "pending as purchase",
        ),
        (
            PURCHASE,
            vec![("/status", "declined".into())],
            "conversion",
            "purchase",
            "classic-purchase:50538562",
            "rejected",
        ),
        (
            PURCHASE,
            vec![("/status", "refunded".into())],
            "refund",
            "refund",
            "classic-purchase:50538562",
            "refund 47.00",
        ),
        (
            PURCHASE,
            vec![("/event", "updated".into())],
            "adjustment",
            "-",
            "classic-purchase:50538562",
            "approved as purchase",
        ),
        (
            PURCHASE,
            vec![("/event", "updated".into()), ("/status", "failed".into())],
            "adjustment",
            "-",
            "classic-purchase:50538562",
            "rejected",
        ),
    ] {
        let decoded = clickfunnels("", &changed(file, &changes));
        let says = decoded.claim.as_ref().map_or("-".to_owned(), |claim| {
            let says = match &claim.says {
                Says::Refund(refund) => {
                    format!("refund {}", refund.amount.map_or("-".to_owned(), |amount| amount.to_string()))
                }
                other => format!("{other:?}").to_lowercase(),
            };
            claim.name.as_ref().map_or(says.clone(), |name| format!("{says} as {name}"))
        });
        let event = decoded.event;
        let found = (
            event.kind.as_str(),
            event.name.as_deref().unwrap_or("-"),
            event.ledger_key.as_deref().unwrap_or("-"),
            says.as_str(),
        );
        assert_eq!(found, (kind, name, key, claims), "{file} {changes:?}");
    }
}

#[test]
fn a_refund_says_what_went_back_apart_from_what_the_sale_is_worth() {
    let claim =
        |file: &str, changes: &[(&str, Value)]| clickfunnels("", &changed(file, changes)).claim.unwrap();
    let refund = claim("cf2_orders_transaction.created.refund.json", &[]);
    assert_eq!((refund.value, refund.evidence), (None, Evidence::Transaction));
    assert_eq!(
        refund.says,
        Says::Refund(Refund {
            subject: "6".into(),
            evidence: Evidence::Transaction,
            amount: Some("100.00".parse().unwrap()),
            of: Some("4".into()),
            whole: false,
            partial: false,
        })
    );
    let whole = claim("cf2_orders_transaction.updated.refunded.json", &[]);
    assert_eq!(whole.value.unwrap().amount.to_string(), "396.00");
    assert!(matches!(whole.says, Says::Refund(Refund { whole: true, ref subject, .. }) if subject == "4"));
    let partial = claim(
        "cf2_orders_transaction.updated.refunded.json",
        &[("/data/status", "partially-refunded".into())],
    );
    assert_eq!(partial.value.unwrap().amount.to_string(), "396.00");
    assert!(matches!(partial.says, Says::Refund(Refund { whole: false, amount: None, .. })));
    let order = claim("cf2_one_time_order.refunded.json", &[("/data/billing_status", "paid".into())]);
    assert_eq!(order.value.unwrap().amount.to_string(), "396.00");
    let negative = claim("cf2_orders_transaction.created.refund.json", &[("/data/amount", "-100.00".into())]);
    assert!(
        matches!(negative.says, Says::Refund(Refund { amount: Some(amount), .. }) if amount.to_string() == "100.00")
    );
}

#[test]
fn a_test_order_is_known_by_live_mode_wherever_that_stands() {
    for (file, pointer) in
        [(ORDER, "/data/live_mode"), (INVOICE, "/data/order/live_mode"), (SALE, "/live_mode")]
    {
        for (live, test) in [(json!(true), false), (json!(false), true), (json!(null), false)] {
            let decoded = clickfunnels("", &changed(file, &[(pointer, live.clone())]));
            assert_eq!(decoded.event.test, test, "{file} {live}");
            assert!(decoded.claim.is_none_or(|claim| claim.test == test));
        }
    }
}

#[test]
fn a_name_or_a_value_in_the_url_counts_for_what_has_one() {
    let decoded = clickfunnels("event_parameter=upsell&payout=12.5&currency=eur", &fixture(ORDER));
    assert_eq!(decoded.event.name.as_deref(), Some("upsell"));
    assert_eq!(decoded.claim.unwrap().name.as_deref(), Some("upsell"));
    let updated = clickfunnels("event_parameter=purchase", &fixture("cf2_contact.updated.json"));
    assert_eq!(updated.event.name, None);
    let unknown = clickfunnels("event_parameter=purchase", &json!({"event_type": "moon.landed", "data": {}}));
    assert_eq!((unknown.event.name, unknown.event.kind), (None, event::Kind::Ignored));
    let numbered = clickfunnels("event_parameter=event7", &fixture("cf2_contacts_applied_tag.created.json"));
    assert_eq!((numbered.event.name.as_deref(), numbered.event.number), (Some("event7"), Some(7)));
    // What is typed as a path is what stands there.
    let by_path = clickfunnels("event_parameter={data.funnel_name}&payout={tax_amount}", &fixture(ORDER));
    assert_eq!(by_path.event.name.as_deref(), Some("Example Funnel"));
    assert_eq!(by_path.event.value.unwrap().amount.to_string(), "0.00");
    // A currency alone completes a value that comes without one.
    let deal = json!({"event_type": "sales/opportunity.closed", "api_version": 2, "data": {"id": 9, "value": "1200"}});
    let value = clickfunnels("payout=[amount]&currency=usd", &deal).event.value.unwrap();
    assert_eq!((value.amount.to_string().as_str(), value.currency), ("1200", crate::money::currency("USD")));
}

#[test]
fn a_sources_own_mapping_comes_first() {
    let mut source = source("clickfunnels");
    source.mapping = toml::from_str::<std::collections::HashMap<String, Vec<crate::mapping::Row>>>(
        r#"
        [[row]]
        event = "contacts/applied_tag.created"
        when = [{ at = "/data/tag/name", is = ["example tag"] }]
        kind = "conversion"
        parameter = "qualified"
        claim = "approved"
        number = 2
        key = "qualified:{contact_id}"
        "#,
    )
    .unwrap()
    .remove("row")
    .unwrap();
    let body = fixture("cf2_contacts_applied_tag.created.json").to_string();
    let decoded = decode(&intake("", body.as_bytes()), &source).unwrap();
    assert_eq!((decoded.event.kind, decoded.event.number), (event::Kind::Conversion, Some(2)));
    let claim = decoded.claim.unwrap();
    assert_eq!((claim.key.as_str(), claim.name.as_deref()), ("qualified:24359", Some("qualified")));
}

#[test]
fn an_order_is_told_by_everything_that_knows_it() {
    let order = |file: &str| clickfunnels("", &fixture(file)).order;
    let of_order = order("cf2_order.completed.one_time.json").unwrap();
    assert_eq!((of_order.id.as_str(), of_order.subscription), ("22642", Some(false)));
    assert_eq!(
        (of_order.contact.as_deref(), of_order.funnel.as_deref()),
        (Some("24359"), Some("Example Funnel"))
    );
    assert_eq!(
        (of_order.products, of_order.bump, of_order.described),
        (vec!["6512".to_owned()], false, true)
    );
    let of_invoice = order(INVOICE).unwrap();
    assert_eq!((of_invoice.id.as_str(), of_invoice.described), ("22642", true));
    assert_eq!(of_invoice.products, ["6512"]);
    let of_sale = order(SALE).unwrap();
    assert_eq!((of_sale.id.as_str(), of_sale.described, of_sale.contact), ("22642", false, None));
    assert_eq!(order(SUBSCRIPTION).unwrap().subscription, Some(true));
    assert_eq!(order("cf2_contact.updated.json"), None);
    let of_purchase = order(PURCHASE).unwrap();
    assert_eq!((of_purchase.id.as_str(), of_purchase.bump), ("50538562", false));
    assert_eq!(
        (of_purchase.products, of_purchase.funnel.as_deref()),
        (vec!["1609585".to_owned()], Some("6201126"))
    );
    let bump = clickfunnels("", &changed(PURCHASE, &[("/products/0/bump", true.into())]));
    assert!(bump.order.unwrap().bump);
}

#[test]
fn visits_are_touches_told_once_each() {
    let decoded = clickfunnels("", &fixture("cf2_order.completed.one_time.json"));
    let ids: Vec<_> = decoded.visits.iter().map(|visit| visit.id.as_str()).collect();
    assert_eq!(ids, ["9f2e8a22-1b65-4414-95f3-5caf0bbd11da", "7a3f9c11-2d45-4e23-88d2-1bef9acd44fa"]);
    let visit = &decoded.visits[0];
    assert_eq!(visit.at.to_string(), "2026-01-09T14:23:45.123Z");
    assert_eq!(visit.landing_page.as_deref(), Some("https://your-funnel-domain.com/funnel-page"));
    assert_eq!(visit.device.as_deref(), Some("desktop"));
    let names: Vec<_> = visit.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        names,
        [
            "utm_source=google",
            "utm_medium=cpc",
            "utm_campaign=spring_sale",
            "utm_term=running shoes",
            "utm_content=ad_variant_a",
            "clickid=01JD3V7Q9ZK4T8M2N5X6C7B8A9",
            "gclid=TeSter-123",
        ]
    );
    assert!(clickfunnels("", &fixture("cf2_contact.deleted.json")).erases);
    assert!(!decoded.erases);
}

#[test]
fn the_person_is_found_in_every_shape_and_is_one() {
    let person = |file: &str| {
        let person = clickfunnels("", &fixture(file)).event.person;
        [person.contact, person.email, person.phone].map(|one| one.unwrap_or_default()).join(" ")
    };
    let jane = "24359 jane.doe@example.com +18005550199";
    for (file, found) in [
        ("cf2_contact.identified.with_clickid.json", jane),
        ("cf2_order.created.json", jane),
        ("cf2_orders_invoice.paid.json", jane),
        // `contact_id` is another number in these two: the contact itself says who it is.
        ("cf2_contacts_applied_tag.created.json", jane),
        ("cf2_courses_enrollment.created.json", jane),
        ("cf2_form_submission.created.observed_shape.json", "24359 jane.doe@example.com "),
        ("cf2_v1_form_submission.created.json", "234424 joe.doe@example.com "),
        ("cf2_communities_post.created.json", "456  "),
        ("cf2_orders_transaction.created.sale.json", "  "),
        ("cf2_blogs_post.created.json", "  "),
        ("cf2_appointments_scheduled_event.created.json", "234  +3439482094"),
        ("cf2_contact.identified.spec001.json", "236296209  +18472555555"),
        ("classic_contact_created.flat.json", "1099000001 jane.doe@example.com +18005550199"),
        ("classic_purchase_created.flat.json", "1099000001 jane.doe@example.com +18005550199"),
        ("classic_purchase_created.nested.json", "1099000001 jane.doe@example.com +18005550199"),
    ] {
        assert_eq!(person(file), found, "{file}");
    }
}

#[test]
fn one_visit_that_is_listed_twice_keeps_what_either_says() {
    let visit = |page: &str| json!({"uuid": "v", "started_at": "2026-01-09T14:23:45Z", "landing_page": page});
    let body = json!({"event_type": "order.created", "data": {
        "contact": {"visits": {"first_visit": visit("https://f.example/?utm_source=a&email=x@y.example")}},
        "visits": {"last_visit": visit("https://f.example/?utm_source=b&fbclid=c"), "first_visit": {"uuid": "w"}},
    }});
    let visits = clickfunnels("", &body).visits;
    assert_eq!(visits.len(), 1);
    let pairs: Vec<_> =
        visits[0].parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("utm_source", "a"), ("fbclid", "c")]);
}

#[test]
fn a_visit_keeps_every_parameter_of_its_page_but_who_somebody_is() {
    let parameters = |query: &str| {
        let visit = json!({"uuid": "v", "started_at": "2026-01-09T14:23:45Z", "utm_source": "own",
                           "device_type": "mobile", "landing_page": format!("https://f.example/?{query}#top")});
        let body = json!({"event_type": "order.created", "data": {"visits": {"last_visit": visit}}});
        clickfunnels("", &body).visits.remove(0).parameters
    };
    let query = "AFF_Click_Id=a%26b&utm_source=page&campaign_name=x&email=1&contact%5Bfirst_name%5D=J&tel=1\
                 &via=jane%40x.example&empty=&aff_click_id=second";
    let told: Vec<_> = parameters(query).iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(told, ["utm_source=own", "aff_click_id=a&b", "campaign_name=x"]);
    let many: Vec<String> = (0..200).map(|n| format!("p{n}={}", "v".repeat(900))).collect();
    let kept = parameters(&many.join("&"));
    assert_eq!(kept.len(), 64);
    assert!(kept.iter().all(|(name, value)| name.len() <= 64 && value.len() <= 500));
}

#[test]
fn an_event_that_lacks_a_part_of_its_key_says_so() {
    let decoded = clickfunnels(
        "",
        &json!({"event_type": "form_submission.created", "data": {"data": {"email": "a@b.example"}}}),
    );
    assert_eq!((decoded.claim, decoded.event.ledger_key), (None, None));
    assert!(decoded.notes[0].1.contains("lead:{contact_id}"), "{:?}", decoded.notes);
}
