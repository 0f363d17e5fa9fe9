use super::*;
use crate::click::Device;
use crate::event::testing::event;
use crate::id::VisitorId;
use crate::money::Amount;
use crate::offer::Offer;
use crate::touch::{History, Touch};
use rust_decimal::Decimal;
use serde_json::json;

/// Conditions as a connector's file has them.
fn conditions(text: &str) -> Vec<Condition> {
    #[derive(Deserialize)]
    struct Written {
        condition: Vec<Condition>,
    }
    let conditions = toml::from_str::<Written>(text).unwrap().condition;
    assert_eq!(faults(&conditions), []);
    conditions
}

fn one(field: &str, operator: &str, value: &str) -> Vec<Condition> {
    conditions(&format!("[[condition]]\nfield = \"{field}\"\noperator = \"{operator}\"\n{value}"))
}

fn click(parameters: &[(&str, &str)]) -> Click {
    let at = "2026-01-10T11:00:00Z".parse().unwrap();
    let mut click = Click::new("acme".parse().unwrap(), "summer".parse().unwrap(), VisitorId::new(), at);
    click.parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    click
}

fn touch(parameters: &[(&str, &str)], country: &str) -> Touch {
    Touch { country: Some(country.into()), ..Touch::from(&click(parameters)) }
}

/// A visitor who came by the first of these touches, and by the second last.
fn history(first: &Touch, last: &Touch) -> History {
    History {
        first: Some(first.clone()),
        recent: vec![last.clone(), first.clone()],
        conversions: 1,
        events: 1,
        ..History::empty("2026-01-10T12:00:00Z".parse().unwrap())
    }
}

fn asked(conditions: &[Condition], event: &Event, click: Option<&Click>, history: &History) -> Option<Unmet> {
    unmet(conditions, &Circumstances { event, conversion: None, click, history })
}

fn worth(amount: &str) -> Event {
    let value = Some(Amount { amount: amount.parse().unwrap(), currency: None });
    Event { value, ..event("acme") }
}

#[test]
fn facebook_traffic_with_conversions_over_50_is_let_in_and_nothing_else() {
    let conditions = conditions(
        r#"
        [[condition]]
        field = "utm_source"
        operator = "equals"
        value = "facebook"
        [[condition]]
        field = "revenue"
        operator = "greater"
        value = 50
        "#,
    );
    for (source, amount, met) in [
        ("facebook", "50.01", true),
        ("Facebook", "396.00", true),
        ("facebook", "50.00", false),
        ("google", "396.00", false),
        ("", "396.00", false),
    ] {
        let touch = touch(&[("utm_source", source)], "US");
        let unmet = asked(&conditions, &worth(amount), None, &history(&touch, &touch));
        assert_eq!(unmet.is_none(), met, "{source} {amount}");
    }
}

#[test]
fn the_first_click_and_the_last_are_mixed_freely_in_one_rule() {
    let conditions = conditions(
        r#"
        [[condition]]
        field = "utm_source"
        click = "first"
        operator = "equals"
        value = "facebook"
        [[condition]]
        field = "country"
        click = "last"
        operator = "equals"
        value = "US"
        "#,
    );
    let facebook = |country| touch(&[("utm_source", "facebook")], country);
    let google = |country| touch(&[("utm_source", "google")], country);
    for (first, last, failing) in [
        (facebook("DE"), google("US"), None),
        (facebook("US"), google("DE"), Some("condition[1]: country of the last click equals \"US\"")),
        (
            google("DE"),
            facebook("US"),
            Some("condition[0]: utm_source of the first click equals \"facebook\""),
        ),
    ] {
        let unmet = asked(&conditions, &event("acme"), None, &history(&first, &last));
        assert_eq!(unmet.as_ref().map(|unmet| told(&conditions, unmet.index)).as_deref(), failing);
        assert!(unmet.is_none_or(|unmet| !unmet.for_want_of_a_click));
    }
}

#[test]
fn no_conditions_are_always_met() {
    assert_eq!(asked(&[], &event("acme"), None, &History::empty(event("acme").at)), None);
}

