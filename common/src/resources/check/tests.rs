mod api;

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
    assert_eq!(resources.connectors[0].webhook.as_ref().unwrap().parameters.len(), 1);
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
fn a_connectors_conditions_are_checked_with_its_other_keys() {
    let found = |condition: &str| {
        let (_, faults, warnings) = read(&format!("{GOOD}\n[[connector.condition]]\n{condition}"));
        let keys = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        (keys(faults), keys(warnings))
    };
    let nothing: Vec<String> = Vec::new();
    let is =
        |field: &str, value: &str| format!("field = \"{field}\"\noperator = \"equals\"\nvalue = {value}");
    assert_eq!(found(&is("linkId", "\"demo\"")), (nothing.clone(), nothing.clone()));
    assert_eq!(found(&is("linkid", "\"demo\"")).0, ["connector[network].condition[0].field"]);
    assert_eq!(found(&is("linkId", "\"dmo\"")).1, ["connector[network].condition[0].value"]);
    assert_eq!(found(&is("revenue", "2026-01-10")).0, ["connector[network].condition[0].value"]);
    // A key that cannot be read is told first, and then that it is missing.
    let unread = found("field = \"revenue\"\noperator = \"over\"").0;
    assert_eq!(unread[0], "connector[network].condition[0].operator");
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

/// The good file with a signed source of its own, after the others.
fn with_signed(source: &str, signature: &str) -> String {
    format!(
        "{GOOD}\n[[source]]\nid = \"signed\"\nadvertiser = \"acme\"\nkind = \"clickfunnels\"\n{source}\n\
         [source.signature]\n{signature}\n"
    )
}

#[test]
fn a_signed_source_is_named_by_a_token_or_its_domain() {
    const CLICKFUNNELS: &str = "scheme = \"clickfunnels\"\nsecrets = [{ env = \"PATH\" }]";
    const DOMAIN: &str = "event_domains = [\"s.example\"]";
    let table = [
        (DOMAIN, None),
        ("tokens = [\"another-token-of-letters\"]", None),
        ("", Some("source[signed].event_domains")),
        ("open = true\nevent_domains = [\"s.example\"]", Some("source[signed].signature")),
    ];
    for (source, expected) in table {
        let (_, faults, _) = read(&with_signed(source, CLICKFUNNELS));
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, Vec::from_iter(expected), "{source}: {faults:?}");
    }
    let unsigned = GOOD.replace("kind = ", &format!("{DOMAIN}\nkind = "));
    let (_, faults, _) = read(&unsigned);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].key, "source[shop].event_domains");
}

#[test]
fn a_signature_that_cannot_work_is_told_by_its_key() {
    const PLACE: &str = "secrets = [{ env = \"PATH\" }]";
    let table = [
        ("scheme = \"clickfunnels\"", "signature.secrets"),
        ("scheme = \"clickfunnels\"\nsecrets = []", "signature.secrets"),
        ("scheme = \"runes\"\nsecrets = []", "signature.scheme"),
        ("scheme = \"hmac\"\ntolerence = \"1m\"", "signature.tolerence"),
        (&format!("scheme = \"clickfunnels\"\nheader = \"X-A\"\n{PLACE}"), "signature.header"),
        (&format!("scheme = \"clickfunnels\"\ntolerance = \"0s\"\n{PLACE}"), "signature.tolerance"),
        (&format!("scheme = \"clickfunnels\"\nsigned = \"{{body}}\"\n{PLACE}"), "signature.signed"),
        (&format!("scheme = \"standard_webhooks\"\n{PLACE}"), "signature.secrets[0]"),
        (&format!("scheme = \"hmac\"\n{PLACE}"), "signature.header"),
        (&format!("scheme = \"hmac\"\nheader = \"X A\"\n{PLACE}"), "signature.header"),
        (&format!("scheme = \"hmac\"\nheader = \"X-A\"\nprefix = \"a b\"\n{PLACE}"), "signature.prefix"),
        (&format!("scheme = \"hmac\"\nheader = \"X-A\"\nsigned = \"{{bdy}}\"\n{PLACE}"), "signature.signed"),
        (&format!("scheme = \"hmac\"\nheader = \"X-A\"\nsigned = \"v0\"\n{PLACE}"), "signature.signed"),
        (
            &format!("scheme = \"hmac\"\nheader = \"X-A\"\nsigned = \"{{timestamp}}.{{body}}\"\n{PLACE}"),
            "signature.signed",
        ),
        (
            &format!("scheme = \"hmac\"\nheader = \"X-A\"\ntimestamp_header = \"X-T\"\n{PLACE}"),
            "signature.timestamp_header",
        ),
        (
            &format!("scheme = \"hmac\"\nheader = \"X-A\"\nid_header = \"X-I\"\n{PLACE}"),
            "signature.id_header",
        ),
        (&format!("scheme = \"hmac\"\nheader = \"X-A\"\ntolerance = \"1m\"\n{PLACE}"), "signature.tolerance"),
    ];
    for (signature, key) in table {
        let (_, faults, _) = read(&with_signed("event_domains = [\"s.example\"]", signature));
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys[0], format!("source[signed].{key}"), "{signature}: {faults:?}");
        // Where the scheme cannot be read, it is missing as well.
        assert_eq!(keys.len(), 1 + usize::from(key == "signature.scheme"), "{signature}: {faults:?}");
        assert!(faults[0].problem.len() + faults[0].remedy.len() > 20, "{:?}", faults[0]);
    }
}

