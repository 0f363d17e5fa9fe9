use super::*;
use crate::template::catalogue::CONNECTOR;
use crate::template::tests::Given;
use serde_json::{Value, json};

fn given() -> Given {
    let values = [
        ("VALUE", "396.00"),
        ("CURRENCY", "\"},\"evil\":{\"a\":\"\r\n\0\\"),
        ("TRANSACTION_ID", "0x1f"),
        ("EMAIL", ""),
        ("secret.key", "hush\"-hush"),
    ];
    Given(values.into_iter().map(|(name, value)| (name, value.to_owned())).collect())
}

fn hides(name: &str) -> bool {
    name == "token"
}

fn rendered(text: &str, empty: Empty) -> Rendered {
    Json::parse("body", text, &CONNECTOR).unwrap().render(&given(), empty, hides)
}

fn faults(text: &str) -> Vec<String> {
    let found = Json::parse("body", text, &CONNECTOR).unwrap_err();
    found.into_iter().map(|fault| format!("{}: {}", fault.key, fault.problem)).collect()
}

#[test]
fn all_but_strings_stands_as_written_and_members_keep_their_order() {
    let text = r#" {"z": 1.50, "a": [true, null, -0, 1e3, [], {}], "big": 123456789012345678901234567890,
        "ü\n\"x": "{\"not\": \"{x}\"}"} "#;
    assert_eq!(
        rendered(text, Empty::Drop).text,
        r#"{"z":1.50,"a":[true,null,-0,1e3,[],{}],"big":123456789012345678901234567890,"ü\n\"x":"{\"not\": \"{x}\"}"}"#
    );
}

#[test]
fn a_value_cannot_leave_its_string() {
    let body: Value =
        serde_json::from_str(&rendered(r#"{"a": "<{{CURRENCY}}>", "b": "{{VALUE}}"}"#, Empty::Keep).text)
            .unwrap();
    assert_eq!(body, json!({"a": "<\"},\"evil\":{\"a\":\"\r\n\0\\>", "b": "396.00"}));
}

#[test]
fn a_number_is_bare_where_it_is_one_and_a_string_where_not() {
    let text = r#"["{{VALUE | number}}", "{{TRANSACTION_ID | number}}", "{{CURRENCY | number}}", "{{nope | default: '-7' | number}}"]"#;
    assert_eq!(
        rendered(text, Empty::Keep).text,
        r#"[396.00,"0x1f","\"},\"evil\":{\"a\":\"\r\n\u0000\\",-7]"#
    );
    for (text, number) in [
        ("0", true),
        ("-0.10", true),
        ("12", true),
        ("007", false),
        ("", false),
        ("-", false),
        ("1.", false),
        (".5", false),
        ("+1", false),
        ("1e5", false),
        ("1,5", false),
        (" 1", false),
        ("1\n", false),
        ("NaN", false),
        ("٣", false),
    ] {
        assert_eq!(is_number(text), number, "{text:?}");
        assert!(!number || serde_json::from_str::<serde_json::Number>(text).is_ok(), "{text:?}");
    }
}

#[test]
fn what_comes_out_empty_is_left_out_where_that_is_asked_for() {
    let text = r#"{"a": {"b": ["{{nope | optional}}", "x"], "c": ["{{nope|optional}}"]}, "d": "{{EMAIL}}", "e": "",
        "f": {"g": {"h": "{{EMAIL}}"}}, "i": []}"#;
    assert_eq!(
        rendered(text, Empty::Keep).text,
        r#"{"a":{"b":["x"]},"d":"","e":"","f":{"g":{"h":""}},"i":[]}"#
    );
    assert_eq!(rendered(text, Empty::Drop).text, r#"{"a":{"b":["x"]},"e":"","i":[]}"#);
}

#[test]
fn what_was_left_out_is_still_told_as_unresolved() {
    let rendered = rendered(r#"{"a": ["{{nope}}"], "b": "{{other|optional}}", "c": 1}"#, Empty::Drop);
    assert_eq!((rendered.text.as_str(), rendered.unresolved), (r#"{"c":1}"#, vec!["nope".to_owned()]));
}

#[test]
fn a_secret_is_sent_and_not_shown() {
    let rendered = rendered(r#"{"a": ["k={{secret.key}}"], "token": "open", "b": "{{VALUE}}"}"#, Empty::Keep);
    assert_eq!(rendered.text, r#"{"a":["k=hush\"-hush"],"token":"open","b":"396.00"}"#);
    assert_eq!(rendered.shown(), r#"{"a":["k=…"],"token":"…","b":"396.00"}"#);
    assert!(rendered.secrets.contains(&"hush\"-hush".to_owned()));
}

#[test]
fn what_stands_under_a_name_of_secrets_is_hidden_at_any_depth_and_in_lists() {
    let text =
        r#"{"a": [{"token": "q\"x/y"}], "b": {"token": ["one-of-them", [7, "{{VALUE}}"], {"c": "open"}]}}"#;
    let rendered = rendered(text, Empty::Keep);
    assert_eq!(
        rendered.text,
        r#"{"a":[{"token":"q\"x/y"}],"b":{"token":["one-of-them",[7,"396.00"],{"c":"open"}]}}"#
    );
    assert_eq!(rendered.shown(), r#"{"a":[{"token":"…"}],"b":{"token":["…",[…,"…"],{"c":"open"}]}}"#);
    assert_eq!(rendered.secrets, ["q\"x/y", "one-of-them", "7", "396.00"]);
}

#[test]
fn half_a_surrogate_pair_is_a_fault_wherever_it_stands() {
    for (text, key) in [
        (r#""\ud800""#, "body"),
        (r#"{"a": ["\ud800"]}"#, "body.a[0]"),
        (r#"{"b": {"\udc00": 1}}"#, "body.b"),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].starts_with(&format!("{key}: it is no JSON: ")), "{found:?}");
    }
    assert_eq!(rendered(r#""\ud83d\ude00""#, Empty::Keep).text, "\"😀\"");
}

#[test]
fn faults_say_where_in_the_body_they_are() {
    let text =
        r#"{"a": [{"b": "{{VALUE"}, "{{VALUE | number}} USD"], "{{VALUE}}": 1, "c": 1, "c": "{{a b}}"}"#;
    assert_eq!(
        faults(text),
        [
            "body.a[0].b: `{{VALUE` begins a macro that never ends",
            "body.a[1]: the filter number makes no sense in a part of a string",
            "body.{{VALUE}}: a member's name holds a macro",
            "body.c: `c` is given twice in a JSON object",
            "body.c: `a b` is not a macro's name",
        ]
    );
    let bare = faults(r#"{"value": {{VALUE}}}"#);
    assert!(bare[0].starts_with("body: it is no JSON: "), "{bare:?}");
    assert_eq!(faults(&format!("{}{}", "[".repeat(66), "]".repeat(66))).len(), 1);
    assert!(Json::parse("body", &format!("{}{}", "[".repeat(65), "]".repeat(65)), &CONNECTOR).is_ok());
}
