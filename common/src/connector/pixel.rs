//! The browser-side half of a connector. Its place in the resource is fixed; the tag that fires it is not
//! there yet, and `check` says so of one that is enabled.

use super::webhook::yes;
use serde::{Deserialize, Serialize};

/// HTML or JavaScript for the browser (specification 004, step 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pixel {
    /// Its own switch, apart from the webhook's and the connector's mode.
    #[serde(default)]
    pub enabled: bool,
    /// The code, with macros.
    #[serde(default)]
    pub code: String,
    /// Whether it runs in a frame without access to the page.
    #[serde(default = "yes")]
    pub sandbox: bool,
}
