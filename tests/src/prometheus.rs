//! A real Prometheus over the configuration that we ship, to be asked what it knows.

use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::management::encoded;
use crate::ports;
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `deploy/prometheus`.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus")
}

/// A Prometheus on a free port of loopback, with its data in a folder that goes with it.
pub struct Prometheus {
    // Dropped before its folder.
    process: Process,
    _dir: TempDir,
    client: Client,
    url: String,
}

impl Prometheus {
    /// Starts it with the shipped configuration and rules, and these addresses in the place of the shipped targets,
    /// each under the name of its file. It scrapes every second instead of every fifteen, to have rates sooner.
    pub async fn start(targets: &[(&str, String)]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("carom-prometheus.").tempdir()?;
        let config = std::fs::read_to_string(shipped().join("prometheus.yml"))?;
        let quick = config
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("scrape_timeout: 10s", "scrape_timeout: 1s")
            .replace("evaluation_interval: 15s", "evaluation_interval: 1s");
        ensure!(quick.matches(": 1s").count() == 3, "the shipped intervals are others than this knows");
        std::fs::write(dir.path().join("prometheus.yml"), quick)?;
        for folder in ["rules", "targets"] {
            std::fs::create_dir(dir.path().join(folder))?;
            for file in std::fs::read_dir(shipped().join(folder))? {
                let file = file?;
                std::fs::copy(file.path(), dir.path().join(folder).join(file.file_name()))?;
            }
        }
        for (name, address) in targets {
            let file = dir.path().join("targets").join(format!("{name}.yml"));
            ensure!(file.is_file(), "nothing of the shipped configuration is called {name}");
            std::fs::write(file, format!("- targets: ['{address}']\n"))?;
        }
        let port = ports::free()?;
        let mut command = Command::new("prometheus");
        command.current_dir(dir.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Process::start("prometheus", command, &dir.path().join("prometheus.log"));
        let process = process.context("the package prometheus is needed (deploy/test installs it)")?;
        let (client, url) = (Client::new()?, format!("http://127.0.0.1:{port}"));
        let mut prometheus = Self { process, _dir: dir, client, url };
        prometheus.ready().await?;
        Ok(prometheus)
    }

    async fn ready(&mut self) -> Result<()> {
        let (client, url) = (self.client.clone(), format!("{}/-/ready", self.url));
        let process = &mut self.process;
        let ready = eventually(secs(20), "Prometheus is ready", async || {
            process.must_run()?;
            ensure!(client.get(&url).await?.status == 200, "it is not");
            Ok(())
        });
        ready.await.with_context(|| self.process.tail(20))
    }

    /// A page of its API: the `data` of the answer.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let answer = self.client.get(&format!("{}/api/v1/{path}", self.url)).await?;
        let mut said = answer.json();
        ensure!(said["status"] == "success", "{path}: {}", answer.body);
        Ok(said["data"].take())
    }

    /// How many series an expression has now.
    pub async fn series(&self, expression: &str) -> Result<usize> {
        let data = self.api(&format!("query?query={}", encoded(expression))).await?;
        Ok(data["result"].as_array().context("no result")?.len())
    }
}

/// The selectors in an expression: names of metrics of ours, of a process's or RabbitMQ's, with their matchers.
pub fn selectors(expression: &str) -> Vec<String> {
    let ours = |name: &str| {
        name == "up" || ["carom_", "process_", "rabbitmq_"].iter().any(|prefix| name.starts_with(prefix))
    };
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(name);
        let matchers = after.strip_prefix('{').map_or(0, |inner| past_end(inner, '}') + 1);
        if ours(word) || (word.is_empty() && matchers > 0) {
            found.push(rest[..name + matchers].to_owned());
        }
        rest = match (name + matchers, first) {
            (0, '"') => &rest[1 + past_end(&rest[1..], '"')..],
            (0, _) => &rest[first.len_utf8()..],
            (length, _) => &rest[length..],
        };
    }
    found
}

/// How many bytes of `text` lead past the next `end` that does not stand in quotes (or that closes them).
fn past_end(text: &str, end: char) -> usize {
    let (mut quoted, mut escaped) = (end == '"', false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == end && (!quoted || end == '"') => return at + c.len_utf8(),
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_with_their_matchers_and_nothing_else_is() {
        let expression = r#"sum by (connector) (rate(carom_a_total{x="}\"", y=~"z"}[5m]))
            unless on (queue) label_replace(up == 0, "carom_queue", "deliver.$1", "c", "(.+)") > {__name__=~"p"}"#;
        assert_eq!(selectors(expression), [r#"carom_a_total{x="}\"", y=~"z"}"#, "up", r#"{__name__=~"p"}"#]);
    }
}
