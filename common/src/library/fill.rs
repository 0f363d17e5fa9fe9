//! From a template to a connector: `<<setting>>` becomes the setting's value.
//!
//! Values are fixed text. What could end the string that it stands in, begin a macro or lead a URL elsewhere is
//! refused rather than escaped: no platform's ids hold such characters, and pasted placeholders do.

use super::{Setting, Template};
use crate::id::{AdvertiserId, ConnectorId};
use crate::spelling;
use std::collections::BTreeMap;

/// How wide a comment may be.
const WIDTH: usize = 110;

/// A connector that is to be made of a template.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its id.
    pub id: &'a ConnectorId,
    /// Whose it is.
    pub advertiser: &'a AdvertiserId,
    /// Its name, if it is to have another than the template's.
    pub name: Option<&'a str>,
    /// The settings' values.
    pub settings: &'a BTreeMap<String, String>,
}

/// Why no connector can be made of it. It repeats no value: one may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A setting that must be told is not.
    #[error("{name} is missing: {what} Write --set {name}={example} with your own")]
    Missing {
        /// The setting.
        name: String,
        /// What it is.
        what: String,
        /// A value that it may have.
        example: String,
    },
    /// A setting is told that the template does not have.
    #[error("the template has no setting `{given}`{}", nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name}?")))]
    Unknown {
        /// What was told.
        given: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A value cannot stand where it is needed.
    #[error("the value of {name} {why}")]
    Unfit {
        /// The setting, or `name`.
        name: String,
        /// Why.
        why: &'static str,
    },
}

