//! RabbitMQ's management API: vhosts, what is declared, how deep the queues are.
//!
//! On the standard library's blocking sockets, because a `Drop` must be able to remove a vhost, with or
//! without a runtime, and must never hang: every operation has a time limit.

use anyhow::{Context, Result, bail, ensure};
use reqwest::Url;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// A broker's management API.
#[derive(Clone, Debug)]
pub struct Management {
    address: String,
    host: String,
    user: String,
    authorization: String,
}

impl Management {
    /// By its URL, as in `http://guest:guest@127.0.0.1:15672`.
    pub fn new(url: &str) -> Result<Self> {
        let url: Url = url.parse().with_context(|| "the management URL is none")?;
        ensure!(url.scheme() == "http", "only http:// is known here, not {}://", url.scheme());
        let host = url.host_str().context("the management URL has no host")?.to_owned();
        let user = decoded(url.username());
        let password = decoded(url.password().unwrap_or_default());
        let authorization = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        let address = format!("{host}:{}", url.port().unwrap_or(15672));
        Ok(Self { address, host, user, authorization })
    }

    /// The user that it speaks as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// GET, as JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.off_the_runtime("GET", path.to_owned(), None).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Result<()> {
        self.off_the_runtime("PUT", path.to_owned(), Some(body)).await.map(|_| ())
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.off_the_runtime("POST", path.to_owned(), Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.off_the_runtime("DELETE", path.to_owned(), None).await.map(|_| ())
    }

    /// Makes a vhost that `user` may do everything in.
    pub async fn create_vhost(&self, name: &str, user: &str) -> Result<()> {
        let name = encoded(name);
        self.put(&format!("/api/vhosts/{name}"), json!({})).await?;
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.put(&format!("/api/permissions/{name}/{}", encoded(user)), all).await
    }

    /// Removes a vhost with all that is in it. Blocking, for a few seconds at most.
    pub fn delete_vhost_now(&self, name: &str) -> Result<()> {
        self.ask("DELETE", &format!("/api/vhosts/{}", encoded(name)), None).map(|_| ())
    }

    /// Removes a user. Blocking, for a few seconds at most.
    pub fn delete_user_now(&self, name: &str) -> Result<()> {
        self.ask("DELETE", &format!("/api/users/{}", encoded(name)), None).map(|_| ())
    }

    async fn off_the_runtime(
        &self,
        method: &'static str,
        path: String,
        body: Option<Value>,
    ) -> Result<Value> {
        let api = self.clone();
        tokio::task::spawn_blocking(move || api.ask(method, &path, body.as_ref())).await?
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let asked = || format!("{method} {path} of the broker's management API");
        let (status, text) = self.exchange(method, path, body).with_context(asked)?;
        ensure!((200..300).contains(&status), "{}: {status} {text}", asked());
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(asked)
    }

    /// HTTP/1.0, so that the answer is neither chunked nor kept open.
    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let address = self.address.to_socket_addrs()?.next().context("the management host has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.host,
            self.authorization,
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer broke off")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match status {
            Some(status) => Ok((status, body.to_owned())),
            None => bail!("no HTTP answer: {head}"),
        }
    }
}

/// One segment of a path.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What `%xx` stand for.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).map(|chunk| {
        let number = (0..3).fold(0, |sum, index| sum << 8 | u32::from(*chunk.get(index).unwrap_or(&0)));
        let letter = |index: usize| {
            let six = number >> (18 - 6 * index) & 63;
            if index > chunk.len() { '=' } else { char::from(LETTERS[six as usize]) }
        };
        [letter(0), letter(1), letter(2), letter(3)].iter().collect::<String>()
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        assert_eq!(base64(b"guest:guest"), "Z3Vlc3Q6Z3Vlc3Q=");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(encoded("/a b"), "%2Fa%20b");
        assert_eq!(decoded("%2fa%20b%"), "/a b%");
    }
}