#[test]
fn a_secret_that_is_written_out_is_a_fault_that_does_not_repeat_it() {
    let table = [
        ("secrets = [\"hush-hush-0123456789\"]", "signature.secrets[0]"),
        ("secrets = \"hush-hush-0123456789\"", "signature.secrets"),
        ("secrets = [{ env = \"hush-hush-0123456789\" }]", "signature.secrets[0]"),
        ("secrets = [{ text = \"hush-hush-0123456789\" }]", "signature.secrets[0].text"),
    ];
    for (secrets, key) in table {
        let signature = format!("scheme = \"clickfunnels\"\n{secrets}");
        let (_, faults, _) = read(&with_signed("event_domains = [\"s.example\"]", &signature));
        assert_eq!(faults[0].key, format!("source[signed].{key}"), "{faults:?}");
        assert!(!format!("{faults:?}").contains("hush"), "{faults:?}");
    }
    let (_, faults, _) = read(&with_signed(
        "event_domains = [\"s.example\"]",
        "scheme = \"clickfunnels\"\nsecrets = [\"hush-hush-0123456789\"]",
    ));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].problem.contains("never written out"), "{faults:?}");
}

#[test]
fn a_secret_that_cannot_be_read_here_is_warned_of() {
    let signature = "scheme = \"clickfunnels\"\nsecrets = [{ env = \"CAROM_NOBODY_SETS_THIS\" }]";
    let (resources, faults, warnings) = read(&with_signed("event_domains = [\"s.example\"]", signature));
    assert_eq!(faults, vec![]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].key, "source[signed].signature.secrets[0]");

    let document = serde_json::to_string(&resources.clone().sealed()).unwrap();
    assert_eq!(serde_json::from_str::<Resources>(&document).unwrap(), resources.sealed(), "{document}");
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

#[test]
fn a_row_of_a_sources_mapping_that_could_not_work_is_told_with_its_key() {
    let with = |row: &str| {
        let source = "tokens = [\"a-token-of-enough-letters\"]";
        read(&GOOD.replace(source, &format!("{source}\n[[source.mapping]]\n{row}")))
    };
    let good =
        "event = \"contacts/applied_tag.created\"\nkind = \"kpi\"\nkey = \"tag:{data.id}\"\nnumber = 3";
    let (resources, faults, warnings) = with(good);
    assert_eq!((faults, warnings), (vec![], vec![]));
    assert_eq!(resources.sources[0].mapping[0].number, Some(3));
    for (row, key) in [
        (good.replace("= 3", "= 11"), "source[shop].mapping[0].number"),
        (good.replace("{data.id}", "1"), "source[shop].mapping[0].key"),
        (format!("{good}\nvalue = \"data.id\""), "source[shop].mapping[0].value"),
        (format!("{good}\nevidence = \"hearsay\""), "source[shop].mapping[0].evidence"),
        (format!("{good}\nwhen = [{{ at = \"x\", is = [\"a\"] }}]"), "source[shop].mapping[0].when[0].at"),
        (good.replace("kpi", "conversion"), "source[shop].mapping[0].claim"),
        (good.replace("kpi", "kip"), "source[shop].mapping[0].kind"),
        (format!("{good}\ncolour = \"red\""), "source[shop].mapping[0].colour"),
    ] {
        let (_, faults, _) = with(&row);
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert!(keys.contains(&key), "{key} in {faults:#?}");
    }
    let (_, faults, warnings) = with(&good.replace("contacts/applied_tag.created", "moon.landed"));
    assert_eq!(faults, vec![]);
    assert_eq!(warnings[0].key, "source[shop].mapping[0].event");
    let (_, faults, _) = read(&GOOD.replace(
        "kind = \"clickfunnels\"",
        "kind = \"plain\"\nmapping = [{ event = \"a\", kind = \"kpi\" }]",
    ));
    assert_eq!(faults[0].key, "source[shop].mapping");
}

