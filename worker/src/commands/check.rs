//! `check`: every fault at once, each with its file, its key and what would be right.

use super::{events, settings};
use carom_common::config::{Config, DEFAULTS, EXIT_BAD_CONFIG, Fault};
use carom_common::resources::{Resources, files};
use carom_common::store::Store;
use std::path::Path;
use std::process::ExitCode;

/// Prints the commented defaults.
pub fn print_defaults() -> anyhow::Result<()> {
    print!("{DEFAULTS}");
    Ok(())
}

/// Checks resource files. The process configuration was checked to get here.
pub async fn run(config: &Config, resources: Option<&Path>, json: bool) -> ExitCode {
    let own = config.warnings("configuration");
    let Some(path) = resources else {
        if json {
            println!("{}", serde_json::json!({ "faults": [], "warnings": own }));
            return ExitCode::SUCCESS;
        }
        tell("warning", &own);
        println!("the configuration is good");
        return ExitCode::SUCCESS;
    };
    let (faults, warnings, summary) = match files::load(path) {
        Ok(checked) => {
            let resources = &checked.resources;
            let summary = format!(
                "{} advertisers, {} sources, {} offers, {} connectors: good",
                resources.advertisers.len(),
                resources.sources.len(),
                resources.offers.len(),
                resources.connectors.len(),
            );
            let mut warnings = own;
            warnings.extend(checked.warnings);
            warnings.extend(never_seen(config, path, &checked.resources).await);
            (Vec::new(), warnings, summary)
        }
        Err(faults) => (faults.0, Vec::new(), String::new()),
    };
    if json {
        println!("{}", serde_json::json!({ "faults": faults, "warnings": warnings }));
    } else {
        tell("warning", &warnings);
        tell("fault", &faults);
        if faults.is_empty() {
            println!("{summary}");
        }
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD_CONFIG) }
}

/// Triggers that nothing has ever fired. Where the store cannot be read, as on the desk where files are
/// written, nothing is known of that.
async fn never_seen(config: &Config, path: &Path, resources: &Resources) -> Vec<Fault> {
    let Ok(store) = Store::open_read_only(&settings(config)) else { return Vec::new() };
    let seen = store.seen(None).await.unwrap_or_default();
    events::never_seen(&path.display().to_string(), resources, &seen)
}

/// Tells faults or warnings, a line each.
pub fn tell(what: &str, faults: &[Fault]) {
    for fault in faults {
        eprintln!("{what}: {fault}");
    }
}
