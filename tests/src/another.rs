//! A second process of one of the binaries, beside the stack's own: on the same broker and store, with a port and a
//! log of its own.

use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::process::Process;
use crate::stack::Binary;
use anyhow::{Result, ensure};

/// A process beside the stack's. It is killed when it is dropped, so it is to be dropped before the stack.
pub struct Another {
    pub(crate) binary: Binary,
    pub(crate) process: Process,
    pub(crate) client: Client,
    pub(crate) port: u16,
    pub(crate) ops_port: u16,
}

impl Another {
    /// A page of its ops listener.
    pub fn ops_url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}{page}", self.ops_port)
    }

    /// A page of its public listener, where it is an ingest.
    pub fn url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}{page}", self.port)
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) -> Result<()> {
        let url = self.ops_url("/readyz");
        eventually(secs(30), format!("another {} is ready", self.binary), async || {
            if let Err(ended) = self.process.must_run() {
                return Ok(Err(ended.context(self.process.tail(20))));
            }
            let answer = self.client.get(&url).await?;
            ensure!(answer.status == 200, "it says {}", answer.body.trim());
            Ok(Ok(()))
        })
        .await?
    }

    /// Its metrics.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.client.get(&self.ops_url("/metrics")).await?;
        ensure!(answer.status == 200, "/metrics answered {}", answer.status);
        Ok(answer.body)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its log.
    pub fn log(&self) -> Result<String> {
        self.process.log()
    }

    /// SIGKILL.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// SIGTERM; waits for the end, which must be in order, and it must never have panicked.
    pub async fn stop(mut self) -> Result<()> {
        self.process.terminate()?;
        let status = self.process.ended(secs(40)).await?;
        ensure!(status.code() == Some(0), "another {} ended with {status} after SIGTERM", self.binary);
        let log = self.log()?;
        let panicked = log.lines().find(|line| line.contains("panicked at"));
        ensure!(panicked.is_none(), "another {} has panicked: {panicked:?}", self.binary);
        Ok(())
    }
}