#[test]
fn a_file_over_what_is_applied_need_not_be_whole_and_comes_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.toml");
    let connector = |id: &str, advertiser: &str| {
        format!(
            "[[connector]]\nid = \"{id}\"\nadvertiser = \"{advertiser}\"\ntriggers = [\"lead\"]\n\
             [connector.webhook]\nurl = \"https://{id}.example/\"\n"
        )
    };
    std::fs::write(&file, connector("network", "acme") + &connector("second", "acme")).unwrap();
    let (base, ..) = read(GOOD);
    let over = files::load_over(&file, Some(&base)).unwrap();
    let ids: Vec<_> = over.connectors.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["network", "second"]);
    let network = over.resources.connectors.iter().find(|one| one.id.as_str() == "network").unwrap();
    assert_eq!(network.webhook.as_ref().unwrap().url, "https://network.example/");
    assert_eq!((over.resources.connectors.len(), over.resources.sources.len()), (2, 1));

    std::fs::write(&file, connector("second", "acme") + &connector("second", "acme")).unwrap();
    let faults = files::load_over(&file, Some(&base)).unwrap_err();
    assert!(faults.0[0].to_string().contains("`second` is taken"), "{faults}");

    std::fs::write(&file, connector("network", "nobody")).unwrap();
    let faults = files::load_over(&file, Some(&base)).unwrap_err();
    assert!(faults.0[0].to_string().contains("there is no advertiser `nobody`"), "{faults}");
    assert!(files::load_over(&file, None).is_ok(), "without anything applied, it is taken at its word");
}

#[test]
fn click_id_matching_that_nothing_can_match_is_a_fault_and_a_shared_parameter_a_warning() {
    let with = |first: &str, second: &str| {
        let connector = |id: &str, lines: &str| {
            format!(
                "[[connector]]\nid = \"{id}\"\nadvertiser = \"acme\"\ntriggers = [\"conversion\"]\n\
                 [connector.webhook]\nurl = \"https://n.example/?c={{{{CLICK_ID}}}}\"\n{lines}\n"
            )
        };
        let (_, faults, warnings) =
            read(&format!("{GOOD}\n{}{}", connector("a", first), connector("b", second)));
        let keys = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>();
        let of_click_id = |keys: Vec<String>| -> Vec<String> {
            keys.into_iter().filter(|key| key.contains("click_id")).collect()
        };
        (of_click_id(keys(faults)), of_click_id(keys(warnings)))
    };
    let click_id = |lines: &str| format!("[connector.click_id]\n{lines}");
    let none: Vec<String> = Vec::new();
    let bad = click_id("parameter = \" \"\nwindow = \"0s\"\nsource = { parameter = \"\", value = \"\" }");
    let keys = ["parameter", "window", "source.parameter", "source.value"];
    let keys = keys.map(|key| format!("connector[a].click_id.{key}"));
    assert_eq!(with(&bad, ""), (keys.to_vec(), none.clone()));

    let open = click_id("parameter = \"click_id\"\nwindow = \"14d\"");
    let strict = format!("{open}\nsource = {{ parameter = \"utm_source\", value = \"platform_x\" }}");
    assert_eq!(with(&open, ""), (none.clone(), none.clone()));
    assert_eq!(with(&strict, &strict), (none.clone(), none.clone()));
    assert_eq!(with(&strict, &open).1, ["connector[b].click_id.source"]);
    assert_eq!(with(&open, &open).1, ["connector[a].click_id.source", "connector[b].click_id.source"]);
}

