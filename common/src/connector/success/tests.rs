use super::*;

fn rule(toml: &str) -> Success {
    toml::from_str(toml).unwrap()
}

fn delivered(rule_text: &str, status: u16, body: &str) -> bool {
    judge(status, body.as_bytes(), false, Some(&rule(rule_text))).is_ok()
}

#[test]
fn answers_that_say_200_and_mean_no_are_not_delivered() {
    let tune = r#"json = [{ path = "response.status", operator = "equals", value = 1 },
                          { path = "response.success", operator = "not_equals", value = false }]"#;
    let tiktok = r#"json = [{ path = "code", operator = "equals", value = 0 }]"#;
    let google = r#"json = [{ path = "partialFailureError", operator = "missing" }]"#;
    let keitaro = r#"text = { contains = "OK" }"#;
    let meta = r#"json = [{ path = "events_received", operator = "greater_or_equal", value = 1 }]"#;
    let everflow = r#"status = ["200"]
                      text = { not_contains = "error" }"#;
    let listed = r#"json = [{ path = "results.0.state", operator = "in", value = ["ok", "queued"] }]"#;
    for (rule, status, body, expected) in [
        (tune, 200, r#"{"response": {"status": 1, "success": true}}"#, true),
        (tune, 200, r#"{"response": {"status": "1"}}"#, true),
        (tune, 200, r#"{"response": {"status": 1, "success": false}}"#, false),
        (tune, 200, r#"{"response": {"status": 1, "success": "false"}}"#, false),
        (tune, 200, r#"{"response": {"status": -1}}"#, false),
        (tune, 200, r#"{}"#, false),
        (tiktok, 200, r#"{"code": 0, "message": "OK"}"#, true),
        (tiktok, 200, r#"{"code": 40001, "message": "no"}"#, false),
        (tiktok, 200, "<html>", false),
        (tiktok, 200, "", false),
        (tiktok, 500, r#"{"code": 0}"#, false),
        (google, 200, r#"{"results": [{}]}"#, true),
        (google, 200, r#"{"partialFailureError": null}"#, true),
        (google, 200, r#"{"partialFailureError": {"code": 3}}"#, false),
        (keitaro, 200, "OK", true),
        (keitaro, 200, "ok", false),
        (keitaro, 404, "OK", false),
        (meta, 200, r#"{"events_received": 1}"#, true),
        (meta, 200, r#"{"events_received": 0}"#, false),
        (everflow, 200, "fine", true),
        (everflow, 204, "", false),
        (everflow, 200, "an error", false),
        (listed, 200, r#"{"results": [{"state": "queued"}]}"#, true),
        (listed, 200, r#"{"results": []}"#, false),
    ] {
        assert_eq!(delivered(rule, status, body), expected, "{rule} of {status} {body}");
    }
}

#[test]
fn without_a_rule_the_status_alone_counts_and_no_rule_makes_a_success_of_a_failure() {
    for status in 100..=599 {
        let counts = (200..=207).contains(&status) || status == 226;
        assert_eq!(judge(status, b"", false, None).is_ok(), counts, "{status}");
        let any = Success { status: vec!["2xx".into(), format!("{status}")], ..Success::default() };
        assert_eq!(judge(status, b"", false, Some(&any)).is_ok(), counts, "{status}");
    }
    let only_204 = Success { status: vec!["204".into()], ..Success::default() };
    assert_eq!(judge(200, b"", false, Some(&only_204)), Err(Rejection::OtherStatus(200)));
}

#[test]
fn every_operator_holds_where_it_should_and_nowhere_else() {
    let answer = r#"{"n": 5, "text": "5", "list": ["a", 2], "yes": true, "word": "accepted", "e": 1.5e1}"#;
    for (path, operator, value, expected) in [
        ("n", "equals", "5", true),
        ("n", "equals", "\"5\"", true),
        ("text", "equals", "5", true),
        ("text", "equals", "5.0", true),
        ("n", "not_equals", "5", false),
        ("none", "not_equals", "5", true),
        ("none", "equals", "5", false),
        ("e", "equals", "15", true),
        ("yes", "equals", "true", true),
        ("yes", "equals", "\"true\"", true),
        ("list", "contains", "\"a\"", true),
        ("list", "contains", "2", true),
        ("list", "not_contains", "\"a\"", false),
        ("list.1", "equals", "2", true),
        ("list.2", "missing", "", true),
        ("list.x", "missing", "", true),
        ("word", "contains", "cept", true),
        ("word", "starts_with", "acc", true),
        ("word", "ends_with", "acc", false),
        ("word", "matches", "^a.*d$", true),
        ("word", "matches", "^b", false),
        ("word", "in", "[\"rejected\", \"accepted\"]", true),
        ("word", "not_in", "[\"rejected\"]", true),
        ("n", "greater", "4", true),
        ("n", "greater", "5", false),
        ("n", "greater_or_equal", "5", true),
        ("n", "less", "5", false),
        ("n", "less_or_equal", "5", true),
        ("word", "less", "5", false),
        ("word", "exists", "", true),
        ("none", "exists", "", false),
    ] {
        let value = if value.is_empty() { String::new() } else { format!(", value = {value}") };
        let text = format!("json = [{{ path = \"{path}\", operator = \"{operator}\"{value} }}]");
        assert!(faults(&rule(&text)).is_empty(), "{text}: {:?}", faults(&rule(&text)));
        assert_eq!(delivered(&text, 200, answer), expected, "{text}");
    }
}

#[test]
fn what_was_cut_off_is_judged_only_where_it_cannot_matter() {
    let of = |text: &str, body: &str| judge(200, body.as_bytes(), true, Some(&rule(text)));
    let json = r#"json = [{ path = "code", operator = "equals", value = 0 }]"#;
    assert_eq!(of(json, r#"{"code": 0}"#), Err(Rejection::TooLong));
    assert_eq!(of(r#"text = { contains = "OK" }"#, "OK …"), Ok(()));
    assert_eq!(of(r#"text = { contains = "OK" }"#, "no …"), Err(Rejection::TooLong));
    assert_eq!(of(r#"text = { not_contains = "error" }"#, "fine …"), Err(Rejection::TooLong));
    assert!(matches!(of(r#"text = { not_contains = "error" }"#, "error …"), Err(Rejection::Rule(_))));
    assert_eq!(of(r#"status = ["2xx"]"#, "…"), Ok(()));
    assert_eq!(Rejection::TooLong.to_string(), "answer too long to be judged");
}

#[test]
fn a_rejection_names_the_rule_and_not_the_answer() {
    let rule = rule(r#"json = [{ path = "code", operator = "in", value = [0, "ok"] }]"#);
    let rejected = judge(200, br#"{"code": "of ada@example.com"}"#, false, Some(&rule)).unwrap_err();
    assert_eq!(rejected.to_string(), r#"not json code in [0, "ok"]"#);
}

#[test]
fn what_cannot_be_meant_is_a_fault() {
    for (text, key) in [
        ("", ""),
        (r#"status = ["404"]"#, "status[0]"),
        (r#"status = ["2xx", "ok"]"#, "status[1]"),
        (r#"json = [{ path = "a..b", operator = "exists" }]"#, "json[0].path"),
        (r#"json = [{ path = "", operator = "exists" }]"#, "json[0].path"),
        (r#"json = [{ path = "a", operator = "exists", value = 1 }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "equals" }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "equals", value = [1] }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "in", value = 1 }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "in", value = [] }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "greater", value = "x" }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "starts_with", value = [1] }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "matches", value = "(" }]"#, "json[0].value"),
        (r#"json = [{ path = "a", operator = "matches", value = "(?:x{1000}){1000}" }]"#, "json[0].value"),
        ("text = {}", "text"),
        (r#"text = { contains = "" }"#, "text.contains"),
    ] {
        let found = faults(&rule(text));
        assert_eq!(found.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), [key], "{text}");
    }
}
