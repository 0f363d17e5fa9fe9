//! A Carom of a scenario's own: a vhost, a folder, carom-ingest and carom-worker over them.

use crate::another::Another;
use crate::broker::{Broker, Vhost};
use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::namespace::{self, Namespace};
use crate::process::{self, Process};
use crate::proxy::Proxy;
use crate::resources::{PLAIN_TOKEN, Resources, quoted};
use crate::{metrics, ports, postgres};
use anyhow::{Context, Result, bail, ensure};
use carom_common::retry::Schedule;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// The variable that puts a stack's store on PostgreSQL.
const STORE_URL: &str = "CAROM_STORE_URL";

/// The two binaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binary {
    Ingest,
    Worker,
}

impl Binary {
    pub const ALL: [Binary; 2] = [Binary::Ingest, Binary::Worker];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "carom-ingest",
            Self::Worker => "carom-worker",
        }
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is to be started.
pub struct Setup {
    resources: String,
    env: Vec<(String, String)>,
    through: Through,
    ports: Option<Ports>,
    management_url: Option<String>,
    within: Vec<String>,
}

/// Which of the binaries reach the broker through a proxy, and what their URL's query is there.
type Through = Vec<(Binary, Arc<Proxy>, &'static str)>;

/// Where the binaries listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub ingest: u16,
    pub ingest_ops: u16,
    pub worker_ops: u16,
}

impl Ports {
    /// Free ones.
    pub fn free() -> Result<Self> {
        Ok(Self { ingest: ports::free()?, ingest_ops: ports::free()?, worker_ops: ports::free()? })
    }

    /// The default ones, where they are free.
    pub fn default_or_free() -> Result<Self> {
        let [ingest, ingest_ops, worker_ops] = [8080, 9101, 9102].map(ports::free_or);
        Ok(Self { ingest: ingest?, ingest_ops: ingest_ops?, worker_ops: worker_ops? })
    }
}

/// Where the stack keeps its things, and for how long.
enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }
}

/// A running Carom.
pub struct Stack {
    // In the order of being dropped: the processes before what they stand on.
    ingest: Option<Process>,
    worker: Option<Process>,
    vhost: Option<Vhost>,
    folder: Folder,
    env: Vec<(String, String)>,
    through: Through,
    /// Its PostgreSQL database, where its store is one.
    store_url: Option<String>,
    ports: Ports,
    /// What is put before every command.
    within: Vec<String>,
    client: Client,
    told: bool,
}

impl Setup {
    pub fn new(resources: &Resources) -> Self {
        Self::of_text(resources.to_toml())
    }

    /// With resources as a file's text.
    pub fn of_text(resources: String) -> Self {
        let mut env = vec![("CAROM_LOG_FORMAT".to_owned(), "json".to_owned())];
        // For whoever looks for a fault: SCENARIO_LOG=info,lapin=debug
        // As deploy/run --postgres names it for the demo.
        env.extend(std::env::var(STORE_URL).ok().map(|url| (STORE_URL.to_owned(), url)));
        env.extend(std::env::var("SCENARIO_LOG").ok().map(|level| ("CAROM_LOG_LEVEL".to_owned(), level)));
        let (through, within) = (Vec::new(), Vec::new());
        Self { resources, env, through, ports: None, management_url: None, within }
    }

    /// With a variable in both binaries' environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// With one of the binaries behind a proxy, its broker URL ending in `query`, such as `?heartbeat=1`. The
    /// commands go straight to the broker.
    #[must_use]
    pub fn through(mut self, binary: Binary, proxy: &Arc<Proxy>, query: &'static str) -> Self {
        self.through.push((binary, proxy.clone(), query));
        self
    }

    /// On these ports.
    #[must_use]
    pub fn ports(self, ports: Ports) -> Self {
        Self { ports: Some(ports), ..self }
    }

    /// With every process within a namespace of the test's own.
    #[must_use]
    pub fn within(self, namespace: &Namespace) -> Self {
        Self { within: namespace.entering(), ..self }
    }

