//! Which value each macro has.

use super::*;

/// What `{{name}}` is, by these facts; none where it is unresolved.
fn value(name: &str, facts: &Facts) -> Option<String> {
    let template = format!("{{{{{name}}}}}");
    let postback =
        rendered(webhook(Method::Get, "https://net.example/", &[("v", &template)]), facts).unwrap();
    let (_, value) = postback.url.query_pairs().next().unwrap();
    postback.unresolved.is_empty().then(|| value.into_owned())
}

#[test]
fn every_macro_has_its_value() {
    for (name, expected) in [
        ("VALUE", Some("396.00")),
        ("revenue", Some("396.00")),
        ("CURRENCY", Some("USD")),
        ("PAYOUT", Some("118.80")),
        ("payout", Some("118.80")),
        ("PAYOUT_CURRENCY", Some("EUR")),
        ("EVENT_NAME", Some("purchase")),
        ("EVENT_TYPE", Some("one-time-order.completed")),
        ("EVENT_NUMBER", None),
        ("EVENT_ID", Some(DELIVERY)),
        ("SOURCE_EVENT_ID", Some("4a1f")),
        ("transaction", Some("22642")),
        ("CONVERSION_KEY", Some("order:22642")),
        ("STATUS", Some("approved")),
        ("click_id", Some("018f0000-0000-7000-8000-00000000abcd")),
        ("VISITOR_ID", Some("018f0000-0000-7000-8000-000000000001")),
        ("linkId", Some("summer")),
        ("targetId", Some("main")),
        ("REFERRER", Some("https://blog.example/")),
        ("USER_AGENT", Some("Firefox")),
        ("DEVICE", Some("tablet")),
        ("COUNTRY", Some("DE")),
        ("EMAIL", Some("jane@example.com")),
        ("PHONE", Some("+19053871234")),
        ("CONTACT_ID", Some("24359")),
        ("FIRST_NAME", Some("Jane")),
        ("LAST_NAME", Some("Doe")),
        ("utm_source", Some("news letter")),
        ("UTM_MEDIUM", None),
        ("gclid", Some("g1")),
        ("FBCLID", Some("IwAR0")),
        ("FBC", Some("fb.1.1768075200250.IwAR0")),
        ("FBP", None),
        ("TIMESTAMP", Some("1768076101")),
        ("TIMESTAMP_MS", Some("1768076101524")),
        ("TIME_ISO", Some("2026-01-10T20:15:01.524Z")),
        ("SUB1", Some("s1")),
        ("SUB10", None),
        ("LANDING_PAGE", None),
        ("PRODUCT", None),
        ("TTP", None),
        ("GA_CLIENT_ID", None),
        ("TEST", Some("0")),
        ("CONNECTOR_ID", Some("network")),
    ] {
        assert_eq!(value(name, &facts()).as_deref(), expected, "{name}");
    }
}

#[test]
fn every_macro_of_the_catalogue_can_have_a_value() {
    let mut facts = facts();
    facts.event.number = Some(3);
    let click = facts.click.as_mut().unwrap();
    for known in crate::template::catalogue::CONNECTOR.macros {
        click.parameters.push((known.name.to_lowercase(), "x".to_owned()));
    }
    // What no link says: it comes from the funnel alone.
    facts.event.data = json!({"landing_page": "x", "product": "x", "quantity": 1, "voucher": "x",
        "first_name": "x", "last_name": "x"});
    for known in crate::template::catalogue::CONNECTOR.macros {
        assert!(value(known.name, &facts).is_some_and(|value| !value.is_empty()), "{}", known.name);
    }
}

#[test]
fn money_and_status_come_from_no_link_and_no_raw_body() {
    let mut facts = facts();
    facts.conversion = None;
    assert_eq!(value("VALUE", &facts).as_deref(), Some("395.00"), "the event's, without a conversion");
    facts.event.value = None;
    facts.event.data = json!({"amount": "7", "value": "7", "currency": "USD", "status": "paid"});
    for name in ["VALUE", "amount", "CURRENCY", "STATUS"] {
        assert_eq!(value(name, &facts), None, "{name}");
    }
    assert_eq!(value("data.amount", &facts).as_deref(), Some("7"), "by name of its own it may be had");
    assert_eq!(value("param.value", &facts).as_deref(), Some("999"));
}

