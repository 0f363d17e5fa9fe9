//! What must not be kept is not kept: secrets are masked before anything is stored, who is forgotten is
//! found nowhere but in the ledger, and what was kept for long enough goes.

use crate::network;
use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::fixture;
use carom_tests::receiver::{Receiver, always};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use serde_json::{Value, json};

const PASSWORD: &str = "hunter2-correct-horse";
const CARD: &str = "4111111111111111";
const TOKEN: &str = "tok_5ca1ab1e0ddba11";
const EMAIL: &str = "jane.secretive@person.example";
const PHONE: &str = "+18005550177";
const NAME: &str = "Janet Q. Secretive";

/// Every byte of the store's files.
fn store(stack: &Stack) -> String {
    let read = |file: &str| std::fs::read(stack.dir().join(file)).unwrap_or_default();
    let bytes = ["carom.db", "carom.db-wal"].map(read).concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn found(text: &str, secrets: &[&str]) -> Vec<String> {
    secrets.iter().filter(|secret| text.contains(**secret)).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_passwords_and_tokens_are_in_no_file_and_no_dead_letter() -> Result<()> {
    let (broker, _receiver, _, setup) = network().await?;
    let stack = setup.start(&broker).await?;
    let remnants = json!({
        "purchase": {"credit_card_number": CARD, "credit_card_exp_date_month": "06", "payment_gateway_token": TOKEN},
        "password": PASSWORD,
        "note": format!("my card is {CARD}"),
    });
    let contact = json!({"id": 7, "email": "a@b.example", "additional_info": remnants});
    let classic = json!({"id": 50538562, "contact": contact, "status": "paid", "original_amount_cents": 4700, "event": "created"});
    let mut order: Value = serde_json::from_str(fixture::ONE_TIME_ORDER)?;
    order["data"]["contact"]["additional_info"] = remnants.clone();
    let funnel = stack.events_url(FUNNEL_TOKEN);
    for body in [classic.to_string(), order.to_string()] {
        let id = stack.client().webhook(&funnel, body).await?.accepted()?;
        eventually(secs(10), "it is taken", async || stack.trace(&id).await).await?;
    }
    // One that cannot be read, and one that waits for its click.
    let broken = format!(r#"{{"password": "{PASSWORD}", "token": "{TOKEN}", "note": "{CARD}", "data": {{"#);
    stack.client().webhook(&funnel, broken).await?.accepted()?;
    let unknown = "01936f9e-7b1c-7000-8000-000000000001";
    let pairs = [("event", "purchase"), ("click_id", unknown), ("password", PASSWORD), ("note", CARD)];
    let parked = stack.plain(&pairs).await?;
    stack.traced(&parked, "parked").await?;
    let redacted = stack.traced(&parked, "redacted").await?;
    assert_eq!(redacted["event"]["data"]["note"], "…1111");

    let letters = stack.letters_become(1, &["--reason", "undecodable_body"]).await?;
    let id = letters[0]["id"].as_str().unwrap_or_default();
    let shown = stack.carom_ok(&["dlq", "show", id]).await?;
    let dead = stack.vhost()?.peek("carom.dead", 10).await?.concat();
    assert!(dead.contains("note"), "or nothing is tested: {dead}");
    let waiting = eventually(secs(5), "the event waits in a tier", async || {
        let waiting = stack.vhost()?.peek("carom.retry.15m", 10).await?.concat();
        ensure!(waiting.contains("password"), "there is {waiting}");
        Ok(waiting)
    })
    .await?;
    for (place, text) in
        [("the store", store(&stack)), ("a letter", shown), ("carom.dead", dead), ("a tier", waiting)]
    {
        assert_eq!(found(&text, &[PASSWORD, CARD, TOKEN]), [""; 0], "in {place}");
    }
    stack.finish().await
}

/// A stack whose receiver takes nothing, so that what is told of somebody waits in a tier.
async fn refused() -> Result<(Broker, Receiver, Stack)> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(always(500));
    let connector = Connector::get("network", receiver.url("/postback")).parameter("email", "{{EMAIL}}");
    let setup = Setup::new(&Resources::new().with(connector)).env("CAROM_RETRY_SCHEDULE", "5s,1h");
    let stack = setup.start(&broker).await?;
    Ok((broker, receiver, stack))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_forgotten_is_found_nowhere_and_what_was_to_be_told_of_them_is_not() -> Result<()> {
    let (_broker, receiver, stack) = refused().await?;
    let pairs = [
        ("event", "purchase"),
        ("txid", "t-1"),
        ("value", "9.99"),
        ("email", EMAIL),
        ("phone", PHONE),
        ("name", NAME),
    ];
    let id = stack.plain(&pairs).await?;
    stack.traced(&id, "retry").await?;
    assert_eq!(found(&store(&stack), &[EMAIL, PHONE, NAME]).len(), 3, "or nothing is tested");

    let would = stack.carom_lines(&["forget", "--email", EMAIL, "--dry-run", "--json"]).await?;
    assert_eq!(would[0]["events"], 1, "{would:?}");
    assert_eq!(stack.trace(&id).await?["event"]["person"]["email"], EMAIL, "a dry run changes nothing");
    let forgot = stack.carom_lines(&["forget", "--email", &EMAIL.to_uppercase(), "--json"]).await?;
    assert_eq!((&forgot[0]["events"], &forgot[0]["log_emptied"]), (&json!(1), &json!(true)), "{forgot:?}");
    assert_eq!(found(&store(&stack), &[EMAIL, PHONE, NAME]), [""; 0], "in the store");

    // What waits in the tier comes back, and is not sent; nor is it when somebody replays it.
    stack.letters_become(1, &["--reason", "erased"]).await?;
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    eventually(secs(15), "the replayed delivery is erased again", async || {
        let codes = stack.codes(&id).await?;
        ensure!(codes.iter().filter(|code| *code == "dead").count() == 2, "{codes:?}");
        Ok(())
    })
    .await?;
    assert_eq!(receiver.count(), 1, "nothing was sent after the one attempt before");
    let dead = stack.vhost()?.peek("carom.dead", 10).await?.concat();
    assert!(dead.contains("erased"));
    assert_eq!(found(&dead, &[EMAIL, PHONE, NAME]), [""; 0], "in carom.dead");
    assert_eq!(found(&store(&stack), &[EMAIL, PHONE, NAME]), [""; 0], "in the store, after it all");

    let trace = stack.trace(&id).await?;
    assert_eq!(trace["conversion"]["amount"], "9.99", "the ledger stays: {trace}");
    assert_eq!(trace["deliveries"][0]["reason"], "erased");
    assert!(stack.codes(&id).await?.contains(&"erased".to_owned()));
    let again = stack.carom_lines(&["forget", "--email", EMAIL, "--json"]).await?;
    assert_eq!(again[0]["events"], 0, "{again:?}");
    let bad = stack.carom(&["forget", "--email", "no address"]).await?;
    assert_eq!(bad.code, Some(64), "{}", bad.err);
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_contact_is_forgotten_and_keeps_its_ledger() -> Result<()> {
    let (_broker, receiver, mut stack) = refused().await?;
    let mut order: Value = serde_json::from_str(fixture::ONE_TIME_ORDER)?;
    let contact = &mut order["data"]["contact"];
    contact["email_address"] = json!(EMAIL);
    contact["phone_number"] = json!(PHONE);
    contact["first_name"] = json!(NAME);
    contact["custom_attributes"] = json!({});
    let contact = contact.clone();
    let funnel = stack.events_url(FUNNEL_TOKEN);
    let id = stack.client().webhook(&funnel, order.to_string()).await?.accepted()?;
    stack.traced(&id, "retry").await?;
    let deleted = json!({
        "event_id": "6c1e4d1a-1111-4222-8333-000000000001",
        "event_type": "contact.deleted",
        "created_at": "2026-10-01T00:00:00Z",
        "subject_type": "Contact",
        "subject_id": contact["id"],
        "api_version": 2,
        "workspace_id": order["workspace_id"],
        "data": contact,
    });
    let deletion = stack.client().webhook(&funnel, deleted.to_string()).await?.accepted()?;
    for event in [&deletion, &id] {
        let trace = stack.traced(event, "erased").await?.to_string();
        assert_eq!(found(&trace, &[EMAIL, PHONE, NAME]), [""; 0], "in the trace");
    }
    // It happened before, and comes after.
    order["event_id"] = json!("6c1e4d1a-1111-4222-8333-000000000002");
    order["event_type"] = json!("order.completed");
    let late = stack.client().webhook(&funnel, order.to_string()).await?.accepted()?;
    stack.traced(&late, "erased").await?;

    stack.letters_become(1, &["--reason", "erased"]).await?;
    assert_eq!(receiver.count(), 1);
    assert_eq!(stack.trace(&id).await?["conversion"]["status"], "approved");
    // Whoever leaves last empties the write-ahead log.
    stack.stop(Binary::Ingest).await?;
    stack.stop(Binary::Worker).await?;
    assert_eq!(found(&store(&stack), &[EMAIL, PHONE, NAME]), [""; 0], "in the store");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_was_kept_for_long_enough_goes_and_its_conversion_stays() -> Result<()> {
    let (broker, _receiver, _, setup) = network().await?;
    let setup = setup
        .env("CAROM_RETRY_SCHEDULE", "1s")
        .env("CAROM_WORKER_MAX_DUE", "1s")
        .env("CAROM_WORKER_PARKING", "1s")
        .env("CAROM_RETENTION_PAYLOADS", "4s");
    let stack = setup.start(&broker).await?;
    let pairs = [("event", "purchase"), ("txid", "t-1"), ("value", "9.99"), ("email", EMAIL), ("name", NAME)];
    let id = stack.plain(&pairs).await?;
    stack.traced(&id, "delivered").await?;
    let trace = eventually(secs(15), "its payload is gone", async || {
        let trace = stack.trace(&id).await?;
        ensure!(trace["event"]["data"].is_null(), "it is {}", trace["event"]["data"]);
        Ok(trace)
    })
    .await?;
    assert_eq!(found(&trace.to_string(), &[EMAIL, NAME]), [""; 0], "in the trace");
    assert_eq!(trace["conversion"]["amount"], "9.99");
    assert_eq!(trace["deliveries"][0]["standing"], "delivered");
    let metrics = stack.metrics(Binary::Worker).await?;
    assert!(
        carom_tests::metrics::sum(&metrics, "carom_rows_pruned_total", &[("kind", "payloads")]) == Some(1.0)
    );
    stack.finish().await
}