#[test]
fn a_late_click_is_waited_for_only_where_nothing_else_fails() {
    let nobody = History::empty(event("acme").at);
    let both = [one("utm_source", "equals", "value = \"facebook\""), one("revenue", "greater", "value = 50")];
    let want = |amount, order: [usize; 2]| {
        let conditions: Vec<_> = order.iter().flat_map(|index| both[*index].clone()).collect();
        asked(&conditions, &worth(amount), None, &nobody).unwrap().for_want_of_a_click
    };
    assert!(want("51", [0, 1]));
    assert!(want("51", [1, 0]));
    assert!(!want("49", [0, 1]));
    assert!(!want("49", [1, 0]));
    // Nor where the touch is known, and is the wrong one.
    let google = touch(&[("utm_source", "google")], "US");
    let unmet = asked(&both[0], &worth("51"), None, &history(&google, &google)).unwrap();
    assert!(!unmet.for_want_of_a_click);
}

#[test]
fn the_revenue_of_a_step_is_the_steps_and_not_its_events() {
    let conversion = ConversionFacts {
        key: "order:1".into(),
        name: Some("refund".into()),
        status: crate::conversion::Status::PartiallyRefunded,
        value: Some(Amount { amount: Decimal::from(20), currency: None }),
        payout: None,
    };
    let (event, history) = (worth("100"), History::empty(event("acme").at));
    let of = |conversion| Circumstances { event: &event, conversion, click: None, history: &history };
    let twenty = one("revenue", "equals", "value = 20");
    assert_eq!(unmet(&twenty, &of(Some(&conversion))), None);
    assert!(unmet(&twenty, &of(None)).is_some());
    let unknown = ConversionFacts { value: None, ..conversion.clone() };
    assert_eq!(unmet(&one("revenue", "equals", "value = 100"), &of(Some(&unknown))), None);
}

#[test]
fn a_link_is_that_of_the_attributed_click_else_of_the_last_touch() {
    let summer = click(&[]);
    let winter = Touch { offer: Some("winter".parse().unwrap()), ..touch(&[], "US") };
    let history = history(&winter, &winter);
    let is = |offer: &str, click| {
        asked(&one("linkId", "equals", &format!("value = \"{offer}\"")), &event("acme"), click, &history)
            .is_none()
    };
    assert!(is("summer", Some(&summer)) && !is("winter", Some(&summer)));
    assert!(is("winter", None) && !is("summer", None));
}

#[test]
fn an_ad_click_id_is_looked_for_where_the_macros_look_for_it() {
    let nobody = History::empty(event("acme").at);
    let google = one("isFromGoogleAds", "equals", "value = true");
    let is = |event: &Event, click: Option<&Click>, history: &History| {
        asked(&google, event, click, history).is_none()
    };
    let plain = event("acme");
    for name in ["gclid", "gbraid", "WBRAID"] {
        assert!(is(&plain, Some(&click(&[(name, "id")])), &nobody), "{name}");
        let touch = touch(&[(name, "id")], "US");
        assert!(is(&plain, None, &history(&touch, &touch)), "{name}");
        assert!(is(&Event { data: json!({ name: "id" }), ..plain.clone() }, None, &nobody), "{name}");
    }
    for none in ["", "  ", "{gclid}", "[gclid]"] {
        assert!(!is(&plain, Some(&click(&[("gclid", none)])), &nobody), "{none:?}");
    }
    assert!(!is(&plain, Some(&click(&[("fbclid", "id")])), &nobody));
    // The first touch is nobody's last word.
    let (ad, direct) = (touch(&[("gclid", "id")], "US"), touch(&[], "US"));
    assert!(!is(&plain, None, &history(&ad, &direct)));
}

