//! What an SRE is given is true: the page of metrics, the alerts with their tests and their runbook, the dashboard,
//! the units and the manifests. Each is held against the real thing: running binaries, promtool, a real Prometheus.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::metrics::samples;
use carom_tests::process;
use carom_tests::prometheus::{Prometheus, selectors, shipped};
use carom_tests::receiver::{Answer, Received, Receiver};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// What a healthy system rightly has no series of, with the reason. Matched against the beginning of a selector.
const RIGHTLY_EMPTY: [(&str, &str); 7] = [
    ("carom_request_duration_seconds_count{job=\"carom-ingest\",status=\"5xx\"", "nothing is refused"),
    ("carom_intakes_total{job=\"carom-ingest\",outcome=\"rate_limited\"", "nobody is over a limit"),
    ("carom_signatures_refused_total", "no signature is refused"),
    ("carom_spool_refused_total", "the spool has room"),
    ("carom_deliveries_put_back_total", "no queue was emptied by hand"),
    ("carom_access_tokens_total", "no connector of this system needs a token"),
    ("carom_reconcile_", "no source of this system is reconciled"),
];

/// A system at work whose every kind of figure has come up: clicks, events, deliveries, a retry, a dead letter.
async fn at_work() -> Result<(Broker, Receiver, Stack)> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|request: &Received| {
        Answer::status(if request.path == "/bad" { 503 } else { 200 })
    }));
    let resources = Resources::new()
        .with(Connector::get("good", receiver.url("/good")))
        .with(Connector::get("bad", receiver.url("/bad")).triggers(&["lead"]));
    let setup = Setup::new(&resources).env("CAROM_WORKER_MEASURE_INTERVAL", "500ms");
    let stack = setup.start(&broker).await?;
    traffic(&stack, 0).await?;
    stack.plain(&[("event", "lead"), ("txid", "l")]).await?;
    stack.client().webhook(&stack.events_url(FUNNEL_TOKEN), "{").await?.accepted()?;
    stack.letters_become(1, &["--reason", "undecodable_body"]).await?;
    Ok((broker, receiver, stack))
}

