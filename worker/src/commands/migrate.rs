//! `migrate`: the store becomes what this binary reads. Forward only, and safe to run twice.

use super::settings;
use anyhow::Context;
use carom_common::config::Config;
use carom_common::store::Store;

/// Migrates the store.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let settings = settings(config);
    let (from, to) = Store::migrate(&settings).with_context(|| settings.to_string())?;
    if from == to {
        println!("the store is at schema version {to} already");
    } else {
        println!("the store went from schema version {from} to {to}");
    }
    Ok(())
}
