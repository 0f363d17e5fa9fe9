//! Laying the environment over the file over the defaults, and naming each fault's place.

use super::{Config, DEFAULTS, Fault, Faults, broker, retention, spool, tag};
use crate::secret::SecretRef;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::{Table, Value};

/// Environment variables of ours that are no configuration keys.
const NOT_KEYS: [&str; 2] = ["CAROM_CONFIG", "CAROM_TEST_"];

/// Keys of earlier versions that mean nothing any more, with what to do about them.
const GONE: [(&str, &str, &str); 1] = [(
    "ingest",
    "click_line",
    "remove it: clicks that the broker has not confirmed wait on disk, see [spool] in docs/spool.md",
)];

pub(super) fn load(
    file: &str,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, Faults> {
    let mut faults = Vec::new();
    let defaults = parse("defaults", DEFAULTS, &mut faults);
    let mut layered = defaults.clone();
    for (section, keys) in parse(file, text, &mut faults) {
        overlay(file, &section, keys, &mut layered, &mut faults);
    }
    let mut variables: Vec<_> = environment.collect();
    variables.sort();
    let mut set = BTreeMap::new();
    let mut files = BTreeMap::new();
    for (name, value) in variables {
        let Some(place) = place(&name, &defaults) else { continue };
        let key = format!("{}.{}", place.section, place.key);
        if let Some(other) = set.insert(key.clone(), name.clone()) {
            let remedy = format!("leave out {other} or {name}");
            faults.push(Fault::new("environment", &name, format!("sets {key}, as {other} does"), remedy));
            continue;
        }
        if !place.in_file {
            overlay_variable(&name, &value, place, &mut layered, &mut faults);
            continue;
        }
        match SecretRef::File(PathBuf::from(&value)).read() {
            Ok(content) => {
                overlay_variable(&name, &content, place, &mut layered, &mut faults);
                files.insert(key, PathBuf::from(value));
            }
            Err(error) => {
                let remedy = "name a readable file that holds the value and nothing else";
                faults.push(Fault::new("environment", &name, error.to_string(), remedy));
            }
        }
    }
    let config = read(file, layered, &defaults, &mut faults);
    if faults.is_empty() {
        faults.extend(config.iter().flat_map(|config| retention::faults(file, config)));
        faults.extend(config.iter().flat_map(|config| spool::faults(file, config)));
        faults.extend(config.iter().flat_map(|config| broker::faults(file, config)));
        faults.extend(config.iter().flat_map(|config| tag::faults(file, config)));
    }
    match config {
        Some(config) if faults.is_empty() => Ok(Config { files, ..config }),
        _ => Err(Faults(faults)),
    }
}

fn parse(file: &str, text: &str, faults: &mut Vec<Fault>) -> Table {
    text.parse().unwrap_or_else(|error: toml::de::Error| {
        faults.push(Fault::not_toml(file, text, &error));
        Table::new()
    })
}

fn overlay(file: &str, section: &str, keys: Value, layered: &mut Table, faults: &mut Vec<Fault>) {
    let Some(Value::Table(known)) = layered.get_mut(section) else {
        let sections: Vec<_> = layered.keys().map(String::as_str).collect();
        let remedy = format!("the sections are {}", sections.join(", "));
        faults.push(Fault::new(file, section, "unknown section", remedy));
        return;
    };
    let Value::Table(keys) = keys else {
        faults.push(Fault::new(file, section, "is a section, not a value", format!("write [{section}]")));
        return;
    };
    for (key, value) in keys {
        if known.contains_key(&key) {
            known.insert(key, value);
            continue;
        }
        let place = format!("{section}.{key}");
        if let Some((_, _, remedy)) =
            GONE.iter().find(|(of, gone, _)| (*of, *gone) == (section, key.as_str()))
        {
            faults.push(Fault::new(file, place, "is a key of an earlier version", *remedy));
        } else {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            let remedy = format!("the keys of [{section}] are {}", names.join(", "));
            faults.push(Fault::new(file, place, "unknown key", remedy));
        }
    }
}

/// The key that a variable is for.
struct Place {
    section: String,
    key: String,
    default: Value,
    /// Whether the variable names a file that holds the value.
    in_file: bool,
}

/// The key that a variable names, in itself or with `_FILE` behind it. A variable that names none is told, not
/// refused: orchestrators put variables of their own into the environment, such as CAROM_INGEST_PORT.
fn place(name: &str, defaults: &Table) -> Option<Place> {
    let rest = name.trim_start_matches("CAROM_").to_lowercase();
    let named = |rest: &str, in_file: bool| {
        defaults.iter().find_map(|(section, keys)| {
            let key = rest.strip_prefix(section.as_str())?.strip_prefix('_')?;
            let default = keys.get(key)?.clone();
            Some(Place { section: section.clone(), key: key.to_owned(), default, in_file })
        })
    };
    // A key may itself be called so, such as broker.ca_file.
    let place = named(&rest, false).or_else(|| named(rest.strip_suffix("_file")?, true));
    if place.is_none() && !NOT_KEYS.iter().any(|prefix| name.starts_with(prefix)) {
        tracing::warn!(variable = name, "config.unknown_variable");
    }
    place
}

/// Sets the key that a variable is for.
fn overlay_variable(name: &str, value: &str, place: Place, layered: &mut Table, faults: &mut Vec<Fault>) {
    let Place { section, key, default, .. } = place;
    let parsed = match default {
        Value::Integer(_) => value.trim().parse().map(Value::Integer).ok(),
        Value::Boolean(_) => value.trim().parse().map(Value::Boolean).ok(),
        Value::Array(_) => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => Some(Value::String(value.to_owned())),
    };
    match (parsed, layered.get_mut(&section)) {
        (Some(parsed), Some(Value::Table(keys))) => {
            keys.insert(key, parsed);
        }
        _ => {
            let remedy = format!("write a value like the default, {default}");
            faults.push(Fault::new("environment", name, "cannot be read", remedy));
        }
    }
}

/// Reads the layered table. A faulty key is noted and replaced by its default, so that the next is found.
fn read(file: &str, mut layered: Table, defaults: &Table, faults: &mut Vec<Fault>) -> Option<Config> {
    loop {
        match serde_path_to_error::deserialize(Value::Table(layered.clone())) {
            Ok(config) => return Some(config),
            Err(error) => {
                let path = error.path().to_string();
                let mut parts = path.split(['.', '[']);
                let (section, key) = (parts.next()?.to_owned(), parts.next()?.to_owned());
                let default = defaults.get(&section)?.get(&key)?.clone();
                let problem = error.inner().message().to_owned();
                let remedy = format!(
                    "the default is {}",
                    if default.as_str() == Some("") { "empty".into() } else { default.to_string() }
                );
                faults.push(Fault::new(file, path, problem, remedy));
                let table = layered.get_mut(&section)?.as_table_mut()?;
                if table.get(&key) == Some(&default) {
                    return None;
                }
                table.insert(key, default);
            }
        }
    }
}
