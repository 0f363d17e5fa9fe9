//! `carom-demo`: what `deploy/run` shows. `up` runs Carom with a demo receiver until it is told to stop;
//! `once` plays three journeys and exits.
//!
//! The broker is given by the environment, as for the binaries. Children get everything by their files and
//! environment, as a user's would.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::ExitCode;

mod up;
mod once;
mod journeys;
mod teller;
mod shop;
mod shared_vhost;

pub use journeys::{answers_in_turn, delivered_at_once, given_up_and_replayed, retried_on_schedule};
pub use teller::Teller;

/// The token of the demo's funnel.
pub const FUNNEL_TOKEN: &str = "demo-only-funnel-token-7c1e";
/// The token of the demo's shop.
pub const SHOP_TOKEN: &str = "demo-only-shop-token-93fa";
/// The connector that the journeys follow.
pub const NETWORK: &str = "demo-network";
/// The connector with a pixel, of the demo's shop.
const AFFILIATES: &str = "demo-affiliates";
/// The other connector.
const CRM: &str = "demo-crm";

const ACME: &str = include_str!("../../deploy/config/demo/acme.toml");
const CONNECTORS: &str = include_str!("../../deploy/config/demo/connectors.toml");
const TAG: &str = include_str!("../../deploy/config/demo/tag.toml");

/// The demo's resources, with postbacks and landings at `receiver`, as in `http://127.0.0.1:8090`.
pub fn resources(receiver: &str) -> String {
    format!("{ACME}\n{CONNECTORS}").replace("@RECEIVER@", receiver.trim_end_matches('/'))
}

/// The same with a shop whose pages have the tag, at `shop`, as in `http://127.0.0.1:8091`.
fn resources_with_shop(receiver: &str, shop: &str) -> String {
    let receiver = receiver.trim_end_matches('/');
    format!("{}\n{TAG}", resources(receiver)).replace("@RECEIVER@", receiver).replace("@SHOP@", shop)
}

/// The broker, as the environment names it.
struct Given {
    url: String,
    management_url: Option<String>,
}

impl Given {
    fn by_environment() -> Result<Self> {
        let url = std::env::var("CAROM_BROKER_URL");
        let url = url.context("CAROM_BROKER_URL is not set: start this by deploy/run, or name a broker")?;
        let management_url = std::env::var("CAROM_BROKER_MANAGEMENT_URL").ok().filter(|url| !url.is_empty());
        Ok(Self { url, management_url })
    }
}

/// `carom-demo up`.
pub async fn up(dir: &Path) -> Result<ExitCode> {
    up::up(dir, Given::by_environment()?).await
}

/// `carom-demo once`.
pub async fn once(dir: &Path) -> Result<ExitCode> {
    once::once(dir, Given::by_environment()?).await
}

/// Waits for SIGINT or SIGTERM, and names it.
async fn told_to_stop() -> Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}
