//! A token endpoint: one answer per request, whose bodies are kept.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub struct Endpoint {
    pub url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    /// One that answers its n-th request (from 1) with this status and body.
    pub async fn answering(answer: impl Fn(usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, answer) = (bodies.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (kept.clone(), answer.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &kept, answer.as_ref()).await;
                });
            }
        });
        Self { url, bodies }
    }

    pub fn asked(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    pub fn body(&self, index: usize) -> String {
        self.bodies.lock().unwrap()[index].clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    kept: &Mutex<Vec<String>>,
    answer: &(impl Fn(usize) -> (u16, String) + ?Sized),
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase().lines().find_map(|line| {
                line.strip_prefix("content-length: ").and_then(|length| length.parse::<usize>().ok())
            });
            if body.len() >= length.unwrap_or(0) {
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(body.to_owned());
                    kept.len()
                };
                let (status, body) = answer(number);
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                return stream.write_all(answer.as_bytes()).await;
            }
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
    }
}
