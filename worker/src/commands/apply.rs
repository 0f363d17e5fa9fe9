//! `apply`: checked resource files become the store's next version.

use super::{check, settings};
use anyhow::Context;
use carom_common::config::{Config, EXIT_BAD_CONFIG};
use carom_common::resources::files;
use carom_common::store::{Applied, Store};
use std::path::Path;
use std::process::ExitCode;

/// Checks and applies.
pub async fn run(config: &Config, path: &Path) -> ExitCode {
    let checked = match files::load(path) {
        Ok(checked) => checked,
        Err(faults) => {
            check::tell("fault", &faults.0);
            eprintln!("nothing was applied");
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    check::tell("warning", &checked.warnings);
    match write(config, checked).await {
        Ok(Applied { version, changed: true }) => println!("applied as version {version}"),
        Ok(Applied { version, changed: false }) => println!("nothing changed; version {version} stays"),
        Err(error) => {
            eprintln!("carom-worker: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn write(config: &Config, checked: files::Checked) -> anyhow::Result<Applied> {
    let settings = settings(config);
    Store::migrate(&settings).with_context(|| settings.to_string())?;
    let store = Store::open(&settings, |_, _| {})?;
    let applied = store.apply(checked.resources).await?;
    store.close().await;
    Ok(applied)
}