async fn traffic(stack: &Stack, round: u32) -> Result<()> {
    let click = stack.client().click(&stack.click_url("demo")).await?;
    let txid = format!("p{round}");
    stack.plain(&[("event", "purchase"), ("txid", &txid), ("click_id", &click.id)]).await.map(|_| ())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

// ---- The page of metrics -------------------------------------------------------------------

/// The rows of docs/metrics.md below a heading: name, type, labels.
fn documented(page: &str, heading: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let lines = page.lines().skip_while(|line| line.strip_prefix("## ") != Some(heading)).skip(1);
    let rows = lines.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    };
    // An empty cell is written as "| |", which leaves one bar less to split at.
    rows.map(|line| row(&line.replace(" | | ", " |  | "))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_metrics_names_exactly_what_a_running_system_shows() -> Result<()> {
    let (_broker, _receiver, stack) = at_work().await?;
    let described = page("docs/metrics.md")?;
    for binary in Binary::ALL {
        let text = stack.metrics(binary).await?;
        let mut told = documented(&described, binary.name());
        told.extend(documented(&described, "Both"));
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let shown: BTreeMap<_, _> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let told_types: BTreeMap<_, _> =
            told.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
        let not_in = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>| {
            let there = |name: &String, kind: &String| those.get(name) == Some(kind);
            let missing = these.iter().filter(|(name, kind)| !there(name, kind));
            missing.map(|(name, kind)| format!("{name}, a {kind}")).collect::<Vec<_>>()
        };
        let (silent, stale) = (not_in(&shown, &told_types), not_in(&told_types, &shown));
        assert!(silent.is_empty(), "{binary} shows what docs/metrics.md does not have: {silent:#?}");
        assert!(stale.is_empty(), "{binary} does not show what docs/metrics.md has: {stale:#?}");
        for sample in samples(&text) {
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.name.strip_suffix(end));
            let family = stem.filter(|stem| told.contains_key(*stem)).unwrap_or(&sample.name);
            let (_, labels) = told.get(family).with_context(|| format!("{family} is not described"))?;
            for label in sample.labels.keys().filter(|label| *label != "le") {
                assert!(
                    labels.contains(label),
                    "{binary}: {family} has a label {label} of which nothing is said"
                );
            }
        }
    }
    stack.finish().await
}

// ---- The alerts ----------------------------------------------------------------------------

/// An alert, as its rule is written.
#[derive(Debug, Default)]
struct Alert {
    name: String,
    keys: BTreeMap<String, String>,
}

/// The alerts in `deploy/prometheus/rules`. promtool has read the files as what they are; here lines do.
fn alerts() -> Result<Vec<Alert>> {
    let mut alerts: Vec<Alert> = Vec::new();
    for file in files("rules")? {
        for line in std::fs::read_to_string(file)?.lines() {
            let line = line.trim_start();
            if let Some(name) = line.strip_prefix("- alert: ") {
                alerts.push(Alert { name: name.to_owned(), keys: BTreeMap::new() });
            } else if let (Some((key, value)), Some(alert)) = (line.split_once(": "), alerts.last_mut()) {
                alert.keys.insert(key.to_owned(), value.trim_matches('"').to_owned());
            }
        }
    }
    Ok(alerts)
}

fn files(folder: &str) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(shipped().join(folder))?.map(|file| Ok(file?.path()));
    let mut files = listed.collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

async fn promtool(arguments: &[&str], files: &[PathBuf]) -> Result<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).args(files);
    let output = process::output(command).await.context("promtool is in the package prometheus")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    Ok(said.into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_fires_when_it_should_and_stays_quiet_when_it_should_not() -> Result<()> {
    promtool(&["check", "config"], &[shipped().join("prometheus.yml")]).await?;
    let said = promtool(&["test", "rules"], &files("tests")?).await?;
    println!("{}", said.trim());
    let tests: String = files("tests")?.iter().map(std::fs::read_to_string).collect::<Result<_, _>>()?;
    for alert in alerts()? {
        let expected =
            |what: &str| tests.contains(&format!("alertname: {}\n        exp_alerts:{what}", alert.name));
        assert!(expected("\n"), "no test has {} fire", alert.name);
        assert!(expected(" []") || alert.name == "CaromWatchdog", "no test has {} stay quiet", alert.name);
    }
    Ok(())
}

#[test]
fn every_alert_says_how_grave_it_is_and_leads_to_its_section_of_the_runbook() -> Result<()> {
    let runbook = page("docs/alerts.md")?;
    let alerts = alerts()?;
    assert!(alerts.len() > 40, "{} alerts are found", alerts.len());
    for Alert { name, keys } in &alerts {
        let severity = keys.get("severity").with_context(|| format!("{name} has no severity"))?;
        assert!(["critical", "warning", "none"].contains(&severity.as_str()), "{name}: {severity}");
        for key in ["for", "summary", "description"] {
            assert!(keys.get(key).is_some_and(|value| !value.is_empty()), "{name} has no {key}");
        }
        let leads = keys.get("runbook_url").with_context(|| format!("{name} has no runbook_url"))?;
        assert!(leads.ends_with(&format!("/docs/alerts.md#{}", name.to_lowercase())), "{name}: {leads}");
        let section = runbook.split("\n## ").find_map(|section| section.strip_prefix(&format!("{name}\n")));
        let section = section.with_context(|| format!("docs/alerts.md has no section {name}"))?;
        for part in ["**At risk.** ", "**Look first.**\n\n```text\n$ ", "**Do.** ", "**Call.** "] {
            assert!(section.contains(part), "the section of {name} has no {part:?}");
        }
    }
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    for section in sections {
        assert!(alerts.iter().any(|alert| alert.name == section), "there is no alert {section}");
    }
    Ok(())
}

// ---- The dashboard and the rules, against a real Prometheus ------------------------------------

/// The expressions of the dashboard, by their panel.
fn dashboard() -> Result<Vec<(String, String)>> {
    let dashboard: Value = serde_json::from_str(&page("deploy/grafana/carom.json")?)?;
    let panels = dashboard["panels"].as_array().context("a dashboard without panels")?;
    let folded = panels.iter().filter_map(|panel| panel["panels"].as_array()).flatten();
    let mut found = Vec::new();
    for panel in panels.iter().chain(folded) {
        let title = panel["title"].as_str().context("a panel without a title")?;
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().with_context(|| format!("{title}: no expr"))?;
            let filled = expression.replace("$instance", ".+").replace("$__rate_interval", "1m");
            assert!(!filled.replace("\"$1\"", "").contains('$'), "{title}: {expression}");
            found.push((title.to_owned(), filled));
        }
    }
    Ok(found)
}

