use super::super::script::{Answer, Script, ok};
use super::*;
use carom_common::store;
use serde_json::{Value, json};

const URL: &str = "https://carom.example/api/v1/events/source-token-0123456789?click_id={contact.x}";
const LISTED: &str = "https://carom.example/api/v1/events/source-token-0123456789?click_id=%7Bcontact.x%7D";

fn types() -> Answer {
    ok(json!([{"id": "contact.created"}, {"id": "order.created"}, {"id": "order.updated"}]))
}

fn endpoint(id: u64, name: &str) -> Value {
    json!({
        "id": id, "url": LISTED, "name": name, "api_version": 2,
        "event_type_ids": ["order.created", "contact.created"],
    })
}

fn created(id: u64) -> Answer {
    let mut body = endpoint(id, "Carom");
    body["webhook_secret"] = "s3cret-s3cret".into();
    (201, vec![], body)
}

fn newest() -> Answer {
    ok(json!([{"id": 77}, {"id": 76}]))
}

async fn store(script: &Script) -> Store {
    let settings = store::Settings::Sqlite(script.folder.path().join("carom.db"));
    Store::migrate(&settings).unwrap();
    Store::open(&settings, |_, _| {}).unwrap()
}

async fn set_up(script: &Script, options: Options) -> anyhow::Result<Report> {
    let store = store(script).await;
    let report = setup(&script.client(), &store, &script.source, &options).await;
    store.close().await;
    report
}

fn secret(script: &Script) -> Option<String> {
    std::fs::read_to_string(script.folder.path().join("secret")).ok()
}

fn writes(script: &Script) -> Vec<String> {
    script.lines().into_iter().filter(|line| !line.starts_with("GET ")).collect()
}

#[tokio::test]
async fn an_endpoint_is_created_its_secret_kept_and_reconciling_begins_with_it() {
    let script = Script::of(vec![types(), ok(json!([])), newest(), created(5)]).await;
    let report = set_up(&script, Options::default()).await.unwrap();
    assert_eq!((report.action, report.endpoint, report.secret), (Action::Created, Some(5), Secret::Written));
    assert_eq!(
        script.asked()[3].body["webhooks_outgoing_endpoint"],
        json!({"url": URL, "name": "Carom", "event_type_ids": ["contact.created", "order.created"]}),
    );
    assert_eq!(secret(&script).as_deref(), Some("s3cret-s3cret\n"));
    let printed = serde_json::to_string(&report).unwrap();
    assert!(!printed.contains("s3cret") && !printed.contains("source-token"), "{printed}");
    let (source, api) = (&script.source, script.source.api.as_ref().unwrap());
    let store = store(&script).await;
    let cursor = store.cursor(&reconcile::name_of_cursor(source, api)).await.unwrap();
    assert_eq!(cursor.as_deref(), Some("77"));
}

#[tokio::test]
async fn an_endpoint_that_is_there_is_left_alone_or_updated_where_it_differs() {
    let script = Script::of(vec![types(), ok(json!([endpoint(5, "Carom")]))]).await;
    std::fs::write(script.folder.path().join("secret"), "kept").unwrap();
    let report = set_up(&script, Options::default()).await.unwrap();
    assert_eq!((report.action, report.endpoint, report.secret), (Action::Unchanged, Some(5), Secret::Kept));
    assert_eq!(writes(&script), Vec::<String>::new());

    let script = Script::of(vec![types(), ok(json!([endpoint(5, "Old")])), ok(endpoint(5, "Carom"))]).await;
    let report = set_up(&script, Options::default()).await.unwrap();
    assert_eq!(
        (report.action, report.changed, report.secret),
        (Action::Updated, vec!["name"], Secret::Missing)
    );
    assert_eq!(writes(&script), ["PUT /api/v2/webhooks/outgoing/endpoints/5"]);
}

#[tokio::test]
async fn the_one_before_goes_only_when_the_secret_of_the_new_one_is_kept() {
    let recreate = Options { recreate: true, ..Options::default() };
    let script = Script::of(vec![
        types(),
        ok(json!([endpoint(5, "Carom")])),
        newest(),
        created(6),
        (204, vec![], Value::Null),
    ])
    .await;
    let report = set_up(&script, recreate.clone()).await.unwrap();
    assert_eq!((report.action, report.endpoint), (Action::Recreated, Some(6)));
    let create = "POST /api/v2/workspaces/42000/webhooks/outgoing/endpoints";
    assert_eq!(writes(&script), [create, "DELETE /api/v2/webhooks/outgoing/endpoints/5"]);

    let answers = vec![types(), ok(json!([endpoint(5, "Carom")])), newest(), (422, vec![], Value::Null)];
    let script = Script::of(answers).await;
    set_up(&script, recreate).await.unwrap_err();
    assert_eq!(writes(&script), [create], "the old one stays");
}

#[tokio::test]
async fn nothing_is_created_where_its_secret_could_not_be_kept() {
    let mut script = Script::of(vec![types(), ok(json!([])), newest(), created(5)]).await;
    let api = script.source.api.as_mut().unwrap();
    api.secret_file = Some("/no such folder/secret".into());
    let error = set_up(&script, Options::default()).await.unwrap_err();
    assert!(format!("{error:#}").contains("source.api.secret_file"), "{error:#}");
    assert_eq!(writes(&script), Vec::<String>::new());

    let mut script = Script::of(vec![types(), ok(json!([]))]).await;
    script.source.api.as_mut().unwrap().secret_file = None;
    let error = set_up(&script, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("told only once"), "{error}");
    assert_eq!(writes(&script), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_that_is_known_by_its_hash_only_is_enough_to_find_an_endpoint_and_not_to_create_one() {
    let sealed = |mut script: Script| {
        let hash = Token::Given("source-token-0123456789".to_owned()).sealed();
        script.source.tokens = vec![hash];
        script
    };
    let script = sealed(Script::of(vec![types(), ok(json!([endpoint(5, "Carom")]))]).await);
    assert_eq!(set_up(&script, Options::default()).await.unwrap().endpoint, Some(5));
    let script = sealed(Script::of(vec![types(), ok(json!([]))]).await);
    let error = set_up(&script, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("--endpoint-url"), "{error}");
    let script = sealed(Script::of(vec![types(), ok(json!([])), newest(), created(5)]).await);
    let options = Options { endpoint_url: Some(URL.to_owned()), ..Options::default() };
    assert_eq!(set_up(&script, options).await.unwrap().action, Action::Created);
    assert_eq!(script.asked()[3].body["webhooks_outgoing_endpoint"]["url"], URL);
}

#[tokio::test]
async fn a_dry_run_asks_and_writes_nothing() {
    for recreate in [false, true] {
        let listed = if recreate { json!([endpoint(5, "Old")]) } else { json!([]) };
        let script = Script::of(vec![types(), ok(listed)]).await;
        let report =
            set_up(&script, Options { dry_run: true, recreate, ..Options::default() }).await.unwrap();
        assert_eq!(report.endpoint, None);
        assert_eq!(writes(&script), Vec::<String>::new());
        assert_eq!(secret(&script), None);
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_our_url_is_told_without_its_token() {
    let refusal = (422, vec![], json!({"error": format!("{URL} is no good")}));
    let script = Script::of(vec![types(), ok(json!([])), newest(), refusal]).await;
    let error = format!("{:#}", set_up(&script, Options::default()).await.unwrap_err());
    assert!(error.contains("is no good") && !error.contains("source-token-0123456789"), "{error}");
}
