//! Whoever clicks and whoever sends events.

use anyhow::{Context, Result, ensure};
use http::HeaderMap;
use reqwest::{Method, RequestBuilder, Url, redirect};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An HTTP client that keeps connections and follows no redirect. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON, `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The id of an accepted event.
    pub fn accepted(&self) -> Result<String> {
        ensure!(self.status == 202, "answered {}: {}", self.status, self.body);
        Ok(self.json()["id"].as_str().context("a 202 without an id")?.to_owned())
    }

    /// The end of a problem's type, such as `token-unknown`, where the answer is a whole problem document.
    pub fn problem(&self) -> Option<String> {
        let media = self.headers.get("content-type")?.to_str().ok()?;
        let body = self.json();
        let whole = media == "application/problem+json"
            && body["status"] == self.status
            && body["title"].as_str().is_some_and(|title| !title.is_empty())
            && body["detail"].as_str().is_some_and(|detail| !detail.is_empty());
        let slug = body["type"].as_str()?.strip_prefix("urn:carom:problem:")?;
        whole.then(|| slug.to_owned())
    }
}

/// A click that was redirected.
#[derive(Clone, Debug)]
pub struct Clicked {
    pub id: String,
    pub location: String,
    /// The visitor's cookie, to be sent along.
    pub cookie: Option<String>,
}

impl Client {
    pub fn new() -> Result<Self> {
        Self::build(None)
    }

    /// One that connects from this address, such as another of the loopback's.
    pub fn at(address: IpAddr) -> Result<Self> {
        Self::build(Some(address))
    }

    fn build(address: Option<IpAddr>) -> Result<Self> {
        // A second call finds the first one's provider in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .local_address(address)
            .user_agent("Mozilla/5.0 (X11; Linux x86_64) Scenario/1.0")
            .timeout(Duration::from_secs(30));
        Ok(Self { http: builder.build()? })
    }

    /// A request to be built by hand.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the whole answer, up to a megabyte.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let mut response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            ensure!(body.len() < 1 << 20, "an answer of over a megabyte");
        }
        Ok(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    pub async fn get(&self, url: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, url)).await
    }

    /// Clicks a link that must lead on.
    pub async fn click(&self, url: &str) -> Result<Clicked> {
        self.click_with(url, &[]).await
    }

    /// The same with these headers, which replace the client's own.
    pub async fn click_with(&self, url: &str, headers: &[(&str, &str)]) -> Result<Clicked> {
        let request = self.request(Method::GET, url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = self.send(request).await?;
        ensure!(answer.status == 302, "the click was answered {}: {}", answer.status, answer.body);
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let location = header("location").context("a redirect without a location")?.to_owned();
        let landing: Url = location.parse().context("the location is no URL")?;
        let id =
            landing.query_pairs().find(|(name, _)| name == "clickid").map(|(_, value)| value.into_owned());
        let cookie = header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(ToOwned::to_owned);
        Ok(Clicked { id: id.context("the location has no clickid")?, location, cookie })
    }

    /// Sends a funnel's webhook.
    pub async fn webhook(&self, url: &str, body: impl Into<Vec<u8>>) -> Result<Answer> {
        let request = self.request(Method::POST, url).header("content-type", "application/json");
        self.send(request.body(body.into())).await
    }

    /// Sends a plain event as a form.
    pub async fn form(&self, url: &str, pairs: &[(&str, &str)]) -> Result<Answer> {
        let request =
            self.request(Method::POST, url).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form(pairs))).await
    }
}

/// Sends these bytes on a connection of their own, for what no client would send; gives the status.
pub async fn raw(port: u16, request: &[u8]) -> Result<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // It may be answered, and closed, before all of it was sent.
        let _ = stream.write_all(request).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.context("no answer")?;
        let status = std::str::from_utf8(&answer)?.strip_prefix("HTTP/1.1 ").context("no HTTP answer")?;
        anyhow::Ok(status.parse()?)
    };
    tokio::time::timeout(Duration::from_secs(30), exchange).await.context("no answer in 30 s")?
}

/// Pairs as a form or query.
pub fn form(pairs: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://x/").expect("a URL");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