#[test]
fn a_payout_is_what_the_offers_rule_gives_and_never_the_value() {
    let mut facts = facts();
    facts.event.data = json!({"payout": "7", "payout_currency": "USD"});
    facts.conversion.as_mut().unwrap().payout = None;
    for name in ["PAYOUT", "payout", "PAYOUT_CURRENCY"] {
        assert_eq!(value(name, &facts), None, "{name}: no rule gave one");
    }
    assert_eq!(value("data.payout", &facts).as_deref(), Some("7"), "by name of its own it may be had");
    facts.conversion = None;
    assert_eq!(value("PAYOUT", &facts), None);
}

#[test]
fn an_event_without_a_mapped_name_goes_by_its_type() {
    let mut facts = facts();
    facts.event.name = None;
    assert_eq!(value("EVENT_NAME", &facts).as_deref(), Some("one-time-order.completed"));
}

#[test]
fn a_step_of_a_conversion_goes_by_its_own_name() {
    let mut facts = facts();
    facts.conversion.as_mut().unwrap().name = Some("refund".to_owned());
    assert_eq!(value("EVENT_NAME", &facts).as_deref(), Some("refund"));
    assert_eq!(value("event_param", &facts).as_deref(), Some("refund"));
}

#[test]
fn a_field_of_the_users_own_is_found_by_name_and_path() {
    let mut facts = facts();
    facts.event.data = serde_json::from_str(
        r#"{"transaction_id": 12345, "Extra": "something", "extra2": "exact", "EXTRA2": "other", "precise": 396.00,
            "big": 123456789012345678901234567890, "yes": true, "null": null, "list": ["a", {"b": "c"}],
            "a.b": "dotted", "a": {"b": "stepped", "c": {"D": "deep"}}, "empty": ""}"#,
    )
    .unwrap();
    facts.event.transaction = None;
    for (name, expected) in [
        ("TRANSACTION_ID", Some("12345")),
        ("EXTRA", Some("something")),
        ("extra2", Some("exact")),
        ("precise", Some("396.00")),
        ("big", Some("123456789012345678901234567890")),
        ("yes", Some("true")),
        ("null", None),
        ("list", None),
        ("a", None),
        ("list.0", Some("a")),
        ("list.1.b", Some("c")),
        ("list.2", None),
        ("list.x", None),
        ("a.b", Some("dotted")),
        ("A.C.d", Some("deep")),
        ("data.a.c.d", Some("deep")),
        ("a.b.c", None),
        ("empty", Some("")),
        ("nope", None),
    ] {
        assert_eq!(value(name, &facts).as_deref(), expected, "{name}");
    }
}

#[test]
fn the_events_data_comes_before_what_anyone_can_write_into_a_link() {
    let mut facts = facts();
    assert_eq!(value("EXTRA", &facts).as_deref(), Some("of the click"));
    facts.event.data = json!({"extra": "of the event"});
    assert_eq!(value("EXTRA", &facts).as_deref(), Some("of the event"));
    assert_eq!(value("param.extra", &facts).as_deref(), Some("of the click"));
}

#[test]
fn what_came_with_the_click_comes_before_the_events_own() {
    let mut facts = facts();
    facts.event.data = json!({"gclid": "g2", "fbp": "fb.1.2.3", "fbc": "fb.1.0.x", "referrer": "r",
        "country": "FR", "device": "toaster"});
    assert_eq!(value("GCLID", &facts).as_deref(), Some("g1"));
    assert_eq!(value("COUNTRY", &facts).as_deref(), Some("DE"));
    assert_eq!(value("FBP", &facts).as_deref(), Some("fb.1.2.3"));
    facts.click = None;
    assert_eq!(value("GCLID", &facts).as_deref(), Some("g2"));
    assert_eq!(value("FBC", &facts).as_deref(), Some("fb.1.0.x"));
    assert_eq!(value("REFERRER", &facts).as_deref(), Some("r"));
    assert_eq!(value("COUNTRY", &facts).as_deref(), Some("FR"));
    assert_eq!(value("DEVICE", &facts).as_deref(), Some("toaster"));
    assert_eq!(value("OFFER", &facts), None);
}

#[test]
fn an_empty_fbclid_makes_no_fbc() {
    let mut facts = facts();
    facts.click.as_mut().unwrap().parameters = vec![("fbclid".to_owned(), String::new())];
    assert_eq!(value("FBC", &facts), None);
}

#[test]
fn without_a_click_only_a_foreign_click_id_is_passed_on() {
    let mut facts = facts();
    facts.click = None;
    for (named, passed) in [
        ("abc123", Some("abc123")),
        ("018f0000-0000-7000-8000-00000000abcd", None),
        ("018F0000000070008000000000000abcd", Some("018F0000000070008000000000000abcd")),
        ("018F000000007000800000000000abcd", None),
        ("{click_id}", None),
        ("[click_id]", None),
        ("${click_id}", None),
        ("%click_id%", None),
        ("{{click_id}}", None),
    ] {
        facts.event.data = json!({"click_id": named});
        assert_eq!(value("CLICK_ID", &facts).as_deref(), passed, "{named}");
    }
}

