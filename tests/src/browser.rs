//! A real Chromium, driven by its own chromedriver over WebDriver, which is plain HTTP and JSON.
//!
//! Every name leads to this machine, so a page may stand on `http://shop.example:PORT` ([`pages::Pages`]) and ingest on
//! `http://relay.example:PORT`, which are two origins, as in real life. Nothing that it does leaves the machine.
//!
//! Chromium and chromedriver are Debian's packages `chromium` and `chromium-driver`, which `deploy/test` sees to.

use crate::client::Client;
use crate::eventually::{eventually, secs};
use crate::ports;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub mod pages;
pub mod endpoint;

/// Only what a test needs: no updates, no telemetry, no QUIC, every name on this machine.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * 127.0.0.1",
];

/// A running browser with a profile of its own. It ends, with all its processes, when it is dropped.
pub struct Browser {
    // In the order of being dropped: the processes before the profile that they write to.
    driver: Option<Process>,
    /// Chromium's first process, whose end is all processes' end.
    chromium: u32,
    session: String,
    client: Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("carom-browser.").tempdir()?;
        let port = ports::free()?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let missing = "chromedriver is not here: install chromium and chromium-driver, as deploy/test does";
        let driver =
            Process::start("chromedriver", command, &profile.path().join("driver.log")).context(missing)?;
        let session = format!("http://127.0.0.1:{port}");
        let (driver, client) = (Some(driver), Client::new()?);
        let mut browser = Self { driver, chromium: 0, session, client, _profile: profile };
        eventually(secs(15), "chromedriver is ready", async || {
            if let Some(driver) = &mut browser.driver {
                driver.must_run().context(missing)?;
            }
            let status = browser.command(Method::GET, "/status", None).await?;
            ensure!(status["ready"] == true, "it says {status}");
            Ok(())
        })
        .await?;
        let folder = browser._profile.path();
        let arguments = ARGUMENTS.iter().map(|argument| (*argument).to_owned());
        let arguments: Vec<_> =
            arguments.chain([format!("--user-data-dir={}", folder.join("profile").display())]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": guarded_chromium(folder)?, "args": arguments},
        }}});
        let begun = browser
            .command(Method::POST, "/session", Some(wanted))
            .await
            .context("chromium does not start")?;
        let id = begun["sessionId"].as_str().context("a session without an id")?;
        browser.session = format!("{}/session/{id}", browser.session);
        browser.chromium = begun["capabilities"]["goog:processID"].as_u64().unwrap_or(0).try_into()?;
        Ok(browser)
    }

    // ---- Pages ------------------------------------------------------------------------------

    /// Goes to a page, and returns when it has been loaded.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.post("/url", json!({"url": url}))
            .await
            .with_context(|| format!("{url} cannot be opened"))
            .map(drop)
    }

    /// Loads the page anew.
    pub async fn reload(&self) -> Result<()> {
        self.post("/refresh", json!({})).await.map(drop)
    }

    /// Goes back by a page.
    pub async fn back(&self) -> Result<()> {
        self.post("/back", json!({})).await.map(drop)
    }

    /// The page's URL.
    pub async fn url(&self) -> Result<String> {
        Ok(self.command(Method::GET, "/url", None).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks on what a CSS selector finds, as a person does.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let found = self.post("/element", json!({"using": "css selector", "value": selector})).await?;
        let id = found.as_object().and_then(|found| found.values().next()?.as_str()).context("no element")?;
        self.post(&format!("/element/{id}/click"), json!({})).await.map(drop)
    }

    // ---- Tabs -------------------------------------------------------------------------------

    /// The tab that is driven.
    pub async fn tab(&self) -> Result<String> {
        Ok(self.command(Method::GET, "/window", None).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Opens a tab, and drives it from now on.
    pub async fn new_tab(&self) -> Result<String> {
        let opened = self.post("/window/new", json!({"type": "tab"})).await?;
        let tab = opened["handle"].as_str().context("a tab without a handle")?.to_owned();
        self.switch(&tab).await?;
        Ok(tab)
    }

    /// Drives this tab from now on.
    pub async fn switch(&self, tab: &str) -> Result<()> {
        self.post("/window", json!({"handle": tab})).await.map(drop)
    }

    // ---- Scripts ----------------------------------------------------------------------------

    /// Runs the body of a function in the page and gives what it returns, when that is a promise: what comes of it.
    pub async fn run(&self, body: &str) -> Result<Value> {
        let script = format!("return (async () => {{ {body} }})()");
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true in the page, and gives its value.
    pub async fn until(&self, expression: &str) -> Result<Value> {
        eventually(secs(15), format!("{expression}, in the page"), async || {
            let value = self.run(&format!("return {expression}")).await?;
            let truthy = !matches!(value, Value::Null | Value::Bool(false)) && value != "" && value != 0;
            ensure!(truthy, "it is {value}");
            Ok(value)
        })
        .await
    }

    /// Runs this in every page from now on, before the page's own scripts.
    pub async fn before_each_page(&self, script: &str) -> Result<()> {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await.map(drop)
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    // ---- What the browser keeps --------------------------------------------------------------

    /// The page's cookies, as name and value.
    pub async fn cookies(&self) -> Result<Vec<(String, String)>> {
        let cookies = self.command(Method::GET, "/cookie", None).await?;
        let text = |cookie: &Value, of: &str| cookie[of].as_str().unwrap_or_default().to_owned();
        let cookies = cookies.as_array().context("no list of cookies")?.iter();
        Ok(cookies.map(|cookie| (text(cookie, "name"), text(cookie, "value"))).collect())
    }

    /// The names in the page's `localStorage`, in their order.
    pub async fn stored(&self) -> Result<Vec<String>> {
        let names = self.run("return Object.keys(localStorage).sort()").await?;
        Ok(serde_json::from_value(names)?)
    }

    /// Forgets all cookies, and what the page's origin has stored.
    pub async fn forget(&self) -> Result<()> {
        self.devtools("Network.clearBrowserCookies", json!({})).await?;
        self.run("localStorage.clear(); sessionStorage.clear()").await.map(drop)
    }

    /// What the console has said since the last time: warnings and errors, those of the network included.
    pub async fn console(&self) -> Result<Vec<String>> {
        let lines = self.post("/se/log", json!({"type": "browser"})).await?;
        let lines = lines.as_array().context("no list of lines")?.iter();
        Ok(lines.filter_map(|line| Some(line["message"].as_str()?.to_owned())).collect())
    }

    // ---- WebDriver --------------------------------------------------------------------------

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.command(Method::POST, path, Some(body)).await
    }

    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.client.request(method, &format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut answer = self.client.send(request).await?.json();
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) => {
                let message = value["message"].as_str().unwrap_or_default();
                bail!("{error}: {}", message.lines().next().unwrap_or_default())
            }
            None => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium goes with its driver, see below; its profile can be removed when it has gone.
        drop(self.driver.take());
        let process = PathBuf::from(format!("/proc/{}", self.chromium));
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.chromium != 0 && process.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A program that becomes Chromium, and that the kernel kills when chromedriver has gone, however that went. Chromium's
/// other processes end with its first one.
fn guarded_chromium(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("chromium");
    let guard = "if setpriv --pdeathsig KILL true 2>/dev/null; then exec setpriv --pdeathsig KILL -- chromium \"$@\"; fi";
    std::fs::write(&path, format!("#!/bin/sh\n{guard}\nexec chromium \"$@\"\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
