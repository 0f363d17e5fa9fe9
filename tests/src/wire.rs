//! Speaking AMQP to a vhost ourselves: publishing what nobody should, and a broker that is too old.

use anyhow::{Context, Result, bail};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Publishes a persistent, mandatory message, and waits for the confirm.
pub async fn publish(url: &str, exchange: &str, routing_key: &str, body: &[u8]) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let properties = BasicProperties::default().with_delivery_mode(2);
    let written =
        channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await?;
    let confirmed = tokio::time::timeout(Duration::from_secs(10), written).await.context("no confirm")??;
    connection.close(200, "bye".into()).await?;
    match confirmed {
        Confirmation::Ack(None) => Ok(()),
        other => bail!("not confirmed: {other:?}"),
    }
}

/// Removes a queue under everybody's feet.
pub async fn delete_queue(url: &str, queue: &str) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// A server that greets as a RabbitMQ of this version, and says nothing else. Gives its URL.
pub async fn greeter(version: &str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let greeting = start_frame(version);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let greeting = greeting.clone();
            tokio::spawn(async move {
                let mut header = [0; 8];
                if stream.read_exact(&mut header).await.is_ok() && stream.write_all(&greeting).await.is_ok() {
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                }
            });
        }
    });
    Ok(format!("amqp://guest:guest@{address}/%2f"))
}

/// `connection.start`: class 10, method 10, version 0-9, the server's properties, mechanisms, locales.
fn start_frame(version: &str) -> Vec<u8> {
    let long = |text: &str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    let short = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    let field = |name: &str, value: &str| [&short(name)[..], b"S", &long(value)].concat();
    let table = [field("product", "RabbitMQ"), field("version", version)].concat();
    let mut payload = vec![0, 10, 0, 10, 0, 9];
    payload.extend((table.len() as u32).to_be_bytes());
    payload.extend(table);
    payload.extend(long("PLAIN AMQPLAIN"));
    payload.extend(long("en_US"));
    let mut frame = vec![1, 0, 0];
    frame.extend((payload.len() as u32).to_be_bytes());
    frame.extend(payload);
    frame.push(0xCE);
    frame
}
