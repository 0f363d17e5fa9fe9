//! What is read and reported; that it is fed, and only once, is a scenario's to show.

use super::super::script::{Answer, Script, ok};
use super::*;
use serde_json::{Value, json};

/// A record of so many seconds ago.
fn record(id: u64, ago: i64) -> Value {
    json!({
        "id": id, "workspace_id": 42000, "uuid": format!("{id:032x}"), "event_type_id": "contact.created",
        "data": {"id": id}, "api_version": 2,
        "created_at": (Timestamp::now() - SignedDuration::from_secs(ago)).to_string(),
    })
}

fn page(next: Option<u64>, records: Vec<Value>) -> Answer {
    (200, next.map(|next| ("Pagination-Next", next.to_string())).into_iter().collect(), Value::Array(records))
}

struct Run {
    script: Script,
    store: Store,
}

impl Run {
    async fn of(answers: Vec<Answer>) -> Self {
        let script = Script::of(answers).await;
        let settings = store::Settings::Sqlite(script.folder.path().join("carom.db"));
        Store::migrate(&settings).unwrap();
        let store = Store::open(&settings, |_, _| {}).unwrap();
        Self { script, store }
    }

    async fn dry(&self, since: Option<u64>) -> (Report, Result<(), Error>) {
        let source = &self.script.source;
        let client = self.script.client();
        let parts = Parts {
            client: &client,
            store: &self.store,
            publisher: None,
            source,
            api: source.api.as_ref().unwrap(),
            memory: Duration::from_secs(90 * 86_400),
        };
        let mut report = Report::new(source, true);
        let done = reconcile(&parts, since, &mut report).await;
        (report, done)
    }

    fn afters(&self) -> Vec<String> {
        let lines = self.script.lines();
        lines.iter().map(|line| line.split_once('?').unwrap_or_default().1.to_owned()).collect()
    }

    fn cursor(&self) -> String {
        name_of_cursor(&self.script.source, self.script.source.api.as_ref().unwrap())
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_is_missing_and_moves_no_cursor() {
    let run = Run::of(vec![
        page(Some(12), vec![record(11, 900), record(12, 800)]),
        page(None, vec![record(13, 700), record(14, 10)]),
    ])
    .await;
    run.store.set_cursor(&run.cursor(), "10").await.unwrap();
    let (report, done) = run.dry(None).await;
    done.unwrap();
    assert_eq!(run.afters(), ["after=10", "after=12"]);
    assert_eq!((report.read, report.known, report.missing, report.published), (3, 0, 3, 0));
    assert_eq!((report.waiting, report.cursor), (1, Some(13)), "the cursor that it would have");
    assert_eq!(report.events[0].event_id, "00000000-0000-0000-0000-00000000000b");
    assert_eq!(run.store.cursor(&run.cursor()).await.unwrap().as_deref(), Some("10"));
}

#[tokio::test]
async fn pages_behind_a_record_that_is_too_young_are_not_read() {
    let run = Run::of(vec![page(Some(12), vec![record(11, 900), record(12, 10)]), page(None, vec![])]).await;
    let (report, done) = run.dry(Some(10)).await;
    done.unwrap();
    assert_eq!(run.afters(), ["after=10"]);
    assert_eq!((report.read, report.waiting, report.cursor), (1, 1, Some(11)));
}

#[tokio::test]
async fn the_first_run_begins_where_its_reach_ends_read_from_the_newest_backwards() {
    let day = 86_400;
    let run = Run::of(vec![
        page(Some(8), vec![record(9, 900), record(8, day - 60)]),
        page(Some(6), vec![record(7, day + 60), record(6, 9 * day)]),
        page(None, vec![record(8, day - 60), record(9, 900)]),
    ])
    .await;
    let (report, done) = run.dry(None).await;
    done.unwrap();
    assert_eq!(run.afters(), ["sort_order=desc", "after=8&sort_order=desc", "after=7"]);
    assert_eq!((report.read, report.missing, report.cursor), (2, 2, Some(9)));
}

#[tokio::test]
async fn a_workspace_younger_than_the_reach_is_read_from_its_first_record() {
    let run = Run::of(vec![page(None, vec![record(1, 900)]), page(None, vec![record(1, 900)])]).await;
    let (report, done) = run.dry(None).await;
    done.unwrap();
    assert_eq!(run.afters(), ["sort_order=desc", "after=0"]);
    assert_eq!(report.missing, 1);
}

#[tokio::test]
async fn reading_from_beyond_the_cursor_leaves_the_cursor_where_it_is() {
    for (since, cursor) in [(5, Some(31)), (10, Some(31)), (20, Some(10))] {
        let run = Run::of(vec![page(None, vec![record(31, 900)])]).await;
        run.store.set_cursor(&run.cursor(), "10").await.unwrap();
        let (report, done) = run.dry(Some(since)).await;
        done.unwrap();
        assert_eq!(report.cursor, cursor, "since {since}");
    }
}

#[tokio::test]
async fn what_was_read_before_a_failure_is_in_the_report_all_the_same() {
    let run = Run::of(vec![
        page(Some(11), vec![record(11, 900)]),
        (401, vec![], json!({"error": "API key missing or invalid"})),
    ])
    .await;
    let (report, done) = run.dry(Some(10)).await;
    assert!(matches!(done, Err(Error::Api(api::Error::Unauthorized))));
    assert_eq!((report.read, report.cursor), (1, Some(11)));
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_are_an_error() {
    let run = Run::of(vec![page(Some(10), vec![record(10, 900)]), ok(json!([]))]).await;
    assert!(matches!(run.dry(Some(10)).await.1, Err(Error::Circle(10))));
}
