//! Who may enter the broker, and whom we believe that it is: TLS with names verified, certificates and passwords that
//! change while we run, users with no more rights than are needed.

use anyhow::{Context, Result, ensure};
use carom_tests::broker::{Broker, Vhost};
use carom_tests::eventually::{eventually, secs};
use carom_tests::management::encoded;
use carom_tests::node::Node;
use carom_tests::receiver::{Answer, Received, Receiver};
use carom_tests::resources::{Connector, Resources};
use carom_tests::stack::{Binary, Setup, Stack};
use carom_tests::tls::Authority;
use reqwest::Url;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// The rights that docs/rabbitmq.md gives the binaries, and no others.
const RIGHTS: [&str; 3] = [r"^carom\..*", r"^(carom\..*|amq\.default)$", r"^carom\..*"];
/// Of an ingest that declares nothing.
const PUBLISHING: [&str; 3] = ["^$", r"^amq\.default$", "^$"];
/// Every character in it means something in a URL.
const PASSWORD: &str = "p@ss/w:rd%#? ü&[1]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_is_spoken_to_through_tls_with_its_name_verified_and_ours_shown() -> Result<()> {
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let dir = tempfile::Builder::new().prefix("carom certificates ").tempdir()?;
    let [server, client, other] = ["server", "client", "other"].map(|name| dir.path().join(name));
    authority.write(&server, "broker", &["localhost"])?;
    authority.write(&client, "carom-by-certificate", &[])?;
    stranger.write(&other, "stranger", &["localhost"])?;
    let node = Node::start_with_tls(&server).await?;
    let broker = Broker::at(&node.broker_url, &node.management_url)?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let (ca, url_file) = (dir.path().join("ca.pem"), dir.path().join("broker url"));
    std::fs::copy(server.join("ca.pem"), &ca)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut stack = Setup::new(&resources)
        .env("CAROM_BROKER_URL_FILE", text(&url_file))
        .env("CAROM_BROKER_CA_FILE", text(&ca))
        .env("CAROM_BROKER_CLIENT_CERT_FILE", text(&client.join("cert.pem")))
        .env("CAROM_BROKER_CLIENT_KEY_FILE", text(&client.join("key.pem")))
        .prepare(&broker)
        .await?;
    let mut url: Url = node.tls_url.as_deref().context("the node speaks no TLS")?.parse()?;
    url.set_path(&format!("/{}", stack.vhost()?.name));
    let good = format!("{url}\n");
    std::fs::write(&url_file, &good)?;
    stack = stack.started().await?;
    stack.plain(&[("event", "purchase"), ("txid", "encrypted")]).await?;
    receiver.has_taken("encrypted").await?;
    for connection in connections(stack.vhost()?).await? {
        assert_eq!(connection["ssl"], true, "{connection}");
        assert_eq!(connection["user"], "guest", "{connection}");
    }

    // Signed by somebody else, as far as we know.
    std::fs::copy(other.join("ca.pem"), &ca)?;
    refused_for(&stack, "broker.ca_file").await?;
    std::fs::copy(server.join("ca.pem"), &ca)?;
    stack.ready().await?;

    // The same broker by another name than its certificate's.
    url.set_host(Some("127.0.0.1"))?;
    std::fs::write(&url_file, url.as_str())?;
    refused_for(&stack, "be for the host as the configuration names it").await?;
    std::fs::write(&url_file, &good)?;
    stack.ready().await?;

    // Nobody's name and password: the certificate's common name.
    user(stack.vhost()?, "carom-by-certificate", None, RIGHTS).await?;
    url.set_host(Some("localhost"))?;
    let _ = (url.set_username(""), url.set_password(None));
    std::fs::write(&url_file, url.as_str())?;
    eventually(secs(30), "both binaries log in by their certificate", async || {
        let there = connections(stack.vhost()?).await?;
        let by_it = |connection: &&Value| {
            connection["user"] == "carom-by-certificate" && connection["auth_mechanism"] == "EXTERNAL"
        };
        let left = there.iter().filter(|connection| !by_it(connection)).count();
        if left > 0 {
            close_connections(stack.vhost()?).await?;
        }
        ensure!(there.len() == 3 && left == 0, "{left} of {} do not", there.len());
        Ok(())
    })
    .await?;
    stack.ready().await?;
    stack.plain(&[("event", "purchase"), ("txid", "by-certificate")]).await?;
    receiver.has_taken("by-certificate").await?;
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_changes_without_a_restart_and_a_refusal_says_what_to_do_and_no_password() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let dir = tempfile::tempdir()?;
    let url_file = dir.path().join("url");
    let setup = Setup::new(&resources).env("CAROM_BROKER_URL_FILE", url_file.to_string_lossy());
    let mut stack = setup.prepare(&broker).await?;
    let (user, _guard) = new_user(stack.vhost()?, PASSWORD, RIGHTS).await?;
    let at = |password: &str, vhost: &str| -> Result<()> {
        let place = stack_url(&broker, &user, password, vhost)?;
        // As secrets are replaced: at once, never half.
        std::fs::write(dir.path().join("new"), place)?;
        Ok(std::fs::rename(dir.path().join("new"), &url_file)?)
    };
    let name = stack.vhost()?.name.clone();
    at(PASSWORD, &name)?;
    stack = stack.started().await?;
    stack.plain(&[("event", "purchase"), ("txid", "before")]).await?;
    receiver.has_taken("before").await?;

    set_user(&broker, &user, Some("an0ther/p@ssword")).await?;
    refused_for(&stack, "wrong password").await?;
    at("an0ther/p@ssword", &name)?;
    stack.ready().await?;
    stack.plain(&[("event", "purchase"), ("txid", "after")]).await?;
    receiver.has_taken("after").await?;

    at("an0ther/p@ssword", "carom-no-such-vhost")?;
    refused_for(&stack, "add_vhost").await?;
    at("an0ther/p@ssword", &name)?;
    stack.ready().await?;

    permit(stack.vhost()?, &user, PUBLISHING).await?;
    refused_for(&stack, "may not declare carom.events").await?;
    permit(stack.vhost()?, &user, RIGHTS).await?;
    stack.ready().await?;

    for binary in Binary::ALL {
        let log = stack.log(binary)?;
        for secret in [PASSWORD, "an0ther", "p@ss", "p%40ss"] {
            assert!(!log.contains(secret), "{binary} tells a password");
        }
    }
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_the_documentation_lists_are_enough_for_everything() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    // One is retried and then taken, the other ends in the dead letters and is replayed.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    receiver.answer(Arc::new(move |request: &Received| {
        let first = counted.fetch_add(1, Ordering::SeqCst) < 4;
        Answer::status(if first || request.path == "/never" { 503 } else { 200 })
    }));
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let dir = tempfile::tempdir()?;
    let url_file = dir.path().join("url");
    let mut stack = Setup::new(&resources)
        .env("CAROM_RETRY_SCHEDULE", "100ms,200ms")
        .env("CAROM_BROKER_URL_FILE", url_file.to_string_lossy())
        .prepare(&broker)
        .await?;
    let (user, _guard) = new_user(stack.vhost()?, PASSWORD, RIGHTS).await?;
    std::fs::write(&url_file, stack_url(&broker, &user, PASSWORD, &stack.vhost()?.name)?)?;
    stack = stack.started().await?;
    stack.client().click(&stack.click_url("demo")).await?;
    stack.plain(&[("event", "purchase"), ("txid", "dies")]).await?;
    stack.letters_become(1, &[]).await?;
    stack.carom_ok(&["dlq", "replay", "--all"]).await?;
    receiver.has_taken("dies").await?;
    let refusals = stack.log(Binary::Worker)? + &stack.log(Binary::Ingest)?;
    assert!(!refusals.contains("ACCESS_REFUSED") && !refusals.contains("may not"), "{refusals}");
    stack.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingest_that_declares_nothing_needs_no_more_than_the_right_to_publish() -> Result<()> {
    let broker = Broker::shared().await?;
    let receiver = Receiver::start()?;
    let resources = Resources::new().with(Connector::get("network", receiver.url("/postback")));
    let mut stack = Setup::new(&resources).env("CAROM_INGEST_DECLARE", "false").prepare(&broker).await?;
    stack.carom_ok(&["apply", "resources.toml"]).await?;
    stack.start_binary(Binary::Worker)?;
    stack.ready_binary(Binary::Worker).await?;

    let (user, _guard) = new_user(stack.vhost()?, PASSWORD, PUBLISHING).await?;
    let file = stack.dir().join("carom.toml");
    let config = std::fs::read_to_string(&file)?;
    let theirs = &stack.vhost()?.url;
    let ours = stack_url(&broker, &user, PASSWORD, &stack.vhost()?.name)?;
    ensure!(config.contains(theirs.as_str()), "the configuration does not name the worker's broker");
    std::fs::write(&file, config.replace(theirs.as_str(), &ours))?;
    stack.start_binary(Binary::Ingest)?;
    stack.ready().await?;
    stack.client().click(&stack.click_url("demo")).await?;
    stack.plain(&[("event", "purchase"), ("txid", "published")]).await?;
    receiver.has_taken("published").await?;
    stack.finish().await
}

