//! A mount namespace of a test's own: it sees another `/etc/resolv.conf`, or a disk that is full, and the machine does
//! not. It needs root, as CI has; where it cannot be made, the test fails and says so.

use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The namespace, kept by a process in it. It ends, with all its mounts, when its last process has ended.
pub struct Namespace {
    keeper: Process,
    dir: PathBuf,
}

impl Namespace {
    /// Makes one in which these lines of shell have been run, to mount things; they find `dir` in `$1`. Its keeper's
    /// log is there.
    pub async fn new(dir: &Path, mounts: &str) -> Result<Self> {
        let mut keeper = Command::new("unshare");
        let script = format!("set -e\n{mounts}\ntouch \"$1/namespace.ready\"\nexec sleep infinity");
        keeper.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(dir);
        let log = dir.join("namespace.log");
        let mut keeper = Process::start("the namespace's keeper", keeper, &log)?;
        let ready = dir.join("namespace.ready");
        let made = crate::eventually::eventually(crate::eventually::secs(10), "it is made", async || {
            if let Err(ended) = keeper.must_run() {
                return Ok(Err(ended));
            }
            ensure!(ready.exists(), "not yet");
            Ok(Ok(()))
        });
        if let Err(error) = made.await? {
            bail!("a mount namespace cannot be made here, which needs root: {error}: {}", keeper.tail(3));
        }
        Ok(Self { keeper, dir: dir.to_owned() })
    }

    /// What to put before a command to run it within.
    pub fn entering(&self) -> Vec<String> {
        let keeper = self.keeper.id().to_string();
        let enter = ["nsenter", "--mount", "--target", &keeper, "--"];
        enter.map(ToOwned::to_owned).into()
    }

    /// Runs lines of shell within, which must succeed; they find its folder in `$1`.
    pub async fn run(&self, script: &str) -> Result<String> {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script, "sh"]).arg(&self.dir).current_dir("/").stderr(Stdio::piped());
        let output = crate::process::output(before(&self.entering(), shell)).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{script}: {}: {said}", output.status);
        String::from_utf8(output.stdout).context("no text")
    }
}

/// The command with these words before it. Entering a namespace loses the folder, so that is entered anew.
pub fn before(words: &[String], command: Command) -> Command {
    let [first, rest @ ..] = words else { return command };
    let mut within = Command::new(first);
    within.args(rest);
    if let Some(folder) = command.get_current_dir() {
        within.args(["env".as_ref(), "-C".as_ref(), folder.as_os_str()]).current_dir(folder);
    }
    within.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => within.env(name, value),
            None => within.env_remove(name),
        };
    }
    within
}
