//! `test-webhook`: one request through the real rendering and the real egress, past the queue and the store.
//!
//! It is sent whatever the connector's mode and conditions say: somebody asked for it. Its id is one that no
//! delivery has, so no receiver takes it for one.

use super::trial::{ShownRequest, Trial, TrialArgs, Tried};
use super::{Usage, json_line, printable};
use crate::deliver;
use crate::egress::{self, Egress};
use crate::tokens::Tokens;
use carom_common::config::Config;
use carom_common::delivery::Outcome;
use carom_common::event::Facts;
use carom_common::id::{ConnectorId, DeliveryId};
use carom_common::postback::{self, Credentials};
use carom_common::secret::SecretRef;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// What is sent.
#[derive(Args)]
pub struct TestWebhookArgs {
    #[command(flatten)]
    trial: TrialArgs,
    /// Machine-readable.
    #[arg(long)]
    json: bool,
}

/// What came of it. `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub struct Tested {
    connector: ConnectorId,
    tried: Tried,
    step: &'static str,
    /// The id that the receiver was told; no real delivery has it.
    delivery: DeliveryId,
    request: ShownRequest,
    /// The macros without a value.
    unresolved: Vec<String>,
    /// Whether an attempt with this answer would count as delivered.
    delivered: bool,
    /// Why, or why not.
    detail: String,
    status: Option<u16>,
    /// The failure's class, where no answer came.
    failure: Option<String>,
    duration_ms: u64,
    response: String,
}

/// Sends one request and shows what came of it; an error where it was not delivered.
pub async fn run(config: &Config, args: &TestWebhookArgs) -> anyhow::Result<()> {
    let trial = Trial::of(config, &args.trial).await?;
    let Some(asked) = trial.requests.first() else {
        anyhow::bail!("there is nothing to send of {}", trial.tried.in_words());
    };
    let egress = Egress::new(&egress::settings(config))?;
    let tested = send(config, &egress, &trial, asked.step, &asked.delivery.facts).await?;
    if args.json {
        json_line(&tested)?;
    } else {
        tell(&tested);
    }
    anyhow::ensure!(tested.delivered, "not delivered: {}", tested.detail);
    Ok(())
}

async fn send(
    config: &Config,
    egress: &Egress,
    trial: &Trial,
    step: &'static str,
    facts: &Facts,
) -> anyhow::Result<Tested> {
    let connector = &trial.connector;
    let Some(webhook) = &connector.webhook else {
        let problem = format!("connector {} has no webhook: `pixel preview` shows its pixel", connector.id);
        return Err(Usage(problem).into());
    };
    // A real delivery's id is of version 8.
    let delivery = DeliveryId(Uuid::now_v7());
    let token = Tokens::default().token(egress, connector).await?.map(|(token, _)| token);
    let postback = {
        let credentials = Credentials { secret: &SecretRef::read, access_token: token.as_deref() };
        postback::signed(connector, &delivery, facts, &credentials, Timestamp::now())?
    };
    let request = ShownRequest::of(&postback);
    let unresolved = postback.unresolved.clone();
    let secrets: Vec<_> = postback.secrets().into_iter().chain(token).collect();
    let record = deliver::recorded(&postback, 0);
    let exchange = egress.attempt(deliver::request(postback), webhook.timeout.0).await;
    let answer = exchange
        .result
        .as_ref()
        .map(|response| postback::answer(&response.body_excerpt, response.truncated, &secrets));
    let answer = answer.unwrap_or_default();
    let judged = deliver::Tried::exchanged(record, exchange, &secrets, webhook.success.as_ref());
    let delivered = judged.outcome(1, &config.retry.schedule) == Outcome::Delivered;
    let record = judged.exchange.unwrap_or_default();
    Ok(Tested {
        connector: connector.id.clone(),
        tried: trial.tried,
        step,
        delivery,
        request,
        unresolved,
        delivered,
        detail: judged.detail,
        status: record.status,
        failure: record.failure,
        duration_ms: u64::try_from(record.duration.as_millis()).unwrap_or(u64::MAX),
        response: answer,
    })
}

fn tell(tested: &Tested) {
    println!(
        "connector {}, with {}: a {}, sent as {}",
        tested.connector,
        tested.tried.in_words(),
        tested.step,
        tested.delivery
    );
    println!();
    tested.request.print();
    if !tested.unresolved.is_empty() {
        println!("\nwithout a value: {}", tested.unresolved.join(", "));
    }
    let came =
        tested.status.map_or_else(|| tested.failure.clone().unwrap_or_default(), |status| status.to_string());
    let counts = if tested.delivered { "it counts as delivered" } else { "it does not count as delivered" };
    println!("\n{came} in {} ms: {counts}", tested.duration_ms);
    println!("{}", printable(&tested.response));
}
