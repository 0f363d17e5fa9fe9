//! A process of ours: its output in a file, signals by its id, and no way to outlive us.

use anyhow::{Context, Result, bail};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

/// A running (or just ended) process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with what it says appended to `log`.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Self> {
        let mut command = guarded(command);
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn(command).with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// SIGTERM: asks it to end in order.
    pub fn terminate(&mut self) -> Result<()> {
        self.must_run()?;
        signal(self.id(), "TERM")
    }

    /// SIGINT: as Ctrl-C does.
    pub fn interrupt(&mut self) -> Result<()> {
        self.must_run()?;
        signal(self.id(), "INT")
    }

    /// SIGSTOP: stops its clock.
    pub fn pause(&mut self) -> Result<()> {
        self.must_run()?;
        signal(self.id(), "STOP")
    }

    /// SIGCONT: lets it go on.
    pub fn resume(&mut self) -> Result<()> {
        self.must_run()?;
        signal(self.id(), "CONT")
    }

    /// The memory that it has of the machine (RSS), in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kilobytes.context("the process has no memory")? * 1024)
    }

    /// SIGKILL: ends it at once. Returns when it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.must_run()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        crate::eventually::eventually(limit, what, async || {
            self.child.try_wait()?.context("it is still running")
        })
        .await
    }

    /// The end of its log.
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Its whole log, of earlier processes with the same file as well.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let Ok(file) = File::open(path) else {
        return format!("(no {})", path.display());
    };
    let mut kept = VecDeque::new();
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        if kept.len() == lines {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).chars().take(600).collect::<String>());
    }
    Vec::from(kept).join("\n")
}

/// Signals a process that we started. The standard library knows only SIGKILL.
fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
    if status.success() { Ok(()) } else { bail!("kill -{name} {pid}: {status}") }
}

/// The command, to be killed by the kernel when whoever spawned it is gone, so that not even a SIGKILL of
/// the test leaves it behind. `setpriv` is part of every Debian; without it, only `Drop` sees to that.
fn guarded(command: Command) -> Command {
    static HAVE: LazyLock<bool> = LazyLock::new(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "true"]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !*HAVE {
        return command;
    }
    let mut guarded = Command::new("setpriv");
    guarded.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        guarded.current_dir(folder);
    }
    guarded
}

/// Spawns on a thread that lives as long as we do: the kernel's guard watches the thread, not the process.
fn spawn(command: Command) -> Result<Child> {
    type Job = (Command, mpsc::Sender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in jobs {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (sender, answer) = mpsc::channel();
    SPAWNER.send((command, sender)).context("the spawning thread has ended")?;
    Ok(answer.recv().context("the spawning thread has ended")??)
}

/// Where the binaries are.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("CAROM_TEST_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = std::env::current_exe()?;
            let folder = own.parent().context("the executable has no folder")?;
            // Tests lie in target/debug/deps, the binaries beside that.
            if folder.ends_with("deps") {
                folder.parent().unwrap_or(folder).to_owned()
            } else {
                folder.to_owned()
            }
        }
    };
    let path = folder.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        bail!("{} is not there: run `cargo build --workspace --bins` first", path.display())
    }
}

/// A command of one of the binaries, with nothing of our own Carom settings in its environment.
pub fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(binary(name)?);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("CAROM_") {
            command.env_remove(variable);
        }
    }
    Ok(command)
}

/// Runs a command to its end, off the runtime's threads.
pub async fn output(mut command: Command) -> Result<std::process::Output> {
    let shown = format!("{:?}", command.get_program());
    let ran = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output()).await?;
    ran.with_context(|| format!("{shown} cannot be run"))
}
