//! Reading resource files: one TOML file, or every `*.toml` of a folder, as one document.
//!
//! Every fault of every file is found in one go: each resource is read by itself, and a key that cannot
//! be read is noted, taken out, and the rest is read on.

use super::place::{Place, Places};
use super::{Resources, check};
use crate::config::{Fault, Faults};
use crate::connector::Connector;
use crate::id::ConnectorId;
use crate::offer::{Advertiser, Offer};
use crate::source::Source;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What a resource must have, by its kind. Checked first, so that a missing key does not hide a wrong one.
const REQUIRED: [(&str, &[&str]); 4] = [
    ("advertiser", &["id"]),
    ("source", &["id", "advertiser", "kind"]),
    ("offer", &["id", "advertiser", "tracking_url"]),
    ("connector", &["id", "advertiser", "triggers", "webhook.url", "pixel.code"]),
];

/// What was read and found good.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The resources.
    pub resources: Resources,
    /// What works, and is better otherwise.
    pub warnings: Vec<Fault>,
}

/// What a file would make of the resources that are there.
#[derive(Clone, Debug)]
pub struct Overlaid {
    /// Those that are there, with those of the file in their place or beside them.
    pub resources: Resources,
    /// The connectors of the file, in its order.
    pub connectors: Vec<ConnectorId>,
    /// What works in the file, and is better otherwise.
    pub warnings: Vec<Fault>,
}

/// Reads and checks a file or folder that need not be whole: what it lacks is there already. Without a `base`
/// its connectors' advertisers are taken at their word.
///
/// # Errors
/// All the faults of the file that there are.
pub fn load_over(path: &Path, base: Option<&Resources>) -> Result<Overlaid, Faults> {
    let mut faults = Vec::new();
    let mut own = Resources::default();
    let mut places = Places::default();
    read_all(path, &mut own, &mut places, &mut faults)?;
    let connectors: Vec<_> = own.connectors.iter().map(|connector| connector.id.clone()).collect();
    let base = base.cloned().unwrap_or_else(|| {
        let named = own.connectors.iter().map(|connector| connector.advertiser.clone());
        let advertisers: BTreeSet<_> = named.collect();
        let advertisers = advertisers.into_iter().map(|id| Advertiser { id, name: String::new() }).collect();
        Resources { advertisers, ..Resources::default() }
    });
    let resources = Resources {
        advertisers: over(base.advertisers, own.advertisers, &mut places.advertisers, |item| &item.id),
        sources: over(base.sources, own.sources, &mut places.sources, |item| &item.id),
        offers: over(base.offers, own.offers, &mut places.offers, |item| &item.id),
        connectors: over(base.connectors, own.connectors, &mut places.connectors, |item| &item.id),
    };
    let (more, warnings) = check::check(&resources, &places);
    // What is there already was checked when it was applied.
    let of_file = |fault: &Fault| fault.file != ELSEWHERE;
    faults.extend(more.into_iter().filter(of_file));
    let warnings = warnings.into_iter().filter(of_file).collect();
    if faults.is_empty() { Ok(Overlaid { resources, connectors, warnings }) } else { Err(Faults(faults)) }
}

/// The place of what is not in the file.
const ELSEWHERE: &str = "the store";

/// Those that are there, but for those that a file has its own of, and then all of the file's.
fn over<T, I: PartialEq>(
    base: Vec<T>,
    own: Vec<T>,
    places: &mut Vec<Place>,
    id: impl Fn(&T) -> &I,
) -> Vec<T> {
    let stays = |item: &T| !own.iter().any(|other| id(other) == id(item));
    let mut items: Vec<T> = base.into_iter().filter(stays).collect();
    let elsewhere = Place { file: ELSEWHERE.to_owned(), key: String::new(), code_line: None };
    places.splice(0..0, std::iter::repeat_n(elsewhere, items.len()));
    items.extend(own);
    items
}

/// Reads and checks a file or folder.
///
/// # Errors
/// All the faults that there are, each with its file and key.
pub fn load(path: &Path) -> Result<Checked, Faults> {
    let mut faults = Vec::new();
    let mut resources = Resources::default();
    let mut places = Places::default();
    read_all(path, &mut resources, &mut places, &mut faults)?;
    checked(resources, &places, faults)
}

/// Reads and checks a text as if it stood in a file of this name.
///
/// # Errors
/// As of [`load`].
pub fn of_text(name: &str, text: &str) -> Result<Checked, Faults> {
    let mut faults = Vec::new();
    let mut resources = Resources::default();
    let mut places = Places::default();
    read(name, text, &mut resources, &mut places, &mut faults);
    checked(resources, &places, faults)
}

fn checked(resources: Resources, places: &Places, mut faults: Vec<Fault>) -> Result<Checked, Faults> {
    let (more, warnings) = check::check(&resources, places);
    faults.extend(more);
    if faults.is_empty() { Ok(Checked { resources, warnings }) } else { Err(Faults(faults)) }
}

fn read_all(
    path: &Path,
    resources: &mut Resources,
    places: &mut Places,
    faults: &mut Vec<Fault>,
) -> Result<(), Faults> {
    for file in files(path).map_err(Faults::one)? {
        let name = file.display().to_string();
        match std::fs::read_to_string(&file) {
            Ok(text) => read(&name, &text, resources, places, faults),
            Err(error) => {
                faults.push(Fault::new(name, "", format!("cannot be read: {error}"), "make it readable"));
            }
        }
    }
    Ok(())
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    let name = path.display().to_string();
    let missing = |error: std::io::Error| {
        Fault::new(&name, "", format!("cannot be read: {error}"), "name a file or folder of resources")
    };
    if !path.is_dir() {
        std::fs::metadata(path).map_err(missing)?;
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(missing)?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Fault::new(name, "", "holds no *.toml file", "put a file of resources there"));
    }
    Ok(files)
}

