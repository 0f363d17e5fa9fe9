use super::catalogue::{CONNECTOR, Macro, OFFER};
use super::*;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use std::collections::HashMap;

/// Values by name; a name that is not in it has none.
pub(super) struct Given(pub(super) HashMap<&'static str, String>);

impl Values for Given {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(|value| value.as_str().into())
    }
}

fn given() -> Given {
    let values = [
        ("VALUE", "396.00"),
        ("PAYOUT", "118.80"),
        ("EMAIL", "a{{VALUE}}[value]{value}@b"),
        ("contact.tags.0", "x"),
        ("extra", "ü&"),
    ];
    Given(values.into_iter().map(|(name, value)| (name, value.to_owned())).collect())
}

fn filled(text: &str, place: Place) -> String {
    Template::parse(text, &CONNECTOR).unwrap().render(&given(), place).text
}

#[test]
fn the_three_spellings_are_macros_where_they_should_be() {
    for (text, becomes) in [
        ("", ""),
        ("plain % text", "plain % text"),
        ("{{VALUE}}", "396.00"),
        ("{{value}} {{ Revenue }} {{\tamount\n}}", "396.00 396.00 396.00"),
        ("[revenue]{payout}[VALUE]{Amount}", "396.00118.80396.00396.00"),
        ("{{contact.tags.0}}{{extra}}", "xü&"),
        // Not of the catalogue: text.
        ("[extra] {extra} {contact.tags.0} [0] {} []", "[extra] {extra} {contact.tags.0} [0] {} []"),
        // Spaces are allowed in double braces only.
        ("{ value } [ value ]", "{ value } [ value ]"),
        ("{value] [value} {value [value", "{value] [value} {value [value"),
        (r#"{"amount":{"value":{value},"x":[[value]]}}"#, r#"{"amount":{"value":396.00,"x":[396.00]}}"#),
        ("{{VALUE}}}", "396.00}"),
        ("[category:{payout}/quantity:1]", "[category:118.80/quantity:1]"),
        ("}} ]] %7B%7BVALUE%7D%7D", "}} ]] %7B%7BVALUE%7D%7D"),
        ("ü{value}ü", "ü396.00ü"),
    ] {
        assert_eq!(filled(text, Place::Text), becomes, "{text}");
    }
}

#[test]
fn what_is_meant_as_a_macro_and_is_none_is_refused() {
    let long = "x".repeat(NAME_MAX + 1);
    for (text, faults) in [
        ("{{", vec![Malformed::Unterminated("{{".into())]),
        ("a {{VALUE} b", vec![Malformed::Unterminated("{{VALUE} b".into())]),
        ("{{}}", vec![Malformed::Nameless]),
        ("{{  }}", vec![Malformed::Nameless]),
        ("{{a b}}", vec![Malformed::Odd("a b".into())]),
        ("{{{VALUE}}}", vec![Malformed::Odd("{VALUE".into())]),
        ("{{a..b}}", vec![Malformed::Odd("a..b".into())]),
        ("{{.a}}{{a.}}", vec![Malformed::Odd(".a".into()), Malformed::Odd("a.".into())]),
        ("{{\"a\"}}", vec![Malformed::Odd("\"a\"".into())]),
        ("{{prénom}}", vec![Malformed::Odd("prénom".into())]),
        (&format!("{{{{{long}}}}}"), vec![Malformed::TooLong(format!("{}…", &long[..40]))]),
    ] {
        assert_eq!(Template::parse(text, &CONNECTOR), Err(faults), "{text}");
    }
    let longest = format!("{{{{{}}}}}", &long[1..]);
    assert!(Template::parse(&longest, &CONNECTOR).is_ok());
}

#[test]
fn offers_know_single_braces_alone_and_all_of_them() {
    let parse = |text| Template::parse(text, &OFFER);
    let fine = parse("[click_id] {CLICK_ID} {param.aff-id} {\"a\"} {").unwrap();
    assert_eq!(fine.macros().collect::<Vec<_>>(), ["click_id", "param.aff-id"]);
    let faults = parse("{foo} {{click_id}} {value} {param.}").unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
    let told = faults[0].at("tracking_url").to_string();
    assert!(told.starts_with("tracking_url: unknown macro {foo}; known are {click_id}, {offer}, "), "{told}");
    assert!(told.ends_with("{sub10} and {param.NAME}"), "{told}");
    assert_eq!(faults[1].remedy(), "write {click_id}");
}

#[test]
fn a_value_is_never_scanned() {
    assert_eq!(filled("{{EMAIL}}", Place::Text), "a{{VALUE}}[value]{value}@b");
}

#[test]
fn a_missing_value_is_empty_and_told_once() {
    let template = Template::parse("<{{PHONE}}|{{ contact.x }}|[phone]|{{PHONE}}>", &CONNECTOR).unwrap();
    let rendered = template.render(&given(), Place::Text);
    assert_eq!(rendered.text, "<|||>");
    assert_eq!(rendered.unresolved, ["PHONE", "contact.x", "phone"]);
}

#[test]
fn values_are_escaped_for_their_place_and_the_templates_own_text_is_not() {
    struct One(&'static str);
    impl Values for One {
        fn value(&self, _: &str) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
    }
    let template = Template::parse("&%\"{value}", &CONNECTOR).unwrap();
    for (place, value, becomes) in [
        (Place::PathSegment, "a/b c~é", "a%2Fb%20c~%C3%A9"),
        (Place::QueryName, "a&b=c+d", "a%26b%3Dc%2Bd"),
        (Place::QueryValue, "a b#\0\r\n'", "a%20b%23%00%0D%0A%27"),
        (Place::Form, "a b&c+d*", "a+b%26c%2Bd*"),
        (Place::Header, "Bearer a/b=\"c\" 100%", "Bearer a/b=\"c\" 100%25"),
        (Place::Header, " \r\n\té\u{7f}  ", "%20%0D%0A%09%C3%A9%7F %20"),
        (Place::Header, " ", "%20"),
        (Place::Header, "  ", "%20%20"),
        (Place::Json, "a\"b\\c\n\0é/", r#"a\"b\\c\n\u0000é/"#),
        (Place::Text, "a\"\n%", "a\"\n%"),
    ] {
        assert_eq!(template.render(&One(value), place).text, format!("&%\"{becomes}"), "{place:?}");
    }
}

#[test]
fn lookalikes_are_what_may_be_a_misspelt_macro() {
    let template = Template::parse("{clikid} [0] [a b] {value} {{x}} [[amont]] {", &CONNECTOR).unwrap();
    assert_eq!(template.lookalikes(), ["{clikid}", "[0]", "[amont]"]);
}

#[test]
fn no_two_macros_share_a_name() {
    for catalogue in [&CONNECTOR, &OFFER] {
        let mut seen = HashMap::new();
        for Macro { name, aliases, description } in catalogue.macros {
            assert!(description.ends_with('.'), "{name}");
            for spelling in aliases.iter().chain([name]) {
                assert_eq!(seen.insert(spelling.to_ascii_lowercase(), name), None, "{spelling}");
                assert!(scan::check_name(spelling).is_ok(), "{spelling}");
                assert_eq!(catalogue.known(&spelling.to_uppercase()), Some(*name));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused_and_comes_back_whole(text in hostile::value()) {
        if let Ok(template) = Template::parse(&text, &CONNECTOR) {
            let again: String = template.pieces.iter().map(|piece| match piece {
                Piece::Literal(literal) => literal.as_str(),
                Piece::Macro(found) => found.written.as_str(),
            }).collect();
            prop_assert_eq!(again, text.as_str());
        }
        let _ = Template::parse(&text, &OFFER);
    }

    #[test]
    fn every_place_gives_the_value_back(value in hostile::value()) {
        let pushed = |place: Place| {
            let mut text = String::new();
            place.push(&value, &mut text);
            text
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        for place in [Place::PathSegment, Place::QueryName, Place::QueryValue] {
            let text = pushed(place);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{}", text);
            prop_assert_eq!(&decoded(&text), &value);
        }
        let header = pushed(Place::Header);
        prop_assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)), "{}", header);
        prop_assert_eq!(header.trim(), &header, "HTTP would cut off what stands at the ends");
        prop_assert_eq!(&decoded(&header), &value);
        let form = pushed(Place::Form);
        let pairs: Vec<_> = form_urlencoded::parse(format!("a={form}").as_bytes()).into_owned().collect();
        prop_assert_eq!(pairs, [("a".to_owned(), value.clone())]);
        let json: String = serde_json::from_str(&format!("\"{}\"", pushed(Place::Json))).unwrap();
        prop_assert_eq!(&json, &value);
        prop_assert_eq!(&pushed(Place::Text), &value);
    }
}
