//! ClickFunnels' API as a partner: our endpoint is set up there, and what never arrived is fed, once.

use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::clickfunnels::{API_TOKEN, ClickFunnels, WORKSPACE};
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics;
use carom_tests::process::Process;
use carom_tests::receiver::Receiver;
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

const TOKEN: &str = "scenario-partner-token-0123456789";
const SECRET_FILE: &str = "endpoint secret";

fn resources(api: &ClickFunnels, receiver: &Receiver, more: &str) -> Resources {
    let source = format!(
        "\n[[source]]\nid = \"partner\"\nadvertiser = \"acme\"\nkind = \"clickfunnels\"\n\
         tokens = [{{ env = \"SCENARIO_PARTNER_TOKEN\" }}]\n[source.api]\nbase_url = \"{}\"\n\
         workspace = {WORKSPACE}\ntoken = {{ env = \"SCENARIO_API_TOKEN\" }}\nsecret_file = \"{SECRET_FILE}\"\n\
         endpoint_url = \"https://carom.example/api/v1/events/{{token}}?click_id={{contact.x}}\"\n{more}\n",
        api.base_url()
    );
    Resources::new().with(Connector::get("network", receiver.url("/postback"))).and_text(&source)
}

async fn stack(resources: &Resources, api_token: &str) -> Result<Stack> {
    let broker = Broker::shared().await?;
    let setup =
        Setup::new(resources).env("SCENARIO_PARTNER_TOKEN", TOKEN).env("SCENARIO_API_TOKEN", api_token);
    setup.start(&broker).await
}

async fn reconciled(stack: &Stack, arguments: &[&str]) -> Result<Value> {
    let command = [&["clickfunnels", "reconcile", "partner", "--json"], arguments].concat();
    Ok(serde_json::from_str(&stack.carom_ok(&command).await?)?)
}

/// The figures of a report: read, known, missing, published, cursor.
fn figures(report: &Value) -> [u64; 5] {
    ["read", "known", "missing", "published", "cursor"].map(|name| report[name].as_u64().unwrap_or(u64::MAX))
}

