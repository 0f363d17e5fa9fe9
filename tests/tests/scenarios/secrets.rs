//! Tokens, passwords and what a connector authenticates with appear in no process log, no metric and no
//! message on the broker; personal data in no process log and no metric.

use anyhow::{Result, ensure};
use carom_tests::broker::Broker;
use carom_tests::eventually::{eventually, secs};
use carom_tests::receiver::{Answer, Received, Receiver};
use carom_tests::resources::{Connector, FUNNEL_TOKEN, PLAIN_TOKEN, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use std::sync::Arc;

const KEY: &str = "network-key-5ca1ab1e-0ddba11";
const QUERY_TOKEN: &str = "query-token-cafebabe-f00d";
const PERSON: &str = "jane.secretive@person.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_persons_appear_in_no_log_and_no_metric_and_secrets_in_no_message() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    // It echoes what it was sent, as careless receivers do.
    receiver.answer(Arc::new(|request: &Received| {
        let key = request.header("x-key").unwrap_or_default();
        Answer { body: format!("no such key {key}, {}", request.path), ..Answer::status(500) }
    }));
    let connector = |id: &str| {
        Connector::get(id, receiver.url("/postback"))
            .secret_header("X-Key", "SCENARIO_NETWORK_KEY")
            .parameter("access_token", QUERY_TOKEN)
            .parameter("email", "{{EMAIL}}")
    };
    let resources = Resources::new().with(connector("network"));
    let stack = Setup::new(&resources)
        .env("SCENARIO_NETWORK_KEY", KEY)
        .env("CAROM_LOG_LEVEL", "debug")
        .env("CAROM_RETRY_SCHEDULE", "1s,2s")
        .start(&broker)
        .await?;
    let link = format!("{}?email={PERSON}", stack.click_url("demo"));
    stack.client().click(&link).await?;
    stack.client().get(&stack.events_url("mistyped-token-0123456789")).await?;
    stack.client().get(&format!("{}?email={PERSON}", stack.events_url(FUNNEL_TOKEN))).await?;
    stack.plain(&[("event", "purchase"), ("txid", "s"), ("email", PERSON)]).await?;
    let first = receiver.wait_for(secs(10), 1, |_| true).await?.remove(0);
    assert_eq!(first.header("x-key"), Some(KEY), "the receiver gets the key, or nothing was tested");
    assert_eq!(first.field("access_token").as_deref(), Some(QUERY_TOKEN));

    // What waits in a tier, and what is dead.
    let waiting = eventually(secs(5), "a message waits in a tier", async || {
        let mut bodies = Vec::new();
        for tier in ["carom.retry.1s", "carom.retry.2s"] {
            bodies.extend(stack.vhost()?.peek(tier, 10).await?);
        }
        ensure!(!bodies.is_empty(), "none does");
        Ok(bodies)
    })
    .await?;
    stack.letters_become(1, &["--reason", "exhausted"]).await?;
    let dead = stack.vhost()?.peek("carom.dead", 10).await?;
    assert_eq!(dead.len(), 1);
    for (place, bodies) in [("a tier", &waiting), ("the dead letters", &dead)] {
        for secret in [KEY, QUERY_TOKEN, PLAIN_TOKEN, FUNNEL_TOKEN] {
            assert!(!bodies.concat().contains(secret), "{secret} in a message of {place}: {bodies:?}");
        }
    }
    clean(&stack, "after it all").await?;

    // The webhook log and the trace are stored data: masked.
    let log = stack.carom_ok(&["log", "--json"]).await?;
    assert!(log.contains("access_token=…"), "{log}");
    let letter = stack.carom_ok(&["dlq", "list", "--json"]).await?;
    let store: Vec<u8> = ["carom.db", "carom.db-wal", "snapshot.json"]
        .iter()
        .filter_map(|file| std::fs::read(stack.dir().join(file)).ok())
        .flatten()
        .collect();
    let store = String::from_utf8_lossy(&store).into_owned();
    for secret in [KEY, PLAIN_TOKEN, FUNNEL_TOKEN] {
        assert!(!log.contains(secret) && !letter.contains(secret), "{secret} in a listing");
        assert!(!store.contains(secret), "{secret} in the store or the snapshot");
    }
    assert!(!log.contains(QUERY_TOKEN) && !letter.contains(QUERY_TOKEN), "a query token in a listing");
    stack.finish().await
}

