//! `check`: every fault at once, each with its file, its key and what would be right.

use carom_common::config::{DEFAULTS, EXIT_BAD_CONFIG, Fault};
use carom_common::resources::files;
use std::path::Path;
use std::process::ExitCode;

/// Prints the commented defaults.
pub fn print_defaults() -> anyhow::Result<()> {
    print!("{DEFAULTS}");
    Ok(())
}

/// Checks resource files. The process configuration was checked to get here.
pub fn run(resources: Option<&Path>, json: bool) -> ExitCode {
    let Some(path) = resources else {
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
            (Vec::new(), checked.warnings, summary)
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

/// Tells faults or warnings, a line each.
pub fn tell(what: &str, faults: &[Fault]) {
    for fault in faults {
        eprintln!("{what}: {fault}");
    }
}
