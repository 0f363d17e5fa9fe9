//! `clickfunnels`: our endpoint set up through ClickFunnels' API, and what never arrived asked for.

use super::{json_line, settings, usage};
use crate::clickfunnels::api::Client;
use crate::clickfunnels::reconcile::{self, Parts, Report};
use crate::clickfunnels::setup::{self, Action, Options, Secret};
use crate::egress;
use anyhow::Context;
use carom_common::amqp::{Address, Link, Publisher, greet};
use carom_common::config::Config;
use carom_common::id::SourceId;
use carom_common::store::Store;
use clap::{Args, Subcommand};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a command waits for the broker.
const PATIENCE: Duration = Duration::from_secs(15);

/// What can be done with ClickFunnels' API.
#[derive(Subcommand)]
pub enum ClickfunnelsCommand {
    /// Create or update our webhook endpoint, and keep its secret.
    Setup(SetupArgs),
    /// Feed the events that ClickFunnels has and that never arrived.
    Reconcile(ReconcileArgs),
}

/// What is to be set up.
#[derive(Args)]
pub struct SetupArgs {
    /// The source, which has a [source.api].
    pub source: String,
    /// The endpoint's whole URL, where the store knows the token's hash only.
    #[arg(long)]
    pub endpoint_url: Option<String>,
    /// Make another endpoint in the place of the one that is there: a secret that was lost is told again.
    #[arg(long)]
    pub recreate: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// What is to be reconciled.
#[derive(Args)]
pub struct ReconcileArgs {
    /// The source, which has a [source.api].
    pub source: String,
    /// After the event record with this id, instead of where it ended last.
    #[arg(long)]
    pub since: Option<u64>,
    /// Say what is missing, and feed nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Machine-readable.
    #[arg(long)]
    pub json: bool,
}

/// Does one of the commands about ClickFunnels.
pub async fn run(config: &Config, command: ClickfunnelsCommand) -> anyhow::Result<()> {
    match command {
        ClickfunnelsCommand::Setup(args) => Box::pin(set_up(config, args)).await,
        ClickfunnelsCommand::Reconcile(args) => Box::pin(reconcile(config, &args)).await,
    }
}

async fn set_up(config: &Config, args: SetupArgs) -> anyhow::Result<()> {
    let id: SourceId = args.source.parse().map_err(usage)?;
    let store = Store::open(&settings(config), |_, _| {}).context("the store")?;
    let resources = store.resources().await?.resources;
    let (source, api) = setup::with_api(&resources, &id)?;
    let client = Client::new(egress(config)?, api)?;
    let options = Options { endpoint_url: args.endpoint_url, recreate: args.recreate, dry_run: args.dry_run };
    let report = setup::setup(&client, &store, source, &options).await;
    store.close().await;
    let report = report?;
    if args.json {
        json_line(&report)?;
    } else {
        tell(&report);
    }
    match report.secret {
        Secret::Missing => anyhow::bail!(
            "the endpoint is there, but its secret is not ({}), and ClickFunnels tells it only once: put it there by hand, or have another endpoint made with --recreate",
            report.secret_file.unwrap_or_default().display()
        ),
        Secret::NotTold => anyhow::bail!(
            "the endpoint is there, but ClickFunnels did not tell its secret: copy it from the endpoint's page there to {}",
            report.secret_file.unwrap_or_default().display()
        ),
        Secret::Written | Secret::Kept | Secret::NoFile => Ok(()),
    }
}

fn tell(report: &setup::Report) {
    let done = match (report.action, report.dry_run) {
        (Action::Created, false) => "created",
        (Action::Created, true) => "would be created",
        (Action::Recreated, false) => "created in the place of the one before",
        (Action::Recreated, true) => "would be created in the place of the one that is there",
        (Action::Updated, false) => "updated",
        (Action::Updated, true) => "would be updated",
        (Action::Unchanged, _) => "as it should be",
    };
    let id = report.endpoint.map_or_else(String::new, |id| format!(" {id}"));
    println!("endpoint{id} of source {}: {done}", report.source);
    println!("  url      {}", report.url);
    if !report.changed.is_empty() {
        println!("  changes  {}", report.changed.join(", "));
    }
    println!("  events   {}: {}", report.event_types.len(), report.event_types.join(" "));
    if !report.left_out.is_empty() {
        println!("  left out {} (ClickFunnels does not offer them)", report.left_out.join(" "));
    }
    if let Some(file) = report.secret_file.as_ref().map(|file| file.display()) {
        match report.secret {
            Secret::Written if report.dry_run => println!("  secret   would be kept in {file}"),
            Secret::Written => println!("  secret   kept in {file}, for its owner only"),
            Secret::Kept => println!("  secret   in {file}, as it was"),
            Secret::Missing | Secret::NotTold | Secret::NoFile => {}
        }
    }
    for double in &report.doubles {
        println!("  double   endpoint {double} sends to the same URL; remove it in ClickFunnels");
    }
}

async fn reconcile(config: &Config, args: &ReconcileArgs) -> anyhow::Result<()> {
    let id: SourceId = args.source.parse().map_err(usage)?;
    let store = if args.dry_run {
        super::reading(config)?
    } else {
        Store::open(&settings(config), |_, _| {}).context("the store")?
    };
    let resources = store.resources().await?.resources;
    let (source, api) = setup::with_api(&resources, &id)?;
    let client = Client::new(egress(config)?, api)?;
    let stop = CancellationToken::new();
    let publisher = if args.dry_run { None } else { Some(publisher(config, &stop).await?) };
    let memory = config.worker.marker_retention.0;
    let parts = Parts { client: &client, store: &store, publisher: publisher.as_ref(), source, api, memory };
    let mut report = Report::new(source, args.dry_run);
    let done = reconcile::reconcile(&parts, args.since, &mut report).await;
    stop.cancel();
    store.close().await;
    if args.json {
        json_line(&report)?;
    } else {
        tell_of(&report);
    }
    done.context("reconciling ended early; run it again to go on")
}

fn tell_of(report: &Report) {
    let Report { read, known, missing, published, passed_over, waiting, .. } = report;
    print!("{read} records read: {known} known, {missing} missing");
    println!(", {passed_over} not for us; {published} published");
    if *waiting > 0 {
        println!("{waiting} are too young to be missing (source.api.reconcile_lag)");
    }
    let cursor = report.cursor.map_or_else(|| "none".to_owned(), |cursor| cursor.to_string());
    println!("cursor: {cursor}");
    for event in &report.events {
        let at = event.at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        println!("  {}  {at}  {}", event.event_id, event.event_type);
    }
}

async fn publisher(config: &Config, stop: &CancellationToken) -> anyhow::Result<Publisher> {
    let broker = Address::new(config);
    greet(&broker).await.context("the broker")?;
    let link = Link::start(&broker, "carom-worker clickfunnels", &config.retry.schedule, stop.clone());
    let publisher = Publisher::start(link, config.broker.confirm_timeout.0, stop.clone(), |_| {});
    let channel = tokio::time::timeout(PATIENCE, publisher.link().channel()).await;
    channel.context("the broker: no channel in time")?.close(200, "connected".into()).await?;
    Ok(publisher)
}

fn egress(config: &Config) -> anyhow::Result<egress::Egress> {
    Ok(egress::Egress::new(&egress::settings(config))?)
}
