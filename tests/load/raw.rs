//! What the parts can do without us: the broker alone, a commit alone, an HTTP exchange alone.

use crate::journey::Journey;
use anyhow::{Context, Result, bail, ensure};
use carom_tests::broker::Broker;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use std::time::{Duration, Instant};

/// Messages without a confirm, as the issue of the measurement wants them.
pub const IN_FLIGHT: usize = 1_000;
/// Messages without an ack.
const PREFETCH: u16 = 1_000;

/// A queue like ours, on a connection of its own.
pub struct Queue {
    connection: Connection,
    channel: Channel,
    /// Where it publishes to: the default exchange, where it is the queue itself.
    exchange: String,
    name: String,
}

impl Queue {
    /// Declares one, durable, under a name that was never used: 3.10 fails where a queue was deleted a moment ago.
    pub async fn declare(url: &str) -> Result<Self> {
        let name = format!("raw-{}", uuid::Uuid::new_v4().simple());
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(name.as_str().into(), QueueDeclareOptions::durable(), arguments).await?;
        Ok(Self { connection, channel, exchange: String::new(), name })
    }

    /// One that is there, by an exchange: empty for the default one.
    pub async fn behind(url: &str, exchange: &str, name: &str) -> Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel, exchange: exchange.to_owned(), name: name.to_owned() })
    }

    /// Leaves it as it is.
    pub async fn leave(self) -> Result<()> {
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    /// Deletes it with what is in it.
    pub async fn delete(self) -> Result<()> {
        self.channel.queue_delete(self.name.as_str().into(), QueueDeleteOptions::default()).await?;
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    /// Publishes one message and waits for its confirm.
    pub async fn publish(&self, body: &[u8]) -> Result<()> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default().with_delivery_mode(2);
        let (exchange, key) = (self.exchange.as_str().into(), self.name.as_str().into());
        let sent = self.channel.basic_publish(exchange, key, options, body, properties);
        let confirmation = sent.await?.await?;
        ensure!(confirmation.is_ack(), "the broker refused a message");
        ensure!(confirmation.take_message().is_none(), "the broker returned a message");
        Ok(())
    }

    /// Publishes bodies as they come, one per message, with this many in flight; gives how many, and the time.
    pub async fn publish_all(
        &self,
        mut next: impl FnMut(&mut Vec<u8>) -> bool,
        in_flight: usize,
    ) -> Result<(usize, Duration)> {
        let begun = Instant::now();
        let mut waiting = FuturesUnordered::new();
        let (mut count, mut more) = (0, true);
        loop {
            while more && waiting.len() < in_flight {
                let mut body = Vec::new();
                more = next(&mut body);
                if more {
                    waiting.push(async move { self.publish(&body).await });
                }
            }
            match waiting.next().await {
                Some(confirmed) => {
                    confirmed?;
                    count += 1;
                }
                None => return Ok((count, begun.elapsed())),
            }
        }
    }

    /// Takes this many messages and acks each; gives the time.
    pub async fn take_all(&self, count: usize) -> Result<Duration> {
        // A channel of its own: 3.10 fails where one that confirms has published very many and consumes then.
        let channel = self.connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(self.name.as_str().into(), "".into(), options, FieldTable::default());
        let mut consumer = consumer.await?;
        let begun = Instant::now();
        for _ in 0..count {
            let Some(taken) = consumer.next().await else { bail!("the consumer has ended") };
            taken?.ack(BasicAckOptions::default()).await?;
        }
        Ok(begun.elapsed())
    }

    /// Publishes one message every `every`, as many as said, and gives how long each confirm took, sorted.
    pub async fn confirms(&self, body: &[u8], count: usize, every: Duration) -> Result<Vec<Duration>> {
        let mut ticks = tokio::time::interval(every);
        let mut waiting = FuturesUnordered::new();
        let mut took = Vec::with_capacity(count);
        let mut begun = 0;
        while took.len() < count {
            tokio::select! {
                biased;
                Some(one) = waiting.next(), if !waiting.is_empty() => took.push(one?),
                _ = ticks.tick(), if begun < count => {
                    begun += 1;
                    waiting.push(async move {
                        let at = Instant::now();
                        self.publish(body).await?;
                        anyhow::Ok(at.elapsed())
                    });
                }
            }
        }
        took.sort_unstable();
        Ok(took)
    }
}

/// What the rates of Carom are compared with: bodies confirmed per second, one per message, on a vhost of its own.
pub async fn limit(broker: &Broker, body: &str, over: Duration) -> Result<f64> {
    let vhost = broker.vhost("raw").await?;
    let journey = Journey::webhook(([127, 0, 0, 1], 1).into(), "/", body)?;
    let (_, rate) = publishes(&vhost.url, &journey, 1, IN_FLIGHT, over).await?;
    Ok(rate)
}

/// Pipelined confirmed publishes for about this time, so many bodies in a message and so many messages in flight; gives
/// how many bodies, and the rate of bodies.
pub async fn publishes(
    url: &str,
    journey: &Journey,
    group: usize,
    in_flight: usize,
    over: Duration,
) -> Result<(usize, f64)> {
    let queue = Queue::declare(url).await?;
    let begun = Instant::now();
    let mut number = 0;
    let next = |body: &mut Vec<u8>| {
        for _ in 0..group {
            journey.write_body(number, body);
            number += 1;
        }
        begun.elapsed() < over
    };
    let (count, took) = queue.publish_all(next, in_flight).await?;
    queue.delete().await?;
    let bodies = count * group;
    Ok((bodies, bodies as f64 / took.as_secs_f64()))
}

/// The rate of consuming with an ack each.
pub async fn consumes(url: &str, journey: &Journey, count: usize) -> Result<f64> {
    let queue = Queue::declare(url).await?;
    let mut number = 0;
    let next = |body: &mut Vec<u8>| {
        journey.write_body(number, body);
        number += 1;
        number <= count
    };
    queue.publish_all(next, IN_FLIGHT).await?;
    let took = queue.take_all(count).await?;
    queue.delete().await?;
    Ok(count as f64 / took.as_secs_f64())
}

/// How long a commit of one row takes in a file of SQLite that is set up as the store's, sorted.
pub fn commits(dir: &std::path::Path, count: usize, every: Duration) -> Result<Vec<Duration>> {
    let connection = rusqlite::Connection::open(dir.join("raw.db")).context("a file of its own")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")?;
    let body = "x".repeat(800);
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        // As seldom as it happens at idle.
        std::thread::sleep(every);
        let at = Instant::now();
        connection.execute("INSERT INTO rows (body) VALUES (?1)", [&body])?;
        took.push(at.elapsed());
    }
    took.sort_unstable();
    Ok(took)
}
