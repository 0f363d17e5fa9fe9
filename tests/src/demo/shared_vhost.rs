//! A broker without a management URL: we can make no vhost, so we are guests in the one that is named.
//!
//! A Carom that runs there already would share its queues with ours, so we go nowhere near one; and what we
//! declare is removed when the journeys are over.

use anyhow::{Result, ensure};
use carom_common::id::ConnectorId;
use carom_common::retry::Schedule;
use carom_common::topology::{self, Topology};
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};

/// Fails where the vhost has a Carom's queues.
pub async fn must_be_vacant(url: &str) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(topology::EVENTS.into(), options, FieldTable::default()).await;
    let _ = connection.close(200, "bye".into()).await;
    ensure!(
        found.is_err(),
        "the broker's vhost has {} already, so a Carom may live there: name another vhost in CAROM_BROKER_URL, \
         or set CAROM_BROKER_MANAGEMENT_URL, and the journeys get vhosts of their own",
        topology::EVENTS
    );
    Ok(())
}

/// Removes every queue and exchange that the journeys have declared.
pub async fn vacate(url: &str, schedules: &[Schedule], connectors: &[&str]) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for Topology { queues, exchanges } in schedules.iter().map(topology::topology) {
        for exchange in exchanges {
            channel.exchange_delete(exchange.name.into(), ExchangeDeleteOptions::default()).await?;
        }
        for queue in queues {
            channel.queue_delete(queue.name.into(), QueueDeleteOptions::default()).await?;
        }
    }
    for connector in connectors {
        let queue = topology::deliver_queue(&connector.parse::<ConnectorId>()?);
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    }
    connection.close(200, "bye".into()).await?;
    Ok(())
}
