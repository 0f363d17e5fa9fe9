use super::*;
use crate::template::Template;
use crate::template::catalogue::CONNECTOR;
use crate::template::place::Place;
use crate::template::tests::Given;

fn given() -> Given {
    let values = [
        ("VALUE", "396.005"),
        ("CURRENCY", "USD"),
        ("PAYOUT", "1500"),
        ("PAYOUT_CURRENCY", "JPY"),
        ("EMAIL", " Jane.Doe@Example.com\u{a0}"),
        ("PHONE", "(905) 387-1234"),
        ("COUNTRY", "CA"),
        ("TRANSACTION_ID", "22642"),
        ("TIMESTAMP", "1768076101"),
        ("TIME_ISO", "2026-01-10T20:15:01.524Z"),
        ("secret.key", "hush"),
        ("empty", ""),
        ("blank", " \t"),
        ("local", "2026-01-10T21:15:01+01:00"),
        ("civil", "2026-01-10 20:15:01"),
        ("day", "2026-01-10"),
        ("millis", "1768076101524"),
        ("yen", "JPY"),
        ("dinar", "1.2345"),
        ("negative", "-0.004"),
        ("word", "Größe"),
    ];
    Given(values.into_iter().map(|(name, value)| (name, value.to_owned())).collect())
}

/// What `{{text}}` becomes; none where it is unresolved.
fn filtered(text: &str) -> Option<String> {
    let template = Template::parse(&format!("{{{{{text}}}}}"), &CONNECTOR).unwrap();
    let rendered = template.render(&given(), Place::Text);
    rendered.unresolved.is_empty().then_some(rendered.text)
}

fn fault(text: &str) -> String {
    let found = Template::parse(&format!("{{{{{text}}}}}"), &CONNECTOR).unwrap_err();
    found.iter().map(|one| one.at("k").to_string()).collect::<Vec<_>>().join(" & ")
}

#[test]
fn each_filter_does_what_it_says() {
    for (text, becomes) in [
        ("EMAIL | trim", "Jane.Doe@Example.com"),
        ("email|trim|lower", "jane.doe@example.com"),
        ("word | upper", "GRÖSSE"),
        ("EMAIL | trim | lower | sha256", "86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d"),
        ("PHONE | e164 | digits", "19053871234"),
        ("TRANSACTION_ID | sha1", "98df9bfa02f5006932bc77a85b930c7ea9fa8caf"),
        ("TRANSACTION_ID | md5", "d1d88beb304d082e37a8b584ff39c03d"),
        (
            "TRANSACTION_ID | hmac: secret.key",
            "cbe0c6125061a0e8356288aa3266d61a3b7baa57ad887080afa1111739133638",
        ),
        ("TRANSACTION_ID | hmac: 'hush'", "cbe0c6125061a0e8356288aa3266d61a3b7baa57ad887080afa1111739133638"),
        ("word | base64", "R3LDtsOfZQ=="),
        ("nope | default: \"0\"", "0"),
        ("nope | default: 0", "0"),
        ("empty | default: '\"'", "\""),
        ("nope | default: TRANSACTION_ID", "22642"),
        ("VALUE | default: 0", "396.005"),
        ("blank | trim | default: 'none'", "none"),
        ("nope | default: 'A' | lower", "a"),
        ("secret.key | append: TRANSACTION_ID, VALUE", "hush22642396.005"),
        ("TRANSACTION_ID | prepend: \"a,b|c:}}\", 'd'", "a,b|c:}}d22642"),
        ("VALUE | minor_units", "39601"),
        ("PAYOUT | minor_units", "1500"),
        ("VALUE | minor_units: \"KWD\"", "396005"),
        ("VALUE | minor_units: yen", "396"),
        ("VALUE | minor_units: 1", "3960"),
        ("VALUE | decimal: 2", "396.01"),
        ("VALUE | decimal: 0", "396"),
        ("TRANSACTION_ID | decimal: 2", "22642.00"),
        ("negative | decimal: 2", "0.00"),
        ("negative | minor_units", "0"),
        ("TIME_ISO | ts_s", "1768076101"),
        ("TIMESTAMP | ts_ms", "1768076101000"),
        ("millis | ts_iso", "2026-01-10T20:15:01.524Z"),
        ("local | ts_iso", "2026-01-10T20:15:01Z"),
        ("civil | ts_s", "1768076101"),
        ("day | ts_iso", "2026-01-10T00:00:00Z"),
        ("TIME_ISO | date: \"%Y-%m-%d %H:%M:%S%:z\"", "2026-01-10 20:15:01+00:00"),
        ("local | date: '%H:%M | %d, %m'", "20:15 | 10, 01"),
        ("PHONE | e164", "+19053871234"),
        ("PHONE | e164: \"us\"", "+19053871234"),
        (
            "PHONE | E164: COUNTRY | sha256",
            "8f7e4a58965aad6359877969f798ee1c54277cb3fa7b805c0f5ce8fd093b4673",
        ),
        ("VALUE | number | optional", "396.005"),
    ] {
        assert_eq!(filtered(text).as_deref(), Some(becomes), "{text}");
    }
}

