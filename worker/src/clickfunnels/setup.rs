//! Setting our endpoint up in ClickFunnels: found or created, subscribed to what matters, its secret kept.
//!
//! Safe to run again: what is as it should be is left alone. The secret is told once, on creation, so the
//! file for it is there before it is asked for; where it cannot be kept the endpoint is taken back.

use super::api::{self, Client, Order};
use super::plan::{self, Plan, Wanted};
use super::reconcile;
use super::secret_file::Place;
use anyhow::{Context, bail, ensure};
use carom_common::secret::{SecretRef, TokenHash};
use carom_common::source::api::Api;
use carom_common::source::{Kept, Source, Token, endpoint};
use carom_common::store::Store;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The endpoint's URL with the token in it, where the configuration cannot give it.
    pub endpoint_url: Option<String>,
    /// Another endpoint in the place of the one that is there, for the sake of its secret.
    pub recreate: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The source.
    pub source: String,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// What was done.
    pub action: Action,
    /// The endpoint's id in ClickFunnels; none where it would only be created.
    pub endpoint: Option<u64>,
    /// Its URL, without the token.
    pub url: String,
    /// What was written of it.
    pub changed: Vec<&'static str>,
    /// What it is subscribed to.
    pub event_types: Vec<String>,
    /// Recommended types that ClickFunnels does not offer.
    pub left_out: Vec<String>,
    /// Other endpoints with the same URL.
    pub doubles: Vec<u64>,
    /// What became of its secret.
    pub secret: Secret,
    /// Where the secret is kept.
    pub secret_file: Option<PathBuf>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// There was none.
    Created,
    /// It differed.
    Updated,
    /// It was as it should be.
    Unchanged,
    /// Another took its place.
    Recreated,
}

/// What became of the endpoint's secret. Never the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// It was written to its file.
    Written,
    /// Its file is there.
    Kept,
    /// Its file is not there, and ClickFunnels does not tell it again.
    Missing,
    /// ClickFunnels did not tell it with the new endpoint.
    NotTold,
    /// The configuration names no file for it.
    NoFile,
}

/// Sets the endpoint up.
///
/// # Errors
/// What is missing in the configuration, what ClickFunnels refuses, what cannot be kept; each says what to
/// do.
pub async fn setup(
    client: &Client,
    store: &Store,
    source: &Source,
    options: &Options,
) -> anyhow::Result<Report> {
    let api = source.api.as_ref().context("the source has no [source.api]")?;
    let tokens = source.token_hashes();
    let url = endpoint_url(source, api, options)?;
    let offered = client.event_types().await?;
    let types = plan::types(source, api, &offered).map_err(|unknown| {
        anyhow::anyhow!(
            "ClickFunnels offers no event type {} (source.api.event_types)",
            unknown.join(", nor ")
        )
    })?;
    let wanted = Wanted { url, name: api.endpoint_name.clone(), types: types.offered };
    ensure!(!wanted.types.is_empty(), "ClickFunnels offers none of the types in source.api.event_types");
    let noted = name_of_endpoint(source, api);
    let last = store.cursor(&noted).await?.and_then(|id| id.parse().ok());
    let plan = plan::plan(&wanted, &client.endpoints().await?, last, &tokens);

    let creates = plan.ours.is_none() || options.recreate;
    let changed = if creates { Vec::new() } else { names(&plan) };
    let action = match &plan.ours {
        None => Action::Created,
        Some(_) if options.recreate => Action::Recreated,
        Some(_) if changed.is_empty() => Action::Unchanged,
        Some(_) => Action::Updated,
    };
    let mut report = Report {
        source: source.id.to_string(),
        dry_run: options.dry_run,
        action,
        endpoint: plan.ours.as_ref().filter(|_| !creates).map(|ours| ours.id),
        url: endpoint::sealed(&wanted.url, &tokens),
        changed,
        event_types: wanted.types.iter().cloned().collect(),
        left_out: types.left_out,
        doubles: plan.doubles.clone(),
        secret: match &api.secret_file {
            None => Secret::NoFile,
            Some(_) if creates => Secret::Written,
            Some(file) if file.exists() => Secret::Kept,
            Some(_) => Secret::Missing,
        },
        secret_file: api.secret_file.clone(),
    };
    if creates {
        ensure_creatable(&wanted, api)?;
    }
    if options.dry_run {
        return Ok(report);
    }
    let hidden = |error: api::Error| anyhow::Error::msg(hide(&error.to_string(), &wanted.url, &tokens));
    if creates {
        let file = api.secret_file.as_deref().context("source.api.secret_file is not set")?;
        begin_at_the_newest(client, store, source, api).await?;
        let place = prepared(file)?;
        let made = client.create_endpoint(&plan::all(&wanted)).await.map_err(hidden)?;
        report.endpoint = Some(made.id);
        report.secret = match made.webhook_secret.as_deref() {
            None | Some("") => Secret::NotTold,
            Some(secret) => {
                if let Err(error) = place.keep(secret) {
                    return Err(take_back(client, made.id, file, error).await);
                }
                Secret::Written
            }
        };
        store.set_cursor(&noted, &made.id.to_string()).await?;
        // Only now: until the new one's secret is kept the old one is all there is.
        if let Some(old) = plan.ours {
            let id = old.id;
            client.delete_endpoint(id).await.with_context(|| {
                format!("endpoint {} is set up, but the one before it, {id}, is still there", made.id)
            })?;
        }
    } else if let Some(ours) = plan.ours {
        if !report.changed.is_empty() {
            client.update_endpoint(ours.id, &plan.changes).await.map_err(hidden)?;
        }
        store.set_cursor(&noted, &ours.id.to_string()).await?;
    }
    Ok(report)
}