impl Template {
    /// The connector, as the text of a resource file, with comments. It is not checked yet: it can only be
    /// checked beside the advertiser that it names.
    ///
    /// # Errors
    /// Everything that is missing or unfit.
    pub fn fill(&self, wanted: &Wanted<'_>) -> Result<String, Vec<Refused>> {
        let values = self.values(wanted)?;
        let mut text = self.preface(&values);
        for line in self.connector.lines() {
            if let Some(line) = filled(line, &values) {
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Every mark's value; none of an optional setting that is left open.
    fn values(&self, wanted: &Wanted<'_>) -> Result<BTreeMap<&str, Option<String>>, Vec<Refused>> {
        let mut refused = Vec::new();
        let known = || self.settings().iter().map(|setting| setting.name.as_str());
        for given in wanted.settings.keys().filter(|given| !known().any(|name| name == given.as_str())) {
            refused.push(Refused::Unknown {
                given: given.chars().take(80).collect(),
                nearest: spelling::nearest(given, known()).map(ToOwned::to_owned),
            });
        }
        let name = wanted.name.unwrap_or(self.name());
        if let Some(why) = unfit(name) {
            refused.push(Refused::Unfit { name: "name".to_owned(), why });
        }
        let mut values = BTreeMap::from([
            ("id", Some(wanted.id.to_string())),
            ("advertiser", Some(wanted.advertiser.to_string())),
            ("name", Some(name.to_owned())),
        ]);
        for setting in self.settings() {
            match self.value(setting, wanted) {
                Ok(value) => {
                    values.insert(&setting.name, value);
                }
                Err(why) => refused.push(why),
            }
        }
        if refused.is_empty() { Ok(values) } else { Err(refused) }
    }

    fn value(&self, setting: &Setting, wanted: &Wanted<'_>) -> Result<Option<String>, Refused> {
        let unfit = |why| Refused::Unfit { name: setting.name.clone(), why };
        match wanted.settings.get(&setting.name) {
            Some(value) if setting.secret && !is_variable(value) => Err(unfit(
                "is no name of an environment variable: a secret is never written out, so put it into a variable \
                 of the worker, in capitals, and tell that variable's name",
            )),
            Some(value) => match self::unfit(value).or_else(|| self.unfit_for_url(&setting.name, value)) {
                Some(why) => Err(unfit(why)),
                None => Ok(Some(value.clone())),
            },
            None if setting.optional => Ok(None),
            None if setting.secret => Ok(Some(variable(wanted.id, &setting.name))),
            None => Err(Refused::Missing {
                name: setting.name.clone(),
                what: setting.what.clone(),
                example: setting.example.clone(),
            }),
        }
    }

    /// Why a value cannot stand in a URL, where this setting does: there it is one host, segment or value.
    fn unfit_for_url(&self, setting: &str, value: &str) -> Option<&'static str> {
        let mark = format!("<<{setting}>>");
        let is_url = |line: &str| line.starts_with("url =") || line.starts_with("token_url =");
        let in_url = self.connector.lines().any(|line| is_url(line) && line.contains(&mark));
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
        (in_url && !value.bytes().all(fits)).then_some(
            "stands in a URL, where it can only have letters, digits, `-`, `.`, `_`, `~` and `:`; of an address, \
             tell the host alone",
        )
    }

    /// What stands above the connector: what it is, and what its settings are.
    fn preface(&self, values: &BTreeMap<&str, Option<String>>) -> String {
        let mut text = String::new();
        comment(&mut text, "", &format!("{}. Made of the template {}.", self.name(), self.id()));
        for paragraph in self.description().lines() {
            text.push_str("#\n");
            comment(&mut text, "", paragraph);
        }
        text.push_str("#\n");
        comment(&mut text, "", &format!("How well this is known: {}.", self.evidence().in_words()));
        if !self.settings().is_empty() {
            text.push_str("#\n");
        }
        for setting in self.settings() {
            let what = match values.get(setting.name.as_str()).and_then(Option::as_deref) {
                Some(variable) if setting.secret => {
                    format!(
                        "{}: {} The worker reads it from its environment, {variable}.",
                        setting.name, setting.what
                    )
                }
                Some(_) => format!("{}: {}", setting.name, setting.what),
                None => format!("{}: {} Not set.", setting.name, setting.what),
            };
            comment(&mut text, "- ", &what);
        }
        text.push('\n');
        text
    }
}

/// A line with its marks filled in; none where one of them was left open.
fn filled(line: &str, values: &BTreeMap<&str, Option<String>>) -> Option<String> {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, (name, after))) =
        rest.split_once("<<").and_then(|(before, mark)| Some((before, mark.split_once(">>")?)))
    {
        text.push_str(before);
        match values.get(name) {
            Some(value) => text.push_str(value.as_deref()?),
            // A test sees to it that there is none in the library.
            None => text.extend(["<<", name, ">>"]),
        }
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Why a value cannot stand in a file of resources as fixed text.
fn unfit(value: &str) -> Option<&'static str> {
    if value.trim().is_empty() {
        Some("is empty")
    } else if value.trim() != value {
        Some("begins or ends with a space")
    } else if value.chars().any(char::is_control) {
        Some("holds a control character")
    } else if value.contains(['"', '\'', '\\']) {
        Some("holds a quotation mark or a backslash")
    } else if value.contains("<<") || value.contains(">>") {
        Some("holds `<<` or `>>`, by which settings are marked")
    } else if value.contains(['{', '}', '[', ']']) {
        Some("holds a brace or a bracket, which would be a macro; put macros into the connector itself")
    } else {
        None
    }
}

/// Whether a text can be an environment variable's name, and is hardly a secret.
fn is_variable(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The variable that a connector's secret is read from, unless another is told: `META_ACCESS_TOKEN` of the
/// connector `meta`.
fn variable(connector: &ConnectorId, setting: &str) -> String {
    let name = format!("{connector}_{setting}").replace('-', "_").to_ascii_uppercase();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Appends a paragraph as comment lines, of words that are not torn apart.
fn comment(text: &mut String, bullet: &str, paragraph: &str) {
    let mut line = format!("# {bullet}");
    let indent = format!("# {}", " ".repeat(bullet.len()));
    let mut begun = false;
    for word in paragraph.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clone_from(&indent);
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