#[test]
fn what_is_missing_stays_missing_and_what_cannot_be_done_becomes_so() {
    for filter in ALL.iter().filter(|known| !["default", "optional"].contains(&known.name)) {
        let argument = match filter.name {
            "hmac" | "append" | "prepend" => ": 'x'",
            "decimal" => ": 2",
            "date" => ": '%Y'",
            _ => "",
        };
        for of in ["nope", "empty"] {
            let text = format!("{of} | {}{argument}", filter.name);
            assert_eq!(filtered(&text), None, "{text}");
        }
    }
    for text in [
        "word | digits",
        "word | e164",
        "word | e164: 'US'",
        "PHONE | e164: nope",
        "PHONE | e164: TRANSACTION_ID",
        "word | decimal: 2",
        "word | minor_units",
        "VALUE | minor_units: nope",
        "VALUE | minor_units: word",
        "word | ts_s",
        "word | date: '%Y'",
        "TRANSACTION_ID | append: nope",
        "TRANSACTION_ID | append: empty",
        "TRANSACTION_ID | prepend: 'a', nope",
        "TRANSACTION_ID | hmac: nope",
        "blank | trim",
        "nope | default: empty",
    ] {
        assert_eq!(filtered(text), None, "{text}");
    }
    assert_eq!(filtered("nope | optional").as_deref(), Some(""), "not missed");
    assert_eq!(filtered("empty").as_deref(), Some(""), "without a filter, empty is a value");
}

#[test]
fn an_amount_without_a_currency_has_no_minor_units() {
    let values = Given([("VALUE", "5".to_owned())].into());
    let rendered = |text| Template::parse(text, &CONNECTOR).unwrap().render(&values, Place::Text);
    assert_eq!(rendered("{{VALUE | minor_units}}").unresolved, ["VALUE"]);
    assert_eq!(rendered("{{VALUE | minor_units: 2}}").text, "500");
}

#[test]
fn a_wrong_filter_is_a_fault_that_names_the_right_one() {
    for (text, told) in [
        ("EMAIL | sha265", "`sha265` is not a filter; `sha256` is one"),
        ("EMAIL | reverse", "`reverse` is not a filter; `macros` lists"),
        ("EMAIL |", "the macro `EMAIL` has a `|` without a filter"),
        ("EMAIL || lower", "has a `|` without a filter"),
        ("EMAIL | lower: 'x'", "the filter lower cannot take `lower: 'x'`; write {{EMAIL | lower}}"),
        ("EMAIL | default", "the filter default cannot take `no argument`; write {{VALUE | default: \"0\"}}"),
        ("EMAIL | default: 'a', 'b'", "the filter default cannot take"),
        ("EMAIL | hmac: ''", "the filter hmac cannot take"),
        ("EMAIL | append:", "`` is neither a quoted text nor a macro's name"),
        ("EMAIL | append: a b", "`a b` is neither"),
        ("EMAIL | append: 'a", "`'a` is neither"),
        ("EMAIL | append: 'a'b'", "is neither"),
        ("VALUE | decimal: 13", "the filter decimal cannot take"),
        ("VALUE | decimal: PAYOUT", "the filter decimal cannot take"),
        ("VALUE | minor_units: 'XXXX'", "the filter minor_units cannot take"),
        ("PHONE | e164: 'USA'", "the filter e164 cannot take"),
        ("TIME_ISO | date: '%!'", "the filter date cannot take"),
        ("TIME_ISO | date: ''", "the filter date cannot take"),
        ("TIME_ISO | date: EMAIL", "the filter date cannot take"),
        ("a b | sha265", "`a b` is not a macro's name"),
        ("a b | sha265", "`sha265` is not a filter"),
    ] {
        let found = fault(text);
        assert!(found.contains(told), "{text}: {found}");
    }
    let many = format!("EMAIL{}", " | lower".repeat(MOST + 1));
    assert!(fault(&many).contains("has over 10 filters"));
    assert!(filtered(&many[..many.len() - " | lower".len()]).is_some());
}

#[test]
fn every_filter_is_described_as_it_is_written() {
    for known in ALL {
        assert!(known.description.ends_with('.'), "{}", known.name);
        let examples: Vec<_> =
            known.usage.split("{{").skip(1).map(|rest| rest.split_once("}}").unwrap().0).collect();
        assert!(!examples.is_empty(), "{}", known.name);
        for example in examples {
            assert!(example.contains(known.name), "{example}");
            assert!(Template::parse(&format!("{{{{{example}}}}}"), &CONNECTOR).is_ok(), "{example}");
        }
    }
}

#[test]
fn a_misspelt_filter_has_a_nearest_and_a_strange_one_has_none() {
    for (name, meant) in [
        ("lowr", Some("lower")),
        ("LOWERR", Some("lower")),
        ("sha265", Some("sha256")),
        ("sha-1", Some("sha1")),
        ("reverse", None),
        ("", None),
    ] {
        assert_eq!(nearest(name), meant, "{name}");
    }
}

#[test]
fn a_default_of_nothing_is_refused_for_optional() {
    for text in ["{{VALUE | default: \"\"}}", "{{VALUE | lower | default: ''}}"] {
        let refused = Template::parse(text, &CONNECTOR).unwrap_err();
        assert_eq!(refused, [Malformed::EmptyDefault], "{text}");
        assert!(refused[0].remedy().contains("`optional`"));
    }
}
