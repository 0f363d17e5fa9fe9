//! The command line: what there is to say, and who does it.

use crate::{commands, run};
use carom_common::config::{Config, EXIT_BAD_CONFIG};
use carom_common::telemetry;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Carom's worker: attribution, postbacks, retries, dead letters.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    /// The process configuration; every key has a default and can be set in the environment, as in CAROM_BROKER_URL.
    #[arg(long, env = "CAROM_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Resolve events and fire postbacks, until SIGTERM.
    Run,
    /// Ask the process that runs by this configuration whether it is ready; exits 0 or 1.
    Health {
        /// Ask only whether it answers at all.
        #[arg(long)]
        live: bool,
    },
    /// Check the configuration, and resource files where any are named: every fault at once.
    Check {
        /// A file of resources, or a folder of *.toml files.
        resources: Option<PathBuf>,
        /// Print the commented default configuration and exit.
        #[arg(long)]
        print_defaults: bool,
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// Check resource files and make them the store's next version, which both binaries follow.
    Apply {
        /// A file of resources, or a folder of *.toml files.
        resources: PathBuf,
    },
    /// The template library: what is known of 25 receivers, and connectors made of it.
    Connector {
        #[command(subcommand)]
        command: commands::connector::ConnectorCommand,
    },
    /// Bring the store to this binary's schema.
    Migrate,
    /// Print the broker's queues, exchanges and bindings, as RabbitMQ imports them (rabbitmqctl import_definitions).
    Topology(commands::topology::TopologyArgs),
    /// Tell what became of an event, a click or a delivery, and why.
    Trace {
        /// An event's, click's or delivery's id, a funnel's event id, or a conversion's key.
        id: String,
        /// Machine-readable.
        #[arg(long)]
        json: bool,
    },
    /// List attempts, newest last.
    Log(commands::log::LogArgs),
    /// List the macros and filters of templates, and the fields that a source's events carry.
    Macros(commands::macros::MacrosArgs),
    /// The connectors: whether each sends, since when it is paused and why, what waits for it.
    Connectors {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Take nothing from a connector's queue any more. It goes on selecting into it.
    Pause {
        /// Its id.
        connector: String,
        /// Why, for whoever wonders later.
        #[arg(long, default_value = "by an operator")]
        because: String,
    },
    /// Take from a paused connector's queue again, also after its receiver has answered 410.
    Resume {
        /// Its id.
        connector: String,
    },
    /// The pixels: code that connectors fire in the browser, and its approval.
    Pixel {
        #[command(subcommand)]
        command: commands::pixel::PixelCommand,
    },
    /// Show what a connector would send, and whether it would; nothing is sent.
    Preview(commands::preview::PreviewArgs),
    /// Send one request of a connector, past the queue, and show what comes of it.
    TestWebhook(commands::test_webhook::TestWebhookArgs),
    /// Run new or changed connectors over stored history: what they would have sent, and what not, and why.
    Simulate(commands::simulate::SimulateArgs),
    /// What sources have received.
    Events {
        #[command(subcommand)]
        command: commands::events::EventsCommand,
    },
    /// Erase a person: what says who they are goes, what the ledger is made of stays.
    Forget(commands::forget::ForgetArgs),
    /// The dead letters.
    Dlq {
        #[command(subcommand)]
        command: commands::dlq::DlqCommand,
    },
    /// ClickFunnels' own API: set our endpoint up, feed what never arrived.
    Clickfunnels {
        #[command(subcommand)]
        command: commands::clickfunnels::ClickfunnelsCommand,
    },
}

/// Does what was asked, and says how it went: 0 well, 1 not, 64 for bad configuration or arguments.
#[allow(clippy::print_stderr, reason = "the one place where the process talks before its log is there")]
pub async fn run(cli: Cli) -> ExitCode {
    let config = match Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    let _log = match telemetry::log(&config.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    if carom_tls_provider().is_err() {
        tracing::debug!("tls.provider_was_there");
    }
    let done = match cli.command {
        Command::Run => Box::pin(run::run(config)).await,
        Command::Health { live } => commands::health::run(&config, live),
        Command::Check { print_defaults: true, .. } => commands::check::print_defaults(),
        Command::Check { resources, json, .. } => {
            return commands::check::run(&config, resources.as_deref(), json).await;
        }
        Command::Apply { resources } => return commands::apply::run(&config, &resources).await,
        Command::Connector { command } => commands::connector::run(&command),
        Command::Migrate => commands::migrate::run(&config),
        Command::Topology(args) => commands::topology::run(&config, &args).await,
        Command::Trace { id, json } => commands::trace::run(&config, &id, json).await,
        Command::Log(args) => commands::log::run(&config, &args).await,
        Command::Macros(args) => commands::macros::run(&config, &args).await,
        Command::Connectors { json } => commands::connectors::run(&config, json).await,
        Command::Pause { connector, because } => commands::pause::pause(&config, &connector, &because).await,
        Command::Resume { connector } => commands::pause::resume(&config, &connector).await,
        Command::Pixel { command } => commands::pixel::run(&config, &command).await,
        Command::Preview(args) => commands::preview::run(&config, &args).await,
        Command::TestWebhook(args) => Box::pin(commands::test_webhook::run(&config, &args)).await,
        Command::Simulate(args) => commands::simulate::run(&config, &args).await,
        Command::Events { command } => commands::events::run(&config, command).await,
        Command::Forget(args) => commands::forget::run(&config, &args).await,
        Command::Dlq { command } => Box::pin(commands::dlq::run(&config, command)).await,
        Command::Clickfunnels { command } => Box::pin(commands::clickfunnels::run(&config, command)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carom-worker: {error:#}");
            let usage = error.downcast_ref::<commands::Usage>().is_some();
            ExitCode::from(if usage { EXIT_BAD_CONFIG } else { 1 })
        }
    }
}

/// TLS for whatever connects: one provider for the whole process.
fn carom_tls_provider() -> Result<(), impl Sized> {
    rustls::crypto::ring::default_provider().install_default()
}