/// Nothing secret or personal in the logs and metrics of either binary.
async fn clean(stack: &Stack, when: &str) -> Result<()> {
    for binary in Binary::ALL {
        let (log, metrics) = (stack.log(binary)?, stack.metrics(binary).await?);
        assert!(log.lines().count() > 3, "{binary} logs, or nothing is tested");
        for secret in [
            KEY,
            QUERY_TOKEN,
            PLAIN_TOKEN,
            FUNNEL_TOKEN,
            "mistyped-token",
            "guest:guest",
            PERSON,
            "secretive",
        ] {
            for (place, text) in [("log", &log), ("metrics", &metrics)] {
                let line = text.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{secret} in the {place} of {binary} {when}");
            }
        }
    }
    Ok(())
}

/// What no command may print, each with where it is planted.
const PLANTED: [(&str, &str); 9] = [
    ("broker.url", "planted-broker-password-1f3a"),
    ("broker.management_url", "planted-management-password-2e4b"),
    ("a source's token", "planted-source-token-3d5c0123456789"),
    ("a signing secret", "planted-signing-secret-4c6d"),
    ("a connector's header", "planted-header-key-5b7e"),
    ("a connector's authorization", "planted-bearer-token-6a8f"),
    ("a connector's declared secret", "planted-declared-secret-7990"),
    ("a webhook's signing secret", "cGxhbnRlZC13ZWJob29rLXNpZ25pbmctODhhMQ=="),
    ("the sender's API", "planted-api-token-97b2"),
];

const PLANTED_RESOURCES: &str = r#"
[[source]]
id = "planted"
advertiser = "acme"
kind = "plain"
tokens = ["planted-source-token-3d5c0123456789"]

[[source]]
id = "signed"
advertiser = "acme"
kind = "clickfunnels"
event_domains = ["signed.scenario.example"]
[source.signature]
scheme = "clickfunnels"
secrets = [{ env = "PLANTED_3" }]
[source.api]
base_url = "http://127.0.0.1:9/api/v2"
workspace = 7
token = { env = "PLANTED_8" }
endpoint_url = "https://signed.scenario.example/api/v1/events"
reconcile_every = "0s"

