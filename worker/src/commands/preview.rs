//! `preview`: what a connector would send, and whether it would; nothing is sent and no broker is asked.

use super::trial::{STAND_IN, ShownRequest, Trial, TrialArgs, Tried, Verdict};
use super::{Usage, json_line};
use carom_common::config::Config;
use carom_common::id::{ConnectorId, DeliveryId};
use carom_common::postback::{self, Credentials};
use carom_common::secret::SecretRef;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use std::cell::RefCell;

/// What is previewed.
#[derive(Args)]
pub struct PreviewArgs {
    #[command(flatten)]
    trial: TrialArgs,
    /// Machine-readable.
    #[arg(long)]
    json: bool,
}

/// A preview. `--json` prints it as it is.
#[derive(Debug, Serialize)]
struct Preview {
    connector: ConnectorId,
    tried: Tried,
    #[serde(flatten)]
    verdict: Verdict,
    requests: Vec<Request>,
    /// The secrets that cannot be read here. The worker reads them where it runs.
    unread_secrets: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Request {
    step: &'static str,
    delivery: DeliveryId,
    request: Option<ShownRequest>,
    unresolved: Vec<String>,
    /// Why there is no request.
    error: Option<String>,
}

/// Shows what would be sent; an error where it cannot be rendered.
pub async fn run(config: &Config, args: &PreviewArgs) -> anyhow::Result<()> {
    let trial = Trial::of(config, &args.trial).await?;
    if trial.connector.webhook.is_none() {
        let id = &trial.connector.id;
        return Err(Usage(format!("connector {id} has no webhook: `pixel preview` shows its pixel")).into());
    }
    let preview = preview(trial);
    if args.json {
        json_line(&preview)?;
    } else {
        tell(&preview);
    }
    let unrenderable = preview.requests.iter().any(|request| request.error.is_some());
    anyhow::ensure!(!unrenderable, "it cannot be rendered: in the worker this ends in the dead letters");
    Ok(())
}

fn preview(trial: Trial) -> Preview {
    let unread = RefCell::new(Vec::new());
    let read = |secret: &SecretRef| {
        Ok(secret.read().unwrap_or_else(|error| {
            let error = error.to_string();
            if !unread.borrow().contains(&error) {
                unread.borrow_mut().push(error);
            }
            STAND_IN.to_owned()
        }))
    };
    let credentials = Credentials { secret: &read, access_token: Some(STAND_IN) };
    let mut requests = Vec::with_capacity(trial.requests.len());
    for asked in &trial.requests {
        let delivery = asked.delivery.id;
        let rendered = postback::signed(
            &trial.connector,
            &delivery,
            &asked.delivery.facts,
            &credentials,
            Timestamp::now(),
        );
        let (request, unresolved, error) = match rendered {
            Ok(postback) => (Some(ShownRequest::of(&postback)), postback.unresolved, None),
            Err(error) => (None, Vec::new(), Some(error.to_string())),
        };
        requests.push(Request { step: asked.step, delivery, request, unresolved, error });
    }
    let connector = trial.connector.id;
    Preview { connector, tried: trial.tried, verdict: trial.verdict, requests, unread_secrets: unread.take() }
}

fn tell(preview: &Preview) {
    println!("connector {}, with {}", preview.connector, preview.tried.in_words());
    preview.verdict.print();
    for request in &preview.requests {
        println!("\n--- {}, as delivery {}", request.step, request.delivery);
        if let Some(shown) = &request.request {
            shown.print();
        }
        if !request.unresolved.is_empty() {
            println!("\nwithout a value: {}", request.unresolved.join(", "));
        }
        if let Some(error) = &request.error {
            println!("no request can be made of it: {error}");
        }
    }
    for secret in &preview.unread_secrets {
        println!("\n{secret}: set it where carom-worker runs; a stand-in was used here");
    }
}