/// Whether a healthy system need not have what this selects. Prometheus prints matchers with spaces or without.
fn rightly_empty(selector: &str) -> bool {
    let plain = selector.replace(", ", ",");
    RIGHTLY_EMPTY.iter().any(|(beginning, _)| plain.starts_with(beginning))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_of_the_dashboard_and_of_the_rules_finds_data_in_a_real_prometheus() -> Result<()> {
    let (broker, _receiver, stack) = at_work().await?;
    let ports = stack.ports();
    let prometheus = Prometheus::start(&[
        ("carom-ingest", format!("127.0.0.1:{}", ports.ingest_ops)),
        ("carom-worker", format!("127.0.0.1:{}", ports.worker_ops)),
        ("rabbitmq", format!("127.0.0.1:{}", plugin_port(&broker).await?)),
    ])
    .await?;
    let panels = dashboard()?;
    assert!(panels.len() > 30, "the dashboard has {} queries", panels.len());
    let rules = rules(&prometheus).await?;
    let mut wanted: BTreeSet<String> = panels.iter().map(|(_, expression)| expression.clone()).collect();
    wanted.extend(rules.iter().flat_map(|(_, query)| selectors(query)).filter(|it| !rightly_empty(it)));
    let mut round = 0;
    eventually(secs(45), "every query finds data", async || {
        round += 1;
        traffic(&stack, round).await?;
        let mut empty = Vec::new();
        for expression in &wanted {
            if prometheus.series(expression).await? == 0 {
                empty.push(expression);
            }
        }
        ensure!(empty.is_empty(), "{} of {} find nothing: {empty:#?}", empty.len(), wanted.len());
        Ok(())
    })
    .await?;
    for (name, health) in healths(&prometheus).await? {
        assert_eq!(health, "ok", "the rule {name} cannot be evaluated");
    }
    println!(
        "{} queries find data: {} of the dashboard, the rest of {} rules",
        wanted.len(),
        panels.len(),
        rules.len()
    );
    stack.finish().await
}

/// Where the broker's own Prometheus plugin listens, as the broker tells.
async fn plugin_port(broker: &Broker) -> Result<u64> {
    let overview = broker.management.get("/api/overview").await?;
    let listeners = overview["listeners"].as_array().context("no listeners")?;
    let plugin = listeners.iter().find(|listener| listener["protocol"] == "http/prometheus");
    plugin.and_then(|plugin| plugin["port"].as_u64()).context("the broker has no rabbitmq_prometheus")
}

async fn rules(prometheus: &Prometheus) -> Result<Vec<(String, String)>> {
    told_of_rules(prometheus, "query").await
}

async fn healths(prometheus: &Prometheus) -> Result<Vec<(String, String)>> {
    told_of_rules(prometheus, "health").await
}

async fn told_of_rules(prometheus: &Prometheus, what: &str) -> Result<Vec<(String, String)>> {
    let data = prometheus.api("rules").await?;
    let groups = data["groups"].as_array().context("no groups")?;
    let rules = groups.iter().filter_map(|group| group["rules"].as_array()).flatten();
    let word = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    Ok(rules.map(|rule| (word(rule, "name"), word(rule, what))).collect())
}

#[test]
fn rules_and_dashboard_use_only_metrics_that_are_described() -> Result<()> {
    let described = page("docs/metrics.md")?;
    let rules: String = files("rules")?.iter().map(std::fs::read_to_string).collect::<Result<_, _>>()?;
    let panels: String = dashboard()?.into_iter().map(|(_, expression)| expression + "\n").collect();
    let text = rules + &panels;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    for name in words.filter(|word| word.starts_with("carom_")) {
        let stem =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let there = |name: &str| described.contains(&format!("| `{name}` |"));
        assert!(there(name) || there(stem), "{name} is in use, and docs/metrics.md does not describe it");
    }
    Ok(())
}

// ---- Health, units, manifests ------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_can_be_asked_by_a_command_how_it_is() -> Result<()> {
    let (_broker, _receiver, _, setup) = crate::network().await?;
    let mut stack = setup.start(&_broker).await?;
    let ask = async |stack: &Stack, binary: Binary| {
        let mut command = process::command(binary.name())?;
        command.arg("--config").arg(stack.dir().join("carom.toml")).arg("health");
        process::output(command).await
    };
    for binary in Binary::ALL {
        let output = ask(&stack, binary).await?;
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"ready\n"[..]), "{binary}");
        stack.stop(binary).await?;
        let output = ask(&stack, binary).await?;
        assert_eq!(output.status.code(), Some(1), "{binary} has ended");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nobody answers"), "{binary}: {output:?}");
    }
    stack.finish().await
}

/// A check of `deploy/` that may lack its tool: 69 says so, and what it printed says which.
async fn check(script: &str) -> Result<()> {
    let output = process::output(Command::new(root().join(script))).await?;
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(matches!(output.status.code(), Some(0 | 69)), "{script}: {}", output.status);
    Ok(())
}

#[tokio::test]
async fn the_units_of_systemd_are_sound_and_as_closed_as_is_said() -> Result<()> {
    check("deploy/systemd/check").await
}

#[tokio::test]
async fn the_manifests_keep_to_the_schema_of_kubernetes() -> Result<()> {
    check("deploy/kubernetes/check").await
}
