//! The head of a template: what it is, and what must be known to use it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) evidence: Evidence,
    pub(super) sources: Vec<String>,
    #[serde(default, rename = "setting")]
    pub(super) settings: Vec<Setting>,
}

/// How well a template is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// It was read in documents of the platform, or in code that others run.
    Documents,
    /// It is general knowledge, in a part of it at least.
    GeneralKnowledge,
}

/// Something that a template leaves open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Its name, as in `--set NAME=…` and `<<NAME>>`.
    pub name: String,
    /// What it is and where it is found.
    pub what: String,
    /// A value that it may have. Of a secret, the environment variable.
    pub example: String,
    /// Whether it is a secret: then its value is never told here, only the environment variable that holds it.
    #[serde(default)]
    pub secret: bool,
    /// Whether it can be left open: then what needs it is left out.
    #[serde(default)]
    pub optional: bool,
}

impl Evidence {
    /// In words, with what follows from it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Documents => "read in the platform's documents, or in code that others run",
            Self::GeneralKnowledge => {
                "general knowledge, and confirmed by no document: try it with test-webhook before you rely on it"
            }
        }
    }
}

impl Head {
    pub(super) fn read(text: &str) -> Result<Self, toml::de::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            template: Head,
        }
        toml::from_str(text).map(|File { template }| template)
    }
}