/// The URL with the first token of the source whose text can be had; with `{token}` in it otherwise, which
/// is enough to find the endpoint again.
fn endpoint_url(source: &Source, api: &Api, options: &Options) -> anyhow::Result<String> {
    let url = options.endpoint_url.as_ref().or(api.endpoint_url.as_ref());
    let url = url.with_context(|| {
        format!(
            "source {} does not say where ClickFunnels is to send: set source.api.endpoint_url",
            source.id
        )
    })?;
    let token = source.tokens.iter().find_map(|token| match token {
        Token::Given(text) => Some(text.clone()),
        Token::Kept(Kept::Env(name)) => SecretRef::Env(name.clone()).read().ok(),
        Token::Kept(Kept::File(path)) => SecretRef::File(path.clone()).read().ok(),
        Token::Kept(Kept::Sha256(_)) => None,
    });
    Ok(token.map_or_else(|| url.clone(), |token| endpoint::filled(url, &token)))
}

fn ensure_creatable(wanted: &Wanted, api: &Api) -> anyhow::Result<()> {
    ensure!(
        !wanted.url.contains(endpoint::TOKEN),
        "the endpoint is to be created, and the store knows only the hash of the source's token: give the whole URL with --endpoint-url, or keep the token in a file or variable (tokens = [{{ file = … }}])"
    );
    ensure!(
        api.secret_file.is_some(),
        "the endpoint is to be created, and its secret is told only once: set source.api.secret_file, where it is to be kept"
    );
    Ok(())
}

/// A source that was never reconciled begins with what its endpoint will be sent.
async fn begin_at_the_newest(
    client: &Client,
    store: &Store,
    source: &Source,
    api: &Api,
) -> anyhow::Result<()> {
    let cursor = reconcile::name_of_cursor(source, api);
    if store.cursor(&cursor).await?.is_some() {
        return Ok(());
    }
    let newest = client.events(None, Order::Descending).await?.items;
    let id = newest.iter().map(|record| record.id).max().unwrap_or_default();
    store.advance_cursor(&cursor, id).await?;
    Ok(())
}

fn prepared(file: &Path) -> anyhow::Result<Place> {
    Place::prepare(file).with_context(|| {
        format!(
            "nothing was created: the secret could not be kept in {} (source.api.secret_file)",
            file.display()
        )
    })
}

/// An endpoint whose secret is lost is of no use, and would only be in the way.
async fn take_back(client: &Client, id: u64, file: &Path, error: std::io::Error) -> anyhow::Error {
    let file = file.display();
    match client.delete_endpoint(id).await {
        Ok(()) => anyhow::anyhow!(
            "the endpoint's secret could not be kept in {file} ({error}), so the endpoint was removed again; mend that and run this again"
        ),
        Err(other) => anyhow::anyhow!(
            "the endpoint's secret could not be kept in {file} ({error}), and the endpoint {id} could not be removed ({other}); mend that and run this again with --recreate"
        ),
    }
}

fn names(plan: &Plan) -> Vec<&'static str> {
    let of = [
        ("url", plan.changes.url.is_some()),
        ("name", plan.changes.name.is_some()),
        ("event_types", plan.changes.event_type_ids.is_some()),
    ];
    of.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

/// A refusal may repeat what was sent.
fn hide(text: &str, url: &str, tokens: &[TokenHash]) -> String {
    text.replace(url, &endpoint::sealed(url, tokens))
}

/// The name under which the endpoint's id is noted.
fn name_of_endpoint(source: &Source, api: &Api) -> String {
    format!("clickfunnels:endpoint:{}:{}", source.id, api.workspace)
}

/// Reads a source for a command; says what to do where there is no such thing.
pub fn with_api<'a>(
    resources: &'a carom_common::resources::Resources,
    id: &carom_common::id::SourceId,
) -> anyhow::Result<(&'a Source, &'a Api)> {
    let Some(source) = resources.source(id) else {
        bail!("there is no source {id} in the store; `carom-worker apply` writes them there");
    };
    let api = source.api.as_ref().with_context(|| {
        format!("source {id} has no [source.api], which says where ClickFunnels' API is; docs/clickfunnels.md shows one")
    })?;
    Ok((source, api))
}

#[cfg(test)]
mod tests;
