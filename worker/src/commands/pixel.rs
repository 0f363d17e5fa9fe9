//! `pixel`: who approved which code, and what it looks like filled in. All processes follow a decision within their
//! `follow_interval`; none needs a restart.

use super::chosen::named;
use super::operator::operator;
use super::trial::{Trial, TrialArgs, Tried, Verdict};
use super::{Usage, json_line, parsed, printable, reading, settings, usage};
use anyhow::Context;
use carom_common::config::Config;
use carom_common::connector::{Connector, Pixel};
use carom_common::id::{ConnectorId, DeliveryId};
use carom_common::pixel::{Approval, Approvals, Code, CodeHash, Decision, Standing, code_hash};
use carom_common::store::Store;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

/// The longest name that is kept, in characters.
const LONGEST: usize = 100;

#[derive(Subcommand)]
pub enum PixelCommand {
    /// Approve the code of a connector's pixel as it is applied now. Whatever changes in it asks again.
    Approve(ApproveArgs),
    /// Take an approval back: the pixel fires no more.
    Revoke(RevokeArgs),
    /// The pixels: whether each is on, where it runs, and who approved it when.
    List(ListArgs),
    /// Show a pixel's code filled in, and whether it would be fired; nothing is fired.
    Preview(PreviewArgs),
}

#[derive(Args)]
pub struct ApproveArgs {
    /// The connector's id.
    connector: String,
    /// Who approves it; by default the operating system's user.
    #[arg(long)]
    by: Option<String>,
    /// Only where the code's hash begins like this, as `pixel list` showed it to whoever has read the code.
    #[arg(long)]
    hash: Option<String>,
}

#[derive(Args)]
pub struct RevokeArgs {
    /// The connector's id.
    connector: String,
    /// Who takes it back; by default the operating system's user.
    #[arg(long)]
    by: Option<String>,
}

#[derive(Args)]
pub struct ListArgs {
    /// Every decision that there was, the oldest first.
    #[arg(long)]
    history: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    trial: TrialArgs,
    /// Machine-readable.
    #[arg(long)]
    json: bool,
}

/// Does it.
pub async fn run(config: &Config, command: &PixelCommand) -> anyhow::Result<()> {
    match command {
        PixelCommand::Approve(args) => approve(config, args).await,
        PixelCommand::Revoke(args) => revoke(config, args).await,
        PixelCommand::List(ListArgs { history: true, json }) => history(config, *json).await,
        PixelCommand::List(ListArgs { history: false, json }) => list(config, *json).await,
        PixelCommand::Preview(args) => preview(config, args).await,
    }
}

async fn approve(config: &Config, args: &ApproveArgs) -> anyhow::Result<()> {
    let id: ConnectorId = parsed(Some(&args.connector))?.ok_or_else(|| usage("name a connector"))?;
    let by = by(args.by.as_deref())?;
    let store = writing(config)?;
    let done = approve_in(&store, &id, args.hash.as_deref(), by).await;
    store.close().await;
    println!("{}", done?);
    Ok(())
}

async fn approve_in(
    store: &Store,
    id: &ConnectorId,
    hash: Option<&str>,
    by: String,
) -> anyhow::Result<String> {
    let resources = store.resources().await?;
    let connector = named(&resources.resources.connectors, id.as_str())?;
    let pixel = pixel_of(connector)?;
    let found = code_hash(pixel);
    if let Some(wanted) = hash.filter(|wanted| wanted.is_empty() || !found.as_str().starts_with(*wanted)) {
        let problem = format!(
            "the code of {id} has the hash {}, not {wanted}: read it again (`pixel preview`)",
            found.short()
        );
        return Err(Usage(problem).into());
    }
    Code::parse(&pixel.code).map_err(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Usage(format!("the code of {id} is faulty: {}", faults.join("; ")))
    })?;
    let approval = Approval { connector: id.clone(), hash: found.clone(), by, at: Timestamp::now() };
    let news = store.approve_pixel(approval).await?;
    let standing = store.pixel_approvals().await?.standing(connector);
    let already = if news { "" } else { ", already" };
    Ok(format!("{id}: {}{already}; {}", in_words(standing.as_ref()), described(pixel)))
}

async fn revoke(config: &Config, args: &RevokeArgs) -> anyhow::Result<()> {
    let id: ConnectorId = parsed(Some(&args.connector))?.ok_or_else(|| usage("name a connector"))?;
    let by = by(args.by.as_deref())?;
    let store = writing(config)?;
    let done = revoke_in(&store, &id, &by).await;
    store.close().await;
    println!("{}", done?);
    Ok(())
}

async fn revoke_in(store: &Store, id: &ConnectorId, by: &str) -> anyhow::Result<String> {
    let revoked = store.revoke_pixel(id, by, Timestamp::now()).await?;
    if let Some(Approval { by, at, .. }) = revoked {
        let day = at.strftime("%Y-%m-%d");
        return Ok(format!("{id} is not approved any more; it was on {day} by {by}"));
    }
    // Of a connector that is gone there may be one to take back; where there is none, the name may be wrong.
    named(&store.resources().await?.resources.connectors, id.as_str())?;
    Ok(format!("{id} was not approved"))
}

/// A pixel as it stands. `--json` prints it as it is.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listed {
    connector: ConnectorId,
    enabled: bool,
    sandbox: bool,
    hash: CodeHash,
    approval: Standing,
}

async fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let store = reading(config)?;
    let versioned = store.resources().await?;
    for listed in listed(&versioned.resources.connectors, &versioned.approvals) {
        if json {
            json_line(&listed)?;
        } else {
            let on = if listed.enabled { "on" } else { "off" };
            let place = place(listed.sandbox);
            let (hash, approval) = (listed.hash.short(), in_words(Some(&listed.approval)));
            println!("{:<24} {on:<3}  {place:<12}  {hash}  {approval}", listed.connector.as_str());
        }
    }
    Ok(())
}

