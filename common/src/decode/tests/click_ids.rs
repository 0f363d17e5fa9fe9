//! Where a click id is found, and which of several counts.

use super::*;

/// A body with a value of its own at each place, in the order of the domain.
fn everywhere() -> (Value, Vec<(&'static str, String, FoundBy)>) {
    let mut body = json!({
        "event_type": "order.created", "api_version": 2,
        "data": {
            "custom_attributes": {}, "contact": {"custom_attributes": {}, "visits": {}},
            "order": {"contact": {"custom_attributes": {}, "visits": {}}, "visits": {}},
            "primary_contact": {"custom_attributes": {}}, "data": {"contact": {}}, "visits": {},
        },
    });
    let places: Vec<(&'static str, FoundBy)> = vec![
        ("/data/custom_attributes/ClickID", FoundBy::CustomAttribute),
        ("/data/contact/custom_attributes/clickid", FoundBy::CustomAttribute),
        ("/data/order/contact/custom_attributes/click_id", FoundBy::CustomAttribute),
        ("/data/primary_contact/custom_attributes/CID", FoundBy::CustomAttribute),
        ("/data/data/aff_sub", FoundBy::FormField),
        ("/data/data/contact/aff_sub", FoundBy::FormField),
        ("/data/contact/visits/last_visit_with_utm", FoundBy::LandingPage),
        ("/data/contact/visits/last_visit", FoundBy::LandingPage),
        ("/data/contact/visits/first_visit", FoundBy::LandingPage),
        ("/data/order/contact/visits/first_visit", FoundBy::LandingPage),
        ("/data/order/visits/last_visit", FoundBy::LandingPage),
        ("/data/visits/last_visit_with_utm", FoundBy::LandingPage),
    ];
    let mut expected = Vec::new();
    for (i, (pointer, found_by)) in places.into_iter().enumerate() {
        let id = format!("id{i}");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = match found_by {
            FoundBy::LandingPage => {
                json!({"landing_page": format!("https://f.example/p?a=b&RTClickID={id}#top")})
            }
            _ => id.clone().into(),
        };
        expected.push((pointer, id, found_by));
    }
    (body, expected)
}

#[test]
fn the_first_place_of_the_domains_order_counts() {
    let (mut body, expected) = everywhere();
    for (pointer, id, found_by) in expected {
        let decoded = clickfunnels("click_id=typed", &body);
        assert_eq!((decoded.named, decoded.found_by), (Named::Foreign(id), found_by), "{pointer}");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    }
    let decoded = clickfunnels("click_id=typed", &body);
    assert_eq!((decoded.named, decoded.found_by), (Named::Foreign("typed".into()), FoundBy::Query));
    assert_eq!(clickfunnels("", &body).found_by, FoundBy::None);
}

#[test]
fn what_is_no_id_does_not_hide_one_that_is() {
    for poor in [
        json!("{click_id}"),
        json!("[clickid]"),
        json!(" "),
        json!(null),
        json!("undefined"),
        json!({}),
        json!([1]),
    ] {
        let (mut body, _) = everywhere();
        body["data"]["custom_attributes"]["ClickID"] = poor.clone();
        assert_eq!(clickfunnels("", &body).named, Named::Foreign("id1".into()), "{poor}");
    }
    // Another key of the same place counts before another place.
    let (mut body, _) = everywhere();
    body["data"]["custom_attributes"] = json!({"clickid": "{click_id}", "tid": 77});
    assert_eq!(clickfunnels("", &body).named, Named::Foreign("77".into()));
    let body = json!({"event_type": "contact.updated", "data": {"custom_attributes": {"clickid": "${cid}"}}});
    let decoded = clickfunnels("", &body);
    assert_eq!(decoded.named, Named::Placeholder("${cid}".into()));
    assert_eq!(decoded.found_by, FoundBy::CustomAttribute);
}

#[test]
fn a_sources_own_keys_count_instead_of_the_usual_ones() {
    let mut own = source("clickfunnels");
    own.click_id_keys = vec!["Tracking-ID".into()];
    let body = json!({"event_type": "contact.updated",
        "data": {"custom_attributes": {"clickid": "a", "tracking-id": "b"}}});
    let decoded = decode(&intake("clickid=c", body.to_string().as_bytes()), &own).unwrap();
    assert_eq!(decoded.named, Named::Foreign("b".into()));
}

#[test]
fn the_url_of_the_specification_works_as_printed_for_every_kind_of_body() {
    let url = "click_id={contact.custom_attributes.clickid}&event_parameter=[event_name]&payout=[amount]";
    let encoded = "click_id=%7Bcontact.custom_attributes.clickid%7D&event_parameter=%5Bevent_name%5D&payout=%5Bamount%5D";
    for (file, name, value) in [
        ("cf2_contact.identified.with_clickid.json", "lead", None),
        ("cf2_one-time-order.completed.json", "purchase", Some("396.00")),
        ("cf2_orders_invoice.paid.json", "purchase", Some("13.00")),
        ("classic_purchase_created.flat.json", "purchase", Some("47.00")),
        ("classic_purchase_created.nested.json", "purchase", Some("47.00")),
        ("classic_contact_created.flat.json", "lead", None),
    ] {
        for url in [url, encoded] {
            // Without keys of its own the source finds the id by the URL alone.
            let mut source = source("clickfunnels");
            source.click_id_keys = vec!["click_id".into()];
            let body = fixture(file).to_string();
            let decoded = decode(&intake(url, body.as_bytes()), &source).unwrap();
            let found = (decoded.named, decoded.found_by);
            assert_eq!(
                found,
                (Named::Foreign("01JD3V7Q9ZK4T8M2N5X6C7B8A9".into()), FoundBy::Query),
                "{file}"
            );
            assert_eq!(decoded.event.name.as_deref(), Some(name), "{file}");
            let amount = decoded.event.value.map(|value| value.amount.to_string());
            assert_eq!(amount.as_deref(), value, "{file}");
        }
    }
    for spelt in [
        "${contact.custom_attributes.clickid}",
        "{{contact.custom_attributes.clickid}}",
        "[contact.custom_attributes.clickid]",
    ] {
        let body = json!({"event_type": "x.y", "data": {"contact": {"custom_attributes": {"clickid": 5}}}});
        let mut source = source("clickfunnels");
        source.click_id_keys = vec!["click_id".into()];
        let decoded =
            decode(&intake(&format!("click_id={spelt}"), body.to_string().as_bytes()), &source).unwrap();
        assert_eq!(decoded.named, Named::Foreign("5".into()), "{spelt}");
    }
}

#[test]
fn a_macro_that_nobody_filled_in_is_told_apart_from_a_path_that_leads_nowhere() {
    let body = json!({"event_type": "contact.updated", "data": {"id": 1}});
    let named = |query: &str| clickfunnels(query, &body).named;
    assert_eq!(named("click_id={contact.custom_attributes.clickid}"), Named::Nothing);
    assert_eq!(named("click_id={click_id}"), Named::Placeholder("{click_id}".into()));
    assert_eq!(named("click_id=%25clickid%25"), Named::Placeholder("%clickid%".into()));
    assert_eq!(named("click_id=[event_name]"), Named::Placeholder("[event_name]".into()));
}

#[test]
fn a_classic_contact_has_its_click_id_in_itself_or_beside() {
    for (body, found) in [
        (json!({"purchase": {"id": 1, "contact": {"aff_sub": "", "subid": "a"}}}), "a"),
        (json!({"purchase": {"id": 1, "contact": {"additional_info": {"CLICKID": "a"}}}}), "a"),
        (json!({"id": 1, "products": [], "contact": {"cid": "a", "additional_info": {"cid": "b"}}}), "a"),
        (json!({"contact": {"id": 1, "clickid": "a"}, "event": "created"}), "a"),
        (json!({"id": 1, "email": "a@b.example", "additional_info": {"tid": "a"}, "event": "created"}), "a"),
    ] {
        let decoded = clickfunnels("", &body);
        assert_eq!(
            (decoded.named, decoded.found_by),
            (Named::Foreign(found.into()), FoundBy::ClassicField),
            "{body}"
        );
    }
}