/// Closes every connection, and waits until a new line of both logs tells this.
async fn refused_for(stack: &Stack, told: &str) -> Result<()> {
    let before = |binary| stack.log(binary).map(|log| log.matches(told).count());
    let before = [before(Binary::Ingest)?, before(Binary::Worker)?];
    eventually(secs(30), format!("both logs tell of {told}"), async || {
        close_connections(stack.vhost()?).await?;
        for (binary, before) in Binary::ALL.into_iter().zip(before) {
            ensure!(stack.log(binary)?.matches(told).count() > before, "{binary} does not");
        }
        Ok(())
    })
    .await
}

async fn connections(vhost: &Vhost) -> Result<Vec<Value>> {
    let path = format!("/api/vhosts/{}/connections", encoded(&vhost.name));
    let listed = vhost.broker.management.get(&path).await?;
    listed.as_array().cloned().context("no list")
}

async fn close_connections(vhost: &Vhost) -> Result<()> {
    for connection in connections(vhost).await? {
        let name = connection["name"].as_str().context("a connection without a name")?;
        // It may have gone by itself.
        let _ = vhost.broker.management.delete(&format!("/api/connections/{}", encoded(name))).await;
    }
    Ok(())
}

fn stack_url(broker: &Broker, user: &str, password: &str, vhost: &str) -> Result<String> {
    let host = broker.url().split('@').nth(1).and_then(|rest| rest.split('/').next());
    let host = host.context("the broker's URL names no host")?;
    Ok(format!("amqp://{}:{}@{host}/{}", encoded(user), encoded(password), encoded(vhost)))
}

