use super::*;
use crate::resources::files;

const GOOD: &str = r#"
[[advertiser]]
id = "acme"

[[source]]
id = "shop"
advertiser = "acme"
kind = "clickfunnels"
tokens = ["a-token-of-enough-letters"]

[[offer]]
id = "demo"
advertiser = "acme"
tracking_url = "https://funnel.example/page?clickid={click_id}"

[[connector]]
id = "network"
advertiser = "acme"
triggers = ["conversion", "refund"]
[connector.webhook]
url = "https://network.example/postback?amount=[revenue]"
parameters = [{ name = "cid", value = "{click_id}" }]
"#;

fn read(text: &str) -> (Resources, Vec<Fault>, Vec<Fault>) {
    let (mut resources, mut places, mut faults) = (Resources::default(), Places::default(), Vec::new());
    files::read("carom.d/a.toml", text, &mut resources, &mut places, &mut faults);
    let (more, warnings) = check(&resources, &places);
    faults.extend(more);
    (resources, faults, warnings)
}

#[test]
fn a_good_file_is_read_without_a_word() {
    let (resources, faults, warnings) = read(GOOD);
    assert_eq!((faults, warnings), (vec![], vec![]));
    assert_eq!(resources.connectors[0].webhook.parameters.len(), 1);
}

#[test]
fn an_offers_payout_rules_are_checked_with_its_other_keys() {
    let rules = |rules: &str| GOOD.replace("[[connector]]", &format!("{rules}\n[[connector]]"));
    let lead = "[[offer.payout]]\nname = \"lead\"\nevent = \"lead\"\npay = { fixed = \"2.50\", currency = \"USD\" }\n";
    let narrow = lead.replace("name = \"lead\"", "name = \"us\"\ncountry = \"US\"");
    let rest = "[offer.payout_default]\ncounts_as = \"kpi\"\n";
    let found = |text: &str| {
        let (_, faults, warnings) = read(&rules(text));
        let keys = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        (keys(faults), keys(warnings))
    };
    let nothing: Vec<String> = Vec::new();
    assert_eq!(found(&format!("{lead}{rest}")), (nothing.clone(), nothing.clone()));
    assert_eq!(found(lead).0, ["offer[demo].payout_default"]);
    assert_eq!(found(&format!("{lead}{narrow}{rest}")).1, ["offer[demo].payout[1]"]);
    // A rule that cannot be read is told with its key, and so is what is wrong beside it.
    let unread = lead.replace("\"2.50\"", "2.50").replace("event =", "evnt =");
    let keys = found(&format!("{unread}{rest}")).0;
    assert_eq!(keys[..2], ["offer[demo].payout[0].evnt", "offer[demo].payout[0].pay.fixed"]);
}

#[test]
fn every_fault_of_a_file_is_told_at_once_with_its_key() {
    let text = r#"
        [[source]]
        id = "shop"
        advertiser = "nobody"
        kind = "carrier-pigeon"
        colour = "red"

        [[source]]
        id = "Shop"
        advertiser = "acme"
        kind = "plain"

        [[offer]]
        id = "demo"
        advertiser = "acme"
        tracking_url = "https://x.example/?a={clik_id}"

        [[connector]]
        id = "network"
        advertiser = "acme"
        triggers = ["event 11"]
        webhook = { method = "PUT", timeout = "soon" }

        [[advertiser]]
        id = "acme"
        [[advertiser]]
        id = "acme"

        [[webhook]]
        id = "x"
    "#;
    let (_, faults, _) = read(text);
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    for key in [
        "source[shop].kind",
        "source[shop].colour",
        "source[Shop].id",
        "offer[demo].tracking_url",
        "connector[network].triggers[0]",
        "connector[network].webhook.url",
        "connector[network].webhook.method",
        "connector[network].webhook.timeout",
        "advertiser[acme].id",
        "webhook[x]",
    ] {
        assert_eq!(keys.iter().filter(|found| **found == key).count(), 1, "{key} in {keys:#?}");
    }
    assert!(faults.iter().all(|fault| fault.file == "carom.d/a.toml"));
}

#[test]
fn a_source_that_nobody_authenticates_exists_only_where_it_says_open() {
    let without = GOOD.replace("tokens = [\"a-token-of-enough-letters\"]", "");
    let (_, faults, _) = read(&without);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].key, "source[shop].tokens");
    let open = GOOD
        .replace("tokens = [\"a-token-of-enough-letters\"]", "open = true\nevent_domains = [\"e.example\"]");
    let (_, faults, warnings) = read(&open);
    assert_eq!(faults, vec![]);
    assert_eq!(warnings[0].key, "source[shop].open");
}

#[test]
fn what_is_written_to_the_store_holds_no_token() {
    let (resources, _, _) = read(GOOD);
    let document = serde_json::to_string(&resources.sealed()).unwrap();
    assert!(!document.contains("a-token-of-enough-letters"), "{document}");
}

#[test]
fn a_token_that_two_sources_share_is_a_fault() {
    let (_, faults, _) = read(&format!(
        "{GOOD}\n[[source]]\nid = \"other\"\nadvertiser = \"acme\"\nkind = \"plain\"\ntokens = [\"a-token-of-enough-letters\"]"
    ));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].key, "source[other].tokens[0]");
}