#[test]
fn a_person_is_found_in_the_shapes_that_clickfunnels_sends() {
    for data in [
        json!({"email_address": "j@x", "phone_number": "1", "first_name": "J", "last_name": "D"}),
        json!({"email": "j@x", "phone": "1", "first_name": "J", "last_name": "D"}),
        json!({"contact": {"email_address": "j@x", "phone_number": "1", "first_name": "J", "last_name": "D"}}),
        json!({"phone_number": null, "primary_contact": {"email_address": "j@x", "phone_number": "1", "first_name": "J", "last_name": "D"}}),
        json!({"order": {"contact": {"email_address": "j@x", "phone_number": "1", "first_name": "J", "last_name": "D"}}}),
    ] {
        let mut facts = facts();
        facts.event.person = crate::event::Person::default();
        facts.event.data = data.clone();
        let all =
            ["EMAIL", "PHONE", "FIRST_NAME", "LAST_NAME"].map(|name| value(name, &facts).unwrap_or_default());
        assert_eq!(all, ["j@x", "1", "J", "D"], "{data}");
    }
}

#[test]
fn of_a_contacts_own_event_the_contact_is_the_data() {
    let mut facts = facts();
    facts.event.data = json!({"id": 7, "custom_attributes": {"clickid": "c"}});
    assert_eq!(value("contact.custom_attributes.clickid", &facts), None, "of an order it is not");
    facts.event.raw_type = "contact.identified".to_owned();
    assert_eq!(value("contact.custom_attributes.clickid", &facts).as_deref(), Some("c"));
}

#[test]
fn data_of_any_form_is_no_trouble() {
    for data in [Value::Null, json!("text"), json!([1]), json!(5)] {
        let mut facts = facts();
        facts.event.data = data;
        assert_eq!(value("nope", &facts), None);
        assert_eq!(value("FIRST_NAME", &facts), None);
    }
}

#[test]
fn what_the_click_lacks_is_the_newest_touchs_before_it_is_the_events() {
    let mut facts = facts();
    facts.event.data = json!({"ttclid": "of the event", "msclkid": "of the event", "extra": "of the event"});
    facts.touch = Some(serde_json::from_value(json!({
        "at": "2026-01-10T20:10:00.125Z", "landing_page": "https://funnel.example/x", "user_agent": "Chrome",
        "country": "FR", "device": "mobile", "referrer": "https://news.example/",
        "parameters": [["TTCLID", "of the touch"], ["gclid", "of the touch"], ["fbclid", "IwAR9"], ["extra", "of the touch"]],
    })).unwrap());
    for (name, expected) in [
        ("GCLID", "g1"),
        ("TTCLID", "of the touch"),
        ("MSCLKID", "of the event"),
        ("FBC", "fb.1.1768075200250.IwAR0"),
        ("LANDING_PAGE", "https://funnel.example/x"),
        ("COUNTRY", "DE"),
        ("EXTRA", "of the event"),
        ("param.ttclid", "of the touch"),
        ("OFFER", "summer"),
    ] {
        assert_eq!(value(name, &facts).as_deref(), Some(expected), "{name}");
    }
    facts.click = None;
    for (name, expected) in [
        ("GCLID", Some("of the touch")),
        ("FBC", Some("fb.1.1768075800125.IwAR9")),
        ("COUNTRY", Some("FR")),
        ("DEVICE", Some("mobile")),
        ("USER_AGENT", Some("Chrome")),
        ("REFERRER", Some("https://news.example/")),
        ("OFFER", None),
        ("CLICK_ID", None),
    ] {
        assert_eq!(value(name, &facts).as_deref(), expected, "{name}");
    }
}

#[test]
fn a_parameter_that_is_empty_or_was_never_filled_in_hides_no_other() {
    for unfilled in ["", "  ", "{gclid}", "[gclid]", "${gclid}", "%gclid%", " {gclid} "] {
        let mut facts = facts();
        facts.event.data = json!({"msclkid": "of the event", "wbraid": unfilled});
        let names = ["gclid", "fbclid", "ttclid", "msclkid", "gbraid", "extra"];
        let parameters = names.map(|name| (name.to_owned(), unfilled.to_owned()));
        facts.click.as_mut().unwrap().parameters = parameters.to_vec();
        facts.touch = Some(serde_json::from_value(json!({
            "at": "2026-01-10T20:10:00.125Z",
            "parameters": [["gclid", "of the touch"], ["fbclid", "IwAR9"], ["msclkid", unfilled], ["extra", "x"]],
        })).unwrap());
        for (name, expected) in [
            ("GCLID", Some("of the touch")),
            ("FBC", Some("fb.1.1768075800125.IwAR9")),
            ("MSCLKID", Some("of the event")),
            ("EXTRA", Some("x")),
            ("param.extra", Some("x")),
            ("TTCLID", None),
            ("GBRAID", None),
            ("WBRAID", None),
        ] {
            assert_eq!(value(name, &facts).as_deref(), expected, "{name} {unfilled:?}");
        }
    }
}

