use super::*;
use crate::commands::trial::{self, Sample, sample_news};
use serde_json::json;

fn resources(code: &str, sandbox: bool) -> carom_common::resources::Resources {
    let pixel = json!({"enabled": true, "code": code, "sandbox": sandbox});
    let connector =
        json!({"id": "display", "advertiser": "acme", "triggers": ["conversion"], "pixel": pixel});
    let other = json!({"id": "net", "advertiser": "acme", "triggers": ["conversion"],
                       "webhook": {"url": "https://n.example/"}});
    serde_json::from_value(json!({"advertiser": [{"id": "acme"}], "connector": [connector, other]})).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let settings = carom_common::store::Settings::Sqlite(folder.path().join("carom.db"));
    Store::migrate(&settings).unwrap();
    (folder, Store::open(&settings, |_, _| {}).unwrap())
}

#[tokio::test]
async fn a_pixel_is_approved_as_it_is_and_asks_again_when_it_changes() {
    let (_folder, store) = store();
    let id: ConnectorId = "display".parse().unwrap();
    let approve = |hash: Option<&'static str>, by: &'static str| {
        let (store, id) = (store.clone(), id.clone());
        async move { approve_in(&store, &id, hash, by.to_owned()).await.map_err(|error| error.to_string()) }
    };
    let standing = || async {
        let versioned = store.resources().await.unwrap();
        let listed = listed(&versioned.resources.connectors, &versioned.approvals);
        assert_eq!(listed.len(), 1, "one of them has a pixel");
        in_words(Some(&listed[0].approval))
    };
    store.apply(resources("f('{{VALUE}}')", true)).await.unwrap();
    assert_eq!(standing().await, "not approved");
    let today = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let done = approve(None, "ann").await.unwrap();
    assert!(
        done.starts_with(&format!("display: Approved on {today} by ann; 14 bytes of code in the sandbox")),
        "{done}"
    );
    assert!(approve(None, "bob").await.unwrap().contains("by ann, already"));
    assert_eq!(standing().await, format!("Approved on {today} by ann"));

    for changed in [resources("f('{{VALUE}}');", true), resources("f('{{VALUE}}')", false)] {
        store.apply(changed).await.unwrap();
        assert_eq!(standing().await, format!("changed since it was approved on {today} by ann"));
    }
    // Only what was read is approved.
    let refused = approve(Some("000000"), "bob").await.unwrap_err();
    assert!(refused.contains("not 000000"), "{refused}");
    let page = code_hash(resources("f('{{VALUE}}')", false).connectors[0].pixel.as_ref().unwrap());
    let prefix: &'static str = Box::leak(page.short().to_owned().into_boxed_str());
    assert!(approve(Some(prefix), "bob").await.unwrap().contains("in the page"));

    let revoked = revoke_in(&store, &id, "cas").await.unwrap();
    assert_eq!(revoked, format!("display is not approved any more; it was on {today} by bob"));
    assert_eq!(revoke_in(&store, &id, "cas").await.unwrap(), "display was not approved");
    assert_eq!(standing().await, "not approved");
    let decisions = store.pixel_decisions(Some(&id)).await.unwrap();
    let told: Vec<_> = decisions.iter().map(|one| (one.by.as_str(), one.approved)).collect();
    assert_eq!(told, [("ann", true), ("bob", true), ("cas", false)]);
}

#[tokio::test]
async fn what_has_no_pixel_or_is_not_there_is_not_approved() {
    let (_folder, store) = store();
    store.apply(resources("f()", true)).await.unwrap();
    for (id, problem) in [("net", "has no pixel"), ("dizplay", "did you mean `display`?")] {
        let id: ConnectorId = id.parse().unwrap();
        let refused = approve_in(&store, &id, None, "ann".to_owned()).await.unwrap_err();
        assert!(refused.to_string().contains(problem), "{refused}");
        assert!(refused.downcast_ref::<Usage>().is_some(), "{refused}");
    }
    let gone: ConnectorId = "gone".parse().unwrap();
    assert!(revoke_in(&store, &gone, "ann").await.is_err());
    assert!(by(Some(" \n")).is_err());
    assert_eq!(by(Some(" ann\u{1b}[m ")).unwrap(), "ann[m");
}

#[test]
fn a_preview_shows_a_pixel_filled_in_with_sample_values() {
    let code = "<script>\n  track(\"{{EVENT_NAME}}\", {value: \"{{VALUE}}\", id: \"{{EVENT_ID}}\", x: \"{{NONE}}\"});\n</script>";
    let all = resources(code, true).connectors;
    let now = Timestamp::now();
    let news = sample_news(&all[0], Sample::Purchase, now).unwrap();
    let requests = trial::requests(&news, &all[0], &all, now);
    let delivery = requests[0].delivery.id;
    let trial = Trial {
        connector: all[0].clone(),
        tried: Tried::Sample(Sample::Purchase),
        verdict: trial::verdict(&news, &all[0], &all, now),
        requests,
    };
    let preview = previewed(trial, Some(&Approvals::default())).unwrap();
    assert_eq!((preview.pixels.len(), preview.approval), (1, Some(Standing::NotApproved)));
    let html = preview.pixels[0].html.as_deref().unwrap();
    assert!(html.starts_with("<script>\n  track(\"purchase\", {value: \""), "{html}");
    assert!(html.contains(&format!("id: \"{delivery}\"")), "{html}");
    assert_eq!(preview.pixels[0].unresolved, ["NONE"]);
    tell(&previewed_again(&all));
}

fn previewed_again(all: &[Connector]) -> Preview {
    let now = Timestamp::now();
    let news = sample_news(&all[0], Sample::Purchase, now).unwrap();
    let trial = Trial {
        connector: all[0].clone(),
        tried: Tried::Sample(Sample::Purchase),
        verdict: trial::verdict(&news, &all[0], all, now),
        requests: trial::requests(&news, &all[0], all, now),
    };
    previewed(trial, None).unwrap()
}
