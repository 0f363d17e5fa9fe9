//! Declaring the topology: idempotent, so that whichever binary comes first does it.

use super::Error;
use crate::topology::{self, Exchange, Queue, Topology};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind};
use std::time::Duration;
use tracing::warn;

/// For one connector's queue. A queue most of whose members are gone may never answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Declares what every binary needs, queues first, so that no exchange ever routes to nowhere.
pub(super) async fn topology(connection: &Connection, topology: &Topology) -> Result<(), Error> {
    let channel = connection.create_channel().await?;
    for queue in &topology.queues {
        declare_queue(&channel, queue).await?;
    }
    for exchange in &topology.exchanges {
        declare_exchange(&channel, exchange).await?;
    }
    for queue in topology.queues.iter().filter(|queue| queue.returned_to) {
        bind(&channel, &queue.name, topology::WORK, &queue.name).await?;
    }
    channel.close(200, "declared".into()).await?;
    Ok(())
}

/// Declares connectors' queues, with their way back from the tiers. One that the broker refuses is its own
/// trouble and nobody else's (guarantee G7): the others are declared, and the first refusal is told.
pub(super) async fn connectors(connection: &Connection, queues: &[Queue]) -> Result<(), Error> {
    let mut refused = Ok(());
    let mut channel = open(connection).await?;
    for queue in queues {
        let declared = tokio::time::timeout(PATIENCE, connector(&channel, queue)).await;
        if let Err(error) = declared.unwrap_or(Err(Error::Silent(PATIENCE))) {
            warn!(%error, queue = queue.name, "connector.declare_refused");
            refused = refused.and(Err(error));
            // A refusal closes the channel that it came on, and one that waits for an answer is of no use.
            channel = open(connection).await?;
        }
    }
    let closed = tokio::time::timeout(PATIENCE, channel.close(200, "declared".into())).await;
    closed.map_err(|_| Error::Silent(PATIENCE))??;
    refused
}

async fn open(connection: &Connection) -> Result<Channel, Error> {
    let opened = tokio::time::timeout(PATIENCE, connection.create_channel()).await;
    Ok(opened.map_err(|_| Error::Silent(PATIENCE))??)
}

async fn connector(channel: &Channel, queue: &Queue) -> Result<(), Error> {
    declare_queue(channel, queue).await?;
    bind(channel, &queue.name, topology::WORK, &queue.name).await
}

async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<(), Error> {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(queue.name.as_str().into(), options, queue.arguments.clone()).await;
    declared.map(|_| ()).map_err(|source| refused(&queue.name, source))
}

fn refused(name: &str, source: lapin::Error) -> Error {
    let name = name.to_owned();
    match source.kind() {
        ErrorKind::ProtocolError(told)
            if *told.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) =>
        {
            Error::Rights { name }
        }
        _ => Error::Declare { name, source },
    }
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> Result<(), Error> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let name = exchange.name.as_str();
    channel
        .exchange_declare(name.into(), exchange.kind.clone(), options, exchange.arguments.clone())
        .await
        .map_err(|source| refused(name, source))?;
    match &exchange.feeds {
        Some(queue) => bind(channel, queue, name, "").await,
        None => Ok(()),
    }
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> Result<(), Error> {
    let options = QueueBindOptions::default();
    let bound =
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await;
    bound.map_err(|source| refused(&format!("the binding of {queue} to {exchange}"), source))
}