#[test]
fn a_path_leads_into_the_events_own_data_as_a_macros_does() {
    let data = json!({"plan": "Gold", "lines": [{"qty": 3}], "a.b": "dotted", "trial": true, "tags": ["x"], "n": null});
    let event = Event { data, ..event("acme") };
    let nobody = History::empty(event.at);
    for (field, operator, value, met) in [
        ("event.plan", "equals", "value = \"gold\"", true),
        ("event.data.PLAN", "equals", "value = \"gold\"", true),
        ("event.lines.0.qty", "greater", "value = 2", true),
        ("event.lines.0.qty", "equals", "value = \"3\"", true),
        ("event.a.b", "starts_with", "value = \"dot\"", true),
        ("event.trial", "equals", "value = true", true),
        ("event.tags", "exists", "", false),
        ("event.tags.0", "exists", "", true),
        ("event.n", "missing", "", true),
        ("event.utm_source", "missing", "", true),
    ] {
        assert_eq!(asked(&one(field, operator, value), &event, None, &nobody).is_none(), met, "{field}");
    }
}

#[test]
fn a_phone_number_is_the_same_however_it_is_written() {
    let mut event = event("acme");
    event.person.phone = Some("001 (800) 555-0199".into());
    let nobody = History::empty(event.at);
    for (operator, value, met) in [
        ("equals", "value = \"+1 800 555 0199\"", true),
        ("in", "value = [\"+18005550100\", \"+1-800-555-0199\"]", true),
        ("not_equals", "value = \"+18005550100\"", true),
        ("starts_with", "value = \"+1\"", true),
        ("matches", "value = '^\\+1800'", true),
        ("starts_with", "value = \"001\"", false),
    ] {
        assert_eq!(asked(&one("phone", operator, value), &event, None, &nobody).is_none(), met, "{value}");
    }
}

#[test]
fn a_trace_tells_the_condition_and_nothing_of_a_person() {
    let mut event = event("acme");
    event.person.email = Some("found@example.com".into());
    event.data = json!({"contact": {"email": "found@example.com"}});
    let nobody = History::empty(event.at);
    for (field, operator, value, words) in [
        ("email", "equals", "value = \"asked@example.com\"", "condition[0]: email equals …"),
        (
            "event.contact.email",
            "in",
            "value = [\"asked@example.com\"]",
            "condition[0]: event.contact.email in …",
        ),
        ("email", "missing", "", "condition[0]: email missing"),
        (
            "utm_term",
            "in",
            "value = [\"a\", \"b\"]",
            "condition[0]: utm_term of the last click in [\"a\", \"b\"]",
        ),
        ("revenue", "less", "value = 49.90", "condition[0]: revenue less 49.9"),
    ] {
        let conditions = one(field, operator, value);
        assert_eq!(told(&conditions, asked(&conditions, &event, None, &nobody).unwrap().index), words);
    }
    let long = "x".repeat(100_000);
    assert!(told(&one("utm_term", "equals", &format!("value = \"{long}\"")), 0).len() < 300);
}

fn refused(text: &str) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Written {
        condition: Vec<Condition>,
    }
    let written: Written = toml::from_str(text).unwrap();
    faults(&written.condition).into_iter().map(|fault| (fault.key.clone(), fault.to_string())).collect()
}

