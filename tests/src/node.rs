//! A broker of a test's own, to be killed and paused, and a cluster of three. `deploy/rabbitmq/node` does the work.

use crate::process;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A private RabbitMQ node. It ends with this value (a member, with its cluster), and with this process in any
/// case.
pub struct Node {
    script: PathBuf,
    dir: PathBuf,
    /// Of a node that is nobody's member.
    owned: Option<TempDir>,
    pub broker_url: String,
    pub management_url: String,
    /// Where it speaks TLS, if it does.
    pub tls_url: Option<String>,
}

impl Node {
    /// Starts one; about five seconds.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one that speaks TLS too, with the certificates of this folder (`ca.pem`, `cert.pem`, `key.pem`).
    pub async fn start_with_tls(certificates: &Path) -> Result<Self> {
        let certificates = certificates.to_str().context("a folder's name that is no text")?;
        Self::start_with(&["--tls", certificates]).await
    }

    async fn start_with(rest: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("carom-node.").tempdir()?;
        let script = script();
        let env = run(&script, &["start"], dir.path(), &[&while_here()[..], rest].concat()).await?;
        Self::told(script, dir.path().to_owned(), Some(dir), &env)
    }

    fn told(script: PathBuf, dir: PathBuf, owned: Option<TempDir>, env: &str) -> Result<Self> {
        Ok(Self {
            script,
            dir,
            owned,
            broker_url: value(env, "CAROM_BROKER_URL")?,
            management_url: value(env, "CAROM_BROKER_MANAGEMENT_URL")?,
            tls_url: value(env, "CAROM_BROKER_TLS_URL").ok(),
        })
    }

    /// SIGKILL of the broker's process.
    pub async fn kill(&self) -> Result<()> {
        self.run(&["kill"], &[]).await.map(|_| ())
    }

    /// Stops it in order.
    pub async fn stop(&self) -> Result<()> {
        self.run(&["stop"], &[]).await.map(|_| ())
    }

    /// Starts it again, on the same ports and with its data.
    pub async fn restart(&self) -> Result<()> {
        // Its cluster is watched as a whole.
        let watched = if self.owned.is_some() { while_here().to_vec() } else { Vec::new() };
        self.run(&["start"], &watched).await.map(|_| ())
    }

    /// Stops it in order, and starts it again.
    pub async fn stop_and_start(&self) -> Result<()> {
        let rest = ["--restart", "--while-pid", &std::process::id().to_string()];
        self.run(&["start"], &rest).await.map(|_| ())
    }

    /// `rabbitmqctl` against it.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        self.run(&["ctl"], arguments).await
    }

    /// Stops its clock: it answers nobody, and nothing of it is lost.
    pub async fn pause(&self) -> Result<()> {
        self.run(&["pause"], &[]).await.map(|_| ())
    }

    /// Lets it go on.
    pub async fn resume(&self) -> Result<()> {
        self.run(&["resume"], &[]).await.map(|_| ())
    }

    /// One of RabbitMQ's own tools against it, such as `rabbitmqctl`; gives what it prints.
    pub async fn tool(&self, name: &str, arguments: &[&str]) -> Result<String> {
        self.run(&["tool"], &[&[name], arguments].concat()).await
    }

    /// The node's name, as its cluster knows it.
    pub fn name(&self) -> Result<String> {
        value(&std::fs::read_to_string(self.dir.join("settings"))?, "name")
    }

    /// Whether the names of these quorum queues of a vhost are on the broker's disk.
    pub fn remembers(&self, vhost: &str, queues: &[String]) -> Result<()> {
        let quorum = self.dir.join("data/node/quorum");
        let mut folders = std::fs::read_dir(&quorum)?.filter_map(Result::ok).map(|entry| entry.path());
        let folder = folders.next().context("no quorum queue was ever declared")?;
        let names = std::fs::read(folder.join("names.dets"))?;
        let there = |name: &str| names.windows(name.len()).any(|window| window == name.as_bytes());
        let missing: Vec<_> = queues.iter().filter(|queue| !there(&format!("{vhost}_{queue}"))).collect();
        ensure!(missing.is_empty(), "not yet: {missing:?}");
        Ok(())
    }

    async fn run(&self, verb: &[&str], rest: &[&str]) -> Result<String> {
        run(&self.script, verb, &self.dir, rest).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.owned.is_some() {
            stop_now(&self.script, &self.dir);
        }
    }
}

/// Three private nodes that are one broker. They end with this value, and with this process in any case.
pub struct Cluster {
    script: PathBuf,
    dir: TempDir,
    /// In the order of their numbers.
    pub members: Vec<Node>,
    /// The further nodes, as `broker.hosts` wants them.
    pub hosts: String,
    /// The same of their management API.
    pub management_hosts: String,
}

impl Cluster {
    /// Starts one; about fifteen seconds.
    pub async fn start() -> Result<Self> {
        let script = script();
        let dir = tempfile::Builder::new().prefix("carom-cluster.").tempdir()?;
        let env = run(&script, &["cluster", "start"], dir.path(), &while_here()).await?;
        let member = |index: u32| {
            let member = dir.path().join(index.to_string());
            let env = std::fs::read_to_string(member.join("env"))?;
            Node::told(script.clone(), member, None, &env)
        };
        let members = (1..=3).map(member).collect::<Result<_>>()?;
        let (hosts, management) =
            (value(&env, "CAROM_BROKER_HOSTS")?, value(&env, "CAROM_BROKER_MANAGEMENT_HOSTS")?);
        Ok(Self { script: script.clone(), members, hosts, management_hosts: management, dir })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop_now(&self.script, self.dir.path());
    }
}

fn script() -> PathBuf {
    match std::env::var_os("CAROM_TEST_NODE") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rabbitmq/node"),
    }
}

/// So that it ends with this process.
fn while_here() -> [&'static str; 2] {
    static ID: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| std::process::id().to_string());
    ["--while-pid", &ID]
}

fn value(text: &str, name: &str) -> Result<String> {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    found.map(ToOwned::to_owned).with_context(|| format!("the node told no {name}"))
}

async fn run(script: &Path, verb: &[&str], dir: &Path, rest: &[&str]) -> Result<String> {
    let mut command = Command::new(script);
    command.args(verb).arg(dir).args(rest);
    let output = process::output(command).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "node {}: {}\n{said}", verb.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn stop_now(script: &Path, dir: &Path) {
    let mut command = Command::new(script);
    command.arg("stop").arg(dir).arg("--now").stdin(Stdio::null());
    let Ok(mut child) = command.spawn() else { return };
    let deadline = Instant::now() + Duration::from_secs(15);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            let _ = child.kill();
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