    /// With these words before the command of every process, which has to replace itself by that.
    #[must_use]
    pub fn wrapped<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        Self { within: words.into_iter().map(ToOwned::to_owned).collect(), ..self }
    }

    /// With this management URL for the broker's figures, where the vhost does not know one.
    #[must_use]
    pub fn management(self, url: Option<String>) -> Self {
        Self { management_url: url, ..self }
    }

    /// Starts it on a vhost of its own, and waits until it is ready.
    pub async fn start(self, broker: &Broker) -> Result<Stack> {
        let stack = self.prepare(broker).await?;
        stack.started().await
    }

    /// The same with neither binary started yet.
    pub async fn prepare(self, broker: &Broker) -> Result<Stack> {
        let vhost = broker.vhost("test").await?;
        let url = vhost.url.clone();
        // Paths with spaces are paths.
        let dir = tempfile::Builder::new().prefix("carom scenario ").tempdir()?;
        self.stored().await?.assemble(Folder::Temporary(dir), &url, Some(vhost))
    }

    /// The same in a folder that stays, and in a vhost that is there.
    pub async fn prepare_in(self, folder: &Path, broker_url: &str) -> Result<Stack> {
        std::fs::create_dir_all(folder)?;
        self.stored().await?.assemble(Folder::Kept(folder.to_owned()), broker_url, None)
    }

    /// The same in a folder that stays, and in a vhost of its own.
    pub async fn prepare_with(self, folder: &Path, vhost: Vhost) -> Result<Stack> {
        std::fs::create_dir_all(folder)?;
        let url = vhost.url.clone();
        self.stored().await?.assemble(Folder::Kept(folder.to_owned()), &url, Some(vhost))
    }

    /// With a PostgreSQL database of its own, where one is wanted and none was named.
    async fn stored(self) -> Result<Self> {
        let named = self.env.iter().any(|(name, _)| name == STORE_URL);
        if named || !postgres::is_wanted() {
            return Ok(self);
        }
        Ok(self.env(STORE_URL, postgres::database().await?))
    }

    fn assemble(self, folder: Folder, broker_url: &str, vhost: Option<Vhost>) -> Result<Stack> {
        // In the file, where commands find it as well that a person gives.
        let (stores, env): (Vec<_>, Vec<_>) = self.env.into_iter().partition(|(name, _)| name == STORE_URL);
        let url = stores.into_iter().map(|(_, url)| url).next_back().unwrap_or_default();
        let ports = self.ports.map_or_else(Ports::free, Ok)?;
        let dir = folder.path();
        let text = |path: PathBuf| quoted(&path.to_string_lossy());
        let listen = |port: u16| quoted(&format!("127.0.0.1:{port}"));
        let management = vhost.as_ref().map_or("", |vhost| &vhost.broker.management_url);
        let config = format!(
            "[broker]\nurl = {}\nmanagement_url = {}\n\n[store]\npath = {}\nurl = {}\n\n\
             [spool]\npath = {}\n\n[ingest]\nlisten = {}\n\
             ops_listen = {}\nsnapshot_path = {}\n\n[worker]\nops_listen = {}\n\n\
             [egress]\nallow = [\"127.0.0.0/8\"]\n",
            quoted(broker_url),
            quoted(self.management_url.as_deref().unwrap_or(management)),
            text(dir.join("carom.db")),
            quoted(&url),
            text(dir.join("spool.db")),
            listen(ports.ingest),
            listen(ports.ingest_ops),
            text(dir.join("snapshot.json")),
            listen(ports.worker_ops),
        );
        // The broker's password is in it, and the database's.
        let file = dir.join("carom.toml");
        let mut options = File::options();
        options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&file)?
            .write_all(config.as_bytes())?;
        std::fs::write(dir.join("resources.toml"), &self.resources)?;
        let through = self.through;
        let client = Client::new()?;
        let within = self.within;
        let store_url = (!url.is_empty()).then_some(url);
        Ok(Stack {
            ingest: None,
            worker: None,
            vhost,
            folder,
            env,
            through,
            store_url,
            ports,
            within,
            client,
            told: false,
        })
    }
}

impl Stack {
    /// Applies its resources, starts both binaries and waits until they are ready.
    pub async fn started(mut self) -> Result<Self> {
        self.apply_file().await?;
        self.start_binary(Binary::Worker)?;
        self.start_binary(Binary::Ingest)?;
        self.ready().await?;
        // With a spool it is ready before its broker is there.
        eventually(secs(30), "ingest has its broker", async || {
            let answer = self.client.get(&self.ops_url(Binary::Ingest, "/readyz")).await?;
            ensure!(!answer.body.contains("degraded"), "it says {}", answer.body.trim());
            Ok(())
        })
        .await?;
        Ok(self)
    }