[[connector]]
id = "planted"
advertiser = "acme"
triggers = ["conversion"]
[connector.webhook]
method = "POST"
encoding = "json"
url = "{RECEIVER}/planted/{{secret.declared}}?key={{secret.declared}}"
body = '{"tx": "{{TRANSACTION_ID}}", "key": "{{secret.declared}}"}'
headers = [{ name = "X-Key", secret = { env = "PLANTED_4" } }]
authorization = { kind = "bearer", token = { env = "PLANTED_5" } }
secrets = { declared = { env = "PLANTED_6" } }
[connector.webhook.signing]
secrets = [{ env = "PLANTED_7" }]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_prints_a_secret_well_used_or_badly() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    receiver.answer(Arc::new(|request: &Received| {
        let said = format!("no: {:?} {} {:?}", request.headers, request.path, request.query);
        Answer { body: said, ..Answer::status(500) }
    }));
    let resources = Resources::new().and_text(&PLANTED_RESOURCES.replace("{RECEIVER}", &receiver.url("")));
    let mut setup = Setup::new(&resources)
        .env("CAROM_LOG_LEVEL", "debug")
        .env("CAROM_RETRY_SCHEDULE", "1s")
        .env("CAROM_BROKER_MANAGEMENT_URL", format!("http://planted:{}@127.0.0.1:9", PLANTED[1].1));
    for (index, (_, secret)) in PLANTED.iter().enumerate().skip(3) {
        let secret = if index == 7 { format!("whsec_{secret}") } else { (*secret).to_owned() };
        setup = setup.env(&format!("PLANTED_{index}"), secret);
    }
    let mut stack = setup.start(&broker).await?;
    let url = stack.events_url(PLANTED[2].1);
    let sale = [("event", "purchase"), ("txid", "planted"), ("payout", "1"), ("email", PERSON)];
    let event = stack.client().form(&url, &sale).await?.accepted()?;
    let request = receiver.wait_for(secs(15), 1, |_| true).await?.remove(0);
    assert_eq!(request.header("x-key"), Some(PLANTED[4].1), "the secrets are in use, or nothing is tested");
    let letter = stack.letters_become(1, &[]).await?.remove(0);
    let delivery = letter["delivery"].as_str().or(letter["id"].as_str()).unwrap_or_default().to_owned();

    let commands: Vec<Vec<&str>> = [
        "--help",
        "run --help",
        "check",
        "check --json",
        "check --print-defaults",
        "check resources.toml",
        "check resources.toml --json",
        "apply resources.toml",
        "migrate",
        "connectors",
        "connectors --json",
        "log",
        "log --json",
        "dlq list",
        "dlq list --json",
        "dlq replay --all --dry-run",
        "dlq purge --help",
        "macros",
        "macros --source planted",
        "macros --json",
        "events seen",
        "events seen --json",
        "connector list",
        "connector new --from meta_capi --id x --advertiser acme",
        "connector new --from nothing",
        "pause planted",
        "resume planted",
        "pause nobody",
        "clickfunnels setup signed",
        "clickfunnels setup signed --dry-run",
        "clickfunnels reconcile signed",
        "clickfunnels reconcile planted",
        "simulate resources.toml",
        "simulate resources.toml --json",
        "trace nothing",
        "no-such-command",
        "preview planted",
        "preview planted --json",
        "test-webhook planted",
        "test-webhook planted --json",
        "forget --email nobody@example.com --dry-run",
        "forget --contact 1",
    ]
    .iter()
    .map(|line| line.split_whitespace().collect())
    .chain([
        vec!["trace", &*event],
        vec!["trace", &*event, "--json"],
        vec!["dlq", "show", &*delivery],
        vec!["dlq", "show", &*delivery, "--json"],
        vec!["preview", "planted", "--event", &*event],
        vec!["test-webhook", "planted", "--event", &*event],
    ])
    .collect();
    let mut went_well = 0;
    for arguments in &commands {
        let ran = stack.carom(arguments).await?;
        went_well += usize::from(ran.code == Some(0));
        silent(&format!("carom-worker {}", arguments.join(" ")), &[&ran.out, &ran.err]);
    }
    println!("{went_well} of {} commands went well", commands.len());
    assert!(went_well >= 25, "only {went_well} did: too little is tested");

    // Files that are broken around a secret, as a person breaks them.
    let config = std::fs::read_to_string(stack.dir().join("carom.toml"))?;
    let resources = resources.to_toml();
    let secret_broker = format!("amqp://planted:{}@127.0.0.1:9/%2f", PLANTED[0].1);
    let broken_configs = [
        format!("[broker]\nurl = \"{secret_broker}\nconfirm_timeout = \"5s\"\n"),
        format!("[broker]\nurl = {secret_broker}\n"),
        format!("[broker]\nurl = [\"{secret_broker}\"]\n"),
        format!("[broker]\nuri = \"{secret_broker}\"\n"),
        format!("broker = \"{secret_broker}\"\n"),
        format!("[broker]\nurl = \"http://planted:{}@127.0.0.1\"\n", PLANTED[0].1),
        format!("[broker]\nurl = \"{}\"\n", PLANTED[0].1),
    ];
    for text in broken_configs {
        std::fs::write(stack.dir().join("broken.toml"), &text)?;
        for arguments in [vec!["check"], vec!["dlq", "replay", "--all"], vec!["connectors"]] {
            let mut command = stack.carom_command(&arguments)?;
            command.env("CAROM_CONFIG", "broken.toml");
            let output = carom_tests::process::output(rebased(command)).await?;
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            silent(&format!("{} with {text}", arguments.join(" ")), &[&out, &err]);
        }
    }
    let token = PLANTED[2].1;
    for (from, to) in [
        ("tokens = [\"planted-", "tokens = \"planted-"),
        (
            "tokens = [\"planted-source-token-3d5c0123456789\"]",
            "token = [\"planted-source-token-3d5c0123456789\"]",
        ),
        (
            "tokens = [\"planted-source-token-3d5c0123456789\"]",
            "tokens = [\"planted-source-token-3d5c0123456789\"",
        ),
        ("secrets = [{ env = \"PLANTED_3\" }]", "secrets = [\"planted-signing-secret-4c6d\"]"),
        ("token = { env = \"PLANTED_5\" }", "token = \"planted-bearer-token-6a8f\""),
        ("secret = { env = \"PLANTED_4\" }", "secret = \"planted-header-key-5b7e\""),
        ("declared = { env = \"PLANTED_6\" }", "declared = \"planted-declared-secret-7990\""),
        ("token = { env = \"PLANTED_8\" }", "token = \"planted-api-token-97b2\""),
    ] {
        let text = resources.replace(from, to);
        assert_ne!(text, resources, "{from}");
        std::fs::write(stack.dir().join("broken-resources.toml"), text)?;
        for arguments in [["check", "broken-resources.toml"], ["apply", "broken-resources.toml"]] {
            let ran = stack.carom(&arguments).await?;
            silent(&format!("{} with {to}", arguments.join(" ")), &[&ran.out, &ran.err]);
        }
    }
    assert!(!config.contains(token));
    for binary in Binary::ALL {
        silent(&format!("{binary}"), &[&stack.log(binary)?, &stack.metrics(binary).await?]);
    }

    // Ingest with a broker whose password is planted, and no spool: it says what is wrong, not what it knows.
    stack.stop(Binary::Ingest).await?;
    stack.set_env("CAROM_BROKER_URL", &secret_broker);
    let nowhere = stack.dir().join("carom.toml").join(PERSON);
    stack.set_env("CAROM_SPOOL_PATH", &nowhere.with_file_name("spool.db").to_string_lossy());
    stack.start_binary(Binary::Ingest)?;
    eventually(secs(15), "it answers, and is not ready", async || {
        let answer = stack.client().get(&stack.ops_url(Binary::Ingest, "/readyz")).await?;
        ensure!(answer.status == 503, "{}", answer.body);
        silent("/readyz", &[&answer.body]);
        Ok(())
    })
    .await?;
    let refused = stack.client().form(&url, &sale).await?;
    assert_eq!(refused.status, 503);
    silent("an answer", &[&refused.body]);
    silent("ingest", &[&stack.log(Binary::Ingest)?, &stack.metrics(Binary::Ingest).await?]);
    stack.stop(Binary::Ingest).await?;
    stack.quietly();
    Ok(())
}

/// The command without the `--config` that the stack has given it, so that CAROM_CONFIG counts.
fn rebased(command: std::process::Command) -> std::process::Command {
    let mut rebased = std::process::Command::new(command.get_program());
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            arguments.next();
        } else {
            rebased.arg(argument);
        }
    }
    rebased.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    rebased.current_dir(command.get_current_dir().unwrap_or(std::path::Path::new(".")));
    rebased
}

/// Nothing that was planted is in any of this.
fn silent(what: &str, texts: &[&str]) {
    for text in texts {
        for (place, secret) in PLANTED {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{place} is printed by {what}");
        }
    }
}