#[test]
fn every_fault_of_every_condition_is_told_at_once_with_its_key_and_remedy() {
    let found = refused(
        r#"
        condition = [
            { field = "utm_sorce", operator = "equals", value = "facebook" },
            { field = "devicetype", operator = "exists", value = "mobile" },
            { field = "first_name", operator = "exists" },
            { field = "revenue", operator = "contains", value = "5" },
            { field = "revenue", click = "first", operator = "greater", value = "much" },
            { field = "isFromGoogleAds", operator = "greater", value = 1 },
            { field = "utm_source", operator = "in", value = "facebook" },
            { field = "utm_source", operator = "in", value = ["facebook", 5, ["x"], " x"] },
            { field = "utm_source", operator = "matches", value = "face(book" },
            { field = "utm_source", operator = "matches", value = '(\w{1,100}){100}' },
            { field = "email", click = "last", operator = "missing" },
            { field = "event.", operator = "exists" },
            { field = "click.a..b", operator = "exists" },
            { field = "country", operator = "equals", value = "US " },
            { field = "utm_term", operator = "not_equals" },
            { field = "utm_term", operator = "equals", value = "" },
        ]
        "#,
    );
    let told: Vec<_> = found.iter().map(|(key, _)| key.as_str()).collect();
    let expected = [
        "condition[0].field",
        "condition[1].field",
        "condition[1].value",
        "condition[2].field",
        "condition[3].operator",
        "condition[4].click",
        "condition[4].value",
        "condition[5].operator",
        "condition[6].value",
        "condition[7].value[1]",
        "condition[7].value[2]",
        "condition[7].value[3]",
        "condition[8].value",
        "condition[9].value",
        "condition[10].click",
        "condition[11].field",
        "condition[12].field",
        "condition[13].value",
        "condition[14].value",
        "condition[15].value",
    ];
    assert_eq!(told, expected, "{found:#?}");
    let says = |key: &str, what: &str| {
        let (_, fault) = found.iter().find(|(known, _)| known == key).unwrap();
        assert!(fault.contains(what), "{fault}");
    };
    says("condition[0].field", "did you mean utm_source?");
    says("condition[1].field", "did you mean deviceType?");
    says("condition[2].field", "event.PATH");
    says("condition[8].value", "unclosed group");
    says("condition[9].value", "too large");
    says("condition[10].click", "events name a person");
}

#[test]
fn what_can_never_hold_is_warned_of_and_what_can_is_not() {
    let offer: Offer = toml::from_str(
        "id = \"summer\"\nadvertiser = \"acme\"\ntracking_url = \"https://f.example/?c={click_id}\"",
    )
    .unwrap();
    let warned = |field: &str, operator: &str, value: &str| -> Vec<String> {
        let conditions = one(field, operator, &format!("value = {value}"));
        warnings(&conditions, &[&offer]).into_iter().map(|warning| warning.key).collect()
    };
    for (field, operator, value) in [
        ("deviceType", "equals", "\"phone\""),
        ("country", "equals", "\"UK\""),
        ("country", "not_equals", "\"Germany\""),
        ("qualityScore", "greater", "101"),
        ("eventNumber", "equals", "11"),
        ("eventNumber", "equals", "1.5"),
        ("conversionCount", "less", "-1"),
        ("linkId", "equals", "\"sumer\""),
        ("targetId", "equals", "\"mian\""),
        ("phone", "starts_with", "\"+1 800\""),
    ] {
        assert_eq!(warned(field, operator, value), ["condition[0].value"], "{field} {operator} {value}");
    }
    assert_eq!(warned("deviceType", "in", "[\"mobile\", \"phone\"]"), ["condition[0].value[1]"]);
    for (field, operator, value) in [
        ("deviceType", "equals", "\"Mobile\""),
        ("deviceType", "contains", "\"phone\""),
        ("country", "in", "[\"us\", \"GB\"]"),
        ("qualityScore", "greater_or_equal", "99.5"),
        ("eventNumber", "in", "[1, \"10\"]"),
        ("conversionCount", "equals", "0"),
        ("linkId", "equals", "\"summer\""),
        ("targetId", "equals", "\"main\""),
        ("phone", "starts_with", "\"+1800\""),
        ("revenue", "less", "-1"),
    ] {
        assert!(warned(field, operator, value).is_empty(), "{field} {operator} {value}");
    }
    for device in [Device::Desktop, Device::Tv, Device::Other] {
        assert!(warned("deviceType", "equals", &format!("\"{}\"", device.as_str())).is_empty());
    }
}

#[test]
fn a_condition_is_the_same_after_the_store() {
    let written = conditions(
        r#"
        condition = [
            { field = "revenue", operator = "greater", value = 49.99 },
            { field = "utm_source", click = "first", operator = "in", value = ["facebook", "fb"] },
            { field = "isFromTikTokAds", operator = "not_equals", value = true },
            { field = "email", operator = "exists" },
        ]
        "#,
    );
    assert_eq!(written[0].value, Some(Operand::Number(Decimal::new(4999, 2))));
    let json = serde_json::to_string(&written).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Condition>>(&json).unwrap(), written);
}