#[test]
fn a_currency_that_nobody_has_is_a_fault() {
    let with = |lines: &str| {
        let (_, faults, _) =
            read(&GOOD.replace("[connector.webhook]", &format!("{lines}\n[connector.webhook]")));
        faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>()
    };
    assert_eq!(with("currencies = [\"EUR\", \"usd\"]"), Vec::<String>::new());
    let unknown = with("currencies = [\"EURO\", \"USD\", \"\"]");
    assert_eq!(unknown, ["connector[network].currencies[0]", "connector[network].currencies[2]"]);
}

/// A document with a connector that has these halves; its faults and warnings.
fn halves(lines: &str) -> (Vec<Fault>, Vec<Fault>) {
    let text = format!(
        "[[advertiser]]\nid = \"acme\"\n\n[[connector]]\nid = \"n\"\nadvertiser = \"acme\"\n\
         triggers = [\"conversion\"]\n{lines}\n"
    );
    let (_, faults, warnings) = read(&text);
    (faults, warnings)
}

#[test]
fn a_connector_has_a_webhook_a_pixel_or_both() {
    let webhook = "[connector.webhook]\nurl = \"https://n.example/\"\n";
    let pixel = "[connector.pixel]\ncode = \"f()\"\n";
    for good in [webhook.to_owned(), pixel.to_owned(), format!("{webhook}{pixel}")] {
        assert_eq!(halves(&good), (vec![], vec![]), "{good}");
    }
    for (lines, key, problem) in [
        ("", "connector[n].webhook", "there is neither a webhook nor a pixel"),
        ("[connector.webhook]", "connector[n].webhook.url", "is missing"),
        ("[connector.pixel]", "connector[n].pixel.code", "is missing"),
    ] {
        let (faults, _) = halves(lines);
        let told: Vec<_> = faults.iter().map(|fault| (fault.key.as_str(), fault.problem.as_str())).collect();
        assert_eq!(told, [(key, problem)]);
    }
}

#[test]
fn a_pixels_faults_are_told_with_line_and_column_in_the_code_and_the_line_of_the_file() {
    let (faults, _) =
        halves("[connector.pixel]\ncode = '''\n<script>\n  f({{VALUE}}, \"{{secret.key}}\")\n</script>\n'''");
    let told: Vec<_> = faults.iter().map(|fault| (fault.key.as_str(), fault.problem.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                "connector[n].pixel.code",
                "line 2, column 5 (line 11 of the file): a macro stands in JavaScript outside of a string, where its \
                 value would be code"
            ),
            (
                "connector[n].pixel.code",
                "line 2, column 17 (line 11 of the file): a secret would be told to every visitor"
            ),
        ]
    );
    assert!(faults[0].remedy.contains("Number("), "{}", faults[0].remedy);
    // A basic string has escapes, so that its lines are not those of the file.
    let (faults, _) = halves("[connector.pixel]\ncode = \"f()\\n\\tg({{VALUE}})\"");
    assert!(faults[0].problem.starts_with("line 2, column 4: a macro stands"), "{}", faults[0].problem);
}

#[test]
fn a_pixel_in_the_page_itself_is_warned_of() {
    let pixel = |lines: &str| halves(&format!("[connector.pixel]\ncode = \"f()\"\n{lines}"));
    assert_eq!(pixel("enabled = true"), (vec![], vec![]));
    assert_eq!(pixel("sandbox = false"), (vec![], vec![]));
    let (faults, warnings) = pixel("enabled = true\nsandbox = false");
    assert_eq!((faults, warnings.len()), (vec![], 1));
    assert_eq!(warnings[0].key, "connector[n].pixel.sandbox");
    for exposed in ["document", "cookies", "storage", "dataLayer"] {
        assert!(warnings[0].problem.contains(exposed), "{}", warnings[0].problem);
    }
}

#[test]
fn names_of_a_pixels_events_are_checked_as_those_of_a_webhook() {
    let (faults, _) =
        halves("[connector.pixel]\ncode = \"f()\"\nrename = { purchase = \"\", Lead = \"a\", lead = \"b\" }");
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["connector[n].pixel.rename.lead", "connector[n].pixel.rename.purchase"]);
}
