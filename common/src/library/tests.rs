use super::*;
use crate::config::Fault;
use crate::connector::{Connector, Method, Trigger};
use crate::event::Facts;
use crate::id::{ConnectorId, DeliveryId};
use crate::postback::{self, Credentials, Postback};
use crate::resources::files;
use crate::secret::SecretRef;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const ADVERTISER: &str = "[[advertiser]]\nid = \"acme\"\n\n";

/// A template's settings with the values of their examples.
fn examples(template: &Template) -> BTreeMap<String, String> {
    template.settings().iter().map(|setting| (setting.name.clone(), setting.example.clone())).collect()
}

fn fill(template: &Template, settings: &BTreeMap<String, String>) -> Result<String, Vec<Refused>> {
    let id: ConnectorId = template.id().parse().unwrap();
    let advertiser = "acme".parse().unwrap();
    template.fill(&Wanted { id: &id, advertiser: &advertiser, name: None, settings })
}

fn filled(template: &Template) -> String {
    fill(template, &examples(template)).unwrap()
}

/// The connector that a text is, and what `check` warns of.
fn read(text: &str) -> (Connector, Vec<Fault>) {
    let checked = files::of_text("new.toml", &format!("{ADVERTISER}{text}")).unwrap_or_else(|faults| {
        panic!("{faults}\n{text}");
    });
    let mut connectors = checked.resources.connectors;
    assert_eq!(connectors.len(), 1);
    (connectors.remove(0), checked.warnings)
}

