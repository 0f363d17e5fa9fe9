//! The template library: what is known of 25 receivers, as connectors to be filled in.
//!
//! A template is a resource file of its own (`data/connectors/<id>.toml`): a head that says what it is and what
//! must be known to use it, and a connector in which `<<setting>>` stands for each setting. It is text, not a
//! structure, so that what `connector new` prints has the comments of whoever wrote the template. Nothing here
//! is used on the path of an event: what comes of a template is a connector like any other.

mod fill;
mod head;

pub use fill::{Refused, Wanted};
pub use head::{Evidence, Setting};

use crate::spelling;
use head::Head;
use std::sync::LazyLock;

/// The line at which a template's connector begins.
const CONNECTOR: &str = "[[connector]]";

/// A template of the library.
#[derive(Debug)]
pub struct Template {
    head: Head,
    /// The connector, from its `[[connector]]` on.
    connector: &'static str,
}

/// There is no such template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no template `{given}`{}", nearest.map_or_else(String::new, |id| format!("; did you mean {id}?")))]
pub struct Unknown {
    /// What was asked for.
    pub given: String,
    /// The template that may have been meant.
    pub nearest: Option<&'static str>,
}

macro_rules! files {
    ($($id:literal)*) => {
        [$(($id, include_str!(concat!("../data/connectors/", $id, ".toml")))),*]
    };
}

/// The files, in the order in which they are listed: trackers, networks, ad platforms, others.
static FILES: [(&str, &str); 25] = files![
    "aftrad" "voluum" "redtrack" "keitaro" "binom" "bemob" "clickflare"
    "everflow" "tune" "awin" "cj" "impact" "tradedoubler" "partnerize" "webgains"
    "taboola" "outbrain" "propellerads" "meta_capi" "tiktok" "google_ads" "ga4_mp"
    "tracklution_in" "clickervolt_refund" "hyros"
];

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(id, text)| Template::read(id, text).expect("the embedded templates are valid"))
        .collect()
});

/// All templates.
pub fn templates() -> &'static [Template] {
    &TEMPLATES
}

/// A template by its id.
///
/// # Errors
/// There is none.
pub fn template(id: &str) -> Result<&'static Template, Unknown> {
    let templates = templates();
    templates.iter().find(|template| template.id() == id).ok_or_else(|| Unknown {
        given: id.chars().take(80).collect(),
        nearest: spelling::nearest(id, templates.iter().map(Template::id)),
    })
}

impl Template {
    fn read(id: &str, text: &'static str) -> Result<Self, String> {
        let at = text.find(&format!("\n{CONNECTOR}\n")).ok_or(format!("{id}: there is no connector"))? + 1;
        let (head, connector) = text.split_at(at);
        let head = Head::read(head).map_err(|error| format!("{id}: {error}"))?;
        if head.id == id {
            Ok(Self { head, connector })
        } else {
            Err(format!("{id} calls itself {}", head.id))
        }
    }

    /// Its id, which is its file's name.
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// What it is called, for people.
    pub fn name(&self) -> &str {
        &self.head.name
    }

    /// What it is, where its settings are found, and what to know: a paragraph a line.
    pub fn description(&self) -> &str {
        self.head.description.trim()
    }

    /// How well it is known.
    pub fn evidence(&self) -> Evidence {
        self.head.evidence
    }

    /// Where it is known from.
    pub fn sources(&self) -> &[String] {
        &self.head.sources
    }

    /// What must, or may, be told to use it.
    pub fn settings(&self) -> &[Setting] {
        &self.head.settings
    }
}

#[cfg(test)]
mod tests;
