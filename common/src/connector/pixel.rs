//! The browser-side half of a connector: code that the tag fires where the event happened.

use super::webhook::yes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// HTML or JavaScript for the browser (specification 004, step 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixel {
    /// Its own switch, apart from the webhook's and the connector's mode.
    #[serde(default)]
    pub enabled: bool,
    /// The code, with macros: HTML where it begins with `<`, else JavaScript.
    pub code: String,
    /// Whether it runs in a frame without access to the page.
    #[serde(default = "yes")]
    pub sandbox: bool,
    /// Other names for events, for `{{EVENT_NAME}}`: this receiver's, by ours. The webhook's own are the webhook's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}