/// The same at the seam of every secret: `hush-` and the variable.
fn secret(reference: &SecretRef) -> Result<String, crate::secret::Error> {
    match reference {
        SecretRef::Env(variable) => Ok(format!("hush-{variable}")),
        SecretRef::File(path) => panic!("no template reads {}", path.display()),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/connectors").join(name)
}

/// What a connector sends of the recorded purchase, or of its refund where it is told of refunds alone.
fn rendered(connector: &Connector) -> Postback {
    let refund = connector.triggers.iter().all(|trigger| trigger.to_string() == "refund");
    let (file, step) = if refund { ("refund.json", "refund:96") } else { ("purchase.json", "conversion") };
    let text = std::fs::read_to_string(fixture(file)).unwrap();
    let mut facts: Facts = serde_json::from_str(&text).unwrap();
    // What click ID matching finds, as one click carried the ids of all platforms.
    facts.matched_click_id = connector.click_id.as_ref().map(|matching| {
        let click = facts.click.as_ref().unwrap();
        click.parameter_in_any_case(&matching.parameter).unwrap().to_owned()
    });
    let key = &facts.conversion.as_ref().unwrap().key;
    let delivery = DeliveryId::of_step(&connector.id, key, step);
    let credentials = Credentials { secret: &secret, access_token: Some("fetched-token") };
    postback::render(connector, &delivery, &facts, &credentials).unwrap()
}

/// A request as the reviewed snapshots have it: the URL's and the form's pairs a line each, headers by name, JSON
/// with one member a line.
fn snapshot(postback: &Postback) -> String {
    let method = match postback.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let pairs = |text: &str| text.replace('&', "\n    &");
    let mut text = format!("{method} {}\n", pairs(&postback.url.as_str().replace('?', "\n    ?")));
    let mut headers: Vec<_> = postback.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
    headers.extend(postback.body.iter().map(|body| ("Content-Type", body.content_type)));
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    for (name, value) in headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    if let Some(body) = &postback.body {
        let bytes = std::str::from_utf8(&body.bytes).unwrap();
        let shown = match serde_json::from_str::<serde_json::Value>(bytes) {
            Ok(json) => serde_json::to_string_pretty(&json).unwrap(),
            Err(_) => pairs(bytes),
        };
        let _ = write!(text, "\n{shown}\n");
    }
    text
}

#[test]
fn every_template_renders_the_recorded_event_as_its_reviewed_snapshot_says() {
    let mut wrong = String::new();
    for template in templates() {
        let (connector, _) = read(&filled(template));
        let postback = rendered(&connector);
        let expected = std::fs::read_to_string(fixture(&format!("{}.txt", template.id()))).unwrap();
        let found = snapshot(&postback);
        if found != expected {
            let _ = write!(wrong, "\n--- {} should send\n{expected}\n--- and sends\n{found}", template.id());
        }
        // Landing pages are of funnels' visits, and the recorded event has none; all else is filled in.
        assert_eq!(postback.unresolved, Vec::<String>::new(), "{}", template.id());
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_template_passes_check_with_the_values_of_its_examples_and_without_a_warning() {
    for template in templates() {
        let (connector, warnings) = read(&filled(template));
        assert_eq!(connector.id.as_str(), template.id());
        assert_eq!(connector.name, template.name());
        assert!(warnings.is_empty(), "{}: {warnings:?}", template.id());
    }
}

#[test]
fn every_template_passes_check_with_all_that_is_optional_left_open() {
    for template in templates() {
        let must = template.settings().iter().filter(|setting| !setting.optional && !setting.secret);
        let settings = must.map(|setting| (setting.name.clone(), setting.example.clone())).collect();
        let text = fill(template, &settings).unwrap();
        assert!(!text.contains("<<") && !text.contains(">>"), "{text}");
        let (_, warnings) = read(&text);
        assert!(warnings.is_empty(), "{}: {warnings:?}", template.id());
    }
}

#[test]
fn a_template_that_renames_events_renames_all_that_it_fires_on() {
    for template in templates() {
        let (connector, _) = read(&filled(template));
        let renamed = &connector.webhook.as_ref().unwrap().rename;
        let fired = connector.triggers.iter().flat_map(|trigger| match trigger {
            Trigger::Conversion => ["purchase", "sale", "upsell", "lead"].map(str::to_owned).to_vec(),
            other => vec![other.to_string()],
        });
        for name in fired.filter(|_| !renamed.is_empty()) {
            assert!(renamed.contains_key(&name), "{} does not rename {name}", template.id());
        }
    }
}

#[test]
fn every_setting_stands_in_its_template_and_every_mark_is_a_setting() {
    for template in templates() {
        let named: BTreeSet<_> = template.settings().iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(named.len(), template.settings().len(), "{} has a setting twice", template.id());
        let mut marked = BTreeSet::new();
        for part in template.connector.split("<<").skip(1) {
            marked.insert(part.split_once(">>").unwrap().0);
        }
        for own in ["id", "advertiser", "name"] {
            assert!(marked.remove(own), "{} has no <<{own}>>", template.id());
        }
        assert_eq!(named, marked, "{}", template.id());
        for setting in template.settings() {
            assert!(setting.what.ends_with('.'), "{}: {}", template.id(), setting.what);
        }
    }
}

#[test]
fn the_library_holds_each_of_the_25_targets_once_and_each_has_its_snapshot() {
    let ids: BTreeSet<_> = templates().iter().map(Template::id).collect();
    assert_eq!(ids.len(), 25);
    let folder = std::fs::read_dir(fixture("")).unwrap();
    let snapshots =
        folder.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".txt")?.to_owned()));
    assert_eq!(snapshots.collect::<BTreeSet<_>>(), ids.iter().map(|&id| id.to_owned()).collect());
}

#[test]
fn what_must_be_told_is_asked_for_all_at_once_with_what_it_is() {
    let awin = template("awin").unwrap();
    let settings = [("merchantid", "12345"), ("comission_group", "SALE")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let refused = fill(awin, &settings).unwrap_err();
    let told: Vec<_> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the template has no setting `comission_group`; did you mean commission_group?",
            "the template has no setting `merchantid`; did you mean merchant_id?",
            "merchant_id is missing: Your advertiser's id at Awin. Write --set merchant_id=12345 with your own",
            "commission_group is missing: The code of the commission group that the sale falls under. Write \
             --set commission_group=DEFAULT with your own",
        ]
    );
}

