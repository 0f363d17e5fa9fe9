//! `[source.api]`.

use super::*;

const API: &str = r#"
[source.api]
base_url = "https://myworkspace.myclickfunnels.com/api/v2"
workspace = 42000
token = { file = "Cargo.toml" }
endpoint_url = "https://carom.example/api/v1/events/a-token-of-enough-letters?payout=[amount]"
event_types = ["recommended", "fulfillment.created", "contacts/applied_tag.created"]
secret_file = "secrets/shop"
reconcile_every = "30m"
"#;

fn with_api(api: &str) -> String {
    GOOD.replace("[[offer]]", &format!("{api}\n[[offer]]"))
}

#[test]
fn an_api_that_can_be_used_is_taken_without_a_word() {
    let (resources, faults, warnings) = read(&with_api(API));
    assert_eq!((faults, warnings), (vec![], vec![]));
    assert_eq!(resources.sources[0].api.as_ref().unwrap().reconcile_lag.to_string(), "5m");
}

#[test]
fn a_fault_of_an_api_is_told_with_its_key_and_what_would_be_right() {
    for (good, bad, key, remedy) in [
        ("fulfillment.created", "fulfilment.created", "event_types[1]", "`fulfillment.created`"),
        ("\"recommended\"", "\"recomended\"", "event_types[0]", "`recommended`"),
        ("contacts/applied_tag.created", "moon.full", "event_types[2]", "catalogue"),
        ("https://myworkspace", "ftp://myworkspace", "base_url", "https://myworkspace"),
        ("/api/v2\"", "/api/v2?x=1\"", "base_url", "https://myworkspace"),
        ("42000", "\"my workspace\"", "workspace", "42000"),
        ("https://carom.example/", "carom.example/", "endpoint_url", "https://carom.example/"),
        ("\"30m\"", "\"often\"", "reconcile_every", ""),
        ("token = {", "tokens = {", "tokens", ""),
    ] {
        let (_, faults, _) = read(&with_api(&API.replace(good, bad)));
        let fault = faults.iter().find(|fault| fault.key == format!("source[shop].api.{key}"));
        let fault = fault.unwrap_or_else(|| panic!("{bad}: {faults:#?}"));
        assert!(fault.remedy.contains(remedy), "{fault}");
    }
    let (_, faults, _) = read(&with_api(API).replace("kind = \"clickfunnels\"", "kind = \"plain\""));
    assert_eq!(faults[0].key, "source[shop].api");
}

#[test]
fn a_token_in_the_clear_and_one_that_is_not_there_are_warned_of() {
    for (good, bad, expected) in [
        ("https://myworkspace.myclickfunnels.com", "http://127.0.0.1:9000", None),
        ("https://myworkspace.myclickfunnels.com", "http://localhost:9000", None),
        ("https://myworkspace.myclickfunnels.com", "http://10.0.0.1", Some("source[shop].api.base_url")),
        ("https://myworkspace", "http://myworkspace", Some("source[shop].api.base_url")),
        ("Cargo.toml", "no such file", Some("source[shop].api.token")),
    ] {
        let (_, faults, warnings) = read(&with_api(&API.replace(good, bad)));
        assert_eq!(faults, vec![], "{bad}");
        assert_eq!(warnings.first().map(|warning| warning.key.as_str()), expected, "{bad}");
    }
}

#[test]
fn the_endpoints_url_goes_to_the_store_without_its_token() {
    let (resources, _, _) = read(&with_api(API));
    let document = serde_json::to_string(&resources.sealed()).unwrap();
    assert!(!document.contains("a-token-of-enough-letters"), "{document}");
    assert!(document.contains("/api/v1/events/{token}?payout=[amount]"), "{document}");
}