fn listed(connectors: &[Connector], approvals: &Approvals) -> Vec<Listed> {
    let listed = connectors.iter().filter_map(|connector| {
        let pixel = connector.pixel.as_ref()?;
        Some(Listed {
            connector: connector.id.clone(),
            enabled: pixel.enabled,
            sandbox: pixel.sandbox,
            hash: code_hash(pixel),
            approval: approvals.standing(connector)?,
        })
    });
    listed.collect()
}

async fn history(config: &Config, json: bool) -> anyhow::Result<()> {
    for decision in reading(config)?.pixel_decisions(None).await? {
        if json {
            json_line(&decision)?;
        } else {
            let Decision { connector, hash, approved, by, at } = decision;
            let what = if approved { "approved" } else { "revoked" };
            println!("{at:.0}  {:<24} {} {what:<8} by {}", connector.as_str(), hash.short(), printable(&by));
        }
    }
    Ok(())
}

/// A preview. `--json` prints it as it is.
#[derive(Debug, Serialize)]
struct Preview {
    connector: ConnectorId,
    tried: Tried,
    #[serde(flatten)]
    verdict: Verdict,
    enabled: bool,
    sandbox: bool,
    hash: CodeHash,
    /// None where there is no store to ask.
    approval: Option<Standing>,
    pixels: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    step: &'static str,
    delivery: DeliveryId,
    html: Option<String>,
    unresolved: Vec<String>,
    /// Why there is none.
    error: Option<String>,
}

async fn preview(config: &Config, args: &PreviewArgs) -> anyhow::Result<()> {
    let trial = Trial::of(config, &args.trial).await?;
    let approvals = match reading(config) {
        Ok(store) => Some(store.pixel_approvals().await?),
        Err(_) => None,
    };
    let preview = previewed(trial, approvals.as_ref())?;
    if args.json {
        json_line(&preview)?;
    } else {
        tell(&preview);
    }
    let unrenderable = preview.pixels.iter().any(|pixel| pixel.error.is_some());
    anyhow::ensure!(!unrenderable, "it cannot be filled in: in a browser nothing would be fired");
    Ok(())
}

fn previewed(trial: Trial, approvals: Option<&Approvals>) -> Result<Preview, Usage> {
    let connector = &trial.connector;
    let pixel = pixel_of(connector)?;
    let code = Code::parse(&pixel.code)
        .map_err(|faults| Usage(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
    let shown = trial.requests.iter().map(|asked| {
        let delivery = asked.delivery.id;
        let (html, unresolved, error) = match code.render(connector, &delivery, &asked.delivery.facts) {
            Ok(rendered) => (Some(rendered.html), rendered.unresolved, None),
            Err(error) => (None, Vec::new(), Some(error.to_string())),
        };
        Shown { step: asked.step, delivery, html, unresolved, error }
    });
    let pixels = shown.collect();
    Ok(Preview {
        enabled: pixel.enabled,
        sandbox: pixel.sandbox,
        hash: code_hash(pixel),
        approval: approvals.and_then(|approvals| approvals.standing(connector)),
        connector: connector.id.clone(),
        tried: trial.tried,
        verdict: trial.verdict,
        pixels,
    })
}

fn tell(preview: &Preview) {
    println!("connector {}, with {}", preview.connector, preview.tried.in_words());
    preview.verdict.print();
    let on = if preview.enabled { "on" } else { "off" };
    let approval = preview
        .approval
        .as_ref()
        .map_or("no store to ask for its approval".to_owned(), |approval| in_words(Some(approval)));
    println!("its pixel is {on}, in {}, {}: {approval}", place(preview.sandbox), preview.hash.short());
    for pixel in &preview.pixels {
        println!("\n--- {}, as delivery {}", pixel.step, pixel.delivery);
        if let Some(html) = &pixel.html {
            println!("{}", printable(html));
        }
        if !pixel.unresolved.is_empty() {
            println!("\nwithout a value: {}", pixel.unresolved.join(", "));
        }
        if let Some(error) = &pixel.error {
            println!("it cannot be filled in: {error}");
        }
    }
}

fn pixel_of(connector: &Connector) -> Result<&Pixel, Usage> {
    let none = || Usage(format!("connector {} has no pixel: give it a [connector.pixel]", connector.id));
    connector.pixel.as_ref().ok_or_else(none)
}

/// How a pixel stands, in words that are safe for a terminal.
pub fn in_words(standing: Option<&Standing>) -> String {
    printable(&standing.map_or_else(String::new, ToString::to_string))
}

/// Where a pixel runs.
pub fn place(sandbox: bool) -> &'static str {
    if sandbox { "the sandbox" } else { "the page" }
}

fn described(pixel: &Pixel) -> String {
    let off = if pixel.enabled { "" } else { "; it is off" };
    format!(
        "{} bytes of code in {}, {}{off}",
        pixel.code.len(),
        place(pixel.sandbox),
        code_hash(pixel).short()
    )
}

fn by(given: Option<&str>) -> Result<String, Usage> {
    let by = given.map_or_else(operator, str::to_owned);
    let by: String = by.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    if by.is_empty() { Err(Usage("say who it is, as in --by ann".into())) } else { Ok(by) }
}

fn writing(config: &Config) -> anyhow::Result<Store> {
    let settings = settings(config);
    Store::open(&settings, |_, _| {}).with_context(|| settings.to_string())
}

#[cfg(test)]
mod tests;