    /// The vhost, where it has one of its own.
    pub fn vhost(&self) -> Result<&Vhost> {
        self.vhost.as_ref().context("the stack has no vhost of its own")
    }

    /// Its PostgreSQL database; none where its store is a file.
    pub fn store_url(&self) -> Option<&str> {
        self.store_url.as_deref()
    }

    /// The retry schedule that it was given, or the default one.
    pub fn schedule(&self) -> Result<Schedule> {
        let given = self.env.iter().find(|(name, _)| name == "CAROM_RETRY_SCHEDULE");
        let Some((_, spans)) = given else { return Ok(Schedule::default()) };
        let spans: Vec<_> = spans.split(',').map(|span| Ok(span.trim().parse()?)).collect::<Result<_>>()?;
        Ok(Schedule::try_from(spans)?)
    }

    /// Its store's file, as its processes see it.
    pub fn store_path(&self) -> PathBuf {
        let given = self.env.iter().find(|(name, _)| name == "CAROM_STORE_PATH");
        given.map_or_else(|| self.dir().join("carom.db"), |(_, path)| PathBuf::from(path))
    }

    /// Where the files that its processes see are for others, where they are in a namespace of mounts.
    pub fn namespace_root(&self) -> Option<PathBuf> {
        let keeper = self.within.windows(2).find(|words| words[0] == "--target")?;
        Some(PathBuf::from(format!("/proc/{}/root", keeper[1])))
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// A client to send with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The link to an offer.
    pub fn click_url(&self, offer: &str) -> String {
        format!("http://127.0.0.1:{}/c/{offer}", self.ports.ingest)
    }

    /// Where its binaries listen.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Where events with this token go; without one, where events by host go.
    pub fn events_url(&self, token: &str) -> String {
        let base = format!("http://127.0.0.1:{}/api/v1/events", self.ports.ingest);
        if token.is_empty() { base } else { format!("{base}/{token}") }
    }

    /// A page of a binary's ops listener.
    pub fn ops_url(&self, binary: Binary, page: &str) -> String {
        let port = match binary {
            Binary::Ingest => self.ports.ingest_ops,
            Binary::Worker => self.ports.worker_ops,
        };
        format!("http://127.0.0.1:{port}{page}")
    }

    /// Sends a plain event that must be accepted; gives its id.
    pub async fn plain(&self, pairs: &[(&str, &str)]) -> Result<String> {
        self.client.form(&self.events_url(PLAIN_TOKEN), pairs).await?.accepted()
    }

    // ---- The processes --------------------------------------------------------------------

    /// Starts one of the binaries.
    pub fn start_binary(&mut self, binary: Binary) -> Result<()> {
        let mut command = self.command(binary)?;
        if binary == Binary::Worker {
            command.arg("run");
        }
        if let Some((_, proxy, query)) = self.through.iter().find(|(behind, ..)| *behind == binary) {
            command.env("CAROM_BROKER_URL", proxy.url(&self.vhost()?.url)? + query);
        }
        let process = Process::start(binary.name(), command, &self.log_path(binary))?;
        let place = self.place(binary);
        ensure!(place.is_none(), "{binary} is running already");
        *place = Some(process);
        Ok(())
    }

    /// Starts one more process of a binary, on ports of its own, and waits until it is ready.
    pub async fn start_another(&self, binary: Binary) -> Result<Another> {
        let (port, ops_port) = (ports::free()?, ports::free()?);
        let own = format!("{binary}-{ops_port}");
        let mut command = self.command(binary)?;
        command.env("CAROM_WORKER_OPS_LISTEN", format!("127.0.0.1:{ops_port}"));
        command.env("CAROM_INGEST_OPS_LISTEN", format!("127.0.0.1:{ops_port}"));
        command.env("CAROM_INGEST_LISTEN", format!("127.0.0.1:{port}"));
        command.env("CAROM_INGEST_SNAPSHOT_PATH", self.dir().join(format!("{own}.json")));
        if binary == Binary::Worker {
            command.arg("run");
        }
        let process = Process::start(&own, command, &self.dir().join(format!("{own}.log")))?;
        let mut another = Another { binary, process, client: self.client.clone(), port, ops_port };
        another.ready().await?;
        Ok(another)
    }

    /// Sets a variable for the processes that are started from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// One of the running binaries.
    pub fn process(&mut self, binary: Binary) -> Result<&mut Process> {
        self.place(binary).as_mut().with_context(|| format!("{binary} is not running"))
    }

    /// SIGKILL.
    pub fn kill(&mut self, binary: Binary) -> Result<()> {
        self.place(binary).take().with_context(|| format!("{binary} is not running"))?.kill()
    }

    /// SIGTERM; waits for the end, which must be in order.
    pub async fn stop(&mut self, binary: Binary) -> Result<()> {
        let mut process = self.place(binary).take().with_context(|| format!("{binary} is not running"))?;
        process.terminate()?;
        let status = process.ended(secs(40)).await?;
        ensure!(status.code() == Some(0), "{binary} ended with {status} after SIGTERM");
        Ok(())
    }

    /// Waits until both binaries are ready.
    pub async fn ready(&mut self) -> Result<()> {
        for binary in Binary::ALL {
            self.ready_binary(binary).await?;
        }
        Ok(())
    }

    /// Waits until one of them is ready.
    pub async fn ready_binary(&mut self, binary: Binary) -> Result<()> {
        let (client, url) = (self.client.clone(), self.ops_url(binary, "/readyz"));
        let mut process = self.place(binary).as_mut();
        eventually(secs(60), format!("{binary} is ready"), async || {
            if let Some(process) = process.as_mut()
                && let Err(ended) = process.must_run()
            {
                // No use in waiting on; the log says why.
                return Ok(Err(ended));
            }
            let answer = client.get(&url).await?;
            ensure!(answer.status == 200, "it says {}", answer.body.trim());
            Ok(Ok(()))
        })
        .await?
    }

    /// A binary's log, of all its lives.
    pub fn log(&self, binary: Binary) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.log_path(binary))?).into_owned())
    }

    /// A binary's metrics.
    pub async fn metrics(&self, binary: Binary) -> Result<String> {
        let answer = self.client.get(&self.ops_url(binary, "/metrics")).await?;
        ensure!(answer.status == 200, "/metrics of {binary} answered {}", answer.status);
        Ok(answer.body)
    }

    fn place(&mut self, binary: Binary) -> &mut Option<Process> {
        match binary {
            Binary::Ingest => &mut self.ingest,
            Binary::Worker => &mut self.worker,
        }
    }

    fn log_path(&self, binary: Binary) -> PathBuf {
        self.dir().join(format!("{binary}.log"))
    }

    fn command(&self, binary: Binary) -> Result<std::process::Command> {
        let mut command = process::command(binary.name())?;
        command.args(["--config".as_ref(), self.dir().join("carom.toml").as_os_str()]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir());
        Ok(namespace::before(&self.within, command))
    }

    /// Another carom-ingest with the same configuration, to be run.
    pub fn ingest_command(&self) -> Result<std::process::Command> {
        self.command(Binary::Ingest)
    }

    // ---- The commands ----------------------------------------------------------------------

    /// A worker command, to be run or started.
    pub fn carom_command(&self, arguments: &[&str]) -> Result<std::process::Command> {
        let mut command = self.command(Binary::Worker)?;
        command.args(arguments);
        Ok(command)
    }

    /// Runs a worker command, whatever its exit code.
    pub async fn carom(&self, arguments: &[&str]) -> Result<Ran> {
        let output = process::output(self.carom_command(arguments)?).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Runs a worker command that must succeed.
    pub async fn carom_ok(&self, arguments: &[&str]) -> Result<String> {
        let ran = self.carom(arguments).await?;
        ensure!(
            ran.code == Some(0),
            "carom-worker {}: {:?}\n{}{}",
            arguments.join(" "),
            ran.code,
            ran.out,
            ran.err
        );
        Ok(ran.out)
    }

    /// What a `--json` listing prints: a value per line.
    pub async fn carom_lines(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let printed = self.carom_ok(arguments).await?;
        let lines = printed.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
    }

    /// The trace of an event, click or delivery.
    pub async fn trace(&self, id: &str) -> Result<Value> {
        let printed = self.carom_ok(&["trace", id, "--json"]).await?;
        serde_json::from_str(&printed).with_context(|| format!("no JSON: {printed}"))
    }

    /// The reason codes in an event's trace, in order.
    pub async fn codes(&self, id: &str) -> Result<Vec<String>> {
        let trace = self.trace(id).await?;
        let decisions = trace["decisions"].as_array().context("a trace without decisions")?;
        Ok(decisions.iter().filter_map(|decision| Some(decision["code"].as_str()?.to_owned())).collect())
    }

    /// Waits until an event's trace has this code; gives the trace.
    pub async fn traced(&self, id: &str, code: &str) -> Result<Value> {
        eventually(secs(15), format!("the trace of {id} has {code}"), async || {
            let trace = self.trace(id).await?;
            let decisions = trace["decisions"].as_array().context("a trace without decisions")?;
            let codes: Vec<_> = decisions.iter().filter_map(|decision| decision["code"].as_str()).collect();
            ensure!(codes.contains(&code), "it has {codes:?}");
            Ok(trace)
        })
        .await
    }

    /// Waits until all deliveries of an event, if there are any, are on their queues; gives its trace.
    pub async fn handed_over(&self, id: &str) -> Result<Value> {
        eventually(secs(15), format!("{id} is handed over"), async || {
            let trace = self.trace(id).await?;
            ensure!(trace["progress"] == "handed_over", "it is {}", trace["progress"]);
            Ok(trace)
        })
        .await
    }

    /// The dead letters that these filters leave.
    pub async fn letters(&self, filters: &[&str]) -> Result<Vec<Value>> {
        self.carom_lines(&[&["dlq", "list", "--json", "--limit", "100000"], filters].concat()).await
    }

    /// Waits until there are `count` such letters.
    pub async fn letters_become(&self, count: usize, filters: &[&str]) -> Result<Vec<Value>> {
        eventually(secs(30), format!("{count} letters by {filters:?}"), async || {
            let letters = self.letters(filters).await?;
            ensure!(letters.len() == count, "there are {}: {letters:?}", letters.len());
            Ok(letters)
        })
        .await
    }

    /// Applies other resources, and waits until the running binaries follow them.
    pub async fn apply(&self, resources: &Resources) -> Result<()> {
        std::fs::write(self.dir().join("resources.toml"), resources.to_toml())?;
        self.apply_file().await
    }

    async fn apply_file(&self) -> Result<()> {
        let printed = self.carom_ok(&["apply", "resources.toml"]).await?;
        let digits = |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
        let version = printed.split_whitespace().find_map(digits);
        let version = version.with_context(|| format!("apply printed no version: {printed}"))?;
        let running = [(Binary::Ingest, self.ingest.is_some()), (Binary::Worker, self.worker.is_some())];
        for (binary, _) in running.into_iter().filter(|(_, running)| *running) {
            eventually(secs(10), format!("{binary} follows version {version}"), async || {
                let text = self.metrics(binary).await?;
                let found = metrics::sum(&text, "carom_resources_version", &[]);
                ensure!(found == Some(f64::from(version)), "it is at {found:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    // ---- The end -----------------------------------------------------------------------------

    /// The orderly end of a scenario: both binaries that were running still are, end with 0 on SIGTERM, and
    /// never panicked.
    pub async fn finish(mut self) -> Result<()> {
        for binary in Binary::ALL {
            if self.place(binary).is_some() {
                self.process(binary)?.must_run()?;
                self.stop(binary).await?;
            }
            let log = self.log(binary).unwrap_or_default();
            if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
                bail!("{binary} has panicked: {line}");
            }
        }
        self.told = true;
        Ok(())
    }

    /// The end of both logs, for a person who wonders.
    pub fn tails(&self, lines: usize) -> String {
        let tail = |binary| {
            let log = process::tail(&self.log_path(binary), lines);
            format!("--- the end of {binary}'s log\n{log}\n")
        };
        Binary::ALL.map(tail).concat()
    }

    /// Its logs have been shown, or need not be.
    pub fn quietly(mut self) {
        self.told = true;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !self.told {
            eprintln!("{}", self.tails(40));
        }
    }
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}
