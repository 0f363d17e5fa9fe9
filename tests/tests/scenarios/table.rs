//! The reviewed table, row by row, through the real binaries and the broker.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::stack::{Setup, Stack};
use carom_tests::table::{self, Row, Table};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a row's events came in as.
struct Sent<'a> {
    row: &'a Row,
    /// What came before it.
    before: Vec<String>,
    id: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_and_every_type_of_the_catalogue_becomes_what_its_row_says() -> Result<()> {
    let table = Table::read()?;
    // What waits for something that never comes goes on soon.
    let setup = Setup::of_text(worlds(table.rows.len()))
        .env("CAROM_WORKER_PARKING", "3s")
        .env("CAROM_RETRY_SCHEDULE", "500ms,1s,30s");
    let stack = setup.start(&Broker::shared().await?).await?;

    let mut before = Vec::new();
    for (world, row) in table.rows.iter().enumerate() {
        let mut ids = Vec::new();
        for name in &row.after {
            let id = send(&stack, world, name, None).await?;
            // In their order, so each is decided, or waits, before the next.
            progress(&stack, &id, &["parked", "handed_over"]).await?;
            ids.push(id);
        }
        before.push(ids);
    }
    let mut sent = Vec::new();
    for (world, (row, before)) in table.rows.iter().zip(before).enumerate() {
        let query = row.query.as_deref().map(|name| table.meaning(name));
        let id = send(&stack, world, &row.body, query).await?;
        sent.push(Sent { row, before, id });
    }

    // All of them have settled before any is judged, because what came first may wait for what came later.
    let unreadable = sent.iter().filter(|sent| sent.row.is_unreadable()).count();
    let letters = stack.letters_become(unreadable, &[]).await?;
    let reasons: BTreeMap<_, _> =
        letters.iter().filter_map(|letter| Some((letter["event"].as_str()?, &letter["reason"]))).collect();
    for sent in sent.iter().filter(|sent| !sent.row.is_unreadable()) {
        for id in sent.before.iter().chain([&sent.id]) {
            progress(&stack, id, &["handed_over"]).await.with_context(|| sent.row.body.clone())?;
        }
    }
    let mut report = String::new();
    for sent in &sent {
        let row = sent.row;
        let told = match reasons.get(sent.id.as_str()) {
            Some(reason) if row.is_unreadable() && row.codes == [reason.as_str().unwrap_or_default()] => {
                Vec::new()
            }
            Some(reason) => vec![format!("it is a dead letter: {reason}")],
            None if row.is_unreadable() => vec!["it is no dead letter".to_owned()],
            None => {
                let click = row.click.as_deref().map(|word| table.meaning(word));
                row.differences(&stack.trace(&sent.id).await?, click)
            }
        };
        if !told.is_empty() {
            let query = row.query.as_deref().map_or_else(String::new, |query| format!(" with {query}"));
            let after = if row.after.is_empty() { "" } else { " after others" };
            let _ = writeln!(report, "line {}: {}{query}{after}", row.line, row.body);
            told.iter().for_each(|told| {
                let _ = writeln!(report, "    {told}");
            });
        }
    }
    println!("{} rows", sent.len());
    assert!(report.is_empty(), "what differs from tests/fixtures/expected.md:\n{report}");
    stack.finish().await
}

/// An advertiser for each row, with the offer that the table tells of.
fn worlds(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, world| {
        let token = token(world);
        let _ = write!(
            text,
            r#"
[[advertiser]]
id = "row-{world}"

[[source]]
id = "row-{world}"
advertiser = "row-{world}"
kind = "clickfunnels"
tokens = ["{token}"]
foreign_click_ids = true
offer = "row-{world}"

[[offer]]
id = "row-{world}"
advertiser = "row-{world}"
tracking_url = "https://funnel.example/page?clickid={{click_id}}"

[[offer.payout]]
name = "lead"
event = ["lead"]
pay = {{ fixed = "2.50", currency = "USD" }}

[[offer.payout]]
name = "purchase"
event = ["purchase"]
pay = {{ percent = "30" }}

[[offer.payout]]
name = "upsell"
event = ["upsell"]
pay = {{ percent = "10" }}

[[offer.payout]]
name = "refund"
event = ["refund"]
pay = "event"

[offer.payout_default]
counts_as = "kpi"
"#
        );
        text
    })
}

fn token(world: usize) -> String {
    format!("table-row-{world:04}-token-0123456789")
}

/// Sends a body to a row's source; gives the event's id.
async fn send(stack: &Stack, world: usize, name: &str, query: Option<&str>) -> Result<String> {
    let url = stack.events_url(&token(world));
    let url = query.map_or(url.clone(), |query| format!("{url}?{query}"));
    let answer = stack.client().webhook(&url, table::body(name)?).await?;
    answer.accepted().with_context(|| name.to_owned())
}

/// Waits until an event has come so far.
async fn progress(stack: &Stack, id: &str, wanted: &[&str]) -> Result<Value> {
    eventually(secs(60), format!("{id} is {wanted:?}"), async || {
        let trace = stack.trace(id).await?;
        let progress = trace["progress"].as_str().unwrap_or_default();
        ensure!(wanted.contains(&progress), "it is {progress}");
        Ok(trace)
    })
    .await
}
