//! A broker of a test's own, to be killed and paused. `deploy/rabbitmq/node` does the work.

use crate::process;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A private RabbitMQ node. It ends with this value, and with this process in any case.
pub struct Node {
    script: PathBuf,
    dir: TempDir,
    pub broker_url: String,
    pub management_url: String,
}

impl Node {
    /// Starts one; about five seconds.
    pub async fn start() -> Result<Self> {
        let script = match std::env::var_os("CAROM_TEST_NODE") {
            Some(path) => PathBuf::from(path),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rabbitmq/node"),
        };
        let dir = tempfile::Builder::new().prefix("carom-node.").tempdir()?;
        let mut node = Self { script, dir, broker_url: String::new(), management_url: String::new() };
        let env = node.run(&["start"], &["--while-pid", &std::process::id().to_string()]).await?;
        let value = |name: &str| {
            let found = env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.map(ToOwned::to_owned).with_context(|| format!("the node told no {name}"))
        };
        node.broker_url = value("CAROM_BROKER_URL")?;
        node.management_url = value("CAROM_BROKER_MANAGEMENT_URL")?;
        Ok(node)
    }

    /// SIGKILL of the broker's process.
    pub async fn kill(&self) -> Result<()> {
        self.run(&["kill"], &[]).await.map(|_| ())
    }

    /// Starts it again, on the same ports and with its data.
    pub async fn restart(&self) -> Result<()> {
        self.run(&["start"], &["--while-pid", &std::process::id().to_string()]).await.map(|_| ())
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

    /// Whether the names of these quorum queues of a vhost are on the broker's disk.
    pub fn remembers(&self, vhost: &str, queues: &[String]) -> Result<()> {
        let quorum = self.dir.path().join("data/node/quorum");
        let mut folders = std::fs::read_dir(&quorum)?.filter_map(Result::ok).map(|entry| entry.path());
        let folder = folders.next().context("no quorum queue was ever declared")?;
        let names = std::fs::read(folder.join("names.dets"))?;
        let there = |name: &str| names.windows(name.len()).any(|window| window == name.as_bytes());
        let missing: Vec<_> = queues.iter().filter(|queue| !there(&format!("{vhost}_{queue}"))).collect();
        ensure!(missing.is_empty(), "not yet: {missing:?}");
        Ok(())
    }

    async fn run(&self, verb: &[&str], rest: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.script);
        command.args(verb).arg(self.dir.path()).args(rest);
        let output = process::output(command).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "node {}: {}\n{said}", verb.join(" "), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut command = Command::new(&self.script);
        command.arg("stop").arg(self.dir.path()).arg("--now").stdin(Stdio::null());
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
}