#[test]
fn the_connectors_own_matching_comes_before_the_attributed_click() {
    let mut facts = facts();
    facts.matched_click_id = Some("abc123".to_owned());
    assert_eq!(value("CLICK_ID", &facts).as_deref(), Some("abc123"));
    facts.click = None;
    assert_eq!(value("clickid", &facts).as_deref(), Some("abc123"));
}

#[test]
fn the_first_product_is_found_where_senders_put_it() {
    for data in [
        json!({"line_items": [{"quantity": 2, "original_product": {"name": "Joke"}}, {"original_product": {"name": "No"}}]}),
        json!({"line_items": [{"quantity": "2", "products_variant": {"name": "Joke"}}]}),
        json!({"products": [{"name": "Joke", "quantity": 2}]}),
        json!({"product": "Joke", "quantity": "2"}),
    ] {
        let mut facts = facts();
        facts.event.data = data.clone();
        assert_eq!(value("PRODUCT", &facts).as_deref(), Some("Joke"), "{data}");
        assert_eq!(value("QUANTITY", &facts).as_deref(), Some("2"), "{data}");
    }
    let mut facts = facts();
    facts.event.data = json!({"coupon": "SPRING", "contact": {"visits": {"last_visit": {"landing_page": "https://f.example/"}}}});
    assert_eq!(value("VOUCHER", &facts).as_deref(), Some("SPRING"));
    assert_eq!(value("landing_page", &facts).as_deref(), Some("https://f.example/"));
}

#[test]
fn a_client_id_of_analytics_is_the_end_of_its_cookie() {
    for (data, expected) in [
        (json!({"ga_client_id": "1.2"}), Some("1.2")),
        (json!({"_ga": "GA1.1.123456789.1700000000"}), Some("123456789.1700000000")),
        (json!({"_ga": "GA1.2-2.123456789.1700000000"}), Some("123456789.1700000000")),
        (json!({"_ga": "2.123456789.1700000000.x"}), None),
        (json!({"_ga": "GA1.1"}), None),
    ] {
        let mut facts = facts();
        facts.event.data = data.clone();
        assert_eq!(value("GA_CLIENT_ID", &facts).as_deref(), expected, "{data}");
    }
}

#[test]
fn a_link_alone_makes_no_test_of_a_sale() {
    let told = |mode: crate::connector::Mode, forced: bool, test_order: bool| {
        let mut connector = connector(webhook(Method::Get, "https://net.example/{{TEST}}", &[]));
        connector.mode = mode;
        let mut facts = facts();
        facts.event.test = test_order;
        facts.trl_test = forced;
        let credentials = Credentials { secret: &|_| Ok(String::new()), access_token: None };
        render(&connector, &delivery(), &facts, &credentials).unwrap().url.path().to_owned()
    };
    use crate::connector::Mode::{Enabled, Test};
    for (mode, forced, test_order, expected) in [
        (Enabled, false, false, "/0"),
        (Enabled, true, false, "/0"),
        (Test, false, false, "/0"),
        (Test, true, false, "/1"),
        (Enabled, false, true, "/1"),
    ] {
        assert_eq!(told(mode, forced, test_order), expected, "{mode:?} {forced} {test_order}");
    }
}

#[test]
fn the_fields_of_an_events_data_are_listed_by_the_names_that_macros_have_for_them() {
    let data = json!({"id": 1, "value": "jane@example.com", "null": null, "a b": 1, "secret": {"x": 1},
        "contact": {"tags": [{"name": "x"}, {"other": "y"}], "empty": {}, "list": []}, "a.b": true});
    let fields = fields(&data);
    assert_eq!(
        fields.iter().collect::<Vec<_>>(),
        ["a.b", "contact.tags.0.name", "data.secret.x", "data.value", "id"]
    );
    let mut facts = facts();
    facts.event.data = data;
    for field in fields {
        assert!(value(&field, &facts).is_some(), "{field}");
    }
}
