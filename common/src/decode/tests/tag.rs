use super::*;
use crate::id::VisitorId;
use crate::intake::Intake;
use jiff::{SignedDuration, Timestamp};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A tag's request at noon, as ingest hands it on.
fn reported(more: &Value) -> Intake {
    let mut body = json!({"v": 1, "id": ID});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    intake("", body.to_string().as_bytes())
}

fn tag(more: &Value) -> Decoded {
    decode(&reported(more), &source("tag")).unwrap()
}

fn event(name: &str, data: &Value) -> Value {
    json!({"name": name, "data": data})
}

fn shop(path: &str) -> String {
    format!("https://shop.example{path}")
}

#[test]
fn an_event_is_read_as_parameters_are_under_the_tags_own_id() {
    let data = json!({
        "value": 49.5, "currency": "USD", "transaction_id": "T-1", "email": "jane@example.com",
        "phone": "+18005550199", "items": [{"name": "Shoe"}],
    });
    let visitor = VisitorId::new();
    let mut intake = reported(&json!({"event": event("Purchase", &data), "visitor": ID}));
    intake.visitor = Some(visitor);
    let decoded = decode(&intake, &source("tag")).unwrap();
    let found = &decoded.event;
    assert_eq!(
        (found.raw_type.as_str(), found.name.as_deref(), found.kind),
        ("Purchase", Some("Purchase"), event::Kind::Conversion)
    );
    assert_eq!(
        (found.key.as_str(), found.source_event_id.as_deref()),
        (format!("shop:id:{ID}").as_str(), Some(ID))
    );
    assert_eq!(found.value.map(|value| value.amount.to_string()).as_deref(), Some("49.5"));
    assert_eq!(
        (found.transaction.as_deref(), found.person.email.as_deref()),
        (Some("T-1"), Some("jane@example.com"))
    );
    // Who the visitor is, ingest says: it knows whether the browser lets itself be followed.
    assert_eq!(found.person.visitor, Some(visitor));
    assert_eq!(found.data, data);
    assert_eq!(decoded.claim.unwrap().key, "txid:T-1");
    // The same call again, by another intake, is told under the same ids.
    let alone = || tag(&json!({"event": event("Lead", &json!({}))}));
    let keys = [alone(), alone()].map(|decoded| (decoded.event.key, decoded.claim.unwrap().key));
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0].1, format!("event:{ID}"));
}

#[test]
fn a_page_says_that_something_happened_and_takes_nothing_back() {
    for name in ["refund", "Chargeback"] {
        let decoded = tag(&json!({"event": event(name, &json!({"transaction_id": "T-1", "value": 5}))}));
        assert_eq!((decoded.event.kind, decoded.claim), (event::Kind::Event, None), "{name}");
    }
    for (status, says) in [("pending", Says::Pending), ("rejected", Says::Approved), ("void", Says::Approved)]
    {
        let decoded = tag(&json!({"event": event("Purchase", &json!({"status": status}))}));
        assert_eq!(decoded.claim.unwrap().says, says, "{status}");
    }
}

#[test]
fn of_a_source_that_only_announces_every_conversion_is_pending() {
    let pending = Source { pending: true, ..source("tag") };
    for status in [json!({}), json!({"status": "approved"})] {
        let reported = reported(&json!({"event": event("Purchase", &status)}));
        assert_eq!(decode(&reported, &pending).unwrap().claim.unwrap().says, Says::Pending, "{status}");
    }
}

