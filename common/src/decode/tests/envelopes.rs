//! The forms that bodies come in: what is read must not depend on which it is.

use super::*;
use crate::event::Envelope;

const CONTACT: &str = r#"{"id": 356, "email_address": "jane.doe@example.com", "custom_attributes": {"cid": "c1"},
    "updated_at": "2026-01-10T12:00:00.500+01:00", "workspace_id": 4}"#;
const DASHES: &str = "60df598e-94fd-d1d5-3f20-2bbc1e05fa38";
const SIMPLE: &str = "60DF598E94FDD1D53F202BBC1E05FA38";

#[test]
fn one_event_is_one_whatever_it_is_wrapped_in() {
    let contact: Value = serde_json::from_str(CONTACT).unwrap();
    let bodies = [
        (
            Envelope::V2,
            json!({"data": contact, "event_id": DASHES, "event_type": "contact.identified", "api_version": 2,
                "workspace_id": 4, "subject_type": "Contact", "subject_id": 356, "page": {"id": 70},
                "funnel": {"id": 12, "name": "F"}, "created_at": "2026-01-10T11:00:00.500Z"}),
        ),
        (
            Envelope::V2Older,
            json!({"data": contact, "event_id": SIMPLE, "event_type": "contact.identified", "page_id": 70,
                "subject_type": "Contact", "funnel_id": 12, "created_at": "2026-01-10T12:00:00.5+01:00"}),
        ),
        (
            Envelope::Api,
            json!({"id": 2, "data": contact, "uuid": SIMPLE.to_lowercase(), "event_type_id": "contact.identified",
                "api_version": 2, "workspace_id": 4, "subject_type": "Contact", "page": {"id": 70},
                "funnel": {"id": 12, "name": "F"}, "created_at": "2026-01-10T11:00:00.500Z"}),
        ),
        (
            Envelope::V1,
            json!({"data": {"id": "999", "type": "contact", "attributes": contact}, "event_id": DASHES,
                "event_type": "contact.identified", "subject_type": "Contact", "page_id": "70", "funnel_id": "12"}),
        ),
    ];
    for (envelope, body) in bodies {
        let decoded = clickfunnels("", &body);
        let event = decoded.event;
        assert_eq!(event.envelope, envelope);
        assert_eq!(event.key, format!("cf:4:{DASHES}"), "{envelope:?}");
        assert_eq!(event.source_event_id.as_deref(), Some(DASHES), "{envelope:?}");
        assert_eq!(event.raw_type, "contact.identified", "{envelope:?}");
        assert_eq!(event.ledger_key.as_deref(), Some("lead:356"), "{envelope:?}");
        assert_eq!(event.at.to_string(), "2026-01-10T11:00:00.5Z", "{envelope:?}");
        assert_eq!(event.origin.funnel.as_deref(), Some("12"), "{envelope:?}");
        assert_eq!(event.origin.page.as_deref(), Some("70"), "{envelope:?}");
        assert_eq!(event.person.email.as_deref(), Some("jane.doe@example.com"), "{envelope:?}");
        assert_eq!(decoded.named, Named::Foreign("c1".into()), "{envelope:?}");
        assert_eq!(event.foreign_click.as_deref(), Some("c1"), "{envelope:?}");
        assert_eq!(event.data, contact, "{envelope:?}");
    }
}

