//! Click ID matching: which touch of the visitor came from this connector's platform, and by what id
//! (specification 004, steps 6 and 7).

use crate::time::Span;
use serde::{Deserialize, Serialize};

/// How a connector finds its own click id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickIdMatching {
    /// The parameter that the platform appends to its links, such as `aff_click_id`.
    pub parameter: String,
    /// What else the link must carry, where several platforms use the same parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ClickSource>,
    /// Which touch counts.
    #[serde(default)]
    pub model: Model,
    /// How long before the event that touch may lie, inclusive.
    pub window: Span,
}

/// The parameter that says which platform a click came from, and its strict value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClickSource {
    /// The parameter, such as `utm_source`.
    pub parameter: String,
    /// The value that it must have, exactly.
    pub value: String,
}

/// Which touch counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// The visitor's newest click source, and only if it is this connector's.
    #[default]
    LastClick,
    /// This connector's newest within the window.
    AnyClick,
}