#[test]
fn no_value_can_leave_its_string_or_begin_a_macro_or_lead_the_url_elsewhere() {
    let keitaro = template("keitaro").unwrap();
    let with = |name: &str, value: &str| {
        let mut settings = examples(keitaro);
        settings.insert(name.to_owned(), value.to_owned());
        fill(keitaro, &settings)
    };
    for bad in [
        "",
        " ",
        " a",
        "a\"",
        "a'",
        "a\\",
        "a\n",
        "a\0",
        "<<id>>",
        "a>>",
        "{{EMAIL}}",
        "{value}",
        "[value]",
        "a/b",
        "https://a",
        "a?b",
        "a#b",
        "a&b",
        "a%2Fb",
        "a@b",
        "ä",
    ] {
        let refused = with("postback_key", bad).unwrap_err();
        let [Refused::Unfit { name, .. }] = &refused[..] else { panic!("{bad:?}: {refused:?}") };
        assert_eq!(name, "postback_key");
        assert!(bad.trim().len() < 3 || !refused[0].to_string().contains(bad), "{}", refused[0]);
    }
    assert!(
        with("domain", "127.0.0.1:8080").unwrap().contains("\"https://127.0.0.1:8080/1a2b3c4/postback\"")
    );
}

#[test]
fn a_secret_is_told_by_the_variable_that_holds_it_and_one_that_is_written_out_is_refused_unrepeated() {
    let hyros = template("hyros").unwrap();
    let fill = |value: Option<&str>| {
        let settings = value.map(|value| ("api_key".to_owned(), value.to_owned())).into_iter().collect();
        fill(hyros, &settings)
    };
    assert!(fill(None).unwrap().contains("{ env = \"HYROS_API_KEY\" }"), "by the connector's id");
    assert!(fill(Some("OTHER_KEY")).unwrap().contains("{ env = \"OTHER_KEY\" }"));
    for written in ["sk_live_hush", "hush hush", "0HUSH", "HUSH-HUSH"] {
        let refused = fill(Some(written)).unwrap_err();
        assert!(!refused[0].to_string().to_lowercase().contains("hush"), "{}", refused[0]);
    }
}

#[test]
fn an_optional_setting_takes_its_lines_with_it() {
    let meta = template("meta_capi").unwrap();
    let mut settings = examples(meta);
    assert!(fill(meta, &settings).unwrap().contains("\"test_event_code\": \"TEST12345\""));
    settings.remove("test_event_code");
    let text = fill(meta, &settings).unwrap();
    assert!(!text.contains("\"test_event_code\""), "{text}");
    assert!(text.contains("# - test_event_code: ") && text.contains("Not set."), "{text}");
}

#[test]
fn what_is_printed_is_commented_in_lines_that_can_be_read() {
    for template in templates() {
        let text = filled(template);
        assert!(text.starts_with(&format!("# {}.", template.name())), "{text}");
        for line in text.lines().filter(|line| line.starts_with('#')) {
            assert!(line.chars().count() <= 112, "{line}");
        }
    }
}

#[test]
fn an_unknown_template_is_answered_with_the_nearest() {
    let unknown = template("meta-capi").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no template `meta-capi`; did you mean meta_capi?");
    assert_eq!(template("salesforce").unwrap_err().nearest, None);
}

#[test]
fn the_documents_table_names_every_template_and_setting() {
    let document = include_str!("../../../docs/connectors.md");
    for template in templates() {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{}`", template.id())));
        let row = row.unwrap_or_else(|| panic!("docs/connectors.md has no row of {}", template.id()));
        let settings = row.rsplit('|').nth(1).unwrap().trim();
        let shown = template.settings().iter().map(|setting| {
            let open = setting.optional || setting.secret;
            if open { format!("`[{}]`", setting.name) } else { format!("`{}`", setting.name) }
        });
        assert_eq!(settings, shown.collect::<Vec<_>>().join(" "), "{}", template.id());
        assert_eq!(row.contains('¹'), template.evidence() == Evidence::GeneralKnowledge, "{}", template.id());
        let matched = template.connector.lines().find_map(|line| line.strip_prefix("parameter = \""));
        if let Some(parameter) = matched {
            assert!(row.contains(&format!("`{}`", parameter.trim_end_matches('"'))), "{row}");
        }
    }
}