/// Reads one file's text into the document.
pub fn read(file: &str, text: &str, resources: &mut Resources, places: &mut Places, faults: &mut Vec<Fault>) {
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            faults.push(Fault::not_toml(file, text, &error));
            return;
        }
    };
    for (kind, value) in table {
        let Value::Array(items) = value else {
            faults.push(Fault::new(file, &kind, "is no list of resources", format!("write [[{kind}]]")));
            continue;
        };
        for (index, item) in items.into_iter().enumerate() {
            let Value::Table(item) = item else {
                faults.push(Fault::new(file, &kind, "is no resource", format!("write [[{kind}]]")));
                continue;
            };
            let id = item
                .get("id")
                .and_then(Value::as_str)
                .map_or_else(|| format!("#{}", index + 1), ToOwned::to_owned);
            let code = item.get("pixel").and_then(|pixel| pixel.get("code")).and_then(Value::as_str);
            let code_line = code.and_then(|code| line_of(text, code));
            let place = Place { file: file.to_owned(), key: format!("{kind}[{id}]"), code_line };
            match kind.as_str() {
                "advertiser" => keep::<Advertiser>(
                    item,
                    place,
                    &mut resources.advertisers,
                    &mut places.advertisers,
                    faults,
                ),
                "source" => keep::<Source>(item, place, &mut resources.sources, &mut places.sources, faults),
                "offer" => keep::<Offer>(item, place, &mut resources.offers, &mut places.offers, faults),
                "connector" => {
                    keep::<Connector>(item, place, &mut resources.connectors, &mut places.connectors, faults)
                }
                _ => {
                    let remedy = "the resources are advertiser, source, offer and connector";
                    faults.push(Fault::new(file, &place.key, "is no kind of resource", remedy));
                }
            }
        }
    }
}

/// The line that a value of several lines begins in, where it stands in the text as it is, and once.
fn line_of(text: &str, value: &str) -> Option<u32> {
    let text = text.replace("\r\n", "\n");
    let mut found = text.match_indices(value).filter(|_| value.contains('\n'));
    let (at, _) = found.next()?;
    found.next().is_none().then(|| u32::try_from(text[..at].matches('\n').count() + 1).ok())?
}

fn keep<T: DeserializeOwned>(
    table: Table,
    place: Place,
    items: &mut Vec<T>,
    places: &mut Vec<Place>,
    faults: &mut Vec<Fault>,
) {
    if let Some(item) = parse(table, &place, faults) {
        items.push(item);
        places.push(place);
    }
}

/// Reads one resource. When keys are at fault all of them are told, and there is no resource.
fn parse<T: DeserializeOwned>(mut table: Table, place: &Place, faults: &mut Vec<Fault>) -> Option<T> {
    let kind = place.key.split('[').next().unwrap_or_default();
    let required = REQUIRED.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, keys)| keys);
    // What a part must have is only missing where the part is there.
    let asked = |key: &&&str| key.rsplit_once('.').is_none_or(|(part, _)| lookup(&table, part).is_some());
    let missing: Vec<_> = required.iter().filter(asked).filter(|key| lookup(&table, key).is_none()).collect();
    for key in &missing {
        faults.push(Fault::new(
            &place.file,
            format!("{}.{key}", place.key),
            "is missing",
            format!("set `{key}`"),
        ));
    }
    let mut sound = missing.is_empty();
    loop {
        match serde_path_to_error::deserialize::<_, T>(Value::Table(table.clone())) {
            Ok(item) => return sound.then_some(item),
            Err(error) => {
                let path = error.path().to_string();
                let Some(removed) = remove(&mut table, &path) else {
                    // The fault is what is missing, which may be told already.
                    if sound {
                        faults.push(Fault::new(&place.file, &place.key, error.inner().message(), ""));
                    }
                    return None;
                };
                let key = format!("{}.{path}", place.key);
                sound = false;
                // That a part lacks what it must have is told already.
                if missing.iter().any(|key| key.rsplit_once('.').is_some_and(|(part, _)| part == path)) {
                    continue;
                }
                faults.push(Fault::new(&place.file, key, told(&path, &removed, error.inner().message()), ""));
            }
        }
    }
}

fn lookup<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

/// What is wrong with a value, without the value itself where a secret is likely to have been put.
fn told(path: &str, value: &Value, problem: &str) -> String {
    let secret = ["token", "secret", "authorization", "signing", "password"];
    match value {
        Value::String(text) if secret.iter().any(|name| path.contains(name)) && !text.is_empty() => {
            problem.replace(&format!("{text:?}"), "…").replace(text.as_str(), "…")
        }
        _ => problem.to_owned(),
    }
}

/// Takes what stands at `path` out; none where nothing does. List items go by index, as in `a[1].b`.
fn remove(table: &mut Table, path: &str) -> Option<Value> {
    let parts: Vec<_> = path.split(['.', '[']).map(|part| part.trim_end_matches(']')).collect();
    let (last, parents) = parts.split_last()?;
    let mut owned = Value::Table(std::mem::take(table));
    let mut value = Some(&mut owned);
    for part in parents {
        value = value.and_then(|value| match value {
            Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            Value::Table(table) => table.get_mut(*part),
            _ => None,
        });
    }
    let removed = match value {
        Some(Value::Table(table)) => table.remove(*last),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => Some(items.remove(index)),
            _ => None,
        },
        _ => None,
    };
    if let Value::Table(back) = owned {
        *table = back;
    }
    removed
}