#[test]
fn classic_bodies_are_known_by_their_shape_and_named_as_the_specification_names_them() {
    let purchase =
        json!({"id": 7, "status": "paid", "products": [], "contact": {"id": 3}, "updated_at": "u"});
    let contact = json!({"id": 3, "email": "a@b.example", "contact_profile": {"id": 1}, "updated_at": "u"});
    let flat = |subject: &Value, event: Value| {
        let mut body = subject.clone();
        body["event"] = event;
        body
    };
    let (flatly, nested) = (Envelope::ClassicFlat, Envelope::ClassicNested);
    for (body, envelope, type_, key) in [
        (flat(&purchase, "created".into()), flatly, "purchase_created", "cf:classic:purchase_created:7:u"),
        (
            flat(&purchase, "purchase_created".into()),
            flatly,
            "purchase_created",
            "cf:classic:purchase_created:7:u",
        ),
        (
            flat(&purchase, "purchase.created".into()),
            flatly,
            "purchase_created",
            "cf:classic:purchase_created:7:u",
        ),
        (flat(&purchase, "updated".into()), flatly, "purchase_updated", "cf:classic:purchase_updated:7:u"),
        (purchase.clone(), flatly, "purchase_created", "cf:classic:purchase_created:7:u"),
        (flat(&contact, "created".into()), flatly, "contact_created", "cf:classic:contact_created:3:u"),
        (
            flat(&contact, "contact_created".into()),
            flatly,
            "contact_created",
            "cf:classic:contact_created:3:u",
        ),
        (contact.clone(), flatly, "contact_created", "cf:classic:contact_created:3:u"),
        (
            json!({"purchase": purchase, "event": "created"}),
            nested,
            "purchase_created",
            "cf:classic:purchase_created:7:u",
        ),
        (
            json!({"purchase": purchase, "event": "updated"}),
            nested,
            "purchase_updated",
            "cf:classic:purchase_updated:7:u",
        ),
        (json!({"purchase": purchase}), nested, "purchase_created", "cf:classic:purchase_created:7:u"),
        (
            json!({"contact": contact, "event": "created"}),
            nested,
            "contact_created",
            "cf:classic:contact_created:3:u",
        ),
        (json!({"contact": contact}), nested, "contact_created", "cf:classic:contact_created:3:u"),
    ] {
        let event = clickfunnels("", &body).event;
        assert_eq!(
            (event.envelope, event.raw_type.as_str(), event.key.as_str()),
            (envelope, type_, key),
            "{body}"
        );
        assert_eq!(event.person.contact.as_deref(), Some("3"), "{body}");
    }
}

#[test]
fn a_naked_application_is_known_by_its_name_and_its_bytes() {
    let body = br#"{"platform_application": {"id": 123, "workspace_id": 789}}"#;
    let event = decode(&intake("", body), &source("clickfunnels")).unwrap().event;
    assert_eq!(
        (event.envelope, event.raw_type.as_str()),
        (Envelope::Naked, "platform_application.disconnected")
    );
    let hash = hex(&Sha256::digest(body));
    assert_eq!(event.key, format!("cf:body:{hash}"));
    assert_eq!(event.ledger_key, Some(hash));
    assert_eq!(event.origin.workspace.as_deref(), Some("789"));
}

#[test]
fn what_is_in_no_known_form_is_an_event_all_the_same() {
    for (body, envelope, type_) in [
        (json!({}), Envelope::Unknown, "unknown"),
        (json!({"data": {"id": 1}}), Envelope::Unknown, "unknown"),
        (json!({"data": [1], "event_type": 7}), Envelope::Unknown, "unknown"),
        (json!({"martian": {"id": 1}}), Envelope::Naked, "martian"),
        (json!({"event_type": "moon.landed", "data": "x"}), Envelope::V2Older, "moon.landed"),
        (json!({"event_type": "", "data": null, "api_version": 2}), Envelope::V2, ""),
    ] {
        let decoded = clickfunnels("", &body);
        assert_eq!((decoded.event.envelope, decoded.event.raw_type.as_str()), (envelope, type_), "{body}");
        assert_eq!((decoded.event.kind, &decoded.claim), (event::Kind::Ignored, &None), "{body}");
        assert_eq!(decoded.notes[0].0, Code::TypeUnknown, "{body}");
    }
}

#[test]
fn an_appointments_own_event_type_is_not_its_events_type() {
    let body = fixture("cf2_appointments_scheduled_event.created.json");
    assert!(body["data"]["event_type"].is_object());
    assert_eq!(clickfunnels("", &body).event.raw_type, "appointments/scheduled_event.created");
}

#[test]
fn a_time_with_an_offset_is_the_time_that_it_says() {
    for (given, read) in [
        ("2025-01-31T11:08:33.872+01:00", "2025-01-31T10:08:33.872Z"),
        ("2025-01-31T10:08:33Z", "2025-01-31T10:08:33Z"),
        ("2020-02-26 10:05:26 UTC", "2020-02-26T10:05:26Z"),
        ("yesterday", "2026-01-10T12:00:00Z"),
    ] {
        let body =
            json!({"event_type": "blogs/post.created", "created_at": given, "api_version": 2, "data": {}});
        assert_eq!(clickfunnels("", &body).event.at.to_string(), read, "{given}");
    }
}