/// Waits until this many purchases were told; fails where one was told twice.
async fn told(receiver: &Receiver, count: usize) -> Result<()> {
    eventually(secs(30), format!("{count} purchases are told"), async || {
        let taken = receiver.taken();
        ensure!(taken.len() == count, "{} are", taken.len());
        Ok(())
    })
    .await?;
    ensure!(receiver.taken().values().all(|times| *times == 1), "one was told twice: {:?}", receiver.taken());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_what_never_arrived_is_fed_and_once() -> Result<()> {
    let (api, receiver) = (ClickFunnels::start()?, Receiver::start()?);
    let stack = stack(&resources(&api, &receiver, "reconcile_every = \"0s\""), API_TOKEN).await?;
    for order in 0..45 {
        let webhook = api.order(order);
        if order % 9 != 4 {
            stack.client().webhook(&stack.events_url(TOKEN), webhook.to_string()).await?.accepted()?;
        }
    }
    told(&receiver, 40).await?;

    let dry = reconciled(&stack, &["--dry-run"]).await?;
    assert_eq!(figures(&dry), [45, 40, 5, 0, 144], "{dry}");
    assert_eq!(dry["events"].as_array().map(Vec::len), Some(5));

    // The first request reads backwards to where the reach ends; the trouble is with the pages.
    let before = api.asked().len();
    api.trouble(4, 429, Some(1));
    api.trouble(5, 500, None);
    let report = reconciled(&stack, &[]).await?;
    assert_eq!(figures(&report), [45, 40, 5, 5, 144], "{report}");
    let answers: Vec<_> = api.asked()[before..].iter().map(|asked| asked.answered).collect();
    assert!(answers.contains(&429) && answers.contains(&500), "{answers:?}");
    told(&receiver, 45).await?;

    let again = reconciled(&stack, &[]).await?;
    assert_eq!(figures(&again), [0, 0, 0, 0, 144], "{again}");
    let anew = reconciled(&stack, &["--since", "0"]).await?;
    assert_eq!(figures(&anew), [45, 45, 0, 0, 144], "what was fed is known: {anew}");
    told(&receiver, 45).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_goes_on_where_it_was() -> Result<()> {
    let (api, receiver) = (ClickFunnels::start()?, Receiver::start()?);
    let stack = stack(&resources(&api, &receiver, "reconcile_every = \"0s\""), API_TOKEN).await?;
    for order in 0..45 {
        api.order(order);
    }
    // Two pages are done, and the third is asked for in vain.
    api.silence(2);
    let command = stack.carom_command(&["clickfunnels", "reconcile", "partner", "--since", "0"])?;
    let killed = Process::start("reconcile", command, &stack.dir().join("reconcile.log"))?;
    eventually(secs(20), "the third page is asked for", async || {
        let asked = api.asked();
        ensure!(asked.iter().any(|asked| asked.path.ends_with("events?after=139")), "{asked:?}");
        Ok(())
    })
    .await?;
    killed.kill()?;
    told(&receiver, 40).await?;
    let report = reconciled(&stack, &[]).await?;
    assert_eq!(figures(&report), [5, 0, 5, 5, 144], "{report}");
    told(&receiver, 45).await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_is_set_up_and_what_it_misses_is_fed_by_the_running_worker() -> Result<()> {
    let (api, receiver) = (ClickFunnels::start()?, Receiver::start()?);
    // Years of sales from before Carom: nobody wants them told now.
    for order in 1_000..1_050 {
        api.order(order);
    }
    let off = "reconcile_every = \"0s\"";
    let stack = stack(&resources(&api, &receiver, off), API_TOKEN).await?;
    let set_up = async |arguments: &[&str]| {
        let command = [&["clickfunnels", "setup", "partner"], arguments].concat();
        stack.carom(&command).await
    };
    let dry = set_up(&["--dry-run"]).await?;
    assert_eq!((dry.code, api.endpoints().len()), (Some(0), 0), "{dry:?}");
    let created = set_up(&[]).await?;
    assert_eq!(created.code, Some(0), "{created:?}");
    let endpoint = api.endpoints().remove(0);
    assert_eq!(
        endpoint["url"],
        format!("https://carom.example/api/v1/events/{TOKEN}?click_id={{contact.x}}")
    );
    let file = stack.dir().join(SECRET_FILE);
    assert_eq!(std::fs::read_to_string(&file)?.trim_end(), api.secrets()[0]);
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);

    // As it should be; then under another name, with other types; then with its secret lost.
    let unchanged = set_up(&["--json"]).await?;
    assert_eq!(serde_json::from_str::<Value>(&unchanged.out)?["action"], "unchanged", "{unchanged:?}");
    let other = "endpoint_name = \"Carom two\"\nevent_types = [\"one-time-order.completed\"]";
    stack.apply(&resources(&api, &receiver, &format!("{off}\n{other}"))).await?;
    let updated = set_up(&["--json"]).await?;
    let report: Value = serde_json::from_str(&updated.out)?;
    assert_eq!((&report["action"], &report["changed"]), (&json!("updated"), &json!(["name", "event_types"])));
    assert_eq!(api.endpoints()[0]["event_type_ids"], json!(["one-time-order.completed"]));
    assert_eq!(api.endpoints()[0]["page_ids"], json!([]), "what is not ours to say stays");
    std::fs::remove_file(&file)?;
    let lost = set_up(&[]).await?;
    assert_eq!(lost.code, Some(1));
    assert!(lost.err.contains("--recreate"), "{}", lost.err);
    let recreated = set_up(&["--recreate"]).await?;
    assert_eq!((recreated.code, api.endpoints().len()), (Some(0), 1), "{recreated:?}");
    assert_eq!(std::fs::read_to_string(&file)?.trim_end(), api.secrets()[1]);

    // What comes after the setting up, and never arrives, is fed by the worker itself.
    for order in 0..3 {
        api.order(order);
    }
    stack.apply(&resources(&api, &receiver, &format!("reconcile_every = \"1s\"\n{other}"))).await?;
    told(&receiver, 3).await?;
    let text = stack.metrics(Binary::Worker).await?;
    let source = [("source", "partner")];
    assert_eq!(metrics::sum(&text, "carom_reconcile_missing_total", &source), Some(3.0));
    eventually(secs(10), "a run is counted", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let runs = [("source", "partner"), ("outcome", "done")];
        ensure!(metrics::sum(&text, "carom_reconcile_runs_total", &runs) > Some(0.0), "none is");
        let at = metrics::sum(&text, "carom_reconcile_last_success_timestamp_seconds", &source);
        ensure!(at > Some(1.0e9), "it was at {at:?}");
        Ok(())
    })
    .await?;
    for secret in api.secrets().iter().map(String::as_str).chain([TOKEN, API_TOKEN]) {
        for said in [&created, &unchanged, &updated, &lost, &recreated] {
            assert!(!format!("{said:?}").contains(secret), "a command printed {secret}: {said:?}");
        }
        assert!(!stack.log(Binary::Worker)?.contains(secret), "{secret} in the log");
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_api_does_not_know_is_told_with_what_to_do_and_moves_nothing() -> Result<()> {
    let (api, receiver) = (ClickFunnels::start()?, Receiver::start()?);
    api.order(1);
    let resources = resources(&api, &receiver, "reconcile_every = \"1s\"");
    let stack = stack(&resources, "a-token-of-yesterday").await?;
    for command in [["clickfunnels", "reconcile", "partner"], ["clickfunnels", "setup", "partner"]] {
        let ran = stack.carom(&command).await?;
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("(401)") && ran.err.contains("source.api.token"), "{}", ran.err);
        assert!(!ran.err.contains("yesterday"), "{}", ran.err);
    }
    eventually(secs(10), "the worker counts its failures", async || {
        let text = stack.metrics(Binary::Worker).await?;
        let runs = [("source", "partner"), ("outcome", "failed")];
        ensure!(metrics::sum(&text, "carom_reconcile_runs_total", &runs) > Some(0.0), "none is");
        Ok(())
    })
    .await?;
    assert_eq!(receiver.count(), 0);
    stack.finish().await
}