/// A user that goes with the test.
struct User(Broker, String);

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.0.management.delete_user_now(&self.1);
    }
}

async fn new_user(vhost: &Vhost, password: &str, rights: [&str; 3]) -> Result<(String, User)> {
    let name = format!("us@er-{}", Uuid::new_v4().simple());
    user(vhost, &name, Some(password), rights).await?;
    Ok((name.clone(), User(vhost.broker.clone(), name)))
}

async fn user(vhost: &Vhost, name: &str, password: Option<&str>, rights: [&str; 3]) -> Result<()> {
    set_user(&vhost.broker, name, password).await?;
    permit(vhost, name, rights).await
}

async fn set_user(broker: &Broker, name: &str, password: Option<&str>) -> Result<()> {
    let secret = match password {
        Some(password) => json!({"password": password, "tags": ""}),
        None => json!({"password_hash": "", "tags": ""}),
    };
    broker.management.put(&format!("/api/users/{}", encoded(name)), secret).await
}

async fn permit(vhost: &Vhost, name: &str, [configure, write, read]: [&str; 3]) -> Result<()> {
    let path = format!("/api/permissions/{}/{}", encoded(&vhost.name), encoded(name));
    let rights = json!({"configure": configure, "write": write, "read": read});
    vhost.broker.management.put(&path, rights).await
}