#[test]
fn the_click_id_is_what_the_page_says_else_what_its_address_or_that_of_the_landing_carries() {
    let ours = ClickId::new();
    let (page, landing) = (shop("/thanks"), shop(&format!("/?clickid={ours}")));
    type Row<'a> = (Value, String, String, Named, FoundBy);
    let table: [Row<'_>; 6] = [
        (
            json!({"click_id": "x1"}),
            page.clone(),
            landing.clone(),
            Named::Foreign("x1".into()),
            FoundBy::Query,
        ),
        (json!({}), page.clone(), landing.clone(), Named::Click(ours), FoundBy::LandingPage),
        (json!({"click_id": "{click_id}"}), page.clone(), landing, Named::Click(ours), FoundBy::LandingPage),
        (json!({}), shop("/?cid=null"), shop("/?cid=c7"), Named::Foreign("c7".into()), FoundBy::LandingPage),
        (json!({}), shop("/?cid={cid}"), shop("/"), Named::Placeholder("{cid}".into()), FoundBy::LandingPage),
        (json!({}), page, shop("/?other=1"), Named::Nothing, FoundBy::None),
    ];
    for (data, page, landing, named, found_by) in table {
        let decoded =
            tag(&json!({"event": event("Lead", &data), "page": {"url": page}, "landing": {"url": landing}}));
        assert_eq!((&decoded.named, decoded.found_by), (&named, found_by), "{page} {landing}");
        // An id of another tracker's may be a whole campaign's, unless the page itself says that it is this click's.
        let by_click = matches!(named, Named::Click(_)) || found_by == FoundBy::Query;
        assert_eq!(decoded.claim.unwrap().key.starts_with("click:"), by_click, "{page} {landing}");
    }
}

#[test]
fn a_visit_is_the_page_that_it_began_on_and_a_page_that_somebody_came_to_by_another_campaign() {
    let visits = |page: &str, landing: Option<&str>| {
        let mut more = json!({"event": event("Lead", &json!({})), "page": {"url": page, "referrer": "https://r.example/"}});
        if let Some(landing) = landing {
            more["landing"] = json!({"url": landing});
        }
        let visits = tag(&more).visits;
        visits.into_iter().map(|visit| (visit.landing_page.unwrap(), visit.parameters)).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let (thanks, landing) = (shop("/thanks?order=7"), shop("/?aff_click_id=abc123"));
    let began = (shop("/"), pair("aff_click_id", "abc123"));
    assert_eq!(visits(&landing, None), std::slice::from_ref(&began));
    assert_eq!(visits(&thanks, Some(&landing)), std::slice::from_ref(&began));
    assert_eq!(visits(&shop("/b?gclid=g"), Some(&landing)), [(shop("/b"), pair("gclid", "g")), began]);
    // Who somebody is stays out of it.
    assert_eq!(visits(&shop("/?email=jane%40example.com&a=1"), None), [(shop("/"), pair("a", "1"))]);
}

#[test]
fn every_report_of_a_visit_tells_the_same_touch_however_wrong_the_browsers_clock_is() {
    let visitor = Some(VisitorId::new());
    let received: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
    for off in [0, -3, 3, 60 * 24 * 400] {
        let began = (received - SignedDuration::from_mins(5 + off)).as_millisecond();
        let page = json!({"url": shop("/?a=1"), "at": began});
        let visit = Intake {
            visitor,
            ..reported(&json!({"visit": true, "at": began, "page": {"url": shop("/?a=1")}}))
        };
        let visit =
            decode(&Intake { received_at: received - SignedDuration::from_mins(5), ..visit }, &source("tag"))
                .unwrap();
        let later = json!({"at": began + 300_000, "event": event("Lead", &json!({})), "page": {"url": shop("/b")}, "landing": page});
        let later = decode(&Intake { visitor, ..reported(&later) }, &source("tag")).unwrap();
        assert!(visit.is_visit && !later.is_visit);
        assert_eq!(visit.visits[0].id, later.visits[0].id, "{off}");
        assert_eq!(
            (visit.visits[0].at, later.visits[0].at),
            (received - SignedDuration::from_mins(5), received - SignedDuration::from_mins(5))
        );
        assert_eq!(later.event.at, received);
    }
    // Of another visitor, or of nobody who is followed, it is another.
    let of = |visitor| {
        let more = json!({"visit": true, "at": 0, "page": {"url": shop("/?a=1")}});
        decode(&Intake { visitor, ..reported(&more) }, &source("tag")).unwrap().visits[0].id.clone()
    };
    let ids = [of(visitor), of(Some(VisitorId::new())), of(None), of(None)];
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn what_no_tag_says_is_refused() {
    for body in [&b"{}"[..], b"", b"a=1", b"[]", b"{\"v\":1,\"id\":\"x\",\"visit\":true}"] {
        assert!(decode(&intake("", body), &source("tag")).is_err());
    }
    assert!(tag(&json!({"event": event("Lead", &json!({})), "test": true})).trl_test);
}
