//! For tests: an API that answers by a script on a real socket, and remembers what it was asked.

use super::api::Client;
use crate::egress::{Egress, Settings};
use carom_common::source::Source;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const TOKEN: &str = "api-token-0123";

/// A request as it came: the first line, the headers, the body.
#[derive(Clone, Debug)]
pub struct Asked {
    pub line: String,
    pub head: String,
    pub body: Value,
}

/// An answer of the script: status, further headers, body.
pub type Answer = (u16, Vec<(&'static str, String)>, Value);

pub fn ok(body: Value) -> Answer {
    (200, Vec::new(), body)
}

pub struct Script {
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub source: Source,
    pub folder: TempDir,
}

impl Script {
    /// An API that gives these answers in their order, and 418 when they are spent.
    pub async fn of(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let heard = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), heard.clone()));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(file("source token"), "source-token-0123456789\n").unwrap();
        let source = json!({
            "id": "shop", "advertiser": "acme", "kind": "clickfunnels",
            "tokens": [{"file": file("source token")}],
            "api": {
                "base_url": format!("http://{address}/api/v2/"), "workspace": "42000",
                "token": {"file": file("token")}, "secret_file": file("secret"),
                "endpoint_url": "https://carom.example/api/v1/events/{token}?click_id={contact.x}",
                "event_types": ["contact.created", "order.created"],
            },
        });
        Self { asked, source: serde_json::from_value(source).unwrap(), folder }
    }

    pub fn client(&self) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            response_cap: 16,
            user_agent: "carom-test".to_owned(),
            ca_file: Default::default(),
        };
        Client::new(Egress::new(&settings).unwrap(), self.source.api.as_ref().unwrap()).unwrap()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<std::vec::IntoIter<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    loop {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        while bytes.len() < end + length.unwrap_or(0) {
            stream.read_buf(&mut bytes).await.unwrap();
        }
        let line = String::from_utf8_lossy(&bytes[..end]).lines().next().unwrap().to_owned();
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let body = serde_json::from_slice(&bytes[end..]).unwrap_or_default();
        asked.lock().unwrap().push(Asked { line, head, body });
        let next = answers.lock().unwrap().next();
        let (status, headers, body) = next.unwrap_or((418, Vec::new(), Value::Null));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}
