//! PostgreSQL for a scenario: a database on the server that all tests share, or a server of its own to be killed
//! and paused. `deploy/postgres/node` does the work.

use crate::process;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Whether stacks are to have a database here each: where `SCENARIO_STORE` says so, as for the demo, and in
/// scenarios that are told twice, which stand below `on_postgres` the second time.
pub fn is_wanted() -> bool {
    let below = |name: &str| name.contains("on_postgres::");
    std::env::var("SCENARIO_STORE").is_ok_and(|store| store == "postgres")
        || std::env::var("NEXTEST_TEST_NAME").is_ok_and(|name| below(&name))
        || std::thread::current().name().is_some_and(below)
}

/// The URL of a new database on the shared server. It goes with the server.
pub async fn database() -> Result<String> {
    let dir = std::env::var_os("CAROM_TEST_POSTGRES_DIR");
    let dir = dir.context("CAROM_TEST_POSTGRES_DIR names no server: run the tests by deploy/test")?;
    let name = format!("stack_{}", Uuid::new_v4().simple());
    run(&["psql"], Path::new(&dir), &["-c", &format!("CREATE DATABASE {name}")]).await?;
    let url = std::env::var("CAROM_TEST_POSTGRES_URL").context("CAROM_TEST_POSTGRES_URL is not set")?;
    let (before, after) = url.rsplit_once("/carom").context("the server's URL names no database carom")?;
    Ok(format!("{before}/{name}{after}"))
}

/// A private server. It ends with this value, and with this process in any case.
pub struct Server {
    dir: TempDir,
    /// Its database.
    pub url: String,
}

impl Server {
    /// Starts one; about three seconds.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("carom-postgres.").tempdir_in("/tmp")?;
        let mut server = Self { dir, url: String::new() };
        let env = server.restart().await?;
        let url = env.lines().find_map(|line| line.strip_prefix("CAROM_STORE_URL="));
        server.url = url.context("the server told no CAROM_STORE_URL")?.to_owned();
        Ok(server)
    }

    /// The process that all its others are children of.
    pub fn process(&self) -> Result<u32> {
        let told = std::fs::read_to_string(self.dir.path().join("server.pid"))?;
        Ok(told.split_whitespace().next().context("no process is recorded")?.parse()?)
    }

    /// SIGKILL of all its processes.
    pub async fn kill(&self) -> Result<()> {
        run(&["kill"], self.dir.path(), &[]).await.map(drop)
    }

    /// Starts it again, on the same port and with its data.
    pub async fn restart(&self) -> Result<String> {
        run(&["start"], self.dir.path(), &["--while-pid", &std::process::id().to_string()]).await
    }

    /// Stops its clock: it answers nobody.
    pub async fn pause(&self) -> Result<()> {
        run(&["pause"], self.dir.path(), &[]).await.map(drop)
    }

    /// Lets it go on.
    pub async fn resume(&self) -> Result<()> {
        run(&["resume"], self.dir.path(), &[]).await.map(drop)
    }
}

fn script() -> PathBuf {
    let given = std::env::var_os("CAROM_TEST_POSTGRES_NODE").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/postgres/node"))
}

async fn run(verb: &[&str], dir: &Path, rest: &[&str]) -> Result<String> {
    let mut command = Command::new(script());
    command.args(verb).arg(dir).args(rest);
    let output = process::output(command).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "postgres node {}: {}\n{said}", verb.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut command = Command::new(script());
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
