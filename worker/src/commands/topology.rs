//! `topology`: the broker's queues, exchanges, bindings and policy, for RabbitMQ's own import.

use super::{reading, usage};
use carom_common::amqp::Address;
use carom_common::config::Config;
use carom_common::topology;

/// What is to be printed.
#[derive(clap::Args)]
pub struct TopologyArgs {
    /// The queues of the connectors that were applied as well.
    #[arg(long)]
    connectors: bool,
    /// For this vhost, and not the one of broker.url.
    #[arg(long)]
    vhost: Option<String>,
}

/// Prints the definitions. The broker is not asked.
///
/// # Errors
/// The connectors are asked for and the store cannot be read.
pub async fn run(config: &Config, args: &TopologyArgs) -> anyhow::Result<()> {
    let vhost = match &args.vhost {
        Some(vhost) => vhost.clone(),
        None => Address::new(config).vhost().map_err(usage)?,
    };
    let mut queues = Vec::new();
    if args.connectors {
        let resources = reading(config)?.resources().await?.resources;
        let sending = resources.connectors.iter().filter(|connector| connector.webhook.is_some());
        queues.extend(sending.map(|connector| topology::connector_queue(&connector.id)));
    }
    let topology = topology::topology(&config.retry.schedule);
    println!("{}", serde_json::to_string_pretty(&topology::definitions(&vhost, &topology, &queues))?);
    Ok(())
}
